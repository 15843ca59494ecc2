//! Records of a proxy that runs as a process, on their way to a PostgreSQL that runs as another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use consentry::config::CentralSettings;
use consentry::ledger::central::{connect, verify};
use consentry::ledger::journal::verify::verify as verify_journal;
use rusqlite::Connection;

use crate::support::get;
use crate::support::ledger::{Place, Proxy, TOKEN, open};
use crate::support::postgres::{End, Postgres};

/// Waits longer than for what happens within one process.
pub fn in_the_end(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition() {
        assert!(Instant::now() < deadline, "this did not come about in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn central(proxy: &Proxy) -> serde_json::Value {
    get(proxy.admin, "/status", &[]).json()["ledger"]["central"].clone()
}

fn settings(server: &Postgres) -> CentralSettings {
    CentralSettings { connection: server.connection(), password_file: Some(server.password_file()), ca: None }
}

fn journal(place: &Place) -> std::path::PathBuf {
    place.directory.path().join("data/ledger.sqlite")
}

/// Number and hash of each record.
fn recorded(path: &Path) -> BTreeMap<i64, Vec<u8>> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT seq, hash FROM record").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

fn arrived(server: &Postgres) -> Vec<(i64, Vec<u8>)> {
    let rows = server.admin("trail").query("SELECT seq, hash FROM consentry.record ORDER BY seq", &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// All of the journal is in the central store, once, and both chains hold.
fn nothing_is_lost_or_twice(place: &Place, server: &Postgres) {
    let recorded: Vec<_> = recorded(&journal(place)).into_iter().collect();
    assert_eq!(arrived(server), recorded);
    let own = verify_journal(&journal(place), Some(&place.directory.path().join("outside/checkpoints")));
    assert_eq!(own.problems, []);
    let reports = verify(&mut connect(&settings(server)).unwrap(), &mut |_| {}).unwrap();
    let [found] = &reports[..] else { panic!("one journal: {reports:?}") };
    assert_eq!((found.report.problems.as_slice(), found.conflicts), ([].as_slice(), 0));
    assert_eq!((found.report.records, found.report.checkpoints), (own.records, own.checkpoints));
}

#[test]
fn a_proxy_serves_and_records_without_the_central_store_and_ships_once_it_is_there() {
    let mut server = Postgres::start();
    server.end(End::Fast);
    let place = Place::with(&server.section());
    let proxy = place.start();
    for visit in 0..5 {
        assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), &format!("203.0.113.{visit}"), &[]), 200);
    }
    in_the_end("that it fails is told", || central(&proxy)["failing"].is_string());
    let status = central(&proxy);
    assert!(status["failing"].as_str().unwrap().contains("cannot be reached"), "{status:#}");
    assert!(status["lag_records"].as_u64() >= Some(6), "{status:#}");
    assert!(get(proxy.admin, "/metrics", &[]).text().contains("consentry_ledger_shipping_failing 1"));
    server.resume();
    in_the_end("all arrives", || central(&proxy)["lag_records"] == 0 && central(&proxy)["failing"].is_null());
    let metrics = get(proxy.admin, "/metrics", &[]).text();
    for gone in ["failing", "lag_records", "lag_seconds", "forks"] {
        assert!(metrics.contains(&format!("consentry_ledger_shipping_{gone} 0")), "{metrics}");
    }
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}/files/plan.pdf"), "203.0.113.77", &[]), 200);
    assert_eq!(proxy.stop(), 0, "what came last goes before the end");
    nothing_is_lost_or_twice(&place, &server);
    let dump = server.dump();
    for marker in ["203.0.113", TOKEN, "plan.pdf", "Mozilla", "cb0071"] {
        assert!(memchr::memmem::find(&dump, marker.as_bytes()).is_none(), "{marker} is in the dump");
    }
}

/// Whatever stops in the middle of shipping, in whichever way.
#[test]
fn nothing_is_lost_and_nothing_is_there_twice_whoever_dies_when() {
    let mut server = Postgres::start();
    let place = Place::with(&server.section());
    let (ends, visitors) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut proxy = place.start();
    for (round, end) in [End::Fast, End::Killed, End::Immediate, End::Killed].into_iter().enumerate() {
        let address = proxy.address;
        std::thread::scope(|scope| {
            ends.store(false, Ordering::Relaxed);
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        let visitor = visitors.fetch_add(1, Ordering::Relaxed);
                        let from = format!("10.{}.{}.{}", visitor >> 16, (visitor >> 8) & 255, visitor & 255);
                        // The proxy may be gone.
                        let _ = std::net::TcpStream::connect(address).is_ok_and(|stream| {
                            drop(stream);
                            get(address, &format!("/s/{TOKEN}"), &[("X-Forwarded-For", &from)]).status == 200
                        });
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(900 + 370 * round as u64));
            server.end(end);
            std::thread::sleep(Duration::from_millis(300));
            server.resume();
            std::thread::sleep(Duration::from_millis(1500));
            ends.store(true, Ordering::Relaxed);
        });
        if round % 2 == 1 {
            proxy.signal("-KILL");
            proxy.process.wait().unwrap();
            proxy = place.start();
        }
    }
    in_the_end("all arrives", || central(&proxy)["lag_records"] == 0 && central(&proxy)["failing"].is_null());
    assert_eq!(proxy.stop(), 0);
    assert!(recorded(&journal(&place)).len() > 100);
    nothing_is_lost_or_twice(&place, &server);
}

#[test]
fn a_copied_journal_is_named_and_the_first_stays() {
    let server = Postgres::start();
    let place = Place::with(&server.section());
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.1", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    let old = std::fs::read(journal(&place)).unwrap();
    let signed = std::fs::read(place.directory.path().join("outside/checkpoints")).unwrap();
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.2", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    let first = arrived(&server);
    let common = {
        let copy = place.directory.path().join("copy.sqlite");
        std::fs::write(&copy, &old).unwrap();
        recorded(&copy).len()
    };
    for left in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{left}", journal(&place).display()));
    }
    std::fs::write(journal(&place), old).unwrap();
    std::fs::write(place.directory.path().join("outside/checkpoints"), signed).unwrap();
    let proxy = place.start();
    for visitor in 3..6 {
        assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), &format!("203.0.113.{visitor}"), &[]), 200);
    }
    in_the_end("it is told", || central(&proxy)["forks"].as_u64() >= Some(1));
    let status = central(&proxy);
    let why = status["failing"].as_str().unwrap();
    let place_of_fork = format!("is not the one that was shipped, from record {} on", common + 1);
    assert!(why.contains(&place_of_fork) && why.contains("give it a new one"), "{why}");
    assert!(get(proxy.admin, "/metrics", &[]).text().contains("consentry_ledger_shipping_forks 1"));
    assert_eq!(proxy.stop(), 0);
    assert_eq!(arrived(&server), first);
    let reports = verify(&mut connect(&settings(&server)).unwrap(), &mut |_| {}).unwrap();
    assert!(reports[0].conflicts > 0 && reports[0].report.problems.is_empty(), "{reports:?}");
}
