//! Life records of all journals: what is held, what was released.

use postgres::GenericClient;
use serde_json::Value;

use super::error::CentralError;
use crate::ledger::chain::Writer;
use crate::ledger::record::EventKind;

/// A record of a journal's own life, about no visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeRecord {
    pub writer: Writer,
    pub seq: u64,
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub site: String,
    pub event: EventKind,
    pub detail: Value,
}

/// All `hold.placed` and `hold.released` records, in the order of their times.
///
/// # Errors
/// The central store fails.
pub fn holds(client: &mut impl GenericClient) -> Result<Vec<LifeRecord>, CentralError> {
    let rows = client.query(
        "SELECT writer, seq, at, site, event, core FROM consentry.record \
         WHERE event IN ('hold.placed', 'hold.released') ORDER BY at, writer, seq",
        &[],
    )?;
    let records = rows.iter().map(|row| {
        let core: Value = serde_json::from_slice(row.try_get(5)?).unwrap_or_default();
        Ok(LifeRecord {
            writer: row
                .try_get::<_, &[u8]>(0)?
                .try_into()
                .map_err(|_| CentralError::Strange("a writer has 16 bytes"))?,
            seq: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default(),
            at_ms: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default(),
            site: row.try_get(3)?,
            event: EventKind::from_word(row.try_get(4)?).ok_or(CentralError::Strange("an event is unknown"))?,
            detail: core.get("detail").cloned().unwrap_or_default(),
        })
    });
    records.collect()
}
