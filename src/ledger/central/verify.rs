//! Whether each journal's records are in the central store as they were written, and all of them.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{Client, IsolationLevel, Row, Transaction};

use super::error::CentralError;
use super::ship;
use crate::ledger::Progress;
use crate::ledger::chain::{self, Hash, Writer};
use crate::ledger::journal::Life;
use crate::ledger::journal::checkpoint::Checkpoint;
use crate::ledger::journal::stored::Stored;
use crate::ledger::journal::verify::{Chain, Problem, Report, is_husk};
use crate::ledger::pseudonym::{ConsentDigest, ObjectDigest, Pseudonym};
use crate::ledger::record::Erasable;

/// Records that are in memory at once.
const PAGE: i32 = 2000;

/// What was found of one journal.
#[derive(Debug)]
pub struct WriterReport {
    pub writer: Writer,
    pub report: Report,
    /// Records of other journals that say to be this one.
    pub conflicts: u64,
}

/// Reads all records of all journals, as of one moment.
///
/// # Errors
/// The central store fails.
pub fn verify(client: &mut Client, progress: Progress<'_>) -> Result<Vec<WriterReport>, CentralError> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let mut transaction = transaction.start()?;
    // A journal of millions of records takes its time.
    transaction.batch_execute("SET LOCAL statement_timeout = 0")?;
    let writers = transaction.query(
        "SELECT writer, cut_seq, cut_hash, cut_key, \
         (SELECT count(*) FROM consentry.conflict WHERE conflict.writer = writer.writer) \
         FROM consentry.writer ORDER BY writer",
        &[],
    )?;
    let mut reports = Vec::new();
    let mut before = 0;
    for row in &writers {
        let found = verify_writer(&mut transaction, row, &mut |records| progress(before + records))?;
        before += found.report.records;
        reports.push(found);
    }
    Ok(reports)
}

fn verify_writer(
    transaction: &mut Transaction,
    row: &Row,
    progress: Progress<'_>,
) -> Result<WriterReport, CentralError> {
    let writer: Writer = bytes(row, 0)?.ok_or(CentralError::Strange("a writer has no name"))?;
    let mut report = Report::default();
    let mut life = life(transaction, &writer)?;
    life.keys.extend(bytes::<32>(row, 3)?);
    let checkpoints = checkpoints(transaction, writer)?;
    let cut = row.try_get::<_, Option<i64>>(1)?.map(unsigned).zip(bytes(row, 2)?);
    let trusted: BTreeMap<u64, Hash> =
        checkpoints.iter().filter(|signed| life.trusts(signed)).map(|signed| (signed.seq, signed.hash)).collect();
    let own = own_purges(transaction)?;
    let mut chain = Chain::new(writer, life.erased.iter().copied().collect(), cut);
    let mut hashes = Hashes { of: &checkpoints, found: BTreeMap::new() };
    let portal = transaction.bind(
        "SELECT seq, day::text, at, site, event, link, epoch, core, prev, hash, salt, visitor, object, agent_name, \
         country, referrer, consent FROM consentry.record WHERE writer = $1 ORDER BY seq",
        &[&writer.as_slice()],
    )?;
    loop {
        let page = transaction.query_portal(&portal, PAGE)?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let record = stored(row)?;
            if own.contains(&row.try_get(2)?) && is_husk(&record) {
                report.purged += 1;
                chain.link(&record, &mut report);
            } else {
                chain.next(&record, &mut report);
            }
            hashes.note(&record);
            progress(report.records);
        }
    }
    judge_end(transaction, &chain, cut.map_or(0, |(cut, _)| cut), &mut report)?;
    report.problems.extend(chain.judge_purges(&life, &trusted));
    for signed in &checkpoints {
        let problem = judge(transaction, signed, &life, hashes.found.get(&signed.seq))?;
        report.checkpoints += u64::from(problem.is_none());
        report.problems.extend(problem);
    }
    let conflicts = unsigned(row.try_get(4)?);
    Ok(WriterReport { writer, report, conflicts })
}

/// The hashes of records that have a checkpoint.
struct Hashes<'a> {
    of: &'a [Checkpoint],
    found: BTreeMap<u64, Hash>,
}

impl Hashes<'_> {
    fn note(&mut self, record: &Stored) {
        if self.of.binary_search_by_key(&record.seq, |signed| signed.seq).is_ok() {
            self.found.insert(record.seq, record.hash);
        }
    }
}

