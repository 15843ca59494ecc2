//! Erasing what records tell about a person, on demand.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde_json::json;

use super::journal::{Guest, Hold, JournalError, Life, StorageKind};
use super::record::{EventKind, NewRecord, hex};
use super::retention::RetentionError;
use super::trail::per_link;

/// Records of one transaction, and numbers in one record.
pub(super) const BATCH: usize = 5000;

/// Which records of a site are meant: those to which all applies that is said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub site: Box<str>,
    pub seqs: Option<Vec<u64>>,
    /// The digest of a link's token.
    pub link: Option<[u8; 16]>,
    pub visitor: Option<Visitor>,
    /// The keyed digests of a consent id: it has one in each month.
    pub consents: Option<Vec<[u8; 16]>>,
    /// Milliseconds since 1970 (UTC), included.
    pub from_ms: Option<u64>,
    /// Milliseconds since 1970 (UTC), excluded.
    pub to_ms: Option<u64>,
}

/// A visitor, as a role knows it.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// By the name on a link.
    OnLink(Box<str>),
    /// By the pseudonym of a month.
    OfMonth([u8; 16]),
}

impl Visitor {
    fn is(&self, pseudonym: Option<&[u8]>, link: Option<&[u8; 16]>) -> bool {
        match (self, pseudonym, link) {
            (Visitor::OnLink(name), Some(pseudonym), Some(link)) => per_link(pseudonym, link) == **name,
            (Visitor::OfMonth(own), Some(pseudonym), _) => pseudonym == own,
            _ => false,
        }
    }
}

/// A record that has something to erase.
pub(super) struct Found {
    pub seq: u64,
    pub link: Option<[u8; 16]>,
    pub visitor: Option<Vec<u8>>,
}

impl Wanted {
    /// The pseudonym of the visitor who is meant, if it is known.
    pub(super) fn pseudonym(&self) -> Option<&[u8; 16]> {
        match &self.visitor {
            Some(Visitor::OfMonth(pseudonym)) => Some(pseudonym),
            _ => None,
        }
    }

    /// Whether it is one of the visitor who is meant, if one is.
    pub(super) fn is_of_visitor(&self, found: &Found) -> bool {
        let is = |visitor: &Visitor| visitor.is(found.visitor.as_deref(), found.link.as_ref());
        self.visitor.as_ref().is_none_or(is)
    }

    /// # Errors
    /// One of the records is held.
    pub(super) fn refuse_held<'a>(
        &self,
        holds: &[Hold],
        mut found: impl Iterator<Item = &'a Found>,
    ) -> Result<(), RetentionError> {
        let holding =
            |link| holds.iter().find(|hold| hold.site == self.site && (hold.link.is_none() || hold.link == link));
        match found.find_map(|record| Some((record.seq, holding(record.link)?))) {
            Some((seq, hold)) => Err(RetentionError::Held { seq, id: hold.id.clone() }),
            None => Ok(()),
        }
    }
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
    wanted.refuse_held(&Life::of(path)?.holds, found.iter())?;
    let seqs: Vec<u64> = found.iter().map(|record| record.seq).collect();
    for seqs in seqs.chunks(BATCH) {
        let detail = json!({ "seqs": seqs, "why": why });
        let record = NewRecord::of_life(EventKind::Erased, &wanted.site, guest.now_ms, detail);
        guest.add(path, &[&record], seqs)?;
    }
    Ok(seqs)
}

fn find(path: &Path, wanted: &Wanted) -> Result<Vec<Found>, StorageKind> {
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let blob = |bytes: &[u8; 16]| Value::Blob(bytes.to_vec());
    let list =
        |digests: &Vec<[u8; 16]>| json!(digests.iter().map(|digest| hex(digest)).collect::<Vec<_>>()).to_string();
    let mut sql = "SELECT seq, link, visitor FROM record WHERE salt IS NOT NULL AND site = ?".to_owned();
    let mut values = vec![Value::Text(wanted.site.to_string())];
    let conditions = [
        ("link = ?", wanted.link.as_ref().map(blob)),
        ("visitor = ?", wanted.pseudonym().map(blob)),
        (
            "lower(hex(consent)) IN (SELECT value FROM json_each(?))",
            wanted.consents.as_ref().map(list).map(Value::Text),
        ),
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
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok(Found { seq: row.get(0)?, link: row.get(1)?, visitor: row.get(2)? })
    })?;
    let found: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(found.into_iter().filter(|found| wanted.is_of_visitor(found)).collect())
}
