//! The thread that writes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::append::{Appended, Batch};
use super::checkpoint::{self, Signer};
use super::failure::{JournalError, NotRecorded, StorageKind};
use super::schema::{self, FileId, Head, Store};
use super::{JournalOptions, JournalStatus, Position};
use crate::ledger::record::{EventKind, NewRecord};

/// Records of one transaction. More would only make the first of them wait longer.
const GROUP: usize = 1024;

/// How often the thread looks at the clock while nothing comes.
const IDLE: Duration = Duration::from_secs(1);

/// The first and the longest pause before the disk is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) type Waiter = oneshot::Sender<Result<Position, NotRecorded>>;

pub(super) enum Message {
    Record(Box<NewRecord>, Option<Waiter>),
    Flush(oneshot::Sender<Result<(), NotRecorded>>),
    /// What a test does to the database from within.
    #[cfg(test)]
    Meddle(Box<dyn FnOnce(&rusqlite::Connection) + Send>),
}

/// Why a record is missing.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Queue,
    Storage,
}

/// Records that are missing: how many, and from when to when.
#[derive(Clone, Copy, Default)]
struct Missed {
    count: u64,
    from_ms: u64,
    to_ms: u64,
}

impl Missed {
    fn add(&mut self, other: Missed) {
        if other.count > 0 {
            self.from_ms = if self.count == 0 { other.from_ms } else { self.from_ms.min(other.from_ms) };
            self.to_ms = self.to_ms.max(other.to_ms);
            self.count += other.count;
        }
    }

    fn record(self, why: &str, now_ms: u64) -> Option<NewRecord> {
        let detail = json!({"count": self.count, "from": self.from_ms, "to": self.to_ms, "why": why});
        (self.count > 0).then(|| NewRecord::of_life(EventKind::Gap, "", now_ms, detail))
    }
}

/// What the thread and the handles both see.
#[derive(Default)]
pub(super) struct Shared {
    pub status: Mutex<JournalStatus>,
    pub queued: AtomicUsize,
    missed: Mutex<[Missed; 2]>,
}

impl Shared {
    pub fn miss(&self, why: Why, at_ms: u64) {
        let one = Missed { count: 1, from_ms: at_ms, to_ms: at_ms };
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let [queue, storage] = &mut *missed;
        match why {
            Why::Queue => queue.add(one),
            Why::Storage => storage.add(one),
        }
        drop(missed);
        self.status().missed += 1;
    }

    fn status(&self) -> MutexGuard<'_, JournalStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_missed(&self) -> [Missed; 2] {
        std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, [queue, storage]: [Missed; 2]) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let [to_queue, to_storage] = &mut *missed;
        to_queue.add(queue);
        to_storage.add(storage);
    }
}

pub(super) struct Writer {
    path: PathBuf,
    file: FileId,
    options: JournalOptions,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    signer: Signer,
    head: Head,
    /// `None` while the disk fails.
    store: Option<Store>,
    failure: StorageKind,
    retry: (Instant, Duration),
    signed: (u64, u64),
    /// Checkpoints that are not outside yet.
    to_copy: Vec<u8>,
    _lock: File,
}

