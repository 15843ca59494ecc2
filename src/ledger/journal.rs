//! The journal: records on disk, each written once, in an order that can be proven.
//!
//! One thread writes. It takes all that is queued, puts it into one transaction, and only when that is on disk (SQLite,
//! WAL, `synchronous=FULL`) tells those who wait: one flush of the disk serves as many visitors as came in the meantime.
//! No other proxy may write to the journal; a [`Guest`] may add a record now and then, and reading it is free.

mod append;
pub(in crate::ledger) mod checkpoint;
mod failure;
mod life;
pub mod prove;
mod purge;
mod schema;
mod scrub;
pub(in crate::ledger) mod stored;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use self::writer::{Message, Shared};
use super::chain::Hash;
use super::record::NewRecord;

pub use self::append::Guest;
pub use self::failure::{JournalError, NotRecorded, StorageKind};
pub use self::life::{Hold, Life};
pub(in crate::ledger) use self::purge::is_needed;
pub use self::purge::{Count, Due, Interruptible, Purged, count, sites};
#[cfg(test)]
pub(super) use self::schema::SCHEMA;
pub(in crate::ledger) use self::schema::writer_of;
pub use self::writer::day;

/// Tells the time, in milliseconds since 1970 (UTC).
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a journal is kept.
pub struct JournalOptions {
    /// How many records may wait for the writer.
    pub queue: usize,
    pub pressure: Pressure,
    /// The file outside of the journal to which each checkpoint is appended. Without it nobody can tell a journal from
    /// an older copy of it.
    pub checkpoints: Option<PathBuf>,
    /// How long records may stay without a signed checkpoint, in milliseconds.
    pub checkpoint_every_ms: u64,
    /// The seed of the Ed25519 key that signs checkpoints (RFC 8032 §5.1.5).
    pub signing_seed: Zeroizing<[u8; 32]>,
    pub clock: Clock,
}

/// What happens to a record that cannot be taken, and to the response that it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pressure {
    /// It is refused, and the response is not served: nothing is missing.
    #[default]
    Refuse,
    /// It is dropped and counted, and the response is served; a `gap` record tells how many are missing.
    Drop,
}

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub seq: u64,
    pub hash: Hash,
}

/// How the journal does.
#[derive(Clone, Default, Debug)]
pub struct JournalStatus {
    /// The number of the last record on disk.
    pub last: u64,
    /// Records that wait for the writer.
    pub queued: usize,
    /// Records that were not written since the journal was opened, for want of room or of a disk.
    pub missed: u64,
    /// Since when (milliseconds since 1970) nothing can be written, and why.
    pub failing: Option<(u64, StorageKind)>,
    /// The number of the last record under a signed checkpoint.
    pub checkpoint: u64,
    /// Why checkpoints cannot be copied outside.
    pub copy_failing: Option<std::io::ErrorKind>,
    pub retention: RetentionStatus,
}

/// How removing what is due goes.
#[derive(Clone, Default, Debug)]
pub struct RetentionStatus {
    /// When all that was due was last gone, in milliseconds since 1970 (UTC).
    pub last_success_ms: Option<u64>,
    /// Since when it fails, in milliseconds since 1970 (UTC), and why.
    pub failing: Option<(u64, String)>,
    /// Records that were purged since the journal was opened.
    pub purged: u64,
}

/// A handle to a journal. The last one to go waits until all that is queued is on disk.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle {
    sender: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
    pressure: Pressure,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal at `path`, or makes one. All of it is read to find damage; none is ever repaired silently.
    ///
    /// # Errors
    /// Another process has it, the disk does not allow it, it is damaged, or it is older than its checkpoints say.
    pub fn open(path: &Path, options: JournalOptions, now_ms: u64) -> Result<Journal, JournalError> {
        let (sender, receiver) = sync_channel(options.queue.max(1));
        let pressure = options.pressure;
        let shared = Arc::new(Shared::default());
        let writer = writer::Writer::open(path, options, now_ms, receiver, shared.clone())?;
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| JournalError::Thread(error.kind()))?;
        Ok(Journal(Arc::new(Handle { sender: Some(sender), shared, pressure, thread: Some(thread) })))
    }

    /// Queues a record, and does not wait for it to be written.
    ///
    /// # Errors
    /// There is no room in the queue.
    pub fn try_record(&self, record: NewRecord) -> Result<(), NotRecorded> {
        self.send_record(record, None)
    }

    /// Writes a record: it is on disk when this resolves.
    ///
    /// # Errors
    /// There is no room in the queue, or the disk fails. The record may still be found later if the disk failed at the
    /// very end of writing it, but nobody relies on it.
    pub async fn record(&self, record: NewRecord) -> Result<Position, NotRecorded> {
        let (waiter, answer) = oneshot::channel();
        self.send_record(record, Some(waiter))?;
        answer.await.unwrap_or(Err(NotRecorded::Closed))
    }

    /// Resolves when all that was queued before is on disk and under a signed checkpoint.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn flush(&self) -> Result<(), NotRecorded> {
        let (waiter, answer) = oneshot::channel();
        self.send(Message::Flush(waiter))?;
        answer.await.unwrap_or(Err(NotRecorded::Closed))
    }

    /// How it does now.
    pub fn status(&self) -> JournalStatus {
        let mut status = self.0.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.queued = self.0.shared.queued.load(Ordering::Relaxed);
        status
    }

    /// Tells what came of removing what is due at `now_ms`: how many records were purged, or why it failed.
    pub(in crate::ledger) fn note_retention(&self, now_ms: u64, purged: Result<u64, String>) {
        let mut status = self.0.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let retention = &mut status.retention;
        match purged {
            Ok(purged) => {
                retention.purged += purged;
                (retention.last_success_ms, retention.failing) = (Some(now_ms), None);
            }
            Err(reason) => {
                let since = retention.failing.as_ref().map_or(now_ms, |(since, _)| *since);
                retention.failing = Some((since, reason));
            }
        }
    }

    fn send_record(&self, record: NewRecord, waiter: Option<writer::Waiter>) -> Result<(), NotRecorded> {
        let at_ms = record.at_ms;
        let sent = self.send(Message::Record(Box::new(record), waiter));
        if sent == Err(NotRecorded::QueueFull) && self.0.pressure == Pressure::Drop {
            self.0.shared.miss(writer::Why::Queue, at_ms);
        }
        sent
    }

    fn send(&self, message: Message) -> Result<(), NotRecorded> {
        let sender = self.0.sender.as_ref().ok_or(NotRecorded::Closed)?;
        // Counted first, so that the writer never counts down what was not counted up.
        self.0.shared.queued.fetch_add(1, Ordering::Relaxed);
        sender.try_send(message).map_err(|error| {
            self.0.shared.queued.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => NotRecorded::QueueFull,
                TrySendError::Disconnected(_) => NotRecorded::Closed,
            }
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has told so on its way down.
            let _ = thread.join();
        }
    }
}
