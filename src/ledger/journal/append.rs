//! One transaction at the end of a journal.
//!
//! Where the chain ends is read within the transaction, so that several processes may add to one journal: SQLite lets
//! one at a time write. Only the recorder of a proxy holds the journal for itself, since two proxies would be two.

use std::path::{Path, PathBuf};

use rusqlite::TransactionBehavior;
use serde_json::json;
use zeroize::Zeroizing;

use super::Position;
use super::checkpoint::{self, Checkpoint, Signer};
use super::failure::{JournalError, StorageKind};
use super::schema::{self, Head, Store};
use super::writer::day;
use crate::ledger::record::{EventKind, NewRecord, hex};

/// What goes into the journal at once: all of it is on disk afterwards, or none.
pub(super) struct Batch<'a> {
    pub records: &'a [&'a NewRecord],
    /// Records whose erasable parts are emptied.
    pub erased: &'a [u64],
    pub now_ms: u64,
    /// The last record that is under a checkpoint, and the time from which on the next is due.
    pub signed: (u64, u64),
}

/// What came of it.
pub(super) struct Appended {
    pub head: Head,
    pub positions: Vec<Position>,
    pub checkpoints: Vec<Checkpoint>,
}

impl Batch<'_> {
    /// Writes it after whatever is there, which must go on from `known`. A new journal begins with a record that names
    /// the key which signs.
    pub fn append(&self, store: &mut Store, signer: &Signer, known: &Head) -> Result<Appended, StorageKind> {
        let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = schema::end(&transaction, known.writer)?;
        if !schema::follows(&transaction, &head, known)? {
            return Err(StorageKind::Damaged);
        }
        let mut appended = Appended { head: head.clone(), positions: Vec::new(), checkpoints: Vec::new() };
        // An idle day that ended has its root already.
        head.day = head.day.max(known.day.clone());
        let detail = json!({"key": hex(&signer.public())});
        let genesis = NewRecord::of_life(EventKind::Genesis, "", self.now_ms, detail);
        let first = (head.seq == 0).then_some(&genesis);
        let skipped = usize::from(first.is_some());
        let records = first.into_iter().chain(self.records.iter().copied()).map(|record| (record.at_ms, Some(record)));
        let tick = self.records.is_empty().then_some((self.now_ms, None));
        for (at_ms, record) in records.chain(tick) {
            let today = day(at_ms);
            if today > head.day {
                if head.seq > 0 {
                    let root = checkpoint::day_root(&transaction, &head.day)?;
                    appended.checkpoints.push(signer.sign(&head, self.now_ms, Some((head.day.clone(), root))));
                }
                head.day = today;
            }
            if let Some(record) = record {
                schema::insert(&transaction, &mut head, record)?;
                appended.positions.push(Position { seq: head.seq, hash: head.hash });
            }
        }
        let (signed, due_ms) = appended.checkpoints.last().map_or(self.signed, |last| (last.seq, self.signed.1));
        if head.seq > signed && self.now_ms >= due_ms {
            appended.checkpoints.push(signer.sign(&head, self.now_ms, None));
        }
        for seq in self.erased {
            schema::erase(&transaction, *seq)?;
        }
        for checkpoint in &appended.checkpoints {
            checkpoint.store(&transaction)?;
        }
        schema::acknowledge(&transaction, &head)?;
        transaction.commit()?;
        appended.positions.drain(..skipped);
        appended.head = head;
        Ok(appended)
    }
}

/// Somebody who adds to a journal now and then.
pub struct Guest {
    /// The file outside of the journal to which each checkpoint is appended.
    pub checkpoints: Option<PathBuf>,
    /// The seed of the Ed25519 key that signs checkpoints (RFC 8032 §5.1.5).
    pub signing_seed: Zeroizing<[u8; 32]>,
    /// Milliseconds since 1970 (UTC).
    pub now_ms: u64,
}

impl Guest {
    /// Adds `records` to the journal at `path`, which is made if need be, and empties the erasable parts of `erased`.
    /// All is on disk and signed when this returns.
    ///
    /// # Errors
    /// As of [`super::Journal::open`], but another process may have the journal open. After an error that comes from
    /// emptying the write-ahead log (`Locked`), all is done but for the log, and the erasure must be repeated.
    pub fn add(&self, path: &Path, records: &[&NewRecord], erased: &[u64]) -> Result<Vec<Position>, JournalError> {
        let failed = |kind| JournalError::Storage { path: path.into(), kind };
        let signer = Signer::new(&self.signing_seed).ok_or(JournalError::Key)?;
        let mut store = Store::open(path, None).map_err(failed)?;
        let (version, head) = store.head().map_err(failed)?;
        if version > schema::VERSION {
            return Err(JournalError::Newer { path: path.into() });
        }
        let batch = Batch { records, erased, now_ms: self.now_ms, signed: (0, 0) };
        let appended = batch.append(&mut store, &signer, &head).map_err(failed)?;
        if let Some(outside) = &self.checkpoints {
            let lines: Vec<u8> = appended.checkpoints.iter().flat_map(Checkpoint::line).collect();
            checkpoint::append(outside, &lines)
                .map_err(|error| JournalError::Storage { path: outside.clone(), kind: error.into() })?;
        }
        if !erased.is_empty() {
            store.empty_log().map_err(failed)?;
        }
        Ok(appended.positions)
    }
}
