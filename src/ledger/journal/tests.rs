mod crash;
mod guests;
mod purging;
mod tampering;
mod trouble;

use std::sync::atomic::AtomicU64;

use rusqlite::Connection;
use tempfile::TempDir;

use super::verify::{Report, verify};
use super::*;
use crate::ledger::agent::AgentClass;
use crate::ledger::pseudonym::{LinkDigest, ObjectDigest, Pseudonym};
use crate::ledger::record::{Actor, Erasable, EventKind, hex};

const DAY_MS: u64 = 86_400_000;

/// A directory with a journal, a copy of its checkpoints and a clock that is set by hand.
struct House {
    directory: TempDir,
    now: Arc<AtomicU64>,
}

impl House {
    fn new() -> Self {
        House { directory: tempfile::tempdir().unwrap(), now: Arc::new(AtomicU64::new(20_000 * DAY_MS)) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("trail.db")
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("checkpoints.jsonl")
    }

    fn options(&self, queue: usize, pressure: Pressure) -> JournalOptions {
        let now = self.now.clone();
        JournalOptions {
            queue,
            pressure,
            checkpoints: Some(self.outside()),
            checkpoint_every_ms: 60_000,
            signing_seed: Zeroizing::new([7; 32]),
            clock: Arc::new(move || now.load(Ordering::Relaxed)),
        }
    }

    fn try_open(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.path(), self.options(256, Pressure::Refuse), self.now())
    }

    fn open(&self) -> Journal {
        self.try_open().unwrap()
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// A journal of `count` visits over three days, closed.
    fn filled(count: u64) -> Self {
        let house = House::new();
        let journal = house.open();
        for i in 0..count {
            house.pass(3 * DAY_MS / count);
            wait(journal.record(visit(house.now(), i))).unwrap();
        }
        house
    }

    fn verify(&self) -> Report {
        verify(&self.path(), Some(&self.outside()))
    }

    fn sql(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn gaps(&self) -> Vec<serde_json::Value> {
        let connection = Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare("SELECT core FROM record WHERE event = 'gap' ORDER BY seq").unwrap();
        let cores = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        cores
            .map(|core| serde_json::from_slice::<serde_json::Value>(&core.unwrap()).unwrap()["detail"].clone())
            .collect()
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn visit(at_ms: u64, number: u64) -> NewRecord {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    NewRecord {
        link: Some(LinkDigest(digest)),
        rule: Some("share".into()),
        actor: Actor::Anonymous,
        agent: AgentClass::Human,
        epoch: Some("2024-10".into()),
        status: Some(200),
        bytes: 512,
        complete: true,
        duration_ms: 3,
        detail: None,
        erasable: Erasable {
            visitor: Some(Pseudonym([0x5a; 16])),
            object: Some(ObjectDigest(digest)),
            agent_name: Some("chrome/mobile".into()),
            country: Some("TW".into()),
            referrer: Some("planted-referrer.example".into()),
            consent: None,
        },
        ..NewRecord::of_life(EventKind::Open, "dam", at_ms, serde_json::Value::Null)
    }
}

#[test]
fn what_is_recorded_is_there_and_verifies() {
    let house = House::filled(30);
    let report = house.verify();
    assert_eq!(report.problems, []);
    assert_eq!((report.records, report.first, report.last), (31, 1, 31));
    // The genesis, three days that ended, the end, and some in between.
    assert!(report.checkpoints >= 5, "{report:?}");
}

#[test]
fn a_journal_goes_on_where_it_ended() {
    let house = House::filled(5);
    let position = wait(house.open().record(visit(house.now(), 9))).unwrap();
    assert_eq!(position.seq, 7);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn a_record_of_an_earlier_day_does_not_change_that_days_root() {
    let house = House::new();
    let journal = house.open();
    let start = house.now();
    wait(journal.record(visit(start, 1))).unwrap();
    house.pass(DAY_MS);
    wait(journal.record(visit(house.now(), 2))).unwrap();
    wait(journal.record(visit(start, 3))).unwrap();
    drop(journal);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn a_day_ends_though_nobody_comes() {
    let house = House::new();
    let journal = house.open();
    wait(journal.record(visit(house.now(), 1))).unwrap();
    house.pass(DAY_MS);
    let ended = || std::fs::read_to_string(house.outside()).unwrap().contains("\"root\"");
    while !ended() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let journal = house.open();
    wait(journal.flush()).unwrap();
    for name in ["trail.db", "trail.db-wal", "trail.db-shm", "trail.db.lock", "checkpoints.jsonl"] {
        let mode = std::fs::metadata(house.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// AT-41: what was erased is in no file, and the chain still holds.
#[test]
fn what_is_erased_is_gone_from_all_files() {
    let house = House::new();
    let journal = house.open();
    for i in 0..40 {
        let mut record = visit(house.now(), i);
        record.erasable.visitor = Some(Pseudonym(*b"PLANTED-VISITOR!"));
        record.erasable.referrer = Some(format!("planted-{i}.example").into());
        wait(journal.record(record)).unwrap();
    }
    let found = |marker: &str| {
        std::fs::read_dir(house.directory.path())
            .unwrap()
            .filter(|entry| {
                let bytes = std::fs::read(entry.as_ref().unwrap().path()).unwrap();
                memchr::memmem::find(&bytes, marker.as_bytes()).is_some()
            })
            .count()
    };
    for marker in ["PLANTED-VISITOR!", "planted-0.example", "planted-39.example"] {
        assert!(found(marker) > 0, "{marker}");
    }
    let seqs: Vec<u64> = (2..=41).collect();
    let detail = serde_json::json!({"seqs": seqs, "why": "request 7"});
    let erased = NewRecord::of_life(EventKind::Erased, "dam", house.now(), detail);
    guests::guest(&house).add(&house.path(), &[&erased], &seqs).unwrap();
    let left: Vec<_> = ["PLANTED-VISITOR!", "planted-0.example", "planted-39.example", "chrome/mobile"]
        .into_iter()
        .filter(|marker| found(marker) > 0)
        .collect();
    assert!(left.is_empty(), "{left:?}");
    drop(journal);
    assert_eq!(house.verify().problems, []);
}
