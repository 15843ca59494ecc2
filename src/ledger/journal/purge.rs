//! Records of accesses whose time is over.
//!
//! A record is first emptied: its place in the chain stays, so that days which were signed still hold, and a record
//! tells which ones were emptied. Once no access is left up to the end of a day, all before is cut off, and the signed
//! checkpoint of that day is what the journal begins with.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params, params_from_iter};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::append::{Addition, Guest};
use super::checkpoint::Checkpoint;
use super::failure::{JournalError, StorageKind};
use super::life::{Digest, Hold, Life};
use super::schema::{self, IS_ACCESS};
use super::scrub;
use crate::ledger::record::{EventKind, NewRecord, hex};

/// Records that are emptied or cut off in one transaction: the recorder waits for it.
const BATCH: usize = 5000;

/// The least time between two transactions. SQLite looks this often, at the least, whether it is its turn.
const PAUSE: Duration = Duration::from_millis(100);

/// Whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub site: Box<str>,
    /// Accesses before this time, in milliseconds since 1970 (UTC).
    pub before_ms: u64,
}

/// What was purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many records of accesses are no more.
    pub records: u64,
    /// The record up to which the journal was cut off.
    pub cut: Option<u64>,
}

/// Records of accesses of one site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that are due and not held.
    pub due: u64,
    /// Those that are due and held.
    pub held: u64,
    /// The time of the first that is not due.
    pub next_ms: Option<u64>,
}

/// Told after each transaction how many records were emptied so far. It may end the work.
pub type Interruptible<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

impl Guest {
    /// Empties all that is `due` and not held, cuts off what is only place-holders, and takes all of it out of the
    /// write-ahead log. The recorder may go on meanwhile.
    ///
    /// # Errors
    /// As of [`Guest::add`]. What was done until then stays, and another call does the rest.
    pub fn purge(&self, path: &Path, due: &[Due], progress: Interruptible<'_>) -> Result<Purged, JournalError> {
        let mut visit = self.visit(path)?;
        let mut purged = Purged::default();
        for due in due {
            let mut from_ms = Some(0);
            while let Some(from) = from_ms {
                let batch = visit.add(|addition| empty(addition, due, from, self.now_ms))?;
                purged.records += batch.count;
                if progress(purged.records).is_break() {
                    return Ok(purged);
                }
                from_ms = batch.next_ms;
                if from_ms.is_some() {
                    make_room();
                }
            }
        }
        purged.cut = visit.add(|addition| cut(addition, self.now_ms))?;
        loop {
            if visit.add(drop_batch)? < BATCH || progress(purged.records).is_break() {
                break;
            }
            make_room();
        }
        visit.wipe(make_room)?;
        Ok(purged)
    }
}

/// Lets the recorder do its work.
pub(super) fn make_room() {
    std::thread::sleep(PAUSE);
}

/// Records that were emptied at once.
#[derive(Default)]
struct Batch {
    count: u64,
    /// Where to go on, if there may be more.
    next_ms: Option<u64>,
}

fn empty(addition: &mut Addition, due: &Due, from_ms: u64, now_ms: u64) -> Result<Batch, StorageKind> {
    let mut found = find(&addition.transaction, due, from_ms)?;
    let next_ms = found.last().filter(|_| found.len() == BATCH).map(|(_, at_ms)| *at_ms);
    found.sort_unstable();
    let seqs: Vec<u64> = found.into_iter().map(|(seq, _)| seq).collect();
    let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(Batch::default()) };
    let Digest { count, hash } = digest(&seqs);
    let detail = json!({ "before": due.before_ms, "count": count, "seqs": hex(&hash), "first": first, "last": last });
    let record = NewRecord::of_life(EventKind::RetentionPurged, &due.site, now_ms, detail);
    let by = addition.add(&record)?.seq;
    for seq in &seqs {
        schema::purge(&addition.transaction, *seq, by)?;
    }
    scrub::note_removed(&addition.transaction)?;
    Ok(Batch { count, next_ms })
}

