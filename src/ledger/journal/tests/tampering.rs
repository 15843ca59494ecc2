//! AT-19: each way to tamper is found, and its place is named.

use super::super::verify::Problem;
use super::*;

fn found(house: &House) -> Vec<Problem> {
    house.verify().problems
}

#[test]
fn flip_one_byte() {
    let house = House::filled(12);
    house.sql(
        "UPDATE record SET core = CAST(replace(CAST(core AS TEXT), '\"by\":512', '\"by\":513') AS BLOB) WHERE seq = 5",
    );
    assert_eq!(found(&house), [Problem::Changed { seq: 5 }]);
}

#[test]
fn flip_what_questions_are_asked_by() {
    for change in ["site = 'shop'", "at = at + 1", "event = 'denied'", "link = NULL", "epoch = '2024-11'"] {
        let house = House::filled(4);
        house.sql(&format!("UPDATE record SET {change} WHERE seq = 3"));
        assert_eq!(found(&house), [Problem::Changed { seq: 3 }], "{change}");
    }
}

#[test]
fn flip_a_byte_of_the_file() {
    let house = House::filled(12);
    house.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = std::fs::read(house.path()).unwrap();
    let at = memchr::memmem::find(&bytes, b"\"cls\":\"human\"").unwrap();
    bytes[at + 8] ^= 1;
    std::fs::write(house.path(), bytes).unwrap();
    let problems = found(&house);
    assert!(matches!(problems[..], [Problem::Changed { .. }]), "{problems:?}");
}

#[test]
fn drop_one() {
    let house = House::filled(12);
    house.sql("DELETE FROM record WHERE seq = 5");
    let problems = found(&house);
    assert_eq!(problems[0], Problem::Missing { from: 5, to: 5 });
}

#[test]
fn drop_one_and_close_the_ranks() {
    let house = House::filled(12);
    house.sql("DELETE FROM record WHERE seq = 5; UPDATE record SET seq = seq - 1 WHERE seq > 5");
    assert_eq!(found(&house)[..2], [Problem::Unlinked { seq: 5 }, Problem::Moved { seq: 5, was: 6 }]);
}

#[test]
fn drop_the_last() {
    let house = House::filled(12);
    house.sql("DELETE FROM record WHERE seq = 13");
    assert_eq!(found(&house)[0], Problem::CutOff { last: 12, known: 13 });
    assert!(matches!(house.try_open(), Err(JournalError::Damaged { seq: 12, .. })));
}

#[test]
fn drop_the_last_with_all_that_tells_of_it() {
    let house = House::filled(12);
    house.sql(
        "DELETE FROM record WHERE seq = 13; DELETE FROM checkpoint WHERE seq = 13;
               UPDATE meta SET value = x'000000000000000c' WHERE key = 'acked'",
    );
    assert_eq!(found(&house), [Problem::Older { last: 12, known: 13 }]);
    assert!(matches!(house.try_open(), Err(JournalError::Behind { last: 12, signed: 13, .. })));
}

#[test]
fn swap_two() {
    let house = House::filled(12);
    house.sql("UPDATE record SET seq = 99 WHERE seq = 5; UPDATE record SET seq = 5 WHERE seq = 6; UPDATE record SET seq = 6 WHERE seq = 99");
    let problems = found(&house);
    for expected in [Problem::Moved { seq: 5, was: 6 }, Problem::Moved { seq: 6, was: 5 }] {
        assert!(problems.contains(&expected), "{problems:?}");
    }
}

#[test]
fn replay_an_old_file() {
    let house = House::filled(6);
    let old = std::fs::read(house.path()).unwrap();
    wait(house.open().record(visit(house.now(), 7))).unwrap();
    std::fs::write(house.path(), old).unwrap();
    assert_eq!(found(&house), [Problem::Older { last: 7, known: 8 }]);
    assert!(matches!(house.try_open(), Err(JournalError::Behind { last: 7, signed: 8, .. })));
}

#[test]
fn go_another_way_from_an_old_file() {
    let house = House::filled(6);
    let old = std::fs::read(house.path()).unwrap();
    let signed = std::fs::read(house.outside()).unwrap();
    wait(house.open().record(visit(house.now(), 7))).unwrap();
    let true_signed = std::fs::read(house.outside()).unwrap();
    std::fs::write(house.path(), old).unwrap();
    std::fs::write(house.outside(), signed).unwrap();
    let journal = house.open();
    wait(journal.record(visit(house.now(), 8))).unwrap();
    wait(journal.record(visit(house.now(), 9))).unwrap();
    drop(journal);
    std::fs::write(house.outside(), true_signed).unwrap();
    assert_eq!(found(&house), [Problem::Forked { seq: 8 }]);
    assert!(matches!(house.try_open(), Err(JournalError::OtherJournal { .. })));
}

#[test]
fn write_all_of_it_anew_with_another_key() {
    let house = House::filled(3);
    let signed = std::fs::read(house.outside()).unwrap();
    for name in [house.path(), house.outside()] {
        std::fs::remove_file(name).unwrap();
    }
    let mut options = house.options(8, Pressure::Refuse);
    options.signing_seed = Zeroizing::new([8; 32]);
    let journal = Journal::open(&house.path(), options, house.now()).unwrap();
    for i in 0..9 {
        wait(journal.record(visit(house.now(), i))).unwrap();
    }
    drop(journal);
    std::fs::write(house.outside(), signed).unwrap();
    assert!(found(&house).contains(&Problem::StrangeKey { seq: 4 }), "{:?}", found(&house));
}

#[test]
fn sign_with_a_wrong_signature() {
    let house = House::filled(3);
    house.sql(
        "UPDATE checkpoint SET signature = zeroblob(64) WHERE seq = 4; UPDATE checkpoint SET at = at + 1 WHERE seq = 1",
    );
    let problems = found(&house);
    assert!(problems.contains(&Problem::Signature { seq: 4 }) && problems.contains(&Problem::Signature { seq: 1 }));
}

#[test]
fn change_an_erasable_part() {
    for change in ["country = 'DE'", "country = NULL", "visitor = zeroblob(16)", "salt = zeroblob(16)", "salt = NULL"] {
        let house = House::filled(3);
        house.sql(&format!("UPDATE record SET {change} WHERE seq = 3"));
        assert_eq!(found(&house), [Problem::PartChanged { seq: 3 }], "{change}");
    }
}

#[test]
fn erase_without_telling() {
    let house = House::filled(3);
    house.sql(
        "UPDATE record SET salt = NULL, visitor = NULL, object = NULL, agent_name = NULL, country = NULL,
               referrer = NULL, consent = NULL WHERE seq = 3",
    );
    assert_eq!(found(&house), [Problem::PartGone { seq: 3 }]);
}

#[test]
fn drop_the_beginning() {
    let house = House::filled(12);
    house.sql("DELETE FROM checkpoint WHERE seq = 1; DELETE FROM record WHERE seq = 1");
    assert!(found(&house).contains(&Problem::NoBeginning));
}

#[test]
fn file_under_another_day() {
    let house = House::filled(12);
    house.sql("UPDATE record SET day = '2024-01-01' WHERE seq = 2");
    assert!(matches!(found(&house)[..], [Problem::DayRoot { .. }]));
}
