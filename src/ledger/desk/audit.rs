//! The journal of the questions.

use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Asker, Refused, Source, Verb, of_questions};
use crate::config::LedgerSettings;
use crate::ledger::journal::Guest;
use crate::ledger::record::{EventKind, NewRecord};

/// Writes questions down. Several processes do that to one journal.
pub(super) struct Audit {
    path: std::path::PathBuf,
    guest: Guest,
    source: Source,
}

impl Audit {
    pub(super) fn new(
        settings: &LedgerSettings,
        signing_seed: Zeroizing<[u8; 32]>,
        now_ms: u64,
        source: Source,
    ) -> Self {
        let checkpoints = Some(of_questions(&settings.checkpoints));
        Audit { path: of_questions(&settings.path), guest: Guest { checkpoints, signing_seed, now_ms }, source }
    }

    /// Which records are asked about.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// When the question was asked, in milliseconds since 1970 (UTC).
    pub(super) fn now_ms(&self) -> u64 {
        self.guest.now_ms
    }

    /// Records that `asker` asked, with what else `detail` says, and returns the record's number once it is on disk.
    pub(super) fn write(&self, asker: &Asker, verb: Verb, site: &str, mut detail: Value) -> Result<u64, Refused> {
        if let Some(members) = detail.as_object_mut() {
            members.retain(|_, value| !value.is_null());
            members.insert("verb".to_owned(), verb.as_str().into());
            members.insert("role".to_owned(), asker.role.as_str().into());
            members.insert("who".to_owned(), asker.who.as_str().into());
            members.insert("via".to_owned(), asker.via.as_str().into());
            members.insert("source".to_owned(), self.source.as_str().into());
        }
        let record = NewRecord::of_life(EventKind::Audit, site, self.now_ms(), detail);
        let positions = self.guest.add(&self.path, &[&record], &[])?;
        Ok(positions.last().map(|position| position.seq).unwrap_or_default())
    }

    /// How often `verb` was asked from `since_ms` on, up to record `seq`. What was found is no question.
    pub(super) fn asked(&self, verb: Verb, since_ms: u64, seq: u64) -> Result<u64, Refused> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        let sql = "SELECT count(*) FROM record WHERE at >= ?1 AND seq <= ?2 AND event = 'audit' \
                   AND json_extract(core, '$.detail.verb') = ?3 AND json_extract(core, '$.detail.of') IS NULL";
        Ok(connection.query_row(sql, params![since_ms, seq, verb.as_str()], |row| row.get(0))?)
    }
}
