//! What is due goes from all replicas and from their PostgreSQL, with a clock that is set by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use consentry::config::{CentralSettings, LedgerSettings};
use consentry::ledger::central::{CentralStatus, connect, verify};
use consentry::ledger::hold::{self, Request};
use consentry::ledger::journal::{Guest, RetentionStatus};
use consentry::ledger::keys::{KeyRing, SiteKeys};
use consentry::ledger::pseudonym::{LinkDigest, Pseudonym};
use consentry::ledger::record::{Erasable, EventKind, NewRecord};
use consentry::ledger::service::Ledger;
use jiff::tz::TimeZone;

use super::central::in_the_end;
use crate::support::postgres::{End, PASSWORD, Postgres};

const DAY_MS: u64 = 86_400_000;
/// 2024-10-04
const START_MS: u64 = 20_000 * DAY_MS;
/// Half a year and some weeks later.
const DUE_MS: u64 = START_MS + 200 * DAY_MS;

/// A replica that keeps accesses of `dam` for six months.
struct Replica {
    directory: tempfile::TempDir,
    settings: LedgerSettings,
    now: Arc<AtomicU64>,
}

impl Replica {
    /// With four accesses of one day.
    fn new(server: &Postgres) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let central =
            CentralSettings { connection: server.connection(), password_file: Some(server.password_file()), ca: None };
        let settings = LedgerSettings {
            path: at("ledger.sqlite"),
            keys: at("keys"),
            checkpoints: at("checkpoints"),
            pressure: Default::default(),
            central: Some(central),
        };
        let replica = Replica { directory, settings, now: Arc::new(AtomicU64::new(START_MS)) };
        let visits: Vec<_> = (0..4).map(visit).collect();
        replica.guest().add(replica.path(), &visits.iter().collect::<Vec<_>>(), &[]).unwrap();
        replica
    }

    fn path(&self) -> &Path {
        &self.settings.path
    }

    fn sites() -> Vec<SiteKeys> {
        let (site, time_zone) = ("dam".into(), TimeZone::UTC);
        vec![SiteKeys { site, time_zone, retention_max_months: 6, retention_min_months: 0 }]
    }

    fn guest(&self) -> Guest {
        let signing_seed = KeyRing::open(&self.settings.keys, &Replica::sites()).unwrap().signing_seed().unwrap();
        let checkpoints = Some(self.settings.checkpoints.clone());
        Guest { checkpoints, signing_seed, now_ms: self.now.load(Ordering::Relaxed) }
    }

    fn start(&self, now_ms: u64) -> Ledger {
        self.now.store(now_ms, Ordering::Relaxed);
        let now = self.now.clone();
        Ledger::start(&self.settings, Replica::sites(), Arc::new(move || now.load(Ordering::Relaxed))).unwrap()
    }

    /// Accesses in the journal.
    fn accesses(&self) -> u64 {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.query_row("SELECT count(*) FROM record WHERE event = 'open'", [], |row| row.get(0)).unwrap()
    }
}

fn visit(number: u64) -> NewRecord {
    NewRecord {
        link: Some(LinkDigest([number as u8; 16])),
        epoch: Some("2024-10".into()),
        erasable: Erasable { visitor: Some(Pseudonym([7; 16])), ..Erasable::default() },
        ..NewRecord::of_life(EventKind::Open, "dam", START_MS + number, serde_json::Value::Null)
    }
}

fn retention(ledger: &Ledger) -> RetentionStatus {
    ledger.recording.recorder.status().retention
}

fn shipping(ledger: &Ledger) -> CentralStatus {
    ledger.recording.central.as_ref().unwrap().status()
}

fn ship(ledger: &Ledger) {
    in_the_end("all arrives", || shipping(ledger).shipped == Some(ledger.recording.recorder.status().last));
}

fn count(server: &Postgres, sql: &str) -> i64 {
    server.admin("trail").query_one(sql, &[]).unwrap().get(0)
}

fn arrived(server: &Postgres) -> i64 {
    count(server, "SELECT count(*) FROM consentry.record WHERE event = 'open'")
}

