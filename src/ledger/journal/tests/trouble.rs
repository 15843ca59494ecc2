//! Disks that are full, files that are gone, others that hold the lock.

use super::*;

/// Does `meddle` to the database on the writer's own connection.
fn meddle(journal: &Journal, meddle: impl FnOnce(&Connection) + Send + 'static) {
    journal.send(Message::Meddle(Box::new(meddle))).unwrap();
}

/// Records until it is written, and says how often it was not.
fn until_recorded(journal: &Journal, at_ms: u64) -> u64 {
    let mut refused = 0;
    while wait(journal.record(visit(at_ms, 5))).is_err() {
        refused += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    refused
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let house = House::new();
    let journal = house.open();
    meddle(&journal, |connection| {
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.query_row(&format!("PRAGMA max_page_count={pages}"), [], |_| Ok(())).unwrap();
    });
    let mut written = 0;
    let kind = loop {
        match wait(journal.record(visit(house.now(), 1))) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(kind, NotRecorded::Storage(StorageKind::Full));
    assert_eq!(journal.status().failing, Some((house.now(), StorageKind::Full)));
    let refused = until_recorded(&journal, house.now());
    assert_eq!(journal.status().failing, None);
    drop(journal);
    let gaps = house.gaps();
    assert_eq!(gaps.iter().map(|gap| gap["count"].as_u64().unwrap()).sum::<u64>(), refused + 1);
    assert_eq!(gaps[0]["why"], "storage");
    let report = house.verify();
    assert_eq!(report.problems, []);
    assert_eq!(report.records, 1 + written + gaps.len() as u64 + 1);
}

#[test]
fn a_file_that_is_gone_is_missed_and_found_again() {
    let house = House::new();
    let journal = house.open();
    let away = house.directory.path().join("away.db");
    std::fs::rename(house.path(), &away).unwrap();
    assert_eq!(wait(journal.record(visit(house.now(), 1))), Err(NotRecorded::Storage(StorageKind::Missing)));
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(!house.path().exists(), "no second journal is begun in its place");
    std::fs::rename(&away, house.path()).unwrap();
    until_recorded(&journal, house.now());
    drop(journal);
    assert_eq!(house.verify().problems, []);
}

#[test]
fn another_file_in_its_place_is_not_written() {
    let (house, other) = (House::new(), House::filled(2));
    let journal = house.open();
    std::fs::copy(other.path(), house.path().with_extension("new")).unwrap();
    std::fs::rename(house.path().with_extension("new"), house.path()).unwrap();
    for _ in 0..2 {
        assert_eq!(wait(journal.record(visit(house.now(), 1))), Err(NotRecorded::Storage(StorageKind::Missing)));
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
}

#[test]
fn who_holds_the_database_is_waited_for_and_then_told() {
    let house = House::new();
    let journal = house.open();
    let other = Connection::open(house.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(wait(journal.record(visit(house.now(), 1))), Err(NotRecorded::Storage(StorageKind::Locked)));
    other.execute_batch("ROLLBACK").unwrap();
    until_recorded(&journal, house.now());
}

#[test]
fn two_do_not_write_to_one_journal() {
    let house = House::new();
    let journal = house.open();
    let message = house.try_open().err().unwrap().to_string();
    assert!(message.contains("another process"), "{message}");
    drop(journal);
    house.open();
}

#[test]
fn what_is_not_a_journal_is_not_touched() {
    let house = House::new();
    std::fs::write(house.path(), "something else altogether, and longer than a header of SQLite would be").unwrap();
    let before = std::fs::read(house.path()).unwrap();
    assert!(matches!(house.try_open(), Err(JournalError::Storage { kind: StorageKind::Damaged, .. })));
    assert_eq!(std::fs::read(house.path()).unwrap(), before);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let house = House::new();
    let path = house.directory.path().join("nowhere/trail.db");
    let error = Journal::open(&path, house.options(8, Pressure::Refuse), 0).err().unwrap();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// Fills the queue of a writer that is held up, and lets it go.
fn crowd(pressure: Pressure) -> (House, u64) {
    let house = House::new();
    let journal = Journal::open(&house.path(), house.options(4, pressure), house.now()).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    meddle(&journal, move |_| {
        let _ = held.recv();
    });
    let sent: Vec<_> = (0..10).map(|i| journal.try_record(visit(house.now() + i, i))).collect();
    let refused = sent.iter().filter(|sent| **sent == Err(NotRecorded::QueueFull)).count() as u64;
    release.send(()).unwrap();
    drop(journal);
    (house, refused)
}

#[test]
fn a_full_queue_refuses_or_leaves_a_gap() {
    let (house, refused) = crowd(Pressure::Refuse);
    assert!(refused >= 5 && house.gaps().is_empty());
    let (house, dropped) = crowd(Pressure::Drop);
    let gaps = house.gaps();
    assert_eq!(gaps.iter().map(|gap| gap["count"].as_u64().unwrap()).sum::<u64>(), dropped);
    assert_eq!((&gaps[0]["why"], &gaps[0]["to"]), (&"queue".into(), &(house.now() + 9).into()));
    assert_eq!(house.verify().problems, []);
}
