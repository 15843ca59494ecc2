//! Erasing what records tell about a person, on demand.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde_json::json;

use super::journal::{Guest, Hold, JournalError, Life, StorageKind};
use super::record::{EventKind, NewRecord};
use super::retention::RetentionError;

/// Records of one transaction, and numbers in one record.
const BATCH: usize = 5000;

/// Which records of a site are meant: those to which all applies that is said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub site: Box<str>,
    pub seqs: Option<Vec<u64>>,
    /// The digest of a link's token.
    pub link: Option<[u8; 16]>,
    /// The month of the key and the pseudonym that it made.
    pub visitor: Option<(Box<str>, [u8; 16])>,
    /// The keyed digest of a consent id.
    pub consent: Option<[u8; 16]>,
    /// Milliseconds since 1970 (UTC), included.
    pub from_ms: Option<u64>,
    /// Milliseconds since 1970 (UTC), excluded.
    pub to_ms: Option<u64>,
}

/// Erases from the journal at `path` what the records that are `wanted` tell about a person, and records that it was
/// done, with `why`, which must not tell about the person. Returns the numbers of the records.
///
/// # Errors
/// There is no reason; one of the records is held, and then none is erased; or the journal cannot be changed. After an
/// error of the journal, what was done until then stays, and the call must be repeated.
pub fn erase(guest: &Guest, path: &Path, wanted: &Wanted, why: &str) -> Result<Vec<u64>, RetentionError> {
    if why.trim().is_empty() {
        return Err(RetentionError::NoReason);
    }
    let found = find(path, wanted).map_err(|kind| JournalError::Storage { path: path.into(), kind })?;
    let holds = Life::of(path)?.holds;
    let held = |record: &Found| holding(&holds, &wanted.site, record.link).map(|hold| (record.seq, hold));
    if let Some((seq, hold)) = found.iter().find_map(held) {
        return Err(RetentionError::Held { seq, id: hold.id.clone() });
    }
    let seqs: Vec<u64> = found.iter().map(|record| record.seq).collect();
    for seqs in seqs.chunks(BATCH) {
        let detail = json!({ "seqs": seqs, "why": why });
        let record = NewRecord::of_life(EventKind::Erased, &wanted.site, guest.now_ms, detail);
        guest.add(path, &[&record], seqs)?;
    }
    Ok(seqs)
}

fn holding<'a>(holds: &'a [Hold], site: &str, link: Option<[u8; 16]>) -> Option<&'a Hold> {
    holds.iter().find(|hold| *hold.site == *site && (hold.link.is_none() || hold.link == link))
}

/// A record that has something to erase.
struct Found {
    seq: u64,
    link: Option<[u8; 16]>,
}

fn find(path: &Path, wanted: &Wanted) -> Result<Vec<Found>, StorageKind> {
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let blob = |bytes: &[u8; 16]| Value::Blob(bytes.to_vec());
    let mut sql = "SELECT seq, link FROM record WHERE salt IS NOT NULL AND site = ?".to_owned();
    let mut values = vec![Value::Text(wanted.site.to_string())];
    let conditions = [
        ("link = ?", wanted.link.as_ref().map(blob)),
        ("epoch = ?", wanted.visitor.as_ref().map(|(epoch, _)| Value::Text(epoch.to_string()))),
        ("visitor = ?", wanted.visitor.as_ref().map(|(_, pseudonym)| blob(pseudonym))),
        ("consent = ?", wanted.consent.as_ref().map(blob)),
        ("at >= ?", wanted.from_ms.map(number)),
        ("at < ?", wanted.to_ms.map(number)),
        (
            "seq IN (SELECT value FROM json_each(?))",
            wanted.seqs.as_ref().map(|seqs| Value::Text(json!(seqs).to_string())),
        ),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql += " AND ";
            sql += condition;
            values.push(value);
        }
    }
    sql += " ORDER BY seq";
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare(&sql)?;
    let rows =
        statement.query_map(params_from_iter(values), |row| Ok(Found { seq: row.get(0)?, link: row.get(1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
