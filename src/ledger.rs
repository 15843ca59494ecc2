//! The ledger of share links: who opened or downloaded what is shared, provably, without keeping an address.
//!
//! An access becomes a record in here and only in here. What may hold a token or an address never leaves as text:
//! both become keyed digests first: an address a [`pseudonym`] under a key of [`keys`] that belongs to one site and one
//! calendar month. While that key exists, whoever holds it can ask whether a given address was there; once it is
//! destroyed, nobody can.

pub mod access;
pub mod agent;
pub mod central;
pub mod chain;
pub mod desk;
pub mod erase;
pub mod hold;
pub mod journal;
pub mod keys;
pub mod memory;
pub mod pseudonym;
pub mod record;
pub mod recording;
pub mod retention;
pub mod service;
pub mod trail;

use async_trait::async_trait;

use journal::JournalStatus;
use pseudonym::{ClientAddress, ConsentDigest, LinkDigest, ObjectDigest, Pseudonym};
use record::NewRecord;

/// Told, by long work, how many records it has gone through.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Takes records.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Returns the record's number once it is durable.
    async fn record(&self, record: NewRecord) -> Result<u64, NotRecorded>;

    /// Takes the record to be written soon.
    fn try_record(&self, record: NewRecord) -> Result<(), NotRecorded>;

    /// How it does.
    fn status(&self) -> JournalStatus {
        JournalStatus::default()
    }
}

/// The record is not taken. The reason is for the recorder's own metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRecorded;

/// Makes keyed digests.
pub trait Pseudonyms: Send + Sync {
    /// The epoch and the visitor's pseudonym in it. `None`: there is no key for that time.
    fn visitor(&self, site: &str, at_ms: u64, address: &ClientAddress) -> Option<(Box<str>, Pseudonym)>;

    /// The digest of the id in the visitor's own consent cookie. `None`: there is no key for that time.
    fn consent(&self, site: &str, at_ms: u64, id: &[u8]) -> Option<ConsentDigest>;

    /// `None`: the site has no key for links.
    fn link(&self, site: &str, token: &[u8]) -> Option<LinkDigest>;

    /// `None`: the site has no key for objects.
    fn object(&self, site: &str, path: &[u8]) -> Option<ObjectDigest>;
}
