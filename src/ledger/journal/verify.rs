//! Whether a journal is what was written, and all of it.

mod purged;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

use super::checkpoint::{self, Checkpoint};
use super::failure::StorageKind;
use super::life::Life;
use super::schema;
use super::stored::{COLUMNS, Stored};
use crate::ledger::Progress;
use crate::ledger::chain::{self, Hash, Writer};
use crate::ledger::record::{EventKind, from_hex, hex};
use purged::Husks;
pub(in crate::ledger) use purged::is_husk;

/// Something that is not as it was written, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    #[error("the journal cannot be read: {0}")]
    Unreadable(StorageKind),
    #[error("the database is damaged below its tables")]
    Unsound,
    #[error("the journal does not begin with its first record, nor where a record says that it was cut")]
    NoBeginning,
    #[error("records {from} to {to} are missing")]
    Missing { from: u64, to: u64 },
    #[error("record {seq} was changed")]
    Changed { seq: u64 },
    #[error("record {was} stands in the place of record {seq}")]
    Moved { seq: u64, was: u64 },
    #[error("record {seq} does not follow the one before it")]
    Unlinked { seq: u64 },
    #[error("the erasable part of record {seq} was changed")]
    PartChanged { seq: u64 },
    #[error("the erasable part of record {seq} is gone, and no record says that it was erased")]
    PartGone { seq: u64 },
    #[error("record {seq} was emptied, and no record says that it was purged")]
    Emptied { seq: u64 },
    #[error("record {seq} tells of a purge of other records than those that are empty")]
    Purge { seq: u64 },
    #[error("record {seq} tells of a purge, and no signed checkpoint covers it")]
    PurgeUnsigned { seq: u64 },
    #[error("record {seq} says that the beginning was cut at a place that was not signed as it says")]
    Cut { seq: u64 },
    #[error("the end was cut off: record {known} was written, the last is {last}")]
    CutOff { last: u64, known: u64 },
    #[error("this is an older copy: record {known} was signed outside, the last is {last}")]
    Older { last: u64, known: u64 },
    #[error("record {seq} is not the one that was signed: the journal went another way from there or before")]
    Forked { seq: u64 },
    #[error("the checkpoint of record {seq} has a wrong signature")]
    Signature { seq: u64 },
    #[error("the checkpoint of record {seq} is signed with a key that the journal does not name")]
    StrangeKey { seq: u64 },
    #[error("the day that ends with record {seq} has other records than were signed")]
    DayRoot { seq: u64 },
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How many records were read.
    pub records: u64,
    /// How many of them are only place-holders of records whose time was over.
    pub purged: u64,
    pub first: u64,
    pub last: u64,
    /// How many signed checkpoints hold, inside and outside.
    pub checkpoints: u64,
    pub problems: Vec<Problem>,
}

/// Reads all of the journal at `path`, and the copy of its checkpoints `outside`. Without that copy, an end that was cut
/// off with care does not show.
pub fn verify(path: &Path, outside: Option<&Path>) -> Report {
    verify_telling(path, outside, &mut |_| {})
}

/// [`verify`], which tells of each record how many were read.
pub fn verify_telling(path: &Path, outside: Option<&Path>, progress: Progress<'_>) -> Report {
    let mut report = Report::default();
    if let Err(kind) = read_all(path, outside, &mut report, progress) {
        report.problems.push(Problem::Unreadable(kind));
    }
    report
}

