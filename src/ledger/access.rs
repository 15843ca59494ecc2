//! What of all requests for share links is an access to be recorded, and which of them are the same access.
//!
//! An open is recorded once per visitor, link and window. A download is one access however many ranges and retries it
//! takes: it is recorded before its first bytes go out, and once more when all are there, or when no more came for a
//! window. Visitors are told apart by a number that only this process can make and that it never writes down.

mod coverage;
mod facts;
mod window;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::pseudonym::{LinkDigest, ObjectDigest};
use super::record::EventKind;
pub use facts::{Part, RequestFacts, ResponseFacts};
use window::{Entry, Window};

/// Locks, so that few requests wait for one another.
const SHARDS: usize = 16;

/// One visitor, told apart from others in this process only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VisitorKey(u64);

/// What makes two requests the same access.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccessKey {
    pub site: Arc<str>,
    pub visitor: VisitorKey,
    pub link: LinkDigest,
    /// For downloads only.
    pub object: Option<ObjectDigest>,
    pub event: Event,
}

/// The events that a visitor causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Open,
    Download,
    Denied,
}

impl From<Event> for EventKind {
    fn from(event: Event) -> Self {
        match event {
            Event::Open => EventKind::Open,
            Event::Download => EventKind::Download,
            Event::Denied => EventKind::Denied,
        }
    }
}

/// What is to be done before a response goes out.
pub enum Decision {
    /// It belongs to an access that is recorded.
    Known(Ticket),
    /// It is to be recorded, and the ticket told so.
    Record(Ticket),
    /// The same access is being recorded. Ask again when this has ended.
    Wait(watch::Receiver<()>),
}

/// The end of a download, or the last that is known of it.
pub struct Completion {
    pub key: AccessKey,
    /// Number of the record that this completes, if it is known.
    pub of: Option<u64>,
    /// Different bytes of the file that went out.
    pub bytes: u64,
    /// Whether these are all.
    pub complete: bool,
    /// Since the first request.
    pub duration_ms: u64,
}

/// Knows the accesses of the current windows. A handle: clones know the same.
#[derive(Clone)]
pub struct AccessTracker {
    shards: Arc<Shards>,
    hasher: RandomState,
}

struct Shards {
    first: Mutex<Window>,
    others: Vec<Mutex<Window>>,
}

/// One request of an access. Dropped before it was recorded, the access counts as unseen.
pub struct Ticket {
    tracker: AccessTracker,
    key: AccessKey,
    records: bool,
}

impl AccessTracker {
    /// Knows at most about `capacity` accesses; for one more, the one untouched for longest is forgotten, and a later
    /// request of it then recorded anew.
    pub fn new(capacity: usize) -> Self {
        let each = capacity.div_ceil(SHARDS).max(1);
        let shard = || Mutex::new(Window::new(each));
        let shards = Shards { first: shard(), others: (1..SHARDS).map(|_| shard()).collect() };
        AccessTracker { shards: Arc::new(shards), hasher: RandomState::new() }
    }

    /// The visitor that `identity` stands for: an address or what a session cookie holds.
    pub fn visitor(&self, identity: &[u8]) -> VisitorKey {
        VisitorKey(self.hasher.hash_one(identity))
    }

    /// What is to be done with a request for `key`, whose accesses are one for `window_ms`.
    pub fn decide(&self, key: AccessKey, window_ms: u64, now_ms: u64) -> Decision {
        let ticket = |key, records| Ticket { tracker: self.clone(), key, records };
        let mut window = self.window(&key);
        if let Some(entry) = window.get(&key, now_ms) {
            return match &entry.pending {
                Some(pending) => Decision::Wait(pending.subscribe()),
                None => {
                    entry.open_requests += 1;
                    Decision::Known(ticket(key, false))
                }
            };
        }
        window.insert(key.clone(), Entry::new(window_ms, now_ms));
        Decision::Record(ticket(key, true))
    }

    /// Downloads that ended unfinished: their window closed, or there was no room to wait for it.
    pub fn sweep(&self, now_ms: u64) -> Vec<Completion> {
        let shards = std::iter::once(&self.shards.first).chain(&self.shards.others);
        shards.flat_map(|shard| lock(shard).sweep(now_ms)).collect()
    }

    fn window(&self, key: &AccessKey) -> MutexGuard<'_, Window> {
        let position = usize::try_from(self.hasher.hash_one(key) % (SHARDS as u64)).unwrap_or_default();
        lock(self.shards.others.get(position).unwrap_or(&self.shards.first))
    }
}

/// What a panic elsewhere left is whole: nothing in a window spans two steps.
fn lock(shard: &Mutex<Window>) -> MutexGuard<'_, Window> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ticket {
    /// Whether the access is not recorded yet, which is for the holder to do.
    pub fn is_new(&self) -> bool {
        self.records
    }

    /// What access this is.
    pub fn key(&self) -> &AccessKey {
        &self.key
    }

    /// The access is recorded, as `number` if that is known.
    pub fn recorded(&mut self, number: Option<u64>) {
        self.records = false;
        if let Some(entry) = self.tracker.window(&self.key).any(&self.key) {
            entry.pending = None;
            entry.number = number;
            entry.open_requests += 1;
        }
    }

    /// The request has ended after `sent` bytes of `part`; `ended` tells that this was the end of the body. Returns the
    /// completion, once, when the visitor has the whole file.
    pub fn finish(self, part: &Part, sent: u64, ended: bool, now_ms: u64) -> Option<Completion> {
        if self.records || self.key.event != Event::Download {
            return None;
        }
        let mut window = self.tracker.window(&self.key);
        let entry = window.any(&self.key)?;
        entry.add(part, sent, ended, now_ms).then(|| entry.completion(&self.key, now_ms))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut window = self.tracker.window(&self.key);
        if self.records {
            window.forget_pending(&self.key);
        } else if let Some(entry) = window.any(&self.key) {
            entry.open_requests = entry.open_requests.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
