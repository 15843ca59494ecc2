//! A ledger in a directory of its own, and the proxy that keeps it as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use super::{Origin, get, site};

pub const TOKEN: &str = "q7XpL2vRk9TzMarked";
const SHARES: &str = "[[site.share]]\npath = \"/s/{token}/files/*\"\nevent = \"download\"\n[[site.share]]\npath = \"/s/{token}\"\nsession_cookies = [\"session\"]\n";

/// A proxy that runs as a process, in a directory of its own.
pub struct Proxy {
    pub process: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    /// All lines that it wrote so far, to both of its outputs.
    output: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub fn start(config: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<Vec<u8>>>::default();
        let mut lines = keep_lines(process.stderr.take().unwrap(), output.clone());
        let (address, admin) = lines
            .find_map(|line| {
                line.split("traffic on ").nth(1)?.split_once(", admin on ").map(|(a, b)| (a.to_owned(), b.to_owned()))
            })
            .expect("the ports are in the first line of the log");
        std::thread::spawn(move || lines.for_each(drop));
        let access_log = keep_lines(process.stdout.take().unwrap(), output.clone());
        std::thread::spawn(move || access_log.for_each(drop));
        let admin = admin.trim_end_matches(|c: char| !c.is_ascii_digit());
        Proxy { process, address: address.parse().unwrap(), admin: admin.parse().unwrap(), output }
    }

    /// All lines that it wrote so far, to both of its outputs.
    pub fn output(&self) -> Vec<u8> {
        self.output.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn stop(mut self) -> i32 {
        self.signal("-INT");
        let ended = self.process.wait().unwrap();
        ended.code().unwrap_or_else(|| panic!("{ended}"))
    }
}

/// A test that fails leaves no process behind.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The lines of `from`, each also put into `output`.
fn keep_lines(from: impl Read, output: Arc<Mutex<Vec<u8>>>) -> impl Iterator<Item = String> {
    BufReader::new(from).lines().map_while(Result::ok).inspect(move |line| {
        let mut output = output.lock().unwrap();
        output.extend_from_slice(line.as_bytes());
        output.push(b'\n');
    })
}

/// A directory with a configuration that keeps a ledger, before an origin that answers everything.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub origin: Origin,
}

impl Place {
    pub fn new() -> Self {
        Place::with("")
    }

    /// With `more` sections at the end of the configuration.
    pub fn with(more: &str) -> Self {
        Place::before(Origin::with_headers(&[]), more)
    }

    /// Before an `origin` of the test's own.
    pub fn before(origin: Origin, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger =
            "[ledger]\npath = \"data/ledger.sqlite\"\nkeys = \"keys\"\ncheckpoints = \"outside/checkpoints\"\n";
        let listen = "[listen]\ntraffic = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n[server]\nthreads = 2\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.1\"]\n";
        for name in ["data", "outside"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        std::fs::write(
            directory.path().join("c.toml"),
            format!("{listen}{ledger}{}{more}", site(origin.address, SHARES)),
        )
        .unwrap();
        Place { directory, origin }
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("c.toml")
    }

    pub fn start(&self) -> Proxy {
        Proxy::start(&self.config())
    }

    pub fn trail(&self, arguments: &[&str], input: &str) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .arg("trail")
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    }

    /// What `trail` answers, one JSON object a line.
    pub fn ask(&self, arguments: &[&str], input: &str) -> Vec<serde_json::Value> {
        let output = self.trail(arguments, input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every file in which something is kept, keys excepted.
    pub fn kept(&self) -> Vec<u8> {
        let files = ["data", "outside"].map(|name| std::fs::read_dir(self.directory.path().join(name)).unwrap());
        files.into_iter().flatten().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

/// Visits a share link from `address`.
pub fn open(proxy: &Proxy, target: &str, address: &str, more: &[(&str, &str)]) -> u16 {
    let from =
        [("X-Forwarded-For", address), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36")];
    get(proxy.address, target, &[&from, more].concat()).status
}
