//! One batch of records on its way to the central store.
//!
//! All of a batch happens in one transaction, which holds the journal's row in `writer`: the mark there says which record
//! is the last that arrived. So a batch arrives whole or not at all, whatever dies in between, and two who ship the same
//! journal take turns.

use postgres::{Client, GenericClient};

use super::apply::apply;
use super::error::CentralError;
use super::partitions::Days;
use super::source::Source;
use crate::ledger::chain::{BEFORE_THE_FIRST, Hash, Writer};
use crate::ledger::journal::checkpoint::Checkpoint;
use crate::ledger::journal::stored::Stored;
use crate::ledger::record::hex;

/// Records of one batch, and bytes of their cores. More would only make one failure cost more.
const RECORDS: usize = 2000;
const BYTES: usize = 4 << 20;

/// Records of another past that are kept as evidence.
const EVIDENCE: usize = 1000;

/// The last record of a journal that is in the central store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// 0: none is.
    pub seq: u64,
    pub hash: Hash,
}

/// What came of a batch.
pub(super) struct Sent {
    pub mark: Mark,
    /// When the last of them happened, in milliseconds since 1970 (UTC).
    pub at_ms: Option<u64>,
}

/// Where the journal of `writer` stands in the central store.
pub(super) fn mark(client: &mut impl GenericClient, writer: &Writer) -> Result<Option<Mark>, CentralError> {
    read_mark(client, writer, "SELECT seq, hash FROM consentry.writer WHERE writer = $1")
}

fn read_mark(client: &mut impl GenericClient, writer: &Writer, sql: &str) -> Result<Option<Mark>, CentralError> {
    let row = client.query_opt(sql, &[&writer.as_slice()])?;
    row.map(|row| {
        let (seq, hash): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let hash = hash.try_into().map_err(|_| CentralError::Strange("a hash has 32 bytes"))?;
        Ok(Mark { seq: u64::try_from(seq).unwrap_or_default(), hash })
    })
    .transpose()
}

/// Ships what comes next.
///
/// # Errors
/// The central store or the journal fails: nothing was shipped. Or the journal is another than the one that was shipped:
/// what differs is noted as a conflict.
pub(super) fn batch(client: &mut Client, source: &Source, days: &mut Days) -> Result<Sent, CentralError> {
    let writer = source.writer.as_slice();
    let mut transaction = client.transaction()?;
    let mark = hold_mark(&mut transaction, &source.writer)?;
    if !follows(source, &mark)? {
        let seq = note_conflict(&mut transaction, source, &mark)?;
        transaction.commit()?;
        return Err(CentralError::Forked { writer: hex(writer), seq });
    }
    let records = source.after(mark.seq, RECORDS, BYTES)?;
    days.make(&mut transaction, records.iter().map(|record| record.day.as_str()))?;
    if !records.is_empty() {
        insert(&mut transaction, writer, &records)?;
    }
    for record in &records {
        apply(&mut transaction, source, record)?;
    }
    let last = records.last().map_or(mark, |last| Mark { seq: last.seq, hash: last.hash });
    copy_checkpoints(&mut transaction, source, last.seq)?;
    if last != mark {
        transaction.execute(
            "UPDATE consentry.writer SET seq = $2, hash = $3, at = now() WHERE writer = $1 AND seq < $2",
            &[&writer, &number(last.seq), &last.hash.as_slice()],
        )?;
    }
    transaction.commit()?;
    Ok(Sent { mark: last, at_ms: records.last().map(|last| last.at) })
}

/// Keeps others off this journal until the transaction ends.
fn hold_mark(transaction: &mut impl GenericClient, writer: &Writer) -> Result<Mark, CentralError> {
    const HOLD: &str = "SELECT seq, hash FROM consentry.writer WHERE writer = $1 FOR UPDATE";
    if let Some(mark) = read_mark(transaction, writer, HOLD)? {
        return Ok(mark);
    }
    transaction.execute(
        "INSERT INTO consentry.writer (writer, seq, hash, at) VALUES ($1, 0, $2, now()) ON CONFLICT DO NOTHING",
        &[&writer.as_slice(), &BEFORE_THE_FIRST.as_slice()],
    )?;
    read_mark(transaction, writer, HOLD)?.ok_or(CentralError::Strange("the mark of this journal is gone"))
}

/// Whether the journal is the one whose records arrived, gone on. Records that were purged from it since tell nothing.
fn follows(source: &Source, mark: &Mark) -> Result<bool, CentralError> {
    Ok(match source.at(mark.seq)? {
        _ if mark.seq == 0 => true,
        Some((_, hash)) => hash == mark.hash,
        None => source.range()?.is_some_and(|(first, _)| mark.seq < first),
    })
}

