//! Two proxies with a journal each and one PostgreSQL: what is asked, erased and held by way of one is so of both.

use std::process::Command;

use serde_json::Value;

use super::central::{central, in_the_end};
use crate::support::get;
use crate::support::ledger::{Place, Proxy, TOKEN, open};
use crate::support::postgres::{End, PASSWORD, Postgres};

/// Two replicas with the same keys.
struct Replicas {
    server: Postgres,
    places: [Place; 2],
    proxies: [Proxy; 2],
}

impl Replicas {
    fn start() -> Self {
        let server = Postgres::start();
        let places = [Place::with(&server.section()), Place::with(&server.section())];
        let first = places[0].start();
        let [from, to] = [&places[0], &places[1]].map(|place| place.directory.path().join("keys"));
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
        let second = places[1].start();
        Replicas { server, places, proxies: [first, second] }
    }

    fn open(&self, at: usize, target: &str, address: &str, more: &[(&str, &str)]) {
        assert_eq!(open(&self.proxies[at], target, address, more), 200);
    }

    fn arrive(&self) {
        for proxy in &self.proxies {
            in_the_end("all arrives", || {
                central(proxy)["lag_records"] == 0 && central(proxy)["shipped"].as_u64() > Some(1)
            });
        }
    }

    /// Records that tell something about a person, in the journal of one replica.
    fn personal(&self, at: usize) -> u64 {
        let journal = self.places[at].directory.path().join("data/ledger.sqlite");
        let count = "SELECT count(*) FROM record WHERE salt IS NOT NULL OR visitor IS NOT NULL OR consent IS NOT NULL";
        rusqlite::Connection::open(journal).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
    }

    fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM consentry.record WHERE {condition}");
        self.server.admin("trail").query_one(&sql, &[]).unwrap().get(0)
    }

    /// Whether all chains hold, by the word of each replica.
    fn verify(&self) {
        for place in &self.places {
            let verified = place.trail(&["verify"], "");
            let text = String::from_utf8_lossy(&verified.stdout);
            assert!(verified.status.success(), "{text}");
            for (of, times) in [("journal: ", 1), ("questions: ", 1), ("central store, journal ", 2)] {
                assert_eq!(text.lines().filter(|line| line.starts_with(of)).count(), times, "{of}{text}");
            }
        }
    }

    fn stop(self) {
        self.proxies.into_iter().for_each(|proxy| assert_eq!(proxy.stop(), 0));
    }
}

fn writers(records: &[Value]) -> std::collections::BTreeSet<&str> {
    records.iter().filter_map(|record| record["writer"].as_str()).collect()
}

