//! AT-18: records whose time is over leave the journal, and the chain holds.

use std::collections::HashSet;
use std::ops::ControlFlow;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::purge::Due;
use super::super::verify::Problem;
use super::guests::guest;
use super::*;
use crate::ledger::chain;

/// 20 000 days after 1970, where a [`House`] begins.
const START: u64 = 20_000 * DAY_MS;

/// What no other record has.
fn name(number: u64) -> [u8; 16] {
    Sha256::digest(number.to_be_bytes())[..16].try_into().unwrap()
}

fn access(at_ms: u64, number: u64) -> NewRecord {
    let mut record = visit(at_ms, number);
    record.link = Some(LinkDigest(name(number)));
    record.erasable.visitor = Some(Pseudonym(name(number)));
    record.erasable.object = Some(ObjectDigest(name(number)));
    record
}

/// A journal of `count` accesses, evenly over three days, and then some days of nothing.
fn filled(count: u64) -> House {
    let house = House::new();
    let records: Vec<_> = (0..count).map(|i| access(START + i * 3 * DAY_MS / count, i)).collect();
    guest(&house).add(&house.path(), &records.iter().collect::<Vec<_>>(), &[]).unwrap();
    house.pass(5 * DAY_MS);
    house
}

fn due(before_ms: u64) -> Due {
    Due { site: "dam".into(), before_ms }
}

fn purge(house: &House, before_ms: u64) -> Purged {
    guest(house).purge(&house.path(), &[due(before_ms)], &mut |_| ControlFlow::Continue(())).unwrap()
}

/// How often one of `names` is in any file beside the copy of checkpoints.
fn leftovers(house: &House, names: &HashSet<[u8; 16]>) -> usize {
    let files = std::fs::read_dir(house.directory.path()).unwrap();
    let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    bytes.map(|bytes| bytes.windows(16).filter(|window| names.contains(*window)).count()).sum()
}

