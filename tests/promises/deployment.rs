//! What is deployed: manifests, their configurations, and the image.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use consentry::config;

use super::architecture::sources;
use crate::support::{get, site};

/// A program of `tests/operations/.venv`.
pub fn checker(program: &str) -> Command {
    let path = root().join("tests/operations/.venv/bin").join(program);
    assert!(path.exists(), "{program} is installed: `make test` does that");
    Command::new(path)
}

/// Runs one of the scripts in `tests/operations`.
pub fn script(name: &str) {
    let venv = root().join("tests/operations/.venv/bin");
    let search = format!("{}:{}", std::env::var("PATH").unwrap(), venv.display());
    succeeds(checker("python").arg(root().join("tests/operations").join(name)).env("PATH", search));
}

pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: `make test` installs it"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", said(&output.stdout), said(&output.stderr));
    output
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn manifests_are_valid_and_careful() {
    script("kubernetes.py");
}

#[test]
fn configurations_of_manifests_have_no_problem() {
    for overlay in ["ingress", "sidecar"] {
        let path = root().join("config/kubernetes/overlays").join(overlay).join("consentry.toml");
        let loaded = config::parse(&path, &fs::read(&path).unwrap(), &|_| Ok(vec![b'0'; 64]));
        let problems: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert!(loaded.config.is_some() && problems.is_empty(), "{overlay}: {problems:#?}");
    }
}

#[test]
fn the_dockerfile_passes_its_linter() {
    succeeds(checker("hadolint").arg(root().join("Dockerfile")));
}

/// What the last stage of the Dockerfile says.
struct Image {
    /// From where, to where.
    copies: Vec<(String, String)>,
    command: Vec<String>,
    health: Vec<String>,
    user: String,
}

impl Image {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
        let stage = text.rsplit("\nFROM ").next().unwrap();
        let after = |word: &'static str| stage.lines().filter_map(move |line| line.strip_prefix(word));
        let list = |line: &str| serde_json::from_str::<Vec<String>>(&line[line.find('[').unwrap()..]).unwrap();
        let copies = after("COPY ").map(|line| {
            let mut words = line.split(' ').filter(|word| !word.starts_with("--")).map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        });
        let entry = after("ENTRYPOINT ").map(list).next().unwrap();
        Image {
            copies: copies.collect(),
            command: [entry, after("CMD ").map(list).next().unwrap()].concat(),
            health: after("HEALTHCHECK ").map(list).next().unwrap(),
            user: after("USER ").next().unwrap().to_owned(),
        }
    }
}

/// The C library and what the compiler links with it: all of them are in the base image for programs in C.
const LIBRARIES: [&str; 6] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];

/// A directory that holds what the image holds, and nothing else.
struct Bare {
    directory: tempfile::TempDir,
}

impl Bare {
    fn new(image: &Image, config: &str) -> Self {
        let bare = Bare { directory: tempfile::tempdir().unwrap() };
        for (from, to) in &image.copies {
            match from.as_str() {
                "/build/target/release/consentry" => bare.file(to, Path::new(env!("CARGO_BIN_EXE_consentry"))),
                "config/consentry.toml" => {
                    bare.file(to, &root().join(from));
                    fs::write(bare.place(to), config).unwrap();
                }
                other => panic!("the image copies {other}, of which this test knows nothing"),
            }
        }
        bare.libraries();
        let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if authorities.exists() {
            bare.file("/etc/ssl/certs/ca-certificates.crt", authorities);
        }
        // The user of the image can enter.
        fs::set_permissions(bare.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        bare
    }

    fn place(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, from: &Path) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(from, place).unwrap();
    }