/// A replica does not come back. Its hold counts, and once that is over, what is due of it is gone.
#[test]
fn what_is_due_of_a_replica_that_is_no_more_goes_unless_it_is_held() {
    let server = Postgres::start();
    let dead = Replica::new(&server);
    let request = Request { site: "dam", link: Some([2; 16]), reason: "court", ticket: "T-9" };
    let id = hold::place(&dead.guest(), dead.path(), &request).unwrap();
    let ledger = dead.start(START_MS);
    ship(&ledger);
    ledger.stop();
    drop(dead.directory);

    let alive = Replica::new(&server);
    let ledger = alive.start(DUE_MS);
    in_the_end("it purges", || retention(&ledger).last_success_ms == Some(DUE_MS));
    assert_eq!((alive.accesses(), retention(&ledger).purged), (1, 3), "by the hold of the other");
    in_the_end("only what is held is there", || arrived(&server) == 2);
    let first_day = "SELECT count(*) FROM pg_class WHERE relname = 'record_2024_10_04'";
    assert_eq!(count(&server, first_day), 1);
    hold::release(&alive.guest(), alive.path(), &id, "closed").unwrap();
    alive.now.fetch_add(DAY_MS + 1, Ordering::Relaxed);
    in_the_end("what was held goes", || alive.accesses() == 0 && arrived(&server) == 0);
    in_the_end("the day is dropped", || count(&server, first_day) == 0);
    assert!(shipping(&ledger).purge_failing.is_none());
    ship(&ledger);
    ledger.stop();
    let reports = verify(&mut connect(alive.settings.central.as_ref().unwrap()).unwrap(), &mut |_| {}).unwrap();
    let problems: Vec<_> = reports.iter().flat_map(|found| &found.report.problems).collect();
    assert!(reports.len() == 2 && problems.is_empty(), "{problems:?}");
}

#[test]
fn nothing_is_purged_while_nobody_knows_what_others_hold() {
    let mut server = Postgres::start();
    server.end(End::Fast);
    let replica = Replica::new(&server);
    let ledger = replica.start(DUE_MS);
    in_the_end("it is told", || retention(&ledger).failing.is_some());
    let (since, why) = retention(&ledger).failing.unwrap();
    assert!(since == DUE_MS && why.contains("nobody knows what other replicas hold"), "{why}");
    assert_eq!(replica.accesses(), 4);
    server.resume();
    replica.now.fetch_add(DAY_MS / 24, Ordering::Relaxed);
    in_the_end("it purges", || replica.accesses() == 0);
    in_the_end("it is well", || retention(&ledger).failing.is_none());
    server.end(End::Fast);
    replica.now.fetch_add(DAY_MS / 2, Ordering::Relaxed);
    let now = replica.now.load(Ordering::Relaxed);
    in_the_end("what was known is good for a day", || retention(&ledger).last_success_ms == Some(now));
    replica.now.fetch_add(DAY_MS, Ordering::Relaxed);
    in_the_end("and no longer", || retention(&ledger).failing.is_some());
    ledger.stop();
}

#[test]
fn a_user_that_may_not_drop_days_is_told_what_it_needs() {
    let server = Postgres::start();
    let mut replica = Replica::new(&server);
    let ledger = replica.start(START_MS);
    ship(&ledger);
    ledger.stop();
    let sql = format!(
        "CREATE ROLE carrier LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA consentry TO carrier;
         GRANT SELECT ON ALL TABLES IN SCHEMA consentry TO carrier;
         GRANT INSERT, UPDATE, DELETE ON consentry.record TO carrier;
         GRANT INSERT, UPDATE ON consentry.writer, consentry.checkpoint TO carrier;
         GRANT UPDATE ON consentry.erasure TO carrier;
         GRANT EXECUTE ON FUNCTION consentry.make_day(date) TO carrier;"
    );
    server.admin("trail").batch_execute(&sql).unwrap();
    let central = replica.settings.central.as_mut().unwrap();
    central.connection = central.connection.replace("user=edge", "user=carrier");
    let ledger = replica.start(DUE_MS);
    in_the_end("it is told", || shipping(&ledger).purge_failing.is_some());
    let why = shipping(&ledger).purge_failing.unwrap();
    assert!(why.contains("GRANT EXECUTE ON FUNCTION consentry.drop_day(date)"), "{why}");
    in_the_end("its own journal is purged", || replica.accesses() == 0);
    ledger.stop();
}