fn read_all(
    path: &Path,
    outside: Option<&Path>,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), StorageKind> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // One moment for all that is read, while the journal may be written.
    let connection = connection.transaction()?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        report.problems.push(Problem::Unsound);
    }
    let writer: Writer = connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0))?;
    let inside = inside(&connection, writer)?;
    let outside = match outside {
        Some(outside) => checkpoint::read(outside)?,
        None => Vec::new(),
    };
    let life = Life::read(&connection)?;
    let trusted: BTreeMap<u64, Hash> = inside
        .iter()
        .chain(&outside)
        .filter(|signed| life.trusts(signed))
        .map(|signed| (signed.seq, signed.hash))
        .collect();

    let cut = life.cut.as_ref().filter(|cut| trusted.get(&cut.seq) == Some(&cut.hash));
    let mut chain = Chain::new(writer, life.erased.iter().copied().collect(), cut.map(|cut| (cut.seq, cut.hash)));
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM record ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        chain.next(&Stored::from_row(row)?, report);
        progress(report.records);
    }
    report.problems.extend(chain.judge_purges(&life, &trusted));
    judge_end(&connection, report, &inside, &outside)?;
    for signed in inside.iter().chain(outside.iter().filter(|signed| !inside.contains(signed))) {
        judge(&connection, signed, &life, writer, report)?;
    }
    Ok(())
}

/// The records as they come, and what the next must follow.
pub(in crate::ledger) struct Chain {
    pub writer: Writer,
    erased: BTreeSet<u64>,
    /// The last record that was cut off, and its hash.
    cut: Option<(u64, Hash)>,
    husks: Husks,
    /// The number and the hash of the record before.
    pub last: Option<(u64, Hash)>,
}

impl Chain {
    /// For the records of `writer`, of which those `erased` may lack a part, and which may begin after the one at `cut`.
    pub fn new(writer: Writer, erased: BTreeSet<u64>, cut: Option<(u64, Hash)>) -> Self {
        Chain { writer, erased, cut, husks: Husks::default(), last: None }
    }

    /// Takes the next record, and reports what is wrong with it.
    pub fn next(&mut self, record: &Stored, report: &mut Report) {
        self.link(record, report);
        let (seq, core, previous, hash) = (record.seq, &record.core, record.previous, record.hash);
        if purged::is_husk(record) {
            report.purged += 1;
            if self.cut.is_none_or(|(cut, _)| seq > cut) {
                self.husks.add(seq, record.at);
            }
            return;
        }
        let fields: Value = serde_json::from_slice(core).unwrap_or_default();
        let was = fields.get("n").and_then(Value::as_u64);
        if chain::record_hash(&self.writer, seq, &previous, core) == hash && was == Some(seq) {
            if !columns_agree(record, &fields) {
                report.problems.push(Problem::Changed { seq });
            }
        } else {
            let moved =
                was.filter(|was| *was != seq && chain::record_hash(&self.writer, *was, &previous, core) == hash);
            report.problems.push(moved.map_or(Problem::Changed { seq }, |was| Problem::Moved { seq, was }));
        }
        report.problems.extend(self.judge_part(record, &fields));
    }

    /// Takes the next record only as a place in the chain, whatever is in it.
    pub fn link(&mut self, record: &Stored, report: &mut Report) {
        let (seq, previous) = (record.seq, record.previous);
        report.records += 1;
        report.last = seq;
        match self.last {
            None => {
                report.first = seq;
                let is_genesis =
                    seq == 1 && previous == chain::BEFORE_THE_FIRST && record.event == EventKind::Genesis.as_str();
                if !is_genesis && !self.begins_after_cut(seq, previous) {
                    report.problems.push(Problem::NoBeginning);
                }
            }
            Some((last, _)) if seq != last + 1 => {
                report.problems.push(Problem::Missing { from: last + 1, to: seq.saturating_sub(1) });
            }
            Some((_, expected)) if previous != expected => report.problems.push(Problem::Unlinked { seq }),
            Some(_) => {}
        }
        self.last = Some((seq, record.hash));
    }

    /// What is wrong with the place-holders, once all records were taken: `life` tells of purges, and the hashes of
    /// `trusted` records were signed.
    pub fn judge_purges(self, life: &Life, trusted: &BTreeMap<u64, Hash>) -> Vec<Problem> {
        let mut problems = purged::unsigned(life, trusted);
        problems.extend(self.husks.judge(life, self.cut.map_or(0, |(cut, _)| cut)));
        problems
    }