#[test]
fn each_replica_answers_for_all_or_for_itself() {
    let replicas = Replicas::start();
    replicas.open(0, &format!("/s/{TOKEN}"), "203.0.113.1", &[]);
    replicas.open(0, &format!("/s/{TOKEN}"), "203.0.113.2", &[]);
    replicas.open(1, &format!("/s/{TOKEN}"), "203.0.113.1", &[]);
    replicas.open(1, "/s/other", "203.0.113.3", &[]);
    replicas.arrive();
    let [first, second] = &replicas.places;
    let events = first.ask(&["events", "--role", "custodian"], "");
    assert_eq!((events.len(), writers(&events).len()), (4, 2), "{events:?}");
    assert_eq!(events, second.ask(&["events", "--role", "custodian", "--source", "central"], ""));
    let own = first.ask(&["events", "--role", "custodian", "--source", "journal"], "");
    assert_eq!((own.len(), writers(&own).len()), (2, 0), "{own:?}");
    let opens = |links: &[Value]| -> u64 { links.iter().map(|link| link["opens"].as_u64().unwrap()).sum() };
    assert_eq!(opens(&first.ask(&["links"], "")), 4);
    assert_eq!(opens(&second.ask(&["links", "--source", "journal"], "")), 2);
    let shown = &second.ask(&["show", "--site", "shop"], TOKEN)[0];
    assert_eq!((shown["opens"].as_u64(), shown["visitors"].as_u64()), (Some(3), Some(2)), "{shown}");
    let all = ["--from", "2020-01-01", "--to", "2100-01-01"];
    let check = ["check", "--site", "shop", "--ip", "203.0.113.1", "--reason", "r", "--ticket", "t"];
    let found = first.ask(&[&check[..], &["--from", "2026-01-01", "--to", "2100-01-01"]].concat(), "");
    let found: Vec<_> = found.iter().flat_map(|month| month["records"].as_array().unwrap().clone()).collect();
    assert_eq!((found.len(), writers(&found).len()), (2, 2), "{found:?}");
    let affected = &first.ask(&[&["affected", "--role", "custodian"], &all[..]].concat(), "")[0];
    let totals = ["links", "opens", "visitors"].map(|name| affected["totals"][name].as_u64().unwrap());
    assert_eq!(totals, [2, 4, 3]);
    let out = first.directory.path().join("export");
    let export = ["export", "--format", "csv", "--out", out.to_str().unwrap()];
    assert!(first.trail(&export, "").status.success());
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((manifest["records"].as_u64(), manifest["heads"].as_array().unwrap().len()), (Some(4), 2));
    replicas.verify();
    assert_eq!(sources(first).into_iter().filter(|source| source == "journal").count(), 1, "that was asked so");

    let other = |arguments: &[&str]| {
        let refused = first.trail(arguments, "");
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    assert!(other(&["prove", "2", "--source", "central"]).contains("ask the replica that wrote the record"));
    // It is signed then.
    first.ask(&["hold", "place", "--site", "shop", "--reason", "r", "--ticket", "t"], "");
    assert_eq!(first.ask(&["prove", "2"], "").len(), 1, "of its own journal");
    let proven = writers(&events).into_iter().map(|writer| first.trail(&["prove", "2", "--writer", writer], ""));
    let refusals: Vec<_> = proven.filter(|proof| !proof.status.success()).collect();
    assert_eq!(refusals.len(), 1, "of the other's there is none");
    assert!(String::from_utf8_lossy(&refusals[0].stderr).contains("in the journal of another replica: ask that one"));
    replicas
        .server
        .admin("trail")
        .batch_execute("UPDATE consentry.record SET site = 'x' WHERE event = 'open'")
        .unwrap();
    let tampered = first.trail(&["verify"], "");
    let text = String::from_utf8_lossy(&tampered.stdout);
    assert!(!tampered.status.success() && text.contains("  record 2 was changed"), "{text}");
    assert!(first.trail(&["verify", "--source", "journal"], "").status.success());
    replicas.stop();
}

/// Which records each recorded question was about.
fn sources(place: &Place) -> Vec<String> {
    let journal = place.directory.path().join("data/ledger.sqlite.audit");
    let connection = rusqlite::Connection::open(journal).unwrap();
    let sql = "SELECT json_extract(core, '$.detail.source') FROM record WHERE event = 'audit'";
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn without_an_answer_from_the_central_store_it_is_said_how_to_get_one() {
    let mut server = Postgres::start();
    let place = Place::with(&server.section());
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.1", &[]), 200);
    server.end(End::Fast);
    for verb in ["links", "events", "verify"] {
        let refused = place.trail(&[verb], "");
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && why.contains("it cannot be reached"), "{why}");
        assert!(why.contains("--source journal") && !why.contains("Sesame"), "{why}");
        assert!(place.trail(&[verb, "--source", "journal"], "").status.success());
    }
    assert_eq!(proxy.stop(), 0);
    let alone = Place::new();
    let refused = alone.trail(&["links", "--source", "central"], "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no `[ledger.postgres]`"));
}

/// AT-41: erased by way of one replica, gone from all.
#[test]
fn what_is_erased_by_one_replica_is_gone_from_all() {
    let replicas = Replicas::start();
    for at in [0, 1] {
        replicas.open(at, &format!("/s/{TOKEN}"), "203.0.113.1", &[]);
        replicas.open(at, &format!("/s/{TOKEN}"), "203.0.113.2", &[]);
    }
    replicas.open(1, "/s/other", "203.0.113.4", &[("Cookie", "consentry=1~~~1772442930~k3f9q2")]);
    replicas.arrive();
    let [first, second] = &replicas.places;
    let events = first.ask(&["events", "--role", "auditor"], "");
    let visitor = events[0]["visitor"].as_str().unwrap();
    let erase = ["erase", "--site", "shop", "--reason", "request 7"];
    let by_number = first.trail(&[&erase[..], &["--seq", "2"]].concat(), "");
    assert!(!by_number.status.success(), "the number of which journal?");
    let answer = &first.ask(&[&erase[..], &["--token-stdin", "--visitor", visitor]].concat(), TOKEN)[0];
    assert_eq!(replicas.count("visitor IS NOT NULL"), 3, "at once");
    assert_eq!((answer["erased"].as_array().unwrap().len(), replicas.personal(0)), (1, 1), "{answer}");
    let elsewhere = answer["elsewhere"].as_object().unwrap();
    assert_eq!(elsewhere.values().map(|seqs| seqs.as_array().unwrap().len()).collect::<Vec<_>>(), [1]);
    in_the_end("the other journal erases it", || replicas.personal(1) == 2);
    in_the_end("it tells so", || replicas.count("event = 'erased'") == 2);
    replicas.verify();
    let answer = &first.ask(&[&erase[..], &["--consent-stdin"]].concat(), "k3f9q2\n")[0];
    assert_eq!((answer["erased"].as_array().unwrap().len(), answer["elsewhere"].as_object().unwrap().len()), (0, 1));
    replicas.verify();
    in_the_end("the other journal erases that, too", || replicas.personal(1) == 1);
    in_the_end("it tells so", || replicas.count("event = 'erased'") == 3);
    assert_eq!((replicas.count("salt IS NOT NULL"), replicas.count("consent IS NOT NULL")), (2, 0));
    replicas.verify();
    let open = "SELECT count(*) FROM consentry.erasure WHERE applied_at IS NULL";
    let open: i64 = replicas.server.admin("trail").query_one(open, &[]).unwrap().get(0);
    assert_eq!(open, 0);
    let events = second.ask(&["events", "--role", "custodian"], "");
    assert_eq!(
        events.iter().filter(|event| event["visitor"].is_string()).count(),
        2,
        "five are there, without content"
    );
    assert_eq!(events.len(), 5);
    replicas.stop();
}

