//! A PostgreSQL of the test's own.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::store::Sample;

const PROGRAMS: &str = "/usr/lib/postgresql";

/// Listens on a socket in a directory of its own; stopped and gone when dropped.
pub(super) struct Postgres {
    server: Child,
    directory: tempfile::TempDir,
}

impl Postgres {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let found = std::fs::read_dir(PROGRAMS).expect("needs Debian's package postgresql").flatten().next().unwrap();
        let program = |name: &str| {
            let mut command = Command::new(found.path().join("bin").join(name));
            command.current_dir(directory.path());
            // It does not run as root.
            if rustix::process::getuid().is_root() {
                let (uid, gid) = postgres_user();
                command.uid(uid).gid(gid);
            }
            command
        };
        if rustix::process::getuid().is_root() {
            let (uid, gid) = postgres_user();
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = directory.path().join("data");
        let made = program("initdb").args(["-N", "-U", "test", "-A", "trust", "-D"]).arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut server = program("postgres");
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(directory.path());
        let server = server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Postgres { server, directory }
    }

    pub fn client(&self) -> postgres::Client {
        let connection = format!("host={} user=test dbname=postgres", self.directory.path().display());
        for _ in 0..200 {
            match postgres::Client::connect(&connection, postgres::NoTls) {
                Ok(client) => return client,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("{}", std::fs::read_to_string(self.directory.path().join("log")).unwrap());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn postgres_user() -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let home = std::fs::metadata(Path::new("/var/lib/postgresql")).unwrap();
    (home.uid(), home.gid())
}

pub(super) const WRITER: [u8; 16] = [0xcc; 16];

const SCHEMA: &str = "
CREATE SCHEMA consentry;
CREATE TABLE consentry.record (writer bytea NOT NULL, seq bigint NOT NULL, day date NOT NULL, at bigint NOT NULL,
  site text NOT NULL, event text NOT NULL, link bytea, epoch text, core bytea NOT NULL, prev bytea NOT NULL,
  hash bytea NOT NULL, salt bytea, visitor bytea, object bytea, agent_name text, country text, referrer text,
  consent bytea, PRIMARY KEY (day, writer, seq)) PARTITION BY RANGE (day);
CREATE TABLE consentry.record_2026 PARTITION OF consentry.record FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE consentry.writer (writer bytea PRIMARY KEY, seq bigint NOT NULL, hash bytea NOT NULL,
  at timestamptz NOT NULL, cut_seq bigint, cut_hash bytea, cut_key bytea);
";

pub(super) fn prepare(client: &mut postgres::Client) {
    client.batch_execute(SCHEMA).unwrap();
}

/// Puts `samples` in place of what is there.
pub(super) fn fill(client: &mut postgres::Client, samples: &[Sample]) {
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute("TRUNCATE consentry.record, consentry.writer").unwrap();
    let insert = transaction
        .prepare(
            "INSERT INTO consentry.record (writer, seq, day, at, site, event, link, epoch, core, prev, hash, visitor, \
             country, referrer) VALUES ($1, $2, (to_timestamp($3::bigint / 1000) AT TIME ZONE 'UTC')::date, $3, $4, $5, \
             $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .unwrap();
    for (sample, seq) in samples.iter().zip(1_i64..) {
        transaction
            .execute(
                &insert,
                &[
                    &&WRITER[..],
                    &seq,
                    &(sample.at as i64),
                    &sample.site(),
                    &sample.event,
                    &vec![sample.link; 16],
                    &sample.epoch(),
                    &sample.core().into_bytes(),
                    &vec![0_u8],
                    &vec![0xff_u8; 32],
                    &sample.visitor(),
                    &sample.country,
                    &sample.referrer,
                ],
            )
            .unwrap();
    }
    if !samples.is_empty() {
        let head = "INSERT INTO consentry.writer (writer, seq, hash, at) VALUES ($1, $2, $3, now())";
        transaction.execute(head, &[&&WRITER[..], &(samples.len() as i64), &vec![0xff_u8; 32]]).unwrap();
    }
    transaction.commit().unwrap();
}