/// The oldest records that are due and not held, with their times.
fn find(connection: &Connection, due: &Due, from_ms: u64) -> Result<Vec<(u64, u64)>, StorageKind> {
    let Held::Links(links) = Held::of(&due.site, &Life::read(connection)?.holds) else { return Ok(Vec::new()) };
    let spared = if links.is_empty() { String::new() } else { format!("AND (link IS NULL OR link NOT IN {links})") };
    let sql = format!(
        "SELECT seq, at FROM record WHERE {IS_ACCESS} AND site = ?1 AND at >= ?2 AND at < ?3 {spared} ORDER BY at LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![due.site, signed(from_ms), signed(due.before_ms), BATCH], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What of a site is held.
enum Held {
    All,
    /// Links, as a list in SQL; empty if there are none.
    Links(String),
}

impl Held {
    fn of(site: &str, holds: &[Hold]) -> Held {
        let holds: Vec<_> = holds.iter().filter(|hold| *hold.site == *site).collect();
        if holds.iter().any(|hold| hold.link.is_none()) {
            return Held::All;
        }
        let links: Vec<_> =
            holds.iter().filter_map(|hold| hold.link).map(|link| format!("x'{}'", hex(&link))).collect();
        Held::Links(if links.is_empty() { String::new() } else { format!("({})", links.join(",")) })
    }
}

fn digest(seqs: &[u64]) -> Digest {
    let mut hasher = Hasher::default();
    seqs.iter().for_each(|seq| hasher.add(*seq));
    hasher.finish()
}

/// Makes a [`Digest`] of numbers as they come.
#[derive(Default)]
pub(super) struct Hasher {
    count: u64,
    hasher: Sha256,
}

impl Hasher {
    pub fn add(&mut self, seq: u64) {
        self.count += 1;
        self.hasher.update(seq.to_be_bytes());
    }

    pub fn finish(self) -> Digest {
        Digest { count: self.count, hash: self.hasher.finalize().into() }
    }
}

/// Says where the journal begins from now on, if that is later than before.
fn cut(addition: &mut Addition, now_ms: u64) -> Result<Option<u64>, StorageKind> {
    let life = Life::read(&addition.transaction)?;
    let Some(root) = root(&addition.transaction, &life)? else { return Ok(None) };
    let rest: Vec<_> = rest(&addition.transaction, &life, root.seq)?
        .into_iter()
        .map(|(by, digest)| json!({ "by": by, "count": digest.count, "seqs": hex(&digest.hash) }))
        .collect();
    let detail = json!({
        "cut": root.seq,
        "hash": hex(&root.hash),
        "key": hex(&root.key),
        "destroyed": life.destroyed,
        "rest": rest,
    });
    addition.add(&NewRecord::of_life(EventKind::RetentionPurged, "", now_ms, detail))?;
    schema::note_cut(&addition.transaction, root.seq)?;
    addition.transaction.execute("DELETE FROM checkpoint WHERE seq < ?1", [root.seq])?;
    Ok(Some(root.seq))
}

/// The signed end of the last day before which there are only place-holders. What tells of the journal's life goes with
/// them, but no sooner, and never a hold that is in force.
fn root(connection: &Connection, life: &Life) -> Result<Option<Checkpoint>, StorageKind> {
    // In the order of the table: what is left at its beginning is little.
    let sql = format!("SELECT seq FROM record NOT INDEXED WHERE {IS_ACCESS} ORDER BY seq LIMIT 1");
    let access: Option<u64> = connection.query_row(&sql, [], |row| row.get(0)).optional()?;
    let hold = life.holds.iter().map(|hold| hold.seq).min();
    let limit = access.into_iter().chain(hold).min().unwrap_or(i64::MAX.unsigned_abs());
    let sql = "SELECT seq FROM record NOT INDEXED WHERE event = 'purged' AND seq < ?1 ORDER BY seq DESC LIMIT 1";
    let Some(last) = connection.query_row(sql, [limit], |row| row.get::<_, u64>(0)).optional()? else {
        return Ok(None);
    };
    let sql = "SELECT seq, at, hash, day, root, signature, key FROM checkpoint WHERE day IS NOT NULL AND seq < ?1
               ORDER BY seq < ?2, CASE WHEN seq < ?2 THEN -seq ELSE seq END LIMIT 1";
    let writer = connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0))?;
    let end = connection.query_row(sql, [limit, last], |row| Checkpoint::from_row(writer, row)).optional()?;
    let is_later = |end: &Checkpoint| life.cut.as_ref().is_none_or(|cut| end.seq > cut.seq);
    let Some(end) = end.filter(is_later) else { return Ok(None) };
    // What does not hold is evidence, and stays.
    let holds = end.is_signed() && life.keys.contains(&end.key);
    Ok((holds && schema::hash_of(connection, end.seq)? == Some(end.hash)).then_some(end))
}

