//! What happens when the journal's disk is full, read-only, gone, or not what it should be: at start and in flight.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use consentry::ledger::journal::verify::verify;

use crate::support::eventually;
use crate::support::get;
use crate::support::ledger::{Place, Proxy, TOKEN, open};
use crate::support::mounts::{may_mount, mount, small_disk, unmount};

/// A place whose journal is on a disk of its own.
fn place_with_a_disk(pressure: &str) -> (Place, PathBuf) {
    let place = Place::new();
    let text = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), text.replace("[ledger]\n", &format!("[ledger]\npressure = \"{pressure}\"\n")))
        .unwrap();
    let data = place.directory.path().join("data");
    // The write-ahead log takes 4 MiB before it is emptied.
    small_disk(&data, "16m");
    (place, data)
}

/// What is said by a proxy that does not start.
fn refusal(place: &Place) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["run", "--config"])
        .arg(place.config())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if begin.elapsed() > Duration::from_secs(20) => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    process.kill().ok();
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
    said
}

/// It starts and records.
fn starts(place: &Place) {
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "192.0.2.1", &[]), 200);
    assert_eq!(proxy.stop(), 0);
}

/// Takes all the room that is left.
fn fill(data: &Path) -> PathBuf {
    let filler = data.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    for size in [64 << 10, 512] {
        let piece = vec![b'x'; size];
        while file.write_all(&piece).is_ok() {}
    }
    filler
}

/// Visitors that come one after the other.
struct Visitors(u32);

impl Visitors {
    fn next(&mut self, proxy: &Proxy) -> u16 {
        self.0 += 1;
        let [_, a, b, c] = self.0.to_be_bytes();
        open(proxy, &format!("/s/{TOKEN}"), &format!("10.{a}.{b}.{c}"), &[])
    }
}

fn failing(proxy: &Proxy) -> Option<String> {
    get(proxy.admin, "/status", &[]).json()["ledger"]["failing"].as_str().map(str::to_owned)
}

fn is_metric(proxy: &Proxy, line: &str) -> bool {
    get(proxy.admin, "/metrics", &[]).text().lines().any(|other| other == line)
}