#[test]
fn what_one_replica_holds_all_hold() {
    let replicas = Replicas::start();
    replicas.open(1, &format!("/s/{TOKEN}"), "203.0.113.1", &[]);
    replicas.arrive();
    let [first, second] = &replicas.places;
    let hold = ["hold", "place", "--site", "shop", "--reason", "court", "--ticket", "T-9"];
    let id = first.ask(&hold, "")[0]["id"].as_str().unwrap().to_owned();
    in_the_end("it arrives", || replicas.count("event = 'hold.placed'") == 1);
    let listed = second.ask(&["hold", "list"], "");
    assert_eq!((listed.len(), &listed[0]["id"], &listed[0]["ticket"]), (1, &id.clone().into(), &"T-9".into()));
    let erase = ["erase", "--site", "shop", "--token-stdin", "--reason", "request 8"];
    for place in [first, second] {
        let refused = place.trail(&erase, TOKEN);
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && why.contains(&format!("is held (`{id}`)")), "{why}");
    }
    second.ask(&["hold", "release", &id, "--reason", "closed"], "");
    assert!(second.ask(&["hold", "list"], "").is_empty());
    in_the_end("it arrives", || replicas.count("event = 'hold.released'") == 1);
    assert!(first.ask(&["hold", "list"], "").is_empty());
    assert_eq!(first.ask(&erase, TOKEN)[0]["elsewhere"].as_object().unwrap().len(), 1);
    in_the_end("it is gone", || replicas.personal(1) == 0);
    in_the_end("it tells so", || replicas.count("event = 'erased'") == 1);
    replicas.verify();
    replicas.stop();
}

/// A server that is stopped answers nothing, and no connection fails.
#[test]
fn a_central_store_that_hangs_is_told_and_shipping_goes_on_after_it() {
    let server = Postgres::start();
    let place = Place::with(&server.section());
    let proxy = place.start();
    in_the_end("all arrives", || central(&proxy)["lag_records"] == 0 && central(&proxy)["failing"].is_null());
    server.freeze();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.1", &[]), 200);
    in_the_end("that it hangs is told", || central(&proxy)["failing"].is_string());
    let status = central(&proxy);
    assert!(status["failing"].as_str().unwrap().contains("neither answers nor fails"), "{status}");
    assert!(status["lag_records"].as_u64() >= Some(1) && status["failing_since"].is_u64(), "{status}");
    assert!(get(proxy.admin, "/metrics", &[]).text().contains("consentry_ledger_shipping_failing 1"));
    let refused = place.trail(&["links"], "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no answer within 20 s"));
    server.thaw();
    in_the_end("all arrives", || central(&proxy)["lag_records"] == 0 && central(&proxy)["failing"].is_null());
    assert_eq!(proxy.stop(), 0);
    assert!(place.trail(&["verify"], "").status.success());
}

/// The rights that docs/ledger.md says are enough, for a user who owns nothing.
#[test]
fn the_documented_rights_are_enough_to_ship_erase_and_purge() {
    let server = Postgres::start();
    let place = Place::with(&server.section());
    let owner = place.start();
    in_the_end("the tables are made", || central(&owner)["shipped"].as_u64() > Some(0));
    assert_eq!(owner.stop(), 0);
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ledger.md")).unwrap();
    let grants = docs.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    assert!(grants.contains("TO carrier;"));
    let role = format!("CREATE ROLE carrier LOGIN PASSWORD '{PASSWORD}'; {grants}");
    server.admin("trail").batch_execute(&role).unwrap();
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), config.replace("user=edge", "user=carrier")).unwrap();
    let proxy = place.start();
    for host in 1..=3 {
        assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), &format!("203.0.113.{host}"), &[]), 200);
    }
    in_the_end("all arrives", || central(&proxy)["lag_records"] == 0 && central(&proxy)["shipped"].as_u64() > Some(4));
    let erased = place.ask(&["erase", "--site", "shop", "--token-stdin", "--reason", "asked for"], TOKEN);
    assert_eq!(erased[0]["erased"].as_array().map(Vec::len), Some(3), "{erased:?}");
    assert!(place.trail(&["verify"], "").status.success());
    assert!(place.trail(&["retention", "plan"], "").status.success());
    let status = central(&proxy);
    assert!(status["failing"].is_null() && status["purge_failing"].is_null(), "{status:#}");
    assert_eq!(proxy.stop(), 0);
}
