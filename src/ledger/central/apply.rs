//! What a record says about others, done to those others in the central store.

use postgres::GenericClient;
use serde_json::Value;

use super::error::CentralError;
use super::ship::number;
use super::source::Source;
use crate::ledger::chain::Writer;
use crate::ledger::journal::stored::Stored;
use crate::ledger::record::{EventKind, from_hex};

/// Empties what `record` says was erased or purged from its journal. Repeating it changes nothing.
pub(super) fn apply(
    transaction: &mut impl GenericClient,
    source: &Source,
    record: &Stored,
) -> Result<(), CentralError> {
    let detail = || {
        let core: Value = serde_json::from_slice(&record.core).unwrap_or_default();
        core.get("detail").cloned().unwrap_or_default()
    };
    match EventKind::from_word(&record.event) {
        Some(EventKind::Erased) => erase(transaction, source, &detail()),
        Some(EventKind::RetentionPurged) => {
            let detail = detail();
            match detail.get("cut").and_then(Value::as_u64) {
                Some(cut) => cut_off(transaction, source, cut, &detail),
                None => purge(transaction, source, record.seq, &detail),
            }
        }
        _ => Ok(()),
    }
}

fn erase(transaction: &mut impl GenericClient, source: &Source, detail: &Value) -> Result<(), CentralError> {
    let seqs = detail.get("seqs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64);
    empty(transaction, &source.writer, &seqs.collect::<Vec<_>>())
}

/// Takes what records `seqs` of `writer` tell about a person.
pub(super) fn empty(transaction: &mut impl GenericClient, writer: &Writer, seqs: &[i64]) -> Result<(), CentralError> {
    transaction.execute(
        "UPDATE consentry.record SET salt = NULL, visitor = NULL, object = NULL, agent_name = NULL, country = NULL, \
         referrer = NULL, consent = NULL WHERE writer = $1 AND seq = ANY($2) AND salt IS NOT NULL",
        &[&writer.as_slice(), &seqs],
    )?;
    Ok(())
}

/// The journal knows which records `seq` emptied; what it has cut off since is cut off here by a later record. What was
/// emptied here before, the journal's own record answers for from now on.
fn purge(transaction: &mut impl GenericClient, source: &Source, seq: u64, detail: &Value) -> Result<(), CentralError> {
    let bound = |name| detail.get(name).and_then(Value::as_u64);
    let range = (bound("first").unwrap_or(1), bound("last").unwrap_or(seq));
    let emptied: Vec<_> = source.emptied_by(seq, range)?.into_iter().map(number).collect();
    transaction.execute(
        "UPDATE consentry.record SET core = '', site = '', event = 'purged', at = $3, link = NULL, epoch = NULL, \
         salt = NULL, visitor = NULL, object = NULL, agent_name = NULL, country = NULL, referrer = NULL, consent = NULL \
         WHERE writer = $1 AND seq = ANY($2) AND (event IN ('open', 'download', 'denied') OR event = 'purged' AND at < 0)",
        &[&source.writer.as_slice(), &emptied, &number(seq)],
    )?;
    Ok(())
}

fn cut_off(
    transaction: &mut impl GenericClient,
    source: &Source,
    cut: u64,
    detail: &Value,
) -> Result<(), CentralError> {
    let bytes = |name| detail.get(name).and_then(Value::as_str).and_then(from_hex::<32>).map(|bytes| bytes.to_vec());
    let writer = source.writer.as_slice();
    transaction.execute("DELETE FROM consentry.record WHERE writer = $1 AND seq <= $2", &[&writer, &number(cut)])?;
    transaction.execute(
        "UPDATE consentry.writer SET cut_seq = $2, cut_hash = $3, cut_key = $4 \
         WHERE writer = $1 AND coalesce(cut_seq, 0) < $2",
        &[&writer, &number(cut), &bytes("hash"), &bytes("key")],
    )?;
    Ok(())
}
