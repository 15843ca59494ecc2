//! What a journal tells of itself: its key, what was destroyed, what is held, what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::checkpoint::{Checkpoint, PublicKey};
use super::failure::{JournalError, StorageKind};
use super::schema::IS_LIFE;
use crate::ledger::chain::Hash;
use crate::ledger::record::{EventKind, from_hex};

/// Records of accesses, of a site or of one of its links, that must not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: Box<str>,
    pub site: Box<str>,
    /// The digest of the link's token; `None`: all of the site.
    pub link: Option<[u8; 16]>,
    pub reason: Box<str>,
    /// Who asked for it, in the words of whoever keeps such lists.
    pub ticket: Box<str>,
    /// When it was placed, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// The record that placed it.
    pub seq: u64,
}

/// All that the records of a journal's life say together.
#[derive(Default)]
pub struct Life {
    /// Those that were not released.
    pub holds: Vec<Hold>,
    /// The ids of those that were.
    pub(in crate::ledger) released: BTreeSet<Box<str>>,
    /// The keys that were destroyed.
    pub destroyed: Vec<Box<str>>,
    pub(in crate::ledger) keys: Vec<PublicKey>,
    /// The records whose erasable parts were emptied.
    pub(in crate::ledger) erased: Vec<u64>,
    /// What each record of its kind says was purged.
    pub(super) purges: BTreeMap<u64, Purge>,
    pub(super) cut: Option<Cut>,
}

/// Records that were emptied at once.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Purge {
    pub first: u64,
    pub last: u64,
    pub seqs: Digest,
}

/// How many records, and SHA-256 over their numbers, as 8 bytes each (big endian) and in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    pub count: u64,
    pub hash: Hash,
}

/// Where the beginning of a journal was cut off.
#[derive(Clone)]
pub(super) struct Cut {
    /// The record that says so.
    pub by: u64,
    /// The last record that is gone, and its hash.
    pub seq: u64,
    pub hash: Hash,
    /// What is left of purges that reach over the cut.
    pub rest: BTreeMap<u64, Digest>,
}

impl Life {
    /// What the journal at `path` tells; nothing if there is none yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> Result<Life, JournalError> {
        let failed = |kind| JournalError::Storage { path: path.into(), kind };
        if !path.try_exists().map_err(|error| failed(error.into()))? {
            return Ok(Life::default());
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        connection.map_err(StorageKind::from).and_then(|connection| Life::read(&connection)).map_err(failed)
    }

    pub(in crate::ledger) fn read(connection: &Connection) -> Result<Life, StorageKind> {
        let mut life = Life::default();
        let sql = format!(
            "SELECT seq, core, event FROM record WHERE {IS_LIFE} AND event IN (?1, ?2, ?3, ?4, ?5, ?6) ORDER BY seq"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        use EventKind::{Erased, Genesis, HoldPlaced, HoldReleased, KeyDestroyed, RetentionPurged};
        let wanted = [Genesis, Erased, KeyDestroyed, RetentionPurged, HoldPlaced, HoldReleased];
        let mut rows = statement.query(wanted.map(EventKind::as_str))?;
        while let Some(row) = rows.next()? {
            life.note(row.get(0)?, &row.get::<_, Box<str>>(2)?, &row.get::<_, Vec<u8>>(1)?);
        }
        Ok(life)
    }

    /// Takes what the `core` of record `seq` says, which is an `event`. Records come in their order.
    pub(in crate::ledger) fn note(&mut self, seq: u64, event: &str, core: &[u8]) {
        let core: Value = serde_json::from_slice(core).unwrap_or_default();
        if let (Some(detail), Some(event)) = (core.get("detail"), EventKind::from_word(event)) {
            let site = core.get("site").and_then(Value::as_str).unwrap_or_default().into();
            let at_ms = core.get("t").and_then(Value::as_u64).unwrap_or_default();
            self.take(Said { seq, event, site, at_ms, detail });
        }
    }

    /// Whether `signed` was signed with a key that the journal names.
    pub(in crate::ledger) fn trusts(&self, signed: &Checkpoint) -> bool {
        self.keys.contains(&signed.key) && signed.is_signed()
    }

    fn take(&mut self, said: Said<'_>) {
        match said.event {
            EventKind::Genesis => self.keys.extend(said.hex("key")),
            EventKind::KeyDestroyed => self.destroyed.extend(said.text("kid")),
            EventKind::Erased => self.erased.extend(said.list("seqs").filter_map(Value::as_u64)),
            EventKind::HoldPlaced => self.holds.extend(said.hold()),
            EventKind::HoldReleased => {
                let id = said.text("id");
                self.holds.retain(|hold| Some(&hold.id) != id.as_ref());
                self.released.extend(id);
            }
            EventKind::RetentionPurged if said.detail.get("cut").is_some() => {
                self.keys.extend(said.hex("key"));
                self.destroyed.extend(said.list("destroyed").filter_map(Value::as_str).map(Box::from));
                self.cut = said.cut();
            }
            EventKind::RetentionPurged => self.purges.extend(said.purge().map(|purge| (said.seq, purge))),
            _ => {}
        }
    }
}

/// One record of a journal's life.
struct Said<'a> {
    seq: u64,
    event: EventKind,
    site: Box<str>,
    at_ms: u64,
    detail: &'a Value,
}

impl Said<'_> {
    fn text(&self, name: &str) -> Option<Box<str>> {
        self.detail.get(name).and_then(Value::as_str).map(Box::from)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.detail.get(name).and_then(Value::as_u64)
    }

    fn hex<const N: usize>(&self, name: &str) -> Option<[u8; N]> {
        self.detail.get(name).and_then(Value::as_str).and_then(from_hex)
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.detail.get(name).and_then(Value::as_array).into_iter().flatten()
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold {
            id: self.text("id")?,
            site: self.site.clone(),
            link: self.hex("link"),
            reason: self.text("reason").unwrap_or_default(),
            ticket: self.text("ticket").unwrap_or_default(),
            at_ms: self.at_ms,
            seq: self.seq,
        })
    }

    fn purge(&self) -> Option<Purge> {
        let seqs = Digest { count: self.number("count")?, hash: self.hex("seqs")? };
        Some(Purge { first: self.number("first")?, last: self.number("last")?, seqs })
    }

    fn cut(&self) -> Option<Cut> {
        let rest = self.list("rest").filter_map(|one| {
            let hash = one.get("seqs").and_then(Value::as_str).and_then(from_hex)?;
            Some((one.get("by")?.as_u64()?, Digest { count: one.get("count")?.as_u64()?, hash }))
        });
        Some(Cut { by: self.seq, seq: self.number("cut")?, hash: self.hex("hash")?, rest: rest.collect() })
    }
}
