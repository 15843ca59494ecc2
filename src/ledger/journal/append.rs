//! One transaction at the end of a journal.
//!
//! Where the chain ends is read within the transaction, so that several processes may add to one journal: SQLite lets
//! one at a time write. Only the recorder of a proxy holds the journal for itself, since two proxies would be two.

use std::path::{Path, PathBuf};

use rusqlite::{Transaction, TransactionBehavior};
use serde_json::json;
use zeroize::Zeroizing;

use super::Position;
use super::checkpoint::{self, Checkpoint, Signer};
use super::failure::{JournalError, StorageKind};
use super::schema::{self, Head, Store};
use super::writer::day;
use super::{purge, scrub};
use crate::ledger::record::{EventKind, NewRecord, hex};

/// What goes into the journal at once: all of it is on disk afterwards, or none.
pub(super) struct Batch<'a> {
    pub records: &'a [&'a NewRecord],
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
    /// Writes it after whatever is there, which must go on from `known`.
    pub fn append(&self, store: &mut Store, signer: &Signer, known: &Head) -> Result<Appended, StorageKind> {
        let mut addition = Addition::begin(store, signer, known, self.now_ms)?;
        for record in self.records {
            addition.add(record)?;
        }
        if self.records.is_empty() {
            addition.turn_to(self.now_ms)?;
        }
        addition.finish(self.signed)
    }
}

/// A transaction that adds to the end of a journal. Nobody else adds anything meanwhile, and nothing is there unless it
/// is finished.
pub(in crate::ledger) struct Addition<'a> {
    pub transaction: Transaction<'a>,
    signer: &'a Signer,
    now_ms: u64,
    appended: Appended,
}

impl<'a> Addition<'a> {
    /// Begins after whatever is there, which must go on from `known`. A new journal begins with a record that names the
    /// key which signs.
    fn begin(store: &'a mut Store, signer: &'a Signer, known: &Head, now_ms: u64) -> Result<Addition<'a>, StorageKind> {
        let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = schema::end(&transaction, known.writer)?;
        if !schema::follows(&transaction, &head, known)? {
            return Err(StorageKind::Damaged);
        }
        // An idle day that ended has its root already.
        head.day = head.day.max(known.day.clone());
        let is_new = head.seq == 0;
        let appended = Appended { head, positions: Vec::new(), checkpoints: Vec::new() };
        let mut addition = Addition { transaction, signer, now_ms, appended };
        if is_new {
            let detail = json!({"key": hex(&signer.public())});
            addition.add(&NewRecord::of_life(EventKind::Genesis, "", now_ms, detail))?;
            addition.appended.positions.clear();
        }
        Ok(addition)
    }

    /// Where the records are that were added.
    pub fn positions(&self) -> &[Position] {
        &self.appended.positions
    }

    /// Adds a record.
    pub fn add(&mut self, record: &NewRecord) -> Result<Position, StorageKind> {
        self.turn_to(record.at_ms)?;
        let head = &mut self.appended.head;
        schema::insert(&self.transaction, head, record)?;
        let position = Position { seq: head.seq, hash: head.hash };
        self.appended.positions.push(position);
        Ok(position)
    }

    /// Signs the day before, if `at_ms` is of another.
    fn turn_to(&mut self, at_ms: u64) -> Result<(), StorageKind> {
        let head = &mut self.appended.head;
        let today = day(at_ms);
        if today > head.day {
            if head.seq > 0 {
                let root = checkpoint::day_root(&self.transaction, &head.day)?;
                let signed = self.signer.sign(head, self.now_ms, Some((head.day.clone(), root)));
                self.appended.checkpoints.push(signed);
            }
            head.day = today;
        }
        Ok(())
    }

    /// Puts all of it on disk, signed if that is due: `signed` is the last record that is under a checkpoint, and the
    /// time from which on the next is due.
    fn finish(self, signed: (u64, u64)) -> Result<Appended, StorageKind> {
        let Addition { transaction, signer, now_ms, mut appended } = self;
        let signed = (appended.checkpoints.last().map_or(signed.0, |last| last.seq), signed.1);
        if appended.head.seq > signed.0 && now_ms >= signed.1 {
            appended.checkpoints.push(signer.sign(&appended.head, now_ms, None));
        }
        for checkpoint in &appended.checkpoints {
            checkpoint.store(&transaction)?;
        }
        schema::acknowledge(&transaction, &appended.head)?;
        transaction.commit()?;
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
        let mut visit = self.visit(path)?;
        let positions = visit.add(|addition| {
            for record in records {
                addition.add(record)?;
            }
            for seq in erased {
                schema::erase(&addition.transaction, *seq)?;
            }
            if !erased.is_empty() {
                scrub::note_removed(&addition.transaction)?;
            }
            Ok(addition.positions().to_vec())
        })?;
        if !erased.is_empty() {
            visit.wipe(purge::make_room)?;
        }
        Ok(positions)
    }

    /// Opens the journal at `path` for several transactions.
    pub(in crate::ledger) fn visit<'a>(&'a self, path: &'a Path) -> Result<Visit<'a>, JournalError> {
        let failed = |kind| JournalError::Storage { path: path.into(), kind };
        let signer = Signer::new(&self.signing_seed).ok_or(JournalError::Key)?;
        let mut store = Store::open(path, None).map_err(failed)?;
        let (version, head) = store.head().map_err(failed)?;
        if version > schema::VERSION {
            return Err(JournalError::Newer { path: path.into() });
        }
        Ok(Visit { guest: self, path, signer, store, head })
    }
}

/// A journal that a guest has open.
pub(in crate::ledger) struct Visit<'a> {
    guest: &'a Guest,
    path: &'a Path,
    signer: Signer,
    store: Store,
    head: Head,
}

impl Visit<'_> {
    /// Does `work` in one transaction, and signs what it added.
    pub fn add<T>(&mut self, work: impl FnOnce(&mut Addition) -> Result<T, StorageKind>) -> Result<T, JournalError> {
        let failed = |kind| JournalError::Storage { path: self.path.into(), kind };
        let addition = Addition::begin(&mut self.store, &self.signer, &self.head, self.guest.now_ms);
        let mut addition = addition.map_err(failed)?;
        let done = work(&mut addition).map_err(failed)?;
        let appended = addition.finish((self.head.seq, 0)).map_err(failed)?;
        self.head = appended.head;
        if let Some(outside) = &self.guest.checkpoints {
            let lines: Vec<u8> = appended.checkpoints.iter().flat_map(Checkpoint::line).collect();
            checkpoint::append(outside, &lines)
                .map_err(|error| JournalError::Storage { path: outside.clone(), kind: error.into() })?;
        }
        Ok(done)
    }

    /// Wipes what was removed from all files. `rest` is called between transactions.
    pub(super) fn wipe(&mut self, rest: impl FnMut()) -> Result<(), JournalError> {
        scrub::wipe(&mut self.store, rest).map_err(|kind| JournalError::Storage { path: self.path.into(), kind })
    }
}
