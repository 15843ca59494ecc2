//! The accesses of the current windows, bounded in number.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

use super::coverage::Coverage;
use super::{AccessKey, Completion, Event, Part};

/// What is known of one access.
pub(super) struct Entry {
    /// There as long as the access is being recorded; those who wait see it go.
    pub pending: Option<watch::Sender<()>>,
    pub number: Option<u64>,
    pub open_requests: u32,
    window_ms: u64,
    started_ms: u64,
    /// When the last request of an unfinished download ended.
    touched_ms: u64,
    coverage: Coverage,
    /// Bytes of which it is not known where in the file they belong.
    unplaced: u64,
    total: Option<u64>,
    complete: bool,
}

impl Entry {
    pub fn new(window_ms: u64, now_ms: u64) -> Self {
        Entry {
            pending: Some(watch::channel(()).0),
            number: None,
            open_requests: 0,
            window_ms,
            started_ms: now_ms,
            touched_ms: now_ms,
            coverage: Coverage::default(),
            unplaced: 0,
            total: None,
            complete: false,
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        let idle = self.complete || self.open_requests == 0;
        self.pending.is_none() && idle && now_ms >= self.touched_ms.saturating_add(self.window_ms)
    }

    /// Adds what a response brought. Returns whether the file is whole by it.
    pub fn add(&mut self, part: &Part, sent: u64, ended: bool, now_ms: u64) -> bool {
        if self.complete {
            return false;
        }
        self.touched_ms = now_ms;
        self.total = part.total.or(self.total);
        match part.start {
            Some(start) => self.coverage.add(start, sent),
            None => self.unplaced = self.unplaced.saturating_add(sent),
        }
        let known = part.start.is_some() && self.total.is_some_and(|total| self.coverage.is_whole(total));
        self.complete = part.held || known || (part.whole && part.total.is_none() && ended);
        self.complete
    }

    pub fn completion(&self, key: &AccessKey, now_ms: u64) -> Completion {
        Completion {
            key: key.clone(),
            of: self.number,
            bytes: self.coverage.bytes().saturating_add(self.unplaced),
            complete: self.complete,
            duration_ms: now_ms.saturating_sub(self.started_ms),
        }
    }

    /// What is left to be said of it when it is forgotten.
    fn left(&self, key: &AccessKey) -> Option<Completion> {
        let left = self.completion(key, self.touched_ms);
        (key.event == Event::Download && self.pending.is_none() && !left.complete && left.bytes > 0).then_some(left)
    }
}

/// A part of all accesses.
pub(super) struct Window {
    capacity: usize,
    entries: HashMap<AccessKey, Entry>,
    /// In the order of `touched_ms` as it was then.
    order: VecDeque<(AccessKey, u64)>,
    /// Of what was forgotten since the last sweep.
    left: Vec<Completion>,
}

impl Window {
    pub fn new(capacity: usize) -> Self {
        Window { capacity, entries: HashMap::new(), order: VecDeque::new(), left: Vec::new() }
    }

    /// The entry, if its window is still open.
    pub fn get(&mut self, key: &AccessKey, now_ms: u64) -> Option<&mut Entry> {
        if self.entries.get(key)?.is_over(now_ms) {
            self.forget(key);
        }
        self.entries.get_mut(key)
    }

    pub fn any(&mut self, key: &AccessKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub fn insert(&mut self, key: AccessKey, entry: Entry) {
        while self.entries.len() >= self.capacity && self.make_room() {}
        self.order.push_back((key.clone(), entry.touched_ms));
        self.entries.insert(key, entry);
        // What is forgotten out of order leaves its place in the order behind.
        if self.order.len() > self.capacity.saturating_mul(4) {
            let entries = &self.entries;
            let mut seen = std::collections::HashSet::new();
            self.order.retain(|(key, _)| entries.contains_key(key) && seen.insert(key.clone()));
        }
    }

    /// Forgets the oldest; one that was touched since it took its place goes to the end instead.
    fn make_room(&mut self) -> bool {
        let Some((key, placed)) = self.order.pop_front() else { return false };
        match self.entries.get(&key) {
            Some(entry) if entry.touched_ms > placed => {
                let touched = entry.touched_ms;
                self.order.push_back((key, touched));
            }
            _ => self.forget(&key),
        }
        true
    }

    fn forget(&mut self, key: &AccessKey) {
        let left = self.entries.remove(key).and_then(|entry| entry.left(key));
        let room = self.capacity.saturating_sub(self.left.len());
        self.left.extend(left.into_iter().take(room));
    }

    /// Forgets an access that could not be recorded.
    pub fn forget_pending(&mut self, key: &AccessKey) {
        if self.entries.get(key).is_some_and(|entry| entry.pending.is_some()) {
            self.entries.remove(key);
        }
    }

    pub fn sweep(&mut self, now_ms: u64) -> Vec<Completion> {
        let over = self.entries.extract_if(|_, entry| entry.is_over(now_ms));
        self.left.extend(over.filter_map(|(key, entry)| entry.left(&key)));
        let entries = &self.entries;
        self.order.retain(|(key, _)| entries.contains_key(key));
        std::mem::take(&mut self.left)
    }

    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.order.len())
    }
}