    /// Whether the first record that is there may be `seq`, after `previous`. While what was cut off is being removed,
    /// some of it is still there.
    fn begins_after_cut(&self, seq: u64, previous: Hash) -> bool {
        self.cut.is_some_and(|(cut, hash)| seq <= cut || (seq == cut + 1 && previous == hash))
    }

    fn judge_part(&self, record: &Stored, fields: &Value) -> Option<Problem> {
        let seq = record.seq;
        let committed = fields.get("x").and_then(Value::as_str).and_then(from_hex);
        match (record.salt, record.erasable.part(), committed) {
            (Some(salt), Some(part), Some(committed)) if chain::commitment(&salt, &part) == committed => None,
            (None, None, None) => None,
            (None, None, Some(_)) if self.erased.contains(&seq) => None,
            (None, None, Some(_)) => Some(Problem::PartGone { seq }),
            _ => Some(Problem::PartChanged { seq }),
        }
    }
}

/// Whether the columns that questions are asked by say what the core says. The day is when it was written: the core
/// knows only when it happened.
fn columns_agree(record: &Stored, fields: &Value) -> bool {
    let text = |name| fields.get(name).and_then(Value::as_str);
    fields.get("t").and_then(Value::as_u64) == Some(record.at)
        && text("site") == Some(&record.site)
        && text("ev") == Some(&record.event)
        && text("link") == record.link.map(|link| hex(&link)).as_deref()
        && text("ep") == record.epoch.as_deref()
}

fn inside(connection: &Connection, writer: Writer) -> Result<Vec<Checkpoint>, StorageKind> {
    let sql = "SELECT seq, at, hash, day, root, signature, key FROM checkpoint ORDER BY seq";
    let mut statement = connection.prepare(sql)?;
    let read = statement.query_map([], |row| Checkpoint::from_row(writer, row))?.collect::<Result<_, _>>()?;
    Ok(read)
}

/// Whether records are missing at the end. If the database itself knows of more, it was cut; if only the copy outside
/// does, all of the database is from an earlier time.
fn judge_end(
    connection: &Connection,
    report: &mut Report,
    inside: &[Checkpoint],
    outside: &[Checkpoint],
) -> Result<(), StorageKind> {
    let last = report.last;
    let written: Option<u64> =
        connection.query_row("SELECT value FROM meta WHERE key = 'acked'", [], schema::seq_bytes).optional()?;
    let known = inside.iter().map(|signed| signed.seq).chain(written).max().unwrap_or_default();
    let signed = outside.iter().map(|signed| signed.seq).max().unwrap_or_default();
    if known > last {
        report.problems.push(Problem::CutOff { last, known });
    } else if signed > last {
        report.problems.push(Problem::Older { last, known: signed });
    }
    Ok(())
}

fn judge(
    connection: &Connection,
    signed: &Checkpoint,
    life: &Life,
    writer: Writer,
    report: &mut Report,
) -> Result<(), StorageKind> {
    let seq = signed.seq;
    let found: Option<Hash> =
        connection.query_row("SELECT hash FROM record WHERE seq = ?1", [seq], |row| row.get(0)).optional()?;
    let problem = if !signed.is_signed() {
        Some(Problem::Signature { seq })
    } else if !life.keys.contains(&signed.key) {
        Some(Problem::StrangeKey { seq })
    } else if signed.writer != writer || found.is_some_and(|found| found != signed.hash) {
        Some(Problem::Forked { seq })
    } else if life.cut.as_ref().is_some_and(|cut| seq <= cut.seq) {
        // Of that day, not all is there.
        None
    } else if let (Some((day, root)), Some(_)) = (&signed.day, found) {
        (checkpoint::day_root(connection, day)? != *root).then_some(Problem::DayRoot { seq })
    } else {
        None
    };
    report.checkpoints += u64::from(problem.is_none());
    report.problems.extend(problem);
    Ok(())
}
