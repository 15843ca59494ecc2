//! The central store against a real PostgreSQL, with a clock that is set by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::config::CentralSettings;
use consentry::ledger::agent::AgentClass;
use consentry::ledger::central::retention::{self, Cutoff, Purged};
use consentry::ledger::central::{CentralError, Route, Shipper, WriterReport, connect, holds, upgrade, verify};
use consentry::ledger::journal::Guest;
use consentry::ledger::journal::verify::Problem;
use consentry::ledger::pseudonym::{LinkDigest, Pseudonym};
use consentry::ledger::record::{Actor, Erasable, EventKind, NewRecord};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::support::postgres::{PASSWORD, Postgres};

const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 20_000 * DAY_MS;

/// A journal that only guests write, and a central store.
struct House {
    directory: TempDir,
    server: Postgres,
}

impl House {
    fn new() -> Self {
        House { directory: tempfile::tempdir().unwrap(), server: Postgres::start() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("trail.db")
    }

    fn settings(&self) -> CentralSettings {
        let server = &self.server;
        CentralSettings { connection: server.connection(), password_file: Some(server.password_file()), ca: None }
    }

    fn add(&self, records: &[NewRecord], erased: &[u64], now_ms: u64) {
        add(&self.path(), records, erased, now_ms);
    }

    fn ship(&self, path: PathBuf, now_ms: u64) -> Shipper {
        let journal = path.clone();
        let erase = move |site: &str, seqs: Vec<u64>, why: &str| {
            let record = NewRecord::of_life(EventKind::Erased, site, now_ms, json!({"seqs": seqs, "why": why}));
            add(&journal, &[record], &seqs, now_ms);
            Ok(())
        };
        let clock = Arc::new(move || now_ms);
        Shipper::start(Route { store: self.settings(), journal: path, erase: Arc::new(erase), clock }).unwrap()
    }

    /// Ships all that the journal has.
    fn ship_all(&self, now_ms: u64) {
        let shipper = self.ship(self.path(), now_ms);
        self.wait(&shipper);
        shipper.stop(Duration::from_secs(30));
    }

    fn wait(&self, shipper: &Shipper) {
        let last: u64 = self.own("SELECT max(seq) FROM record");
        let deadline = Instant::now() + Duration::from_secs(90);
        while shipper.watch.status().shipped < Some(last) {
            assert!(Instant::now() < deadline, "{:?}", shipper.watch.status());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn own<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        Connection::open(self.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn count(&self, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM consentry.{what}");
        self.server.admin("trail").query_one(&sql, &[]).unwrap().get(0)
    }

    fn verify(&self) -> WriterReport {
        verify(&mut connect(&self.settings()).unwrap(), &mut |_| {}).unwrap().remove(0)
    }

    fn sql(&self, sql: &str) {
        self.server.admin("trail").batch_execute(sql).unwrap();
    }
}

fn add(path: &Path, records: &[NewRecord], erased: &[u64], now_ms: u64) {
    let guest = Guest { checkpoints: None, signing_seed: Zeroizing::new([7; 32]), now_ms };
    let records: Vec<_> = records.iter().collect();
    guest.add(path, &records, erased).unwrap();
}

fn visit(at_ms: u64, number: u64) -> NewRecord {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    NewRecord {
        link: Some(LinkDigest(digest)),
        actor: Actor::Anonymous,
        agent: AgentClass::Human,
        epoch: Some("2024-10".into()),
        status: Some(200),
        erasable: Erasable {
            visitor: Some(Pseudonym(*b"PLANTED-VISITOR!")),
            country: Some("TW".into()),
            referrer: Some("planted-referrer.example".into()),
            ..Erasable::default()
        },
        ..NewRecord::of_life(EventKind::Open, "dam", at_ms, serde_json::Value::Null)
    }
}

fn visits(count: u64, from_ms: u64, every_ms: u64) -> Vec<NewRecord> {
    (0..count).map(|number| visit(from_ms + number * every_ms, number)).collect()
}

/// A day without the central store, and then all of it at once; twice at the same time.
#[test]
fn an_outage_of_a_day_is_caught_up_by_two_at_once() {
    const COUNT: u64 = 20_000;
    let house = House::new();
    house.add(&[], &[], START_MS);
    let now = START_MS + DAY_MS + DAY_MS / 2;
    house.add(&visits(COUNT, START_MS + DAY_MS / 2, DAY_MS / COUNT), &[], now);
    let started = Instant::now();
    let shippers = [house.ship(house.path(), now), house.ship(house.path(), now)];
    shippers.iter().for_each(|shipper| house.wait(shipper));
    println!("{COUNT} records in {:?}", started.elapsed());
    for shipper in shippers {
        let status = shipper.watch.status();
        assert_eq!((status.lag_records(COUNT + 1), status.failing, status.forks), (0, None, 0));
        shipper.stop(Duration::from_secs(30));
    }
    assert_eq!(house.count("record"), COUNT as i64 + 1);
    let WriterReport { report, conflicts, .. } = house.verify();
    assert_eq!((report.problems.as_slice(), report.records, conflicts), ([].as_slice(), COUNT + 1, 0));
    let days = house.count("record WHERE day = '2024-10-04'");
    assert!(days > 0, "the day before ended there");
    let ahead = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'consentry.record'::regclass";
    assert_eq!(house.server.admin("trail").query_one(ahead, &[]).unwrap().get::<_, i64>(0), 9, "a week ahead");
}

#[test]
fn a_late_day_gets_its_table() {
    let house = House::new();
    house.add(&visits(3, START_MS, 1000), &[], START_MS);
    house.ship_all(START_MS + 400 * DAY_MS);
    assert_eq!(house.count("record WHERE day = '2024-10-04'"), 4);
}

/// A backup of the central store that was put back is behind: what is missing is shipped again.
#[test]
fn a_central_store_that_was_set_back_is_filled_again() {
    let house = House::new();
    house.add(&visits(50, START_MS, 1000), &[], START_MS);
    house.ship_all(START_MS);
    let set_back = |seq| {
        house.sql(&format!(
            "UPDATE consentry.writer SET seq = {seq}, hash = (SELECT hash FROM consentry.record r WHERE r.seq = {seq})"
        ))
    };
    // The first time all of the rows are lost, the second time some are still there.
    set_back(20);
    house.sql("DELETE FROM consentry.record WHERE seq > 20; DELETE FROM consentry.checkpoint");
    house.ship_all(START_MS);
    set_back(30);
    house.sql("DELETE FROM consentry.record WHERE seq > 45");
    house.ship_all(START_MS);
    let WriterReport { report, .. } = house.verify();
    assert_eq!((report.problems.as_slice(), report.records), ([].as_slice(), 51));
    assert!(report.checkpoints > 0);
}

#[test]
fn what_is_erased_in_the_journal_is_erased_in_the_central_store() {
    let house = House::new();
    house.add(&visits(10, START_MS, 1000), &[], START_MS);
    house.ship_all(START_MS);
    assert!(memchr::memmem::find(&house.server.dump(), b"planted-referrer.example").is_some());
    let seqs: Vec<u64> = (2..=6).collect();
    let erased = NewRecord::of_life(EventKind::Erased, "dam", START_MS, json!({"seqs": seqs, "why": "request 7"}));
    house.add(&[erased], &seqs, START_MS);
    house.ship_all(START_MS);
    assert_eq!(house.count("record WHERE visitor IS NOT NULL"), 5);
    // And what somebody asks for by way of the central store.
    house.sql(
        "INSERT INTO consentry.erasure (writer, seqs, why) SELECT writer, '{7,8,9,10,11}', 'request 8' FROM consentry.writer",
    );
    house.ship_all(START_MS);
    assert_eq!(house.own::<u64>("SELECT count(*) FROM record WHERE salt IS NOT NULL"), 0);
    house.ship_all(START_MS);
    assert_eq!(house.count("erasure WHERE applied_at IS NOT NULL"), 1);
    assert_eq!(house.verify().report.problems, []);
    assert!(memchr::memmem::find(&house.server.dump(), b"planted-referrer.example").is_none());
}

#[test]
fn holds_of_all_replicas_are_read_in_the_order_of_time() {
    let house = House::new();
    let record = |event, at, detail| NewRecord::of_life(event, "dam", START_MS + at, detail);
    house.add(&[record(EventKind::HoldPlaced, 2, json!({"id": "h1", "reason": "court"}))], &[], START_MS);
    house.ship_all(START_MS);
    let other = house.directory.path().join("other.db");
    add(&other, &[record(EventKind::HoldReleased, 1, json!({"id": "h0", "reason": "over"}))], &[], START_MS);
    let shipper = house.ship(other, START_MS);
    house.wait(&shipper);
    shipper.stop(Duration::from_secs(30));
    let found = holds(&mut connect(&house.settings()).unwrap()).unwrap();
    let ids: Vec<_> = found.iter().map(|record| (record.event, record.detail["id"].as_str().unwrap())).collect();
    assert_eq!(ids, [(EventKind::HoldReleased, "h0"), (EventKind::HoldPlaced, "h1")]);
}

#[test]
fn tampering_with_the_central_store_is_named() {
    let house = House::new();
    for day in 0..3 {
        let now = START_MS + day * DAY_MS;
        house.add(&visits(4, now, 1000), &[], now);
    }
    house.ship_all(START_MS + 2 * DAY_MS);
    assert_eq!(house.verify().report.problems, []);
    for (change, expected) in [
        ("UPDATE consentry.record SET site = 'shop' WHERE seq = 5", Problem::Changed { seq: 5 }),
        (
            "UPDATE consentry.record SET core = replace(core::text, '22', '23')::bytea WHERE seq = 3",
            Problem::Changed { seq: 3 },
        ),
        ("UPDATE consentry.record SET country = 'DE' WHERE seq = 4", Problem::PartChanged { seq: 4 }),
        ("DELETE FROM consentry.record WHERE seq = 6", Problem::Missing { from: 6, to: 6 }),
        ("DELETE FROM consentry.record WHERE seq = 13", Problem::CutOff { last: 12, known: 13 }),
        ("DELETE FROM consentry.record WHERE seq = 1", Problem::NoBeginning),
        ("UPDATE consentry.checkpoint SET at = at + 1 WHERE seq = 13", Problem::Signature { seq: 13 }),
    ] {
        let mut admin = house.server.admin("trail");
        house
            .sql("CREATE TABLE kept AS TABLE consentry.record; CREATE TABLE kept_signed AS TABLE consentry.checkpoint");
        admin.batch_execute(change).unwrap();
        let problems = house.verify().report.problems;
        assert!(problems.contains(&expected), "{change}: {problems:?}");
        house.sql(
            "DELETE FROM consentry.record; INSERT INTO consentry.record TABLE kept; DROP TABLE kept;
             DELETE FROM consentry.checkpoint; INSERT INTO consentry.checkpoint TABLE kept_signed; DROP TABLE kept_signed",
        );
    }
    assert_eq!(house.verify().report.problems, []);
}

#[test]
fn tables_are_made_once_however_many_begin_at_once() {
    let house = House::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| upgrade(&mut connect(&house.settings()).unwrap()).unwrap());
        }
    });
    upgrade(&mut connect(&house.settings()).unwrap()).unwrap();
    assert_eq!(house.count("migration"), 1);
    house.sql("INSERT INTO consentry.migration VALUES (99, 'later', '2026-01-01T00:00:00Z', '0')");
    let refused = upgrade(&mut connect(&house.settings()).unwrap()).unwrap_err();
    assert!(matches!(refused, CentralError::Newer { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains("use the newer program"), "{refused}");
}

/// Whoever ships needs no right to make tables, once somebody else has made them.
#[test]
fn a_user_with_few_rights_ships() {
    let house = House::new();
    upgrade(&mut connect(&house.settings()).unwrap()).unwrap();
    house.sql(&format!("CREATE ROLE carrier LOGIN PASSWORD '{PASSWORD}'"));
    let shipping = |house: &House| {
        let mut settings = house.settings();
        settings.connection = settings.connection.replace("user=edge", "user=carrier");
        settings
    };
    let refused = upgrade(&mut connect(&shipping(&house)).unwrap()).unwrap_err();
    assert!(matches!(refused, CentralError::NotAllowed(_)) && refused.to_string().contains("grant"), "{refused}");
    house.sql(
        "GRANT USAGE ON SCHEMA consentry TO carrier;
         GRANT SELECT ON ALL TABLES IN SCHEMA consentry TO carrier;
         GRANT INSERT, UPDATE, DELETE ON consentry.record TO carrier;
         GRANT INSERT, UPDATE ON consentry.writer, consentry.checkpoint TO carrier;
         GRANT INSERT ON consentry.conflict TO carrier;
         GRANT UPDATE ON consentry.erasure TO carrier;
         GRANT EXECUTE ON FUNCTION consentry.make_day(date) TO carrier;",
    );
    house.add(&visits(3, START_MS, 1000), &[], START_MS);
    let (store, erase) = (shipping(&house), Arc::new(|_: &str, _: Vec<u64>, _: &str| Ok(())));
    let route = Route { store, journal: house.path(), erase, clock: Arc::new(|| START_MS) };
    let shipper = Shipper::start(route).unwrap();
    house.wait(&shipper);
    shipper.stop(Duration::from_secs(30));
    assert_eq!(house.count("record"), 4);
}

#[test]
fn what_stands_in_the_way_is_said_in_words() {
    let house = House::new();
    let wrong = house.directory.path().join("wrong");
    std::fs::write(&wrong, "not-Sesame\n").unwrap();
    let told = |change: &dyn Fn(&mut CentralSettings)| {
        let mut settings = house.settings();
        change(&mut settings);
        let Err(error) = connect(&settings) else { panic!("that connects") };
        let text = error.to_string();
        assert!(!text.contains("Sesame"), "{text}");
        text
    };
    let instead = |from: &'static str, to: &'static str| {
        move |settings: &mut CentralSettings| settings.connection = settings.connection.replace(from, to)
    };
    for (text, expected) in [
        (
            told(&|settings| settings.password_file = Some(wrong.clone())),
            "does not let us in (password authentication failed",
        ),
        (told(&|settings| settings.password_file = None), "does not let us in (password missing"),
        (told(&|settings| settings.password_file = Some("/nowhere".into())), "cannot be read from /nowhere"),
        (told(&instead("dbname=trail", "dbname=other")), "database \"other\" does not exist: create it"),
        (
            told(&|settings| settings.connection = "host=127.0.0.1 port=1 user=edge".into()),
            "cannot be reached (Connection refused",
        ),
        (told(&|settings| settings.connection += " sslmode=require"), "no TLS with it (server does not support TLS)"),
        (told(&|settings| settings.ca = Some(wrong.clone())), "there is no PEM certificate in it"),
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// Empties records in the journal as its own retention does.
fn purge(house: &House, seqs: std::ops::RangeInclusive<u64>, now_ms: u64) {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    seqs.clone().for_each(|seq| digest.update(&seq.to_be_bytes()));
    let hash: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, last) = (*seqs.start(), *seqs.end());
    let detail = json!({"before": now_ms, "count": seqs.count(), "seqs": hash, "first": first, "last": last});
    house.add(&[NewRecord::of_life(EventKind::RetentionPurged, "dam", now_ms, detail)], &[], now_ms);
    let by: u64 = house.own("SELECT max(seq) FROM record");
    Connection::open(house.path())
        .unwrap()
        .execute(
            "UPDATE record SET core = x'', site = '', event = 'purged', at = ?1, link = NULL, epoch = NULL, salt = NULL,
             visitor = NULL, object = NULL, agent_name = NULL, country = NULL, referrer = NULL, consent = NULL
             WHERE seq BETWEEN ?2 AND ?3",
            [by, first, last],
        )
        .unwrap();
}

/// What a journal purges and cuts off is purged and cut off here, whether it had arrived before or not.
#[test]
fn what_a_journal_purges_is_purged_here() {
    let house = House::new();
    house.add(&visits(10, START_MS, 1000), &[], START_MS);
    house.ship_all(START_MS);
    let later = START_MS + 2 * DAY_MS;
    house.add(&visits(4, later, 1000), &[], later);
    purge(&house, 2..=11, later);
    house.ship_all(later);
    assert_eq!(
        (house.count("record WHERE event = 'purged'"), house.count("record WHERE visitor IS NOT NULL")),
        (10, 4)
    );
    let report = house.verify().report;
    assert_eq!((report.problems.as_slice(), report.purged), ([].as_slice(), 10));
    for (change, expected) in [
        ("UPDATE consentry.record SET at = 99 WHERE seq = 5", Problem::Emptied { seq: 5 }),
        ("UPDATE consentry.record SET at = -1 WHERE seq = 5", Problem::Emptied { seq: 5 }),
        (
            "UPDATE consentry.record SET at = 16 WHERE seq = 5; UPDATE consentry.record SET at = 99 WHERE seq = 2",
            Problem::Purge { seq: 16 },
        ),
    ] {
        house.sql(change);
        let problems = house.verify().report.problems;
        assert!(problems.contains(&expected), "{change}: {problems:?}");
    }
    house.sql("UPDATE consentry.record SET at = 16 WHERE event = 'purged'");
    assert_eq!(house.verify().report.problems, []);

    let cut = Connection::open(house.path()).unwrap();
    let (hash, key): (Vec<u8>, Vec<u8>) = cut
        .query_row("SELECT hash, key FROM checkpoint WHERE seq = 11", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let detail = json!({"cut": 11, "hash": hex(&hash), "key": hex(&key), "destroyed": []});
    house.add(&[NewRecord::of_life(EventKind::RetentionPurged, "", later, detail)], &[], later);
    cut.execute_batch("DELETE FROM record WHERE seq <= 11; DELETE FROM checkpoint WHERE seq < 11").unwrap();
    house.ship_all(later);
    assert_eq!(house.count("record WHERE seq <= 11"), 0);
    assert_eq!(house.verify().report.problems, []);
    house.sql("DELETE FROM consentry.record WHERE seq = 12");
    assert_eq!(house.verify().report.problems, [Problem::NoBeginning]);
}

/// Journals that nobody keeps any more fall due, too; what is held stays.
#[test]
fn what_is_due_goes_from_all_journals() {
    let house = House::new();
    let later = START_MS + 100 * DAY_MS;
    for day in 0..3 {
        let now = START_MS + day * DAY_MS;
        house.add(&visits(4, now, 1000), &[], now);
    }
    house.ship_all(later);
    std::fs::remove_file(house.path()).unwrap();
    let mut client = connect(&house.settings()).unwrap();
    let mut held = [0; 16];
    held[7] = 3;
    let mut cutoff =
        Cutoff { site: "dam".into(), before_ms: START_MS + 2 * DAY_MS, is_held: true, held_links: Vec::new() };
    assert_eq!(retention::run(&mut client, &[cutoff.clone()], &[]).unwrap(), Purged::default());
    (cutoff.is_held, cutoff.held_links) = (false, vec![held]);
    let purged = retention::run(&mut client, &[cutoff.clone()], &[]).unwrap();
    assert_eq!((purged.records, purged.days), (6, 0));
    let report = house.verify().report;
    assert_eq!((report.problems.as_slice(), report.records, report.purged), ([].as_slice(), 13, 6));
    cutoff.held_links.clear();
    let purged = retention::run(&mut client, &[cutoff.clone()], &[]).unwrap();
    assert_eq!((purged.records, purged.days), (2, 2), "and both days are dropped");
    let report = house.verify().report;
    assert_eq!((report.problems.as_slice(), report.records, report.first), ([].as_slice(), 4, 10));
    cutoff.before_ms = later;
    let purged = retention::run(&mut client, &[cutoff], &[]).unwrap();
    assert_eq!(purged.records, 4);
    assert_eq!((house.count("record"), house.verify().report.problems), (0, vec![]));
}

#[test]
fn records_travel_under_tls_to_a_server_that_is_who_it_says() {
    let (server, certificate) = Postgres::with_tls();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        Some(directory.path().join(name))
    };
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let (ours, others) = (file("ours", &certificate), file("others", &other));
    let settings = |connection: String, ca: &Option<PathBuf>| CentralSettings {
        connection,
        password_file: Some(server.password_file()),
        ca: ca.clone(),
    };
    let required = server.connection() + " sslmode=require";
    let mut client = connect(&settings(required.clone(), &ours)).unwrap();
    let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).unwrap();
    assert!(row.get::<_, bool>(0));
    let by_another_name = required.replace("host=127.0.0.1", "host=localhost");
    for (connection, ca) in [(&required, &others), (&required, &None), (&by_another_name, &ours)] {
        let Err(error) = connect(&settings(connection.clone(), ca)) else { panic!("{connection} is trusted") };
        assert!(matches!(error, CentralError::Tls(_)) && error.to_string().contains("certificate"), "{error}");
    }
}
