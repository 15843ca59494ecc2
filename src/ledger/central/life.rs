//! Life records of all journals: what is held, what was released.

use std::collections::BTreeSet;

use postgres::GenericClient;
use serde_json::Value;

use super::error::CentralError;
use crate::ledger::chain::Writer;
use crate::ledger::journal::Hold;
use crate::ledger::record::{EventKind, from_hex};

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

/// What is held in any of the journals, by what arrived.
#[derive(Default)]
pub struct Held {
    /// Each once, in the order of their times.
    pub holds: Vec<Hold>,
    /// The ids of those that are over.
    pub released: BTreeSet<Box<str>>,
}

/// What is held, and what no longer.
///
/// # Errors
/// The central store fails.
pub fn held(client: &mut impl GenericClient) -> Result<Held, CentralError> {
    let mut held = Held::default();
    for record in holds(client)? {
        let Some(id) = text(&record.detail, "id") else { continue };
        if record.event == EventKind::HoldReleased {
            held.released.insert(id);
        } else if !held.holds.iter().any(|hold| hold.id == id) {
            held.holds.push(Hold {
                id,
                site: record.site.into(),
                link: text(&record.detail, "link").and_then(|link| from_hex(&link)),
                reason: text(&record.detail, "reason").unwrap_or_default(),
                ticket: text(&record.detail, "ticket").unwrap_or_default(),
                at_ms: record.at_ms,
                seq: record.seq,
            });
        }
    }
    // Times are those of several machines: a release may seem to come first.
    held.holds.retain(|hold| !held.released.contains(&hold.id));
    Ok(held)
}

/// The site and month of each key that records need which `holds` hold.
///
/// # Errors
/// The central store fails.
pub fn needed_keys(
    client: &mut impl GenericClient,
    holds: &[Hold],
) -> Result<BTreeSet<(String, String)>, CentralError> {
    let whole: Vec<&str> = holds.iter().filter(|hold| hold.link.is_none()).map(|hold| &*hold.site).collect();
    let (sites, links): (Vec<&str>, Vec<&[u8]>) =
        holds.iter().filter_map(|hold| Some((&*hold.site, hold.link.as_ref()?.as_slice()))).unzip();
    if holds.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = client.query(
        "SELECT DISTINCT site, epoch FROM consentry.record WHERE visitor IS NOT NULL AND epoch IS NOT NULL \
         AND (site = ANY($1) OR (site, link) IN (SELECT * FROM unnest($2::text[], $3::bytea[])))",
        &[&whole, &sites, &links],
    )?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn text(detail: &Value, name: &str) -> Option<Box<str>> {
    detail.get(name).and_then(Value::as_str).map(Box::from)
}
