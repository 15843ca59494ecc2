//! Erasing what records of all replicas tell about a person.
//!
//! Here it is gone at once. In the same transaction each journal is asked to do the same; its replica looks for that
//! within seconds, and its record of the erasure arrives as all that it records.

use std::collections::BTreeMap;

use postgres::Client;

use super::apply::empty;
use super::error::CentralError;
use super::ship::number;
use crate::ledger::chain::Writer;
use crate::ledger::erase::{BATCH, Found, Wanted};
use crate::ledger::journal::Hold;
use crate::ledger::retention::RetentionError;

/// The numbers of the records, by journal.
pub type Erased = BTreeMap<Writer, Vec<u64>>;

/// Erases from the central store what the records that are `wanted` tell about a person, and asks their journals to, with
/// `why`, which must not tell about the person. Numbers of records and times are not looked at.
///
/// # Errors
/// One of the records is held by `holds`, or the central store fails: nothing is erased.
pub fn erase(client: &mut Client, wanted: &Wanted, holds: &[Hold], why: &str) -> Result<Erased, RetentionError> {
    if why.trim().is_empty() {
        return Err(RetentionError::NoReason);
    }
    let mut transaction = client.transaction().map_err(CentralError::from)?;
    let link = wanted.link.as_ref().map(<[u8; 16]>::as_slice);
    let consents: Option<Vec<&[u8]>> =
        wanted.consents.as_ref().map(|digests| digests.iter().map(<[u8; 16]>::as_slice).collect());
    let rows = transaction.query(
        "SELECT writer, seq, link, visitor FROM consentry.record WHERE salt IS NOT NULL AND site = $1 \
         AND ($2::bytea IS NULL OR link = $2) AND ($3::bytea IS NULL OR visitor = $3) \
         AND ($4::bytea[] IS NULL OR consent = ANY($4)) ORDER BY day, writer, seq FOR UPDATE",
        &[&&*wanted.site, &link, &wanted.pseudonym().map(<[u8; 16]>::as_slice), &consents],
    );
    let rows = rows.map_err(CentralError::from)?;
    let found = rows.iter().map(found).collect::<Result<Vec<_>, CentralError>>()?;
    let found: Vec<_> = found.into_iter().filter(|(_, record)| wanted.is_of_visitor(record)).collect();
    wanted.refuse_held(holds, found.iter().map(|(_, record)| record))?;
    let mut erased = Erased::new();
    for (writer, record) in &found {
        erased.entry(*writer).or_default().push(record.seq);
    }
    for (writer, seqs) in &erased {
        for seqs in seqs.chunks(BATCH) {
            let seqs: Vec<_> = seqs.iter().copied().map(number).collect();
            empty(&mut transaction, writer, &seqs)?;
            let ask = "INSERT INTO consentry.erasure (writer, seqs, why) VALUES ($1, $2, $3)";
            transaction.execute(ask, &[&writer.as_slice(), &seqs, &why]).map_err(CentralError::from)?;
        }
    }
    transaction.commit().map_err(CentralError::from)?;
    Ok(erased)
}

fn found(row: &postgres::Row) -> Result<(Writer, Found), CentralError> {
    let writer: &[u8] = row.try_get(0)?;
    let writer = writer.try_into().map_err(|_| CentralError::Strange("a writer has 16 bytes"))?;
    let link: Option<&[u8]> = row.try_get(2)?;
    let seq = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default();
    Ok((writer, Found { seq, link: link.and_then(|link| link.try_into().ok()), visitor: row.try_get(3)? }))
}

/// Notes that the journal of `writer` has erased the records `seqs`, which it was asked to.
///
/// # Errors
/// The central store fails: then its replica erases them again, which changes nothing.
pub fn note_erased(client: &mut Client, writer: &Writer, seqs: &[u64]) -> Result<(), CentralError> {
    let seqs: Vec<_> = seqs.iter().copied().map(number).collect();
    client.execute(
        "UPDATE consentry.erasure SET applied_at = now() WHERE writer = $1 AND applied_at IS NULL AND seqs <@ $2",
        &[&writer.as_slice(), &seqs],
    )?;
    Ok(())
}