fn count(house: &House, condition: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM record WHERE {condition}");
    Connection::open(house.path()).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn hold(house: &House, event: EventKind, detail: Value) {
    guest(house).add(&house.path(), &[&NewRecord::of_life(event, "dam", house.now(), detail)], &[]).unwrap();
}

#[test]
fn what_is_purged_is_gone_from_all_files() {
    let house = filled(6600);
    let names = |from: u64, to: u64| (from..to).map(name).collect::<HashSet<_>>();
    assert!(leftovers(&house, &names(0, 5500)) > 5500);
    let mut told = Vec::new();
    let progress = &mut |so_far| {
        told.push(so_far);
        ControlFlow::Continue(())
    };
    let purged = guest(&house).purge(&house.path(), &[due(START + 5 * DAY_MS / 2)], progress).unwrap();
    // The genesis and two days of 2200.
    assert_eq!(purged, Purged { records: 5500, cut: Some(4401) });
    assert_eq!(told[..2], [5000, 5500]);
    assert_eq!(leftovers(&house, &names(0, 5500)), 0);
    assert!(leftovers(&house, &names(5500, 6600)) > 1100, "what is not due stays");
    assert_eq!((count(&house, "seq <= 4401"), count(&house, "event = 'purged'")), (0, 1100));
    let report = house.verify();
    assert_eq!(report.problems, []);
    assert_eq!((report.first, report.purged), (4402, 1100));
    assert_eq!(purge(&house, START + 5 * DAY_MS / 2), Purged::default(), "nothing is left to do");
    assert_eq!(purge(&house, house.now()), Purged { records: 1100, cut: Some(6601) });
    assert_eq!(leftovers(&house, &names(0, 6600)), 0);
    let report = house.verify();
    assert_eq!((report.problems.as_slice(), report.first, report.purged), ([].as_slice(), 6602, 0));
    let journal = house.open();
    wait(journal.record(visit(house.now(), 1))).unwrap();
    drop(journal);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn the_chain_holds_wherever_a_purge_ends_and_whatever_is_held() {
    let house = filled(90);
    let links = [3, 40].map(|number| hex(&name(number)));
    for link in &links {
        hold(&house, EventKind::HoldPlaced, json!({"id": link, "link": link, "reason": "a case", "ticket": "7"}));
    }
    let mut purged = 0;
    for hours in (0..80).step_by(7) {
        purged += purge(&house, START + hours * DAY_MS / 24).records;
        let report = house.verify();
        assert_eq!(report.problems, [], "{hours}");
        assert_eq!(report.purged, purged, "nothing is cut off before what is held");
    }
    assert_eq!((purged, count(&house, "event = 'open'")), (88, 2));
    hold(&house, EventKind::HoldReleased, json!({"id": links[0], "reason": "closed"}));
    let first = purge(&house, house.now());
    assert_eq!(first, Purged { records: 1, cut: Some(31) }, "up to the day of the one that is still held");
    assert_eq!(house.verify().problems, []);
    house.sql("DELETE FROM checkpoint WHERE seq > 31 AND seq < 91");
    hold(&house, EventKind::HoldReleased, json!({"id": links[1], "reason": "closed"}));
    assert_eq!(purge(&house, house.now()), Purged { records: 1, cut: Some(91) });
    assert_eq!((count(&house, "event IN ('open', 'purged')"), house.verify().problems), (0, vec![]));
}

#[test]
fn a_whole_site_is_held_and_another_is_not() {
    let house = filled(9);
    let mut other = access(START, 77);
    other.site = "shop".into();
    guest(&house).add(&house.path(), &[&other], &[]).unwrap();
    hold(&house, EventKind::HoldPlaced, json!({"id": "h", "reason": "a case", "ticket": "7"}));
    let both = [due(house.now()), Due { site: "shop".into(), before_ms: house.now() }];
    let purged = guest(&house).purge(&house.path(), &both, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(purged, Purged { records: 1, cut: None });
    let counts = super::super::count(&house.path(), &both).unwrap();
    let counts: Vec<_> = counts.into_iter().map(|count| (count.due, count.held)).collect();
    assert_eq!(counts, [(0, 9), (0, 0)]);
}

#[test]
fn a_hold_in_force_is_never_cut_off() {
    let house = filled(9);
    house.pass(DAY_MS);
    hold(&house, EventKind::HoldPlaced, json!({"id": "h", "link": hex(&[9; 16]), "reason": "a case", "ticket": "7"}));
    house.pass(DAY_MS);
    guest(&house).add(&house.path(), &[&access(house.now(), 50)], &[]).unwrap();
    house.pass(DAY_MS);
    assert_eq!(purge(&house, house.now()), Purged { records: 10, cut: Some(10) });
    assert_eq!(super::super::Life::of(&house.path()).unwrap().holds.len(), 1);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn the_recorder_goes_on_while_others_purge() {
    let house = filled(11_000);
    let journal = house.open();
    let (done, recorded) = std::thread::scope(|scope| {
        let purging = scope.spawn(|| purge(&house, house.now()));
        let mut recorded = Vec::new();
        while !purging.is_finished() {
            recorded.push(wait(journal.record(access(house.now(), 1 << 32))).unwrap());
        }
        (purging.join().unwrap(), recorded)
    });
    assert_eq!(done, Purged { records: 11_000, cut: Some(11_001) });
    drop(journal);
    assert_eq!(house.verify().problems, []);
    let seqs: Vec<_> = recorded.iter().map(|position| position.seq.to_string()).collect();
    assert_eq!(count(&house, &format!("event = 'open' AND seq IN ({})", seqs.join(","))), recorded.len() as u64);
}

#[test]
fn a_recorder_that_knows_only_what_was_cut_off_goes_on() {
    let house = filled(30);
    let journal = house.open();
    assert_eq!(purge(&house, house.now()).cut, Some(31));
    assert_eq!(wait(journal.record(visit(house.now(), 1))).unwrap().seq, 34);
    drop(journal);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn what_was_interrupted_is_done_later() {
    let house = filled(5300);
    let mut calls = 0;
    let interrupted = guest(&house).purge(&house.path(), &[due(house.now())], &mut |_| {
        calls += 1;
        if calls < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!(interrupted.unwrap().cut, Some(5301));
    assert_eq!(count(&house, "event = 'purged'"), 301);
    assert_eq!(house.verify().problems, []);
    assert_eq!(purge(&house, house.now()), Purged::default());
    assert_eq!((count(&house, "event = 'purged'"), house.verify().problems), (0, vec![]));
}

/// Adds a record as somebody does who has the database, but not the key that signs.
fn forge(house: &House, detail: Value) -> u64 {
    let connection = Connection::open(house.path()).unwrap();
    let writer = connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0)).unwrap();
    let sql = "SELECT seq, hash, day FROM record ORDER BY seq DESC LIMIT 1";
    let last: (u64, [u8; 32], String) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let record = NewRecord::of_life(EventKind::RetentionPurged, "dam", house.now(), detail);
    let core = record.core(&writer, last.0 + 1, None);
    let hash = chain::record_hash(&writer, last.0 + 1, &last.1, &core);
    let row = rusqlite::params![last.0 + 1, last.2, house.now(), core, last.1, hash];
    connection
        .execute("INSERT INTO record (seq, day, at, site, event, core, prev, hash) VALUES (?, ?, ?, 'dam', 'retention.purged', ?, ?, ?)", row)
        .unwrap();
    connection.execute("UPDATE meta SET value = ? WHERE key = 'acked'", [(last.0 + 1).to_be_bytes()]).unwrap();
    last.0 + 1
}

const EMPTY: &str = "site = '', event = 'purged', link = NULL, epoch = NULL, core = x'', salt = NULL, visitor = NULL,
    object = NULL, agent_name = NULL, country = NULL, referrer = NULL, consent = NULL";

#[test]
fn what_is_emptied_or_told_falsely_is_named() {
    // Of 30 accesses, 11 to 15 are empty by record 32, and 2 to 11 are cut off; 33 tells of the cut.
    let purged = || {
        let house = filled(30);
        assert_eq!(purge(&house, START + 3 * DAY_MS / 2), Purged { records: 15, cut: Some(11) });
        assert_eq!(house.verify().problems, []);
        house
    };
    for (change, expected) in [
        (format!("UPDATE record SET at = 32, {EMPTY} WHERE seq = 20"), vec![Problem::Purge { seq: 32 }]),
        (format!("UPDATE record SET at = 30, {EMPTY} WHERE seq = 20"), vec![Problem::Emptied { seq: 20 }]),
        (
            "UPDATE record SET visitor = zeroblob(16) WHERE seq = 13".into(),
            vec![Problem::Changed { seq: 13 }, Problem::PartChanged { seq: 13 }, Problem::Purge { seq: 32 }],
        ),
        ("DELETE FROM record WHERE seq <= 14".into(), vec![Problem::NoBeginning, Problem::Purge { seq: 32 }, Problem::DayRoot { seq: 21 }]),
        (
            "UPDATE record SET hash = zeroblob(32) WHERE seq = 13".into(),
            vec![Problem::Unlinked { seq: 14 }, Problem::DayRoot { seq: 21 }],
        ),
        (
            "UPDATE record SET core = CAST(replace(CAST(core AS TEXT), '\"count\":15', '\"count\":16') AS BLOB) WHERE seq = 32".into(),
            vec![Problem::Changed { seq: 32 }],
        ),
    ] {
        let house = purged();
        house.sql(&change);
        assert_eq!(house.verify().problems, expected, "{change}");
    }
    let house = purged();
    house.sql("DELETE FROM record WHERE seq = 32");
    let problems = house.verify().problems;
    assert!(problems.contains(&Problem::Emptied { seq: 12 }), "{problems:?}");
}

#[test]
fn who_cannot_sign_cannot_purge_or_cut() {
    let house = filled(30);
    house.sql(&format!("UPDATE record SET at = 32, {EMPTY} WHERE seq = 5"));
    let digest = hex(&Sha256::digest(5u64.to_be_bytes()));
    let by = forge(&house, json!({"before": 1, "count": 1, "seqs": digest, "first": 5, "last": 5}));
    assert_eq!(house.verify().problems, [Problem::PurgeUnsigned { seq: by }]);

    let house = filled(30);
    let hash: [u8; 32] = Connection::open(house.path())
        .unwrap()
        .query_row("SELECT hash FROM record WHERE seq = 11", [], |row| row.get(0))
        .unwrap();
    let key = hex(&super::super::checkpoint::Signer::new(&[7; 32]).unwrap().public());
    for (seq, honest) in [(11, true), (12, false)] {
        let by = forge(&house, json!({"cut": seq, "hash": hex(&hash), "key": key, "destroyed": [], "rest": []}));
        house.sql(&format!("DELETE FROM record WHERE seq <= {seq}"));
        let problems = house.verify().problems;
        assert!(problems.contains(&Problem::PurgeUnsigned { seq: by }), "{problems:?}");
        assert_eq!(problems.contains(&Problem::Cut { seq: by }), !honest, "{problems:?}");
        assert_eq!(problems.contains(&Problem::NoBeginning), !honest, "{problems:?}");
    }
}
