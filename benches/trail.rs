//! One link among five million records.

use std::path::{Path, PathBuf};

use consentry::ledger::journal::Guest;
use consentry::ledger::record::{EventKind, NewRecord};
use consentry::ledger::trail::{Filter, Role, Trail};
use divan::Bencher;

/// Three months of 100 000 links and a million visitors.
const RECORDS: u64 = 5_000_000;
const START_MS: u64 = 1_772_442_930_000;

/// About 1.8 GB, made once, in a minute or so; with the hashes of a chain that it only looks like.
fn journal() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let (path, done) = (directory.join("trail-bench.sqlite"), directory.join("trail-bench.done"));
    if done.exists() {
        return Some(path);
    }
    std::fs::remove_file(&path).ok();
    let guest = Guest { checkpoints: None, signing_seed: [7; 32].into(), now_ms: START_MS };
    let first = NewRecord::of_life(EventKind::Audit, "shop", START_MS, serde_json::json!({}));
    guest.add(&path, &[&first], &[]).ok()?;
    let mut database = rusqlite::Connection::open(&path).ok()?;
    let indexes: Vec<(String, String)> = database
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .ok()?;
    database.execute_batch("PRAGMA synchronous = OFF").ok()?;
    for (name, _) in &indexes {
        database.execute_batch(&format!("DROP INDEX {name}")).ok()?;
    }
    let transaction = database.transaction().ok()?;
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO record (day, at, site, event, link, epoch, core, prev, hash, visitor, referrer) \
                 VALUES ('2026-03-02', ?, 'shop', 'open', ?, '2026-03', ?, zeroblob(32), zeroblob(32), ?, 'direct')",
            )
            .ok()?;
        let core = br#"{"actor":"anonymous","by":9,"cls":"human","dur":3,"ev":"open","full":true,"st":200}"#;
        for number in 0..RECORDS {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            // Every ten-thousandth visit is to the link that is asked about.
            let link = if number % 10_000 == 0 { 0 } else { 1 + mixed % 100_000 };
            let visitor = (mixed % 999_983).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            insert.execute(rusqlite::params![START_MS + number * 1500, digest(link), core, digest(visitor)]).ok()?;
        }
    }
    transaction.commit().ok()?;
    for (_, index) in indexes {
        database.execute_batch(&index).ok()?;
    }
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").ok()?;
    std::fs::write(done, "").ok()?;
    Some(path)
}

fn digest(number: u64) -> [u8; 16] {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes()
}

fn filter() -> Filter {
    Filter { site: Some("shop".into()), link: Some(digest(0)), ..Filter::default() }
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn show(bencher: Bencher) {
    let Some(path) = journal() else { return };
    let visits = Trail::open(&path).map(|mut trail| trail.links(&filter())).ok();
    assert!(visits.and_then(Result::ok).is_some_and(|links| links.iter().any(|link| link.opens == 500)));
    // As the command does it, with nothing in its own memory.
    bencher.bench_local(|| Trail::open(&path).map(|mut trail| trail.links(&filter()).map(|links| links.len())));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn events(bencher: Bencher) {
    let Some(path) = journal() else { return };
    bencher.bench_local(|| {
        Trail::open(&path).map(|mut trail| trail.accesses(&filter(), Role::Owner, |_| Ok(())).unwrap_or_default())
    });
}
