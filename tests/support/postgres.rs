//! A PostgreSQL of Debian's package that a test has for itself: private port, private directory, `fsync` on.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use tempfile::TempDir;

/// The user that owns the database, as an operator would set it up.
pub const USER: &str = "edge";
pub const PASSWORD: &str = "Sesame-7rk2";
pub const DATABASE: &str = "trail";

/// How a server ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ends open transactions, and then itself.
    Fast,
    /// It recovers at the next start.
    Immediate,
    /// `kill -9`.
    Killed,
}

/// A server. It is gone with this value, or with the thread that started it.
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    pub port: u16,
    process: Option<Child>,
}

impl Postgres {
    /// A server with an empty database.
    pub fn start() -> Self {
        Postgres::begin(Postgres::prepare())
    }

    /// A server with a certificate for 127.0.0.1, which is also the authority, as PEM.
    pub fn with_tls() -> (Self, String) {
        let server = Postgres::prepare();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        for (name, text) in [("server.crt", &certificate), ("server.key", &made.key_pair.serialize_pem())] {
            let path = server.data().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                std::os::unix::fs::chown(&path, Some(id("-u")), Some(id("-g"))).unwrap();
            }
        }
        let settings = server.data().join("postgresql.auto.conf");
        std::fs::write(settings, "ssl = on\n").unwrap();
        (Postgres::begin(server), certificate)
    }

    fn begin(mut server: Postgres) -> Self {
        server.resume();
        server.admin("postgres").batch_execute(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")).unwrap();
        server.admin("postgres").batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {USER}")).unwrap();
        server
    }

    fn prepare() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let programs = programs();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Postgres { directory, programs, port, process: None };
        if is_root() {
            std::os::unix::fs::chown(server.directory.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        std::fs::write(server.directory.path().join("password"), PASSWORD).unwrap();
        let made = server
            .command("initdb")
            .arg("-D")
            .arg(server.data())
            .args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of PostgreSQL's programs, as a user that it does not refuse to run as, and gone with its starter.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.current_dir("/").args(["--pdeathsig", "QUIT"]);
        if is_root() {
            command.arg(format!("--reuid={}", id("-u"))).arg(format!("--regid={}", id("-g"))).arg("--clear-groups");
        }
        command.arg(self.programs.join(name));
        command
    }

    /// Starts it (again), and waits until it answers.
    pub fn resume(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let mut process = self.process.take().unwrap_or_else(|| self.spawn());
            if self.try_admin("postgres").is_ok() {
                self.process = Some(process);
                return;
            }
            // Children of one that was killed may still hold its memory: then it ends, and is started again.
            self.process = process.try_wait().unwrap().is_none().then_some(process);
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start: {}", String::from_utf8_lossy(&self.log()));
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// All that it has said.
    pub fn log(&self) -> Vec<u8> {
        std::fs::read(self.log_file()).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        self.command("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.directory.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "fsync=on"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    pub fn end(&mut self, how: End) {
        self.thaw();
        let Some(mut process) = self.process.take() else { return };
        let signal = match how {
            End::Fast => "-INT",
            End::Immediate => "-QUIT",
            End::Killed => "-KILL",
        };
        assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
        process.wait().unwrap();
    }

    /// Stops all of its processes where they are: connections stay, and nothing answers.
    pub fn freeze(&self) {
        self.signal_all("-STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("-CONT");
    }

    /// The server itself first, so that it makes no more of them.
    fn signal_all(&self, signal: &str) {
        let Some(process) = &self.process else { return };
        let children = |parent: &str| {
            let listed = Command::new("ps").args(["-o", "pid=", "--ppid", parent]).output().unwrap();
            String::from_utf8(listed.stdout).unwrap()
        };
        let own = process.id().to_string();
        assert!(Command::new("kill").args([signal, &own]).status().unwrap().success());
        for child in children(&own).split_whitespace() {
            // It may have ended.
            _ = Command::new("kill").args([signal, child]).status();
        }
    }

    /// What a proxy is configured with; the password is in [`Postgres::password_file`].
    pub fn connection(&self) -> String {
        format!("host=127.0.0.1 port={} user={USER} dbname={DATABASE}", self.port)
    }

    pub fn password_file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    /// Sections of a configuration that ships to it.
    pub fn section(&self) -> String {
        let (connection, password) = (self.connection(), self.password_file());
        format!("[ledger.postgres]\nconnection = \"{connection}\"\npassword_file = \"{}\"\n", password.display())
    }

    /// A connection as the superuser.
    pub fn admin(&self, database: &str) -> Client {
        self.try_admin(database).unwrap()
    }

    fn try_admin(&self, database: &str) -> Result<Client, postgres::Error> {
        let socket = self.directory.path().display();
        Client::connect(&format!("host={socket} port={} user=postgres dbname={database}", self.port), NoTls)
    }

    /// All that is in the database, as text.
    pub fn dump(&self) -> Vec<u8> {
        let Output { status, stdout, stderr } = self
            .command("pg_dump")
            .arg("-h")
            .arg(self.directory.path())
            .args(["-p", &self.port.to_string(), "-U", "postgres", DATABASE])
            .output()
            .unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        stdout
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(End::Immediate);
    }
}

/// Where the newest installed server has its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    versions
        .map(|version| version.join("bin"))
        .filter(|programs| programs.join("postgres").exists())
        .max_by_key(|programs| {
            let version = programs.parent().unwrap().file_name().unwrap();
            version.to_string_lossy().parse::<u32>().unwrap_or_default()
        })
        .expect("PostgreSQL is installed: `make database`")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user (`-u`) or group (`-g`) that Debian made for PostgreSQL.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("there is a user `postgres`")
}
