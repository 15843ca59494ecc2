//! A record as it is kept.

use rusqlite::Row;

use crate::ledger::chain::Hash;
use crate::ledger::pseudonym::{ConsentDigest, ObjectDigest, Pseudonym};
use crate::ledger::record::Erasable;

/// The columns of [`Stored`], in the order in which it is read.
pub(in crate::ledger) const COLUMNS: &str = "seq, day, at, site, event, link, epoch, core, prev, hash, salt, visitor, \
    object, agent_name, country, referrer, consent";

/// A record as the journal and the central store keep it.
pub(in crate::ledger) struct Stored {
    pub seq: u64,
    /// Under which it is filed, as `2026-11-25`.
    pub day: String,
    /// Milliseconds since 1970 (UTC).
    pub at: u64,
    pub site: String,
    pub event: String,
    pub link: Option<[u8; 16]>,
    pub epoch: Option<String>,
    pub core: Vec<u8>,
    pub previous: Hash,
    pub hash: Hash,
    pub salt: Option<[u8; 16]>,
    pub erasable: Erasable,
}

impl Stored {
    /// Reads a row of the [`COLUMNS`].
    pub fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Stored {
            seq: row.get(0)?,
            day: row.get(1)?,
            at: row.get(2)?,
            site: row.get(3)?,
            event: row.get(4)?,
            link: row.get(5)?,
            epoch: row.get(6)?,
            core: row.get(7)?,
            previous: row.get(8)?,
            hash: row.get(9)?,
            salt: row.get(10)?,
            erasable: Erasable {
                visitor: row.get::<_, Option<[u8; 16]>>(11)?.map(Pseudonym),
                object: row.get::<_, Option<[u8; 16]>>(12)?.map(ObjectDigest),
                agent_name: row.get(13)?,
                country: row.get(14)?,
                referrer: row.get(15)?,
                consent: row.get::<_, Option<[u8; 16]>>(16)?.map(ConsentDigest),
            },
        })
    }
}
