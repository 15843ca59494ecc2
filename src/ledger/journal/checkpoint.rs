//! Signed statements of how far the journal went, inside of it and outside.
//!
//! A chain alone does not show that its end was cut off. A checkpoint does, where whoever cuts cannot reach it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rusqlite::{Transaction, params};
use serde_json::Value;

use super::failure::StorageKind;
use super::schema::Head;
use crate::ledger::chain::{self, Hash};
use crate::ledger::record::{canonical, from_hex, hex};

const CONTEXT: &[u8] = b"checkpoint/1";

/// A public key (RFC 8032).
pub(in crate::ledger) type PublicKey = [u8; 32];

/// What is signed: record `seq` has this hash, and if it is the last of a day, the day's records have this root.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::ledger) struct Checkpoint {
    pub writer: chain::Writer,
    pub seq: u64,
    pub at_ms: u64,
    pub hash: Hash,
    pub day: Option<(String, Hash)>,
    pub key: PublicKey,
    pub signature: Vec<u8>,
}

/// The key that signs checkpoints.
pub(super) struct Signer(Ed25519KeyPair);

impl Signer {
    pub fn new(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Signer)
    }

    pub fn public(&self) -> PublicKey {
        self.0.public_key().as_ref().try_into().unwrap_or_default()
    }

    pub fn sign(&self, head: &Head, at_ms: u64, day: Option<(String, Hash)>) -> Checkpoint {
        let (writer, seq, hash) = (head.writer, head.seq, head.hash);
        let mut checkpoint = Checkpoint { writer, seq, at_ms, hash, day, key: self.public(), signature: Vec::new() };
        checkpoint.signature = self.0.sign(&checkpoint.signed()).as_ref().to_vec();
        checkpoint
    }
}

impl Checkpoint {
    pub fn is_signed(&self) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(&self.signed(), &self.signature).is_ok()
    }

    fn signed(&self) -> Vec<u8> {
        [CONTEXT, &canonical(self.fields())].concat()
    }

    fn fields(&self) -> BTreeMap<&'static str, Value> {
        let mut fields = BTreeMap::from([
            ("w", Value::from(hex(&self.writer))),
            ("n", Value::from(self.seq)),
            ("at", Value::from(self.at_ms)),
            ("h", Value::from(hex(&self.hash))),
            ("key", Value::from(hex(&self.key))),
        ]);
        if let Some((day, root)) = &self.day {
            fields.insert("day", Value::from(day.as_str()));
            fields.insert("root", Value::from(hex(root)));
        }
        fields
    }

    /// One line of JSON, with its end.
    pub fn line(&self) -> Vec<u8> {
        let mut fields = self.fields();
        fields.insert("sig", Value::from(hex(&self.signature)));
        let mut line = canonical(fields);
        line.push(b'\n');
        line
    }

    fn from_line(line: &str) -> Option<Self> {
        let fields: Value = serde_json::from_str(line).ok()?;
        let text = |name| fields.get(name).and_then(Value::as_str);
        let number = |name| fields.get(name).and_then(Value::as_u64);
        let day = match (text("day"), text("root")) {
            (Some(day), Some(root)) => Some((day.to_owned(), from_hex(root)?)),
            _ => None,
        };
        Some(Checkpoint {
            writer: from_hex(text("w")?)?,
            seq: number("n")?,
            at_ms: number("at")?,
            hash: from_hex(text("h")?)?,
            day,
            key: from_hex(text("key")?)?,
            signature: from_hex::<64>(text("sig")?)?.to_vec(),
        })
    }

    pub fn store(&self, transaction: &Transaction) -> Result<(), StorageKind> {
        let (day, root) = self.day.as_ref().map(|(day, root)| (day.as_str(), *root)).unzip();
        transaction.execute(
            "INSERT OR REPLACE INTO checkpoint VALUES (?1,?2,?3,?4,?5,?6,?7)",
            params![self.seq, self.at_ms, self.hash, day, root, self.signature, self.key],
        )?;
        Ok(())
    }

    /// From a row of `seq, at, hash, day, root, signature, key`.
    pub fn from_row(writer: chain::Writer, row: &rusqlite::Row) -> rusqlite::Result<Self> {
        let (day, root): (Option<String>, Option<Hash>) = (row.get(3)?, row.get(4)?);
        Ok(Checkpoint {
            writer,
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            hash: row.get(2)?,
            day: day.zip(root),
            signature: row.get(5)?,
            key: row.get(6)?,
        })
    }
}

/// Appends to the copy outside, and waits until it is on disk.
pub(super) fn append(path: &Path, lines: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(lines)?;
    file.sync_data()
}

/// The checkpoints of the copy outside. A line that a crash cut short says nothing, and is passed over.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<Checkpoint>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(Checkpoint::from_line).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The root over the records that are filed under `day`.
pub(super) fn day_root(connection: &rusqlite::Connection, day: &str) -> Result<Hash, StorageKind> {
    let mut statement = connection.prepare("SELECT hash FROM record WHERE day = ?1 ORDER BY seq")?;
    let hashes: Vec<Hash> = statement.query_map([day], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(chain::merkle_root(&hashes))
}
