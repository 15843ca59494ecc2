//! Others that add to a journal while its recorder goes on.

use super::*;
use crate::ledger::journal::Guest;

pub(super) fn guest(house: &House) -> Guest {
    Guest { checkpoints: Some(house.outside()), signing_seed: Zeroizing::new([7; 32]), now_ms: house.now() }
}

fn note(at_ms: u64) -> NewRecord {
    NewRecord::of_life(EventKind::Audit, "", at_ms, serde_json::json!({"verb": "links"}))
}

#[test]
fn a_guest_adds_to_a_journal_that_is_being_written() {
    let house = House::new();
    let journal = house.open();
    for round in 0..20 {
        house.pass(DAY_MS / 7);
        let ours = wait(journal.record(visit(house.now(), round))).unwrap();
        let theirs = guest(&house).add(&house.path(), &[&note(house.now())], &[ours.seq]).unwrap();
        assert_eq!(theirs[0].seq, ours.seq + 1);
    }
    drop(journal);
    let report = house.verify();
    assert_eq!(report.records, 41);
    assert_eq!(report.problems.len(), 20, "what a guest empties without a record of it shows: {:?}", report.problems);
}

#[test]
fn a_journal_of_guests_only_is_one_chain() {
    let house = House::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    guest(&house).add(&house.path(), &[&note(house.now())], &[]).unwrap();
                }
            });
        }
    });
    let report = house.verify();
    assert_eq!((report.records, report.problems.as_slice()), (81, [].as_slice()));
    let journal = house.open();
    assert_eq!(wait(journal.record(visit(house.now(), 1))).unwrap().seq, 82);
}