/// Keeps what the journal has from where on it differs, and returns where that is.
fn note_conflict(transaction: &mut impl GenericClient, source: &Source, mark: &Mark) -> Result<u64, CentralError> {
    let writer = source.writer.as_slice();
    let (first, last) = source.range()?.unwrap_or((1, 0));
    let mut arrived = |seq: u64| -> Result<Option<Vec<u8>>, CentralError> {
        let sql = "SELECT hash FROM consentry.record WHERE writer = $1 AND seq = $2";
        let row = transaction.query_opt(sql, &[&writer, &number(seq)])?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    };
    // Chains that differ once differ from then on.
    let (mut same, mut other) = (first.saturating_sub(1), last.min(mark.seq).saturating_add(1));
    while same + 1 < other {
        let middle = same.midpoint(other);
        let ours = source.at(middle)?.map(|(_, hash)| hash.to_vec());
        if ours.is_some() && ours == arrived(middle)? { same = middle } else { other = middle }
    }
    for record in source.after(other.saturating_sub(1), EVIDENCE, BYTES)? {
        transaction.execute(
            "INSERT INTO consentry.conflict (writer, seq, hash, core) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[&writer, &number(record.seq), &record.hash.as_slice(), &record.core],
        )?;
    }
    Ok(other)
}

/// Inserts `records`. Those that are there already stay as they are.
fn insert(transaction: &mut impl GenericClient, writer: &[u8], records: &[Stored]) -> Result<(), CentralError> {
    const SQL: &str = "INSERT INTO consentry.record (writer, seq, day, at, site, event, link, epoch, core, prev, hash, \
        salt, visitor, object, agent_name, country, referrer, consent) \
        SELECT $1, * FROM unnest($2::bigint[], $3::text[]::date[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], \
        $8::text[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[], $15::text[], \
        $16::text[], $17::text[], $18::bytea[]) ON CONFLICT DO NOTHING";
    let statement = transaction.prepare(SQL)?;
    let inserted = transaction.execute(
        &statement,
        &[
            &writer,
            &column(records, |record| number(record.seq)),
            &column(records, |record| record.day.as_str()),
            &column(records, |record| number(record.at)),
            &column(records, |record| record.site.as_str()),
            &column(records, |record| record.event.as_str()),
            &column(records, |record| record.link.as_ref().map(<[u8; 16]>::as_slice)),
            &column(records, |record| record.epoch.as_deref()),
            &column(records, |record| record.core.as_slice()),
            &column(records, |record| record.previous.as_slice()),
            &column(records, |record| record.hash.as_slice()),
            &column(records, |record| record.salt.as_ref().map(<[u8; 16]>::as_slice)),
            &column(records, |record| record.erasable.visitor.as_ref().map(|visitor| visitor.0.as_slice())),
            &column(records, |record| record.erasable.object.as_ref().map(|object| object.0.as_slice())),
            &column(records, |record| record.erasable.agent_name.as_deref()),
            &column(records, |record| record.erasable.country.as_deref()),
            &column(records, |record| record.erasable.referrer.as_deref()),
            &column(records, |record| record.erasable.consent.as_ref().map(|consent| consent.0.as_slice())),
        ],
    )?;
    if inserted == records.len() as u64 { Ok(()) } else { agree(transaction, writer, records) }
}

/// Whether what was there already is what would have been inserted.
fn agree(transaction: &mut impl GenericClient, writer: &[u8], records: &[Stored]) -> Result<(), CentralError> {
    let other = transaction.query_opt(
        "SELECT record.seq FROM consentry.record JOIN unnest($2::bigint[], $3::bytea[]) AS ours (seq, hash) \
         ON record.writer = $1 AND record.seq = ours.seq WHERE record.hash <> ours.hash ORDER BY 1 LIMIT 1",
        &[&writer, &column(records, |record| number(record.seq)), &column(records, |record| record.hash.as_slice())],
    )?;
    match other {
        None => Ok(()),
        Some(row) => {
            let seq: i64 = row.try_get(0)?;
            Err(CentralError::Forked { writer: hex(writer), seq: u64::try_from(seq).unwrap_or_default() })
        }
    }
}

fn column<'a, T>(records: &'a [Stored], value: impl Fn(&'a Stored) -> T) -> Vec<T> {
    records.iter().map(value).collect()
}

/// Copies the checkpoints of records that arrived. That of the end of a day takes the place of an earlier one.
fn copy_checkpoints(transaction: &mut impl GenericClient, source: &Source, last: u64) -> Result<(), CentralError> {
    let writer = source.writer.as_slice();
    let sql = "SELECT coalesce(max(seq), 0) FROM consentry.checkpoint WHERE writer = $1";
    let known: i64 = transaction.query_one(sql, &[&writer])?.try_get(0)?;
    for checkpoint in source.checkpoints(u64::try_from(known).unwrap_or_default(), last)? {
        let Checkpoint { seq, at_ms, hash, day, key, signature, .. } = &checkpoint;
        let (day, root) = day.as_ref().map(|(day, root)| (day.as_str(), root.as_slice())).unzip();
        transaction.execute(
            "INSERT INTO consentry.checkpoint AS known (writer, seq, at, hash, day, root, signature, key) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (writer, seq) DO UPDATE SET at = excluded.at, \
             day = excluded.day, root = excluded.root, signature = excluded.signature, key = excluded.key \
             WHERE known.at < excluded.at AND known.hash = excluded.hash",
            &[&writer, &number(*seq), &number(*at_ms), &hash.as_slice(), &day, &root, signature, &key.as_slice()],
        )?;
    }
    Ok(())
}

/// A number as PostgreSQL holds it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