/// What is left of purges that reach over a cut at `seq`.
fn rest(connection: &Connection, life: &Life, seq: u64) -> Result<Vec<(u64, Digest)>, StorageKind> {
    let over: Vec<_> = life.purges.iter().filter(|(_, purge)| purge.first <= seq && seq < purge.last).collect();
    let Some(end) = over.iter().map(|(_, purge)| purge.last).max() else { return Ok(Vec::new()) };
    let mut hashers: Vec<_> = over.into_iter().map(|(by, _)| (*by, Hasher::default())).collect();
    let sql = "SELECT seq, at FROM record NOT INDEXED WHERE event = 'purged' AND seq > ?1 AND seq <= ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([seq, end])?;
    while let Some(row) = rows.next()? {
        let by: u64 = row.get(1)?;
        if let Some((_, hasher)) = hashers.iter_mut().find(|(known, _)| *known == by) {
            hasher.add(row.get(0)?);
        }
    }
    Ok(hashers.into_iter().map(|(by, hasher)| (by, hasher.finish())).collect())
}

/// Takes records out that are cut off; how many.
fn drop_batch(addition: &mut Addition) -> Result<usize, StorageKind> {
    let Some(cut) = schema::cut_at(&addition.transaction)? else { return Ok(0) };
    let sql = "DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE seq <= ?1 ORDER BY seq LIMIT ?2)";
    Ok(addition.transaction.prepare_cached(sql)?.execute(params![signed(cut), BATCH])?)
}

/// Counts the accesses of each of `due` in the journal at `path`, which may be written meanwhile.
///
/// # Errors
/// It cannot be read.
pub fn count(path: &Path, due: &[Due]) -> Result<Vec<Count>, JournalError> {
    let counted = open(path).and_then(|connection| {
        let holds = Life::read(&connection)?.holds;
        due.iter().map(|due| count_of(&connection, due, &Held::of(&due.site, &holds))).collect()
    });
    counted.map_err(|kind| JournalError::Storage { path: path.into(), kind })
}

fn count_of(connection: &Connection, due: &Due, held: &Held) -> Result<Count, StorageKind> {
    let site = Sql::from(due.site.to_string());
    let before = Sql::from(signed(due.before_ms));
    let ask = |what: &str| -> Result<Option<u64>, StorageKind> {
        let sql = format!("SELECT {what} FROM record WHERE {IS_ACCESS} AND site = ?1 AND at ");
        let sql = match what {
            "min(at)" => format!("{sql} >= ?2"),
            _ => format!("{sql} < ?2"),
        };
        Ok(connection.query_row(&sql, params_from_iter([&site, &before]), |row| row.get(0))?)
    };
    let all = ask("count(*)")?.unwrap_or_default();
    let held = match held {
        Held::All => all,
        Held::Links(links) if links.is_empty() => 0,
        Held::Links(links) => ask(&format!("count(CASE WHEN link IN {links} THEN 1 END)"))?.unwrap_or_default(),
    };
    Ok(Count { due: all - held, held, next_ms: ask("min(at)")? })
}

/// The sites of which there are records of accesses.
///
/// # Errors
/// The journal at `path` cannot be read.
pub fn sites(path: &Path) -> Result<Vec<Box<str>>, JournalError> {
    let read = open(path).and_then(|connection| {
        // One step in the index for each site, however many records there are.
        let sql = format!("SELECT min(site) FROM record WHERE {IS_ACCESS} AND site > ?1");
        let mut statement = connection.prepare(&sql)?;
        let mut sites: Vec<Box<str>> = Vec::new();
        loop {
            let last = sites.last().map_or("", |site| &**site);
            match statement.query_row([last], |row| row.get(0))? {
                Some(site) => sites.push(site),
                None => return Ok(sites),
            }
        }
    });
    read.map_err(|kind| JournalError::Storage { path: path.into(), kind })
}

/// Whether a record that is held has a pseudonym of `site` in `epoch`.
pub(in crate::ledger) fn is_needed(connection: &Connection, site: &str, epoch: &str) -> Result<bool, StorageKind> {
    let condition = match Held::of(site, &Life::read(connection)?.holds) {
        Held::All => String::new(),
        Held::Links(links) if links.is_empty() => return Ok(false),
        Held::Links(links) => format!("AND link IN {links}"),
    };
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM record WHERE visitor IS NOT NULL AND epoch = ?1 AND site = ?2 {condition})"
    );
    Ok(connection.query_row(&sql, [epoch, site], |row| row.get(0))?)
}

fn open(path: &Path) -> Result<Connection, StorageKind> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// A number as SQLite has it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