fn assert_whole(place: &Place) {
    let directory = place.directory.path();
    let report = verify(&directory.join("data/ledger.sqlite"), Some(&directory.join("outside/checkpoints")));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

fn count(place: &Place, event: &str) -> u64 {
    let database = rusqlite::Connection::open(place.directory.path().join("data/ledger.sqlite")).unwrap();
    database.query_row("SELECT count(*) FROM record WHERE event = ?1", [event], |row| row.get(0)).unwrap()
}

#[test]
fn on_a_full_disk_share_links_are_refused_until_there_is_room() {
    if !may_mount("disk::on_a_full_disk_share_links_are_refused_until_there_is_room") {
        return;
    }
    let (place, data) = place_with_a_disk("refuse");
    let (proxy, mut visitors, mut served) = (place.start(), Visitors(0), 0);
    for round in 1..=3 {
        (0..20).for_each(|_| assert_eq!(visitors.next(&proxy), 200));
        served += 20;
        let filler = fill(&data);
        eventually("there is no room left", || match visitors.next(&proxy) {
            200 => {
                served += 1;
                false
            }
            status => status == 503,
        });
        assert_eq!(get(proxy.address, "/other/page", &[]).status, 200, "the rest of the site goes on");
        assert_eq!(failing(&proxy).as_deref(), Some("the disk is full"));
        assert!(is_metric(&proxy, "consentry_ledger_failing 1"));
        std::fs::remove_file(filler).unwrap();
        eventually("it recovers by itself", || visitors.next(&proxy) == 200 && failing(&proxy).is_none());
        served += 1;
        assert!(is_metric(&proxy, "consentry_ledger_failing 0"));
        assert_whole(&place);
        let recorded = count(&place, "open");
        assert!(recorded >= served && recorded <= u64::from(visitors.0), "round {round}: {recorded} of {served}");
    }
    assert_eq!(proxy.stop(), 0);
    assert_whole(&place);
}

#[test]
fn on_a_full_disk_with_drop_all_is_served_and_the_gap_is_told() {
    if !may_mount("disk::on_a_full_disk_with_drop_all_is_served_and_the_gap_is_told") {
        return;
    }
    let (place, data) = place_with_a_disk("drop");
    let (proxy, mut visitors) = (place.start(), Visitors(0));
    (0..20).for_each(|_| assert_eq!(visitors.next(&proxy), 200));
    let filler = fill(&data);
    eventually("there is no room left", || {
        assert_eq!(visitors.next(&proxy), 200);
        failing(&proxy).is_some()
    });
    (0..10).for_each(|_| assert_eq!(visitors.next(&proxy), 200));
    std::fs::remove_file(filler).unwrap();
    eventually("it recovers by itself", || {
        assert_eq!(visitors.next(&proxy), 200);
        failing(&proxy).is_none()
    });
    assert_eq!(visitors.next(&proxy), 200);
    let lost = get(proxy.admin, "/status", &[]).json()["ledger"]["lost"].as_u64().unwrap();
    assert_eq!(proxy.stop(), 0);
    assert_whole(&place);
    let database = rusqlite::Connection::open(data.join("ledger.sqlite")).unwrap();
    let sql = "SELECT sum(json_extract(CAST(core AS TEXT), '$.detail.count')) FROM record WHERE event = 'gap'";
    let told: u64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    assert!(told >= 10 && told == lost, "{told} are told, {lost} are lost");
    assert_eq!(count(&place, "open") + told, u64::from(visitors.0), "each visitor is recorded or counted as missing");
}

#[test]
fn a_disk_that_cannot_be_written_at_start_is_named() {
    if !may_mount("disk::a_disk_that_cannot_be_written_at_start_is_named") {
        return;
    }
    let (place, data) = place_with_a_disk("refuse");
    let filler = fill(&data);
    let said = refusal(&place);
    assert!(said.contains("ledger.sqlite") && said.contains("the disk is full"), "{said}");
    std::fs::remove_file(filler).unwrap();
    starts(&place);

    assert!(mount(&["-o", "remount,ro"], &data));
    let said = refusal(&place);
    assert!(said.contains("ledger.sqlite") && said.contains("may not be written"), "{said}");
    assert!(mount(&["-o", "remount,rw"], &data));
    starts(&place);
    assert_whole(&place);
}

#[test]
fn a_disk_that_goes_away_is_noticed_and_waited_for() {
    if !may_mount("disk::a_disk_that_goes_away_is_noticed_and_waited_for") {
        return;
    }
    let (place, data) = place_with_a_disk("refuse");
    let (proxy, mut visitors) = (place.start(), Visitors(0));
    assert_eq!(visitors.next(&proxy), 200);
    // Something else is mounted in its place.
    small_disk(&data, "1m");
    assert!(mount(&["-o", "remount,ro"], &data));
    assert_eq!(visitors.next(&proxy), 503);
    assert_eq!(get(proxy.address, "/other/page", &[]).status, 200);
    assert!(failing(&proxy).unwrap().contains("gone"), "{:?}", failing(&proxy));
    unmount(&data);
    eventually("it recovers by itself", || visitors.next(&proxy) == 200);
    assert_eq!(proxy.stop(), 0);
    assert_whole(&place);
    assert_eq!(count(&place, "open"), 2);
}

/// As a kernel does with a disk that fails: nothing can be written from one moment to the next.
#[test]
fn a_disk_that_becomes_read_only_under_a_running_proxy_is_named() {
    if !may_mount("disk::a_disk_that_becomes_read_only_under_a_running_proxy_is_named") {
        return;
    }
    let place = Place::new();
    let (image, data) = (place.directory.path().join("image"), place.directory.path().join("data"));
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
    let image = image.to_str().unwrap();
    if !made.is_ok_and(|status| status.success()) || !mount(&["-o", "loop", image], &data) {
        eprintln!("skipped: a disk in a file needs mkfs.ext4, and root for the loop device");
        return;
    }
    let (proxy, mut visitors) = (place.start(), Visitors(0));
    (0..5).for_each(|_| assert_eq!(visitors.next(&proxy), 200));
    assert!(mount(&["-o", "remount,abort"], &data));
    assert_eq!(visitors.next(&proxy), 503);
    assert_eq!(get(proxy.address, "/other/page", &[]).status, 200);
    let reason = failing(&proxy).unwrap();
    assert!(reason.contains("may not be written") || reason.contains("reports an error"), "{reason}");
    proxy.stop();
    unmount(&data);
    assert!(mount(&["-o", "loop", image], &data));
    let proxy = place.start();
    assert_eq!(visitors.next(&proxy), 200);
    assert_eq!(proxy.stop(), 0);
    assert_whole(&place);
    assert_eq!(count(&place, "open"), 6);
    unmount(&data);
}

#[test]
fn what_is_no_journal_or_is_in_use_stops_the_start_with_its_name() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "10.0.0.1", &[]), 200);
    let said = refusal(&place);
    assert!(said.contains("ledger.sqlite") && said.contains("another process writes to this journal"), "{said}");
    assert_eq!(proxy.stop(), 0);

    let journal = place.directory.path().join("data/ledger.sqlite");
    let database = rusqlite::Connection::open(&journal).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let said = refusal(&place);
    assert!(said.contains("ledger.sqlite") && said.contains("another process holds a lock"), "{said}");
    drop(database);

    let good = std::fs::read(&journal).unwrap();
    for (garbage, what) in [
        (vec![0xa5; 64 << 10], "is not a database"),
        (b"<html>not a database</html>".to_vec(), "is not a database"),
        (good[..good.len() / 2].to_vec(), "damaged"),
        (Vec::new(), "record"),
    ] {
        std::fs::write(&journal, &garbage).unwrap();
        let said = refusal(&place);
        assert!(said.contains("ledger.sqlite") && said.contains(what), "{}: {said}", garbage.len());
        let left = std::fs::read(&journal).unwrap();
        assert!(left == garbage || garbage.is_empty(), "it is left for whoever looks into it");
    }
    std::fs::write(&journal, &good).unwrap();
    starts(&place);
    assert_whole(&place);
}

#[test]
fn while_another_process_locks_the_journal_links_are_refused_and_then_served() {
    let place = Place::new();
    let (proxy, mut visitors) = (place.start(), Visitors(0));
    assert_eq!(visitors.next(&proxy), 200);
    let database = rusqlite::Connection::open(place.directory.path().join("data/ledger.sqlite")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(visitors.next(&proxy), 503);
    assert!(failing(&proxy).unwrap().contains("lock"), "{:?}", failing(&proxy));
    database.execute_batch("ROLLBACK").unwrap();
    eventually("it recovers by itself", || visitors.next(&proxy) == 200);
    assert_eq!(proxy.stop(), 0);
    assert_whole(&place);
    assert_eq!(count(&place, "open"), 2);
}