/// What the central store emptied itself, as it stands in those records. Nobody signs for that.
fn own_purges(transaction: &mut Transaction) -> Result<BTreeSet<i64>, CentralError> {
    let rows = transaction.query("SELECT -id FROM consentry.purge", &[])?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Which keys signed, and what was erased and purged.
fn life(transaction: &mut Transaction, writer: &Writer) -> Result<Life, CentralError> {
    let mut life = Life::default();
    let sql = "SELECT seq, event, core FROM consentry.record WHERE writer = $1 \
               AND event IN ('genesis', 'erased', 'retention.purged') ORDER BY seq";
    for row in transaction.query(sql, &[&writer.as_slice()])? {
        life.note(unsigned(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?);
    }
    // What a journal was asked to erase is gone here before it says so, and stays gone if it is no more.
    let asked = "SELECT unnest(seqs) FROM consentry.erasure WHERE writer = $1";
    for row in transaction.query(asked, &[&writer.as_slice()])? {
        life.erased.push(unsigned(row.try_get(0)?));
    }
    Ok(life)
}

/// In the order of the records that they are about.
fn checkpoints(transaction: &mut Transaction, writer: Writer) -> Result<Vec<Checkpoint>, CentralError> {
    let sql =
        "SELECT seq, at, hash, day, root, signature, key FROM consentry.checkpoint WHERE writer = $1 ORDER BY seq";
    let rows = transaction.query(sql, &[&writer.as_slice()])?;
    let checkpoint = |row: &Row| {
        let day: Option<String> = row.try_get(3)?;
        Ok(Checkpoint {
            writer,
            seq: unsigned(row.try_get(0)?),
            at_ms: unsigned(row.try_get(1)?),
            hash: needed(row, 2)?,
            day: day.zip(bytes(row, 4)?),
            signature: row.try_get(5)?,
            key: needed(row, 6)?,
        })
    };
    rows.iter().map(checkpoint).collect()
}

/// The central store must end where its mark is.
fn judge_end(transaction: &mut Transaction, chain: &Chain, cut: u64, report: &mut Report) -> Result<(), CentralError> {
    let Some(mark) = ship::mark(transaction, &chain.writer)? else { return Ok(()) };
    let last = report.last.max(cut);
    match chain.last {
        Some((seq, hash)) if seq == mark.seq && hash != mark.hash => report.problems.push(Problem::Forked { seq }),
        _ if last < mark.seq => report.problems.push(Problem::CutOff { last, known: mark.seq }),
        _ => {}
    }
    Ok(())
}

fn judge(
    transaction: &mut Transaction,
    signed: &Checkpoint,
    life: &Life,
    found: Option<&Hash>,
) -> Result<Option<Problem>, CentralError> {
    let seq = signed.seq;
    Ok(if !signed.is_signed() {
        Some(Problem::Signature { seq })
    } else if !life.keys.contains(&signed.key) {
        Some(Problem::StrangeKey { seq })
    } else if found.is_some_and(|found| *found != signed.hash) {
        Some(Problem::Forked { seq })
    } else if let (Some((day, root)), Some(_)) = (&signed.day, found) {
        (day_root(transaction, &signed.writer, day)? != *root).then_some(Problem::DayRoot { seq })
    } else {
        None
    })
}

fn day_root(transaction: &mut Transaction, writer: &Writer, day: &str) -> Result<Hash, CentralError> {
    let sql = "SELECT hash FROM consentry.record WHERE writer = $1 AND day = $2::text::date ORDER BY seq";
    let rows = transaction.query(sql, &[&writer.as_slice(), &day])?;
    let hashes: Vec<Hash> = rows.iter().map(|row| needed(row, 0)).collect::<Result<_, _>>()?;
    Ok(chain::merkle_root(&hashes))
}

fn stored(row: &Row) -> Result<Stored, CentralError> {
    Ok(Stored {
        seq: unsigned(row.try_get(0)?),
        day: row.try_get(1)?,
        at: unsigned(row.try_get(2)?),
        site: row.try_get(3)?,
        event: row.try_get(4)?,
        link: bytes(row, 5)?,
        epoch: row.try_get(6)?,
        core: row.try_get(7)?,
        previous: needed(row, 8)?,
        hash: needed(row, 9)?,
        salt: bytes(row, 10)?,
        erasable: Erasable {
            visitor: bytes(row, 11)?.map(Pseudonym),
            object: bytes(row, 12)?.map(ObjectDigest),
            agent_name: text(row, 13)?,
            country: text(row, 14)?,
            referrer: text(row, 15)?,
            consent: bytes(row, 16)?.map(ConsentDigest),
        },
    })
}

fn text(row: &Row, column: usize) -> Result<Option<Box<str>>, CentralError> {
    Ok(row.try_get::<_, Option<&str>>(column)?.map(Box::from))
}

fn bytes<const N: usize>(row: &Row, column: usize) -> Result<Option<[u8; N]>, CentralError> {
    let found: Option<&[u8]> = row.try_get(column)?;
    found.map(|bytes| bytes.try_into().map_err(|_| CentralError::Strange("a digest has another length"))).transpose()
}

fn needed<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], CentralError> {
    bytes(row, column)?.ok_or(CentralError::Strange("a digest is missing"))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