impl Writer {
    pub fn open(
        path: &Path,
        options: JournalOptions,
        now_ms: u64,
        receiver: Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Result<Writer, JournalError> {
        let failed = |kind| JournalError::Storage { path: path.into(), kind };
        let signer = Signer::new(&options.signing_seed).ok_or(JournalError::Key)?;
        let lock = schema::lock(path)?;
        let mut store = Store::open(path, None).map_err(failed)?;
        if !store.is_sound().map_err(failed)? {
            return Err(failed(StorageKind::Damaged));
        }
        let (version, head) = store.head().map_err(failed)?;
        if version > schema::VERSION {
            return Err(JournalError::Newer { path: path.into() });
        }
        if !store.is_whole(&head).map_err(failed)? {
            return Err(JournalError::Damaged { path: path.into(), seq: head.seq });
        }
        compare_with_outside(path, &options, &store, &head)?;
        let mut writer = Writer {
            path: path.into(),
            file: store.file,
            options,
            receiver,
            shared,
            signer,
            head,
            store: Some(store),
            failure: StorageKind::Disk,
            retry: (Instant::now(), PAUSES.0),
            signed: (0, now_ms),
            to_copy: Vec::new(),
            _lock: lock,
        };
        writer.begin().map_err(|kind| JournalError::Storage { path: path.into(), kind })?;
        Ok(writer)
    }

    /// A new journal gets its first record.
    fn begin(&mut self) -> Result<(), StorageKind> {
        if self.head.seq == 0 {
            self.append(&[], Sign::Now)?;
        }
        self.shared.status().last = self.head.seq;
        Ok(())
    }

    pub fn run(mut self) {
        let mut open = true;
        while open {
            let wait = if self.store.is_some() { IDLE } else { self.retry.0.saturating_duration_since(Instant::now()) };
            let first = match self.receiver.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    None
                }
            };
            self.recover();
            match first {
                Some(first) => self.handle(first),
                None => self.idle(),
            }
        }
        let _ = self.commit(Vec::new(), Sign::Now);
    }

    /// All that is queued now, in its order.
    fn handle(&mut self, first: Message) {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            match message {
                Message::Record(record, waiter) => group.push((record, waiter)),
                Message::Flush(waiter) => {
                    let done = self.commit(std::mem::take(&mut group), Sign::Now).map_err(NotRecorded::Storage);
                    // Nobody needs to wait for the answer.
                    let _ = waiter.send(done);
                }
                #[cfg(test)]
                Message::Meddle(meddle) => {
                    let _ = self.commit(std::mem::take(&mut group), Sign::WhenDue);
                    if let Some(store) = &self.store {
                        meddle(&store.connection);
                    }
                    return;
                }
            }
            next = if group.len() < GROUP { self.receiver.try_recv().ok() } else { None };
        }
        if !group.is_empty() {
            // Each of the group is told.
            let _ = self.commit(group, Sign::WhenDue);
        }
    }

    fn idle(&mut self) {
        let now = (self.options.clock)();
        let has_unsigned = self.head.seq > self.signed.0;
        let is_due = now >= self.signed.1.saturating_add(self.options.checkpoint_every_ms);
        if self.store.is_some() && ((has_unsigned && is_due) || day(now) > self.head.day || !self.to_copy.is_empty()) {
            let _ = self.commit(Vec::new(), Sign::WhenDue);
        }
    }

    /// Writes a group and answers all who wait for it.
    fn commit(&mut self, group: Vec<(Box<NewRecord>, Option<Waiter>)>, sign: Sign) -> Result<(), StorageKind> {
        let missed = self.shared.take_missed();
        let now = (self.options.clock)();
        let [queue, storage] = missed;
        let gaps: Vec<_> = [queue.record("queue", now), storage.record("storage", now)].into_iter().flatten().collect();
        let records: Vec<&NewRecord> = gaps.iter().chain(group.iter().map(|(record, _)| &**record)).collect();
        match self.append(&records, sign) {
            Ok(positions) => {
                for ((_, waiter), position) in group.into_iter().zip(positions.into_iter().skip(gaps.len())) {
                    waiter.map(|waiter| waiter.send(Ok(position)));
                }
                Ok(())
            }
            Err(kind) => {
                self.shared.put_back(missed);
                for (record, waiter) in group {
                    self.shared.miss(Why::Storage, record.at_ms);
                    waiter.map(|waiter| waiter.send(Err(NotRecorded::Storage(kind))));
                }
                Err(kind)
            }
        }
    }

    /// [`Batch::append`], and what follows from it.
    fn append(&mut self, records: &[&NewRecord], sign: Sign) -> Result<Vec<Position>, StorageKind> {
        match self.try_append(records, sign) {
            Ok(Appended { head, positions, checkpoints }) => {
                self.head = head;
                self.shared.status().last = self.head.seq;
                for checkpoint in checkpoints {
                    self.signed = (checkpoint.seq, checkpoint.at_ms);
                    self.shared.status().checkpoint = checkpoint.seq;
                    self.to_copy.extend(checkpoint.line());
                }
                self.copy_outside();
                Ok(positions)
            }
            Err(kind) => {
                self.fail(kind);
                Err(kind)
            }
        }
    }

    fn try_append(&mut self, records: &[&NewRecord], sign: Sign) -> Result<Appended, StorageKind> {
        let store = self.store.as_mut().ok_or(self.failure)?;
        store.is_in_place()?;
        let due_ms = match sign {
            Sign::Now => 0,
            Sign::WhenDue => self.signed.1.saturating_add(self.options.checkpoint_every_ms),
        };
        let batch = Batch { records, now_ms: (self.options.clock)(), signed: (self.signed.0, due_ms) };
        batch.append(store, &self.signer, &self.head)
    }

    fn copy_outside(&mut self) {
        let Some(path) = &self.options.checkpoints else { return self.to_copy.clear() };
        if !self.to_copy.is_empty() {
            let copied = checkpoint::append(path, &self.to_copy);
            self.shared.status().copy_failing = copied.as_ref().err().map(std::io::Error::kind);
            if copied.is_ok() {
                self.to_copy.clear();
            }
        }
    }

    fn fail(&mut self, kind: StorageKind) {
        if self.store.take().is_some() {
            self.retry = (Instant::now() + PAUSES.0, PAUSES.0);
        }
        self.failure = kind;
        let now = (self.options.clock)();
        self.shared.status().failing.get_or_insert((now, kind)).1 = kind;
    }

    /// Tries the disk again when it is time to.
    fn recover(&mut self) {
        if self.store.is_some() || Instant::now() < self.retry.0 {
            return;
        }
        match self.reopen() {
            Ok((store, head)) => {
                self.store = Some(store);
                self.head = head;
                // What is missing is told at once.
                if self.commit(Vec::new(), Sign::WhenDue).is_ok() {
                    self.shared.status().failing = None;
                    return;
                }
            }
            Err(kind) => self.fail(kind),
        }
        let pause = (self.retry.1 * 2).min(PAUSES.1);
        self.retry = (Instant::now() + pause, pause);
    }

    /// The same journal, with all that was acknowledged. What failed in its last moment may be there, too.
    fn reopen(&self) -> Result<(Store, Head), StorageKind> {
        let mut store = Store::open(&self.path, Some(self.file))?;
        let (_, head) = store.head()?;
        if head.writer != self.head.writer {
            return Err(StorageKind::Missing);
        }
        let is_ours = schema::follows(&store.connection, &head, &self.head)?;
        if is_ours && store.is_whole(&head)? { Ok((store, head)) } else { Err(StorageKind::Damaged) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Now,
    WhenDue,
}

/// A journal that is older than what was signed for it would go on along another past.
fn compare_with_outside(path: &Path, options: &JournalOptions, store: &Store, head: &Head) -> Result<(), JournalError> {
    let Some(outside) = &options.checkpoints else { return Ok(()) };
    let read = checkpoint::read(outside);
    let read = read.map_err(|error| JournalError::Storage { path: outside.clone(), kind: error.into() })?;
    let Some(last) = read.iter().max_by_key(|checkpoint| checkpoint.seq) else { return Ok(()) };
    if last.seq > head.seq {
        return Err(JournalError::Behind { path: path.into(), last: head.seq, signed: last.seq });
    }
    let hash = schema::hash_of(&store.connection, last.seq)
        .map_err(|kind| JournalError::Storage { path: path.into(), kind })?;
    if last.writer != head.writer || hash.is_some_and(|hash| hash != last.hash) {
        return Err(JournalError::OtherJournal { path: outside.clone() });
    }
    Ok(())
}

/// The day (UTC) of a time, as `2026-11-25`.
pub fn day(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}
