//! What was answered was on disk before, whenever the power went.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use consentry::ledger::journal::verify::verify;
use consentry::ledger::keys::{KeyRing, SiteKeys};
use consentry::ledger::pseudonym::ClientAddress;
use consentry::reload::unix_time_ms;
use jiff::tz::TimeZone;

use crate::support::ledger::{Place, TOKEN};

/// Unless `CONSENTRY_ROUNDS` says otherwise.
const ROUNDS: u8 = 12;

/// Visitors at once.
const WORKERS: u8 = 4;

/// The proxy is killed within so many milliseconds of its first request.
const LIFETIME_MS: u64 = 400;

/// Visitors who got a page, or at least the whole header section that says so.
fn visit_until_it_dies(address: SocketAddr, round: u8, worker: u8) -> Vec<String> {
    let visitors = (0..=u8::MAX).map(|visit| format!("10.{round}.{worker}.{visit}"));
    visitors.take_while(|visitor| is_served(address, visitor)).collect()
}

fn is_served(address: SocketAddr, visitor: &str) -> bool {
    let request = format!(
        "GET /s/{TOKEN} HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {visitor}\r\nConnection: close\r\n\r\n"
    );
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = Vec::new();
    // What came before the connection broke counts.
    if stream.write_all(request.as_bytes()).is_ok() {
        let _ = stream.read_to_end(&mut answer);
    }
    answer.starts_with(b"HTTP/1.1 200") && memchr::memmem::find(&answer, b"\r\n\r\n").is_some()
}

/// How often each pseudonym opened something, by the journal.
fn opens(journal: &Path) -> HashMap<Vec<u8>, u64> {
    let database = rusqlite::Connection::open(journal).unwrap();
    let mut rows =
        database.prepare("SELECT visitor, count(*) FROM record WHERE event = 'open' GROUP BY visitor").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_was_served_was_recorded_once_whenever_the_process_is_killed() {
    let rounds = std::env::var("CONSENTRY_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("at most 255"));
    let place = Place::new();
    let directory = place.directory.path();
    let (journal, outside) = (directory.join("data/ledger.sqlite"), directory.join("outside/checkpoints"));
    let moments = RandomState::new();
    let mut served = HashSet::new();
    for round in 0..rounds {
        let mut proxy = place.start();
        let address = proxy.address;
        let visitors: Vec<_> = (0..WORKERS)
            .map(|worker| std::thread::spawn(move || visit_until_it_dies(address, round, worker)))
            .collect();
        std::thread::sleep(Duration::from_micros(moments.hash_one(round) % (LIFETIME_MS * 1000)));
        proxy.signal("-KILL");
        proxy.process.wait().unwrap();
        served.extend(visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()));

        let report = verify(&journal, Some(&outside));
        assert!(report.problems.is_empty(), "round {round}: {:?}", report.problems);
        let opens = opens(&journal);
        let site = SiteKeys {
            site: "shop".into(),
            time_zone: TimeZone::UTC,
            retention_min_months: 0,
            retention_max_months: 6,
        };
        let ring = KeyRing::open(&directory.join("keys"), &[site]).unwrap();
        // The test may run over the end of a month.
        let pseudonyms = |visitor: &String| {
            let address = ClientAddress::new(visitor.parse().unwrap());
            let now = unix_time_ms();
            ring.check("shop", &address, now - 3_600_000, now).into_iter().filter_map(|(_, found)| found.ok())
        };
        let recorded = |visitor| pseudonyms(visitor).filter_map(|found| opens.get(found.0.as_slice())).sum::<u64>();
        let lost: Vec<_> = served.iter().filter(|visitor| recorded(visitor) == 0).collect();
        let twice = opens.values().filter(|count| **count > 1).count();
        assert!(lost.is_empty() && twice == 0, "round {round}: {lost:?} are lost, {twice} are there twice");
        let more = opens.len() - served.len();
        let under_way = usize::from(WORKERS) * (usize::from(round) + 1);
        assert!(more <= under_way, "only those under way may be recorded and not served: {more}");
        if round + 1 == rounds {
            println!("{rounds} rounds: {} served, {} recorded, none lost, none twice", served.len(), opens.len());
        }
    }
    assert!(served.len() > usize::from(rounds), "{}", served.len());
}
