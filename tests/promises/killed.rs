//! What was answered was on disk before, whenever the power went.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use consentry::ledger::central;
use consentry::ledger::journal::verify::verify;
use consentry::ledger::keys::{KeyRing, SiteKeys};
use consentry::ledger::pseudonym::ClientAddress;
use consentry::reload::unix_time_ms;
use jiff::tz::TimeZone;
use postgres::Client;

use crate::support::ledger::{Place, TOKEN};
use crate::support::postgres::{DATABASE, End, Postgres};
use crate::support::{eventually, get};

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

/// Rounds of load, each ended by a kill, and what came of them.
struct Rounds {
    place: Place,
    moments: RandomState,
    done: u8,
    served: HashSet<String>,
}

impl Rounds {
    /// Of a proxy with `more` in its configuration.
    fn new(more: &str) -> Self {
        Rounds { place: Place::with(more), moments: RandomState::new(), done: 0, served: HashSet::new() }
    }

    /// How many there are to be.
    fn wanted() -> u8 {
        std::env::var("CONSENTRY_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("at most 255"))
    }

    /// A time within the life of a proxy, for the `purpose` of this round.
    fn moment(&self, purpose: &str) -> Duration {
        Duration::from_micros(self.moments.hash_one((self.done, purpose)) % (LIFETIME_MS * 1000))
    }

    /// Serves visitors until the proxy is killed; `meanwhile` is done while it serves.
    fn next(&mut self, meanwhile: impl FnOnce(&Self)) {
        let (round, mut proxy) = (self.done, self.place.start());
        let address = proxy.address;
        let visitors: Vec<_> = (0..WORKERS)
            .map(|worker| std::thread::spawn(move || visit_until_it_dies(address, round, worker)))
            .collect();
        meanwhile(self);
        std::thread::sleep(self.moment("kill"));
        proxy.signal("-KILL");
        proxy.process.wait().unwrap();
        self.served.extend(visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()));
        self.done += 1;
    }

    fn journal(&self) -> PathBuf {
        self.place.directory.path().join("data/ledger.sqlite")
    }

    /// The chain holds; who was served is among `opens` once, and who was not, only if it was under way.
    fn judge(&self, opens: &HashMap<Vec<u8>, u64>) {
        let (round, directory) = (self.done, self.place.directory.path());
        let report = verify(&self.journal(), Some(&directory.join("outside/checkpoints")));
        assert!(report.problems.is_empty(), "round {round}: {:?}", report.problems);
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
        let lost: Vec<_> = self.served.iter().filter(|visitor| recorded(visitor) == 0).collect();
        let twice = opens.values().filter(|count| **count > 1).count();
        assert!(lost.is_empty() && twice == 0, "round {round}: {lost:?} are lost, {twice} are there twice");
        let more = opens.len() - self.served.len();
        assert!(
            more <= usize::from(WORKERS) * usize::from(round),
            "only those under way may be recorded and not served: {more}"
        );
    }

    fn tell(&self, opens: &HashMap<Vec<u8>, u64>) {
        println!("{} rounds: {} served, {} recorded, none lost, none twice", self.done, self.served.len(), opens.len());
        assert!(self.served.len() > usize::from(self.done), "{}", self.served.len());
    }
}

#[test]
fn what_was_served_was_recorded_once_whenever_the_process_is_killed() {
    let mut rounds = Rounds::new("");
    while rounds.done < Rounds::wanted() {
        rounds.next(|_| {});
        rounds.judge(&opens(&rounds.journal()));
    }
    rounds.tell(&opens(&rounds.journal()));
}

/// How often each pseudonym opened something, by the central store.
fn opens_in_store(store: &mut Client) -> HashMap<Vec<u8>, u64> {
    let sql = "SELECT visitor, count(*) FROM consentry.record WHERE event = 'open' GROUP BY visitor";
    let rows = store.query(sql, &[]).unwrap();
    rows.into_iter().map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap())).collect()
}

/// All is shipped by a proxy that lives, and each chain holds in the store, too.
fn ship_the_rest(rounds: &Rounds, server: &Postgres) -> Client {
    let proxy = rounds.place.start();
    let lag = || get(proxy.admin, "/status", &[]).json()["ledger"]["central"]["lag_records"].as_u64();
    eventually("all of it is shipped", || lag() == Some(0));
    assert_eq!(proxy.stop(), 0);
    let mut store = server.admin(DATABASE);
    for writer in central::verify(&mut store, &mut |_| {}).unwrap() {
        assert!(writer.report.problems.is_empty() && writer.conflicts == 0, "{:?}", writer.report.problems);
    }
    store
}

#[test]
fn what_was_served_is_in_postgresql_once_whoever_is_stopped_or_killed() {
    let mut server = Postgres::start();
    let mut rounds = Rounds::new(&server.section());
    while rounds.done < Rounds::wanted() {
        // Of each kind one, and every fourth time only the proxy.
        let how = [Some(End::Killed), Some(End::Fast), Some(End::Immediate), None][usize::from(rounds.done % 4)];
        rounds.next(|round| {
            let Some(how) = how else { return };
            std::thread::sleep(round.moment("end"));
            server.end(how);
            std::thread::sleep(round.moment("resume"));
            server.resume();
        });
        rounds.judge(&opens(&rounds.journal()));
        if rounds.done.is_multiple_of(10) {
            ship_the_rest(&rounds, &server);
        }
    }
    let mut store = ship_the_rest(&rounds, &server);
    let shipped = opens_in_store(&mut store);
    rounds.judge(&shipped);
    assert_eq!(shipped, opens(&rounds.journal()));
    rounds.tell(&shipped);
}