    fn libraries(&self) {
        let output = succeeds(Command::new("ldd").arg(env!("CARGO_BIN_EXE_consentry")));
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
            let name = path.rsplit('/').next().unwrap();
            assert!(name.starts_with("ld-linux") || LIBRARIES.contains(&name), "{name} is not in the image");
            self.file(path, Path::new(path));
        }
    }

    /// Runs `command` with this directory for a root that nobody can write to; where no mounts may be made, as in many
    /// containers, root itself can at least run it there.
    fn command(&self, command: &[String], user: &str) -> Command {
        let may_mount = |more: &[&str]| {
            let mut trial = Command::new("unshare");
            trial.arg("--mount").args(more).arg("true").output().unwrap().status.success()
        };
        let (as_user, as_root) = (format!("--userspec={user}"), String::new());
        let (mut all, identity) = match (is_root(), may_mount(&[]), may_mount(&["--map-root-user"])) {
            (true, true, _) => (Command::new("unshare"), as_user),
            (false, _, true) => (Command::new("unshare"), as_root),
            (true, false, _) => {
                let mut plain = Command::new("chroot");
                plain.arg(as_user).arg(self.directory.path()).args(command);
                return plain;
            }
            (false, _, false) => panic!("neither root nor user namespaces: nothing can be shown here"),
        };
        all.arg("--mount").args((!is_root()).then_some("--map-root-user"));
        let script =
            "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec chroot $IDENTITY \"$0\" \"$@\"";
        all.args(["sh", "-c", script]).arg(self.directory.path()).args(command).env("IDENTITY", identity);
        all
    }
}

fn is_root() -> bool {
    succeeds(Command::new("id").arg("-u")).stdout == b"0\n"
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_program_runs_on_a_bare_root_with_what_the_image_copies() {
    let image = Image::read();
    let example = fs::read_to_string(root().join("config/consentry.toml")).unwrap();
    let config = example.replace("0.0.0.0:8080", "127.0.0.1:0").replace("127.0.0.1:9900", "127.0.0.1:0");
    // Certificates of authorities are needed only by an https upstream: so let there be one.
    let config = format!(
        "{config}\n{}",
        site(([127, 0, 0, 1], 9).into(), "").replace("http://", "https://").replace("shop", "other")
    );
    let bare = Bare::new(&image, &config);
    let mut process = bare.command(&image.command, &image.user);
    let mut process = Running(process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = Vec::new();
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.by_ref().find(|line| {
        said.push(line.clone());
        line.contains("listens")
    });
    let line = line.unwrap_or_else(|| panic!("it did not start: {said:#?}"));
    std::thread::spawn(move || lines.for_each(drop));
    let after = |word: &str| -> SocketAddr {
        let message = serde_json::from_str::<serde_json::Value>(&line).unwrap()["message"].as_str().unwrap().to_owned();
        message.split(word).nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap()
    };
    let (traffic, admin) = (after("traffic on "), after("admin on "));
    crate::support::eventually("it is ready", || get(admin, "/readyz", &[]).status == 200);
    assert_eq!(get(traffic, "/", &[]).status, 502, "nothing listens behind it");
    assert_eq!(get(traffic, "/.consentry/", &[]).status, 200);
    if is_root() {
        let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
        assert!(status.contains(&format!("Uid:\t{}\t", image.user.split(':').next().unwrap())), "{status}");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    }
    // The image's own health check, at the port that was taken.
    let health = [&image.health[..], &["--admin".to_owned(), admin.to_string()]].concat();
    succeeds(&mut bare.command(&health, &image.user));
    assert!(!bare.command(&["/bin/sh".to_owned()], &image.user).output().unwrap().status.success(), "no shell");
}

#[test]
fn each_test_that_the_threat_model_names_is_there() {
    let files = ["tests/promises", "tests/browser", "src"].iter().flat_map(|name| sources(&root().join(name)));
    let code: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows = text.split("## What is defended").nth(1).unwrap().split("\n## ").next().unwrap();
    let names: Vec<_> = rows
        .lines()
        .filter_map(|line| line.trim_end_matches([' ', '|']).rsplit(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .map(|name| name.rsplit('/').next().unwrap())
        .collect();
    assert!(names.len() > 40, "{names:#?}");
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "no test is called {name}");
    }
}
