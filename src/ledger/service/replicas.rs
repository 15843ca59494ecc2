//! What removing needs to know from the central store, and does there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::config::CentralSettings;
use crate::ledger::central::retention::{self as central_retention, Purged};
use crate::ledger::central::{self, CentralError, Held, Watch};
use crate::ledger::hold;
use crate::ledger::journal::Guest;
use crate::ledger::keys::SiteKeys;
use crate::ledger::retention::{self, RetentionError};

/// For how long what was held in other replicas is good enough to purge by, and how often the central store is purged.
const DAY_MS: u64 = 86_400_000;

/// How long the central store may take for an answer; after that, it is taken whenever it comes.
const PATIENCE: Duration = Duration::from_secs(30);
const SLICE: Duration = Duration::from_millis(100);

/// Who else has records.
pub(super) struct Replicas {
    store: CentralSettings,
    watch: Watch,
    reading: Errand<Result<Known, CentralError>>,
    purging: Errand<Result<Option<Purged>, CentralError>>,
    read_ms: Option<u64>,
    purged_ms: Option<u64>,
    needed: BTreeSet<(String, String)>,
}

/// What is held anywhere, and the site and month of each key that those records need.
struct Known {
    held: Held,
    needed: BTreeSet<(String, String)>,
}

impl Replicas {
    pub fn new(store: CentralSettings, watch: Watch) -> Self {
        let (reading, purging) = (Errand(None), Errand(None));
        Replicas { store, watch, reading, purging, read_ms: None, purged_ms: None, needed: BTreeSet::new() }
    }

    /// Takes what others hold into the journal at `path`.
    ///
    /// # Errors
    /// What others hold is not known, and was not within the last day; or the journal cannot be written.
    pub fn adopt(&mut self, guest: &Guest, path: &Path, is_stopped: &dyn Fn() -> bool) -> Result<(), RetentionError> {
        let (now, store) = (guest.now_ms, self.store.clone());
        let failed = match self.reading.result(now, is_stopped, move || read(&store)) {
            Some((at_ms, Ok(known))) => {
                hold::adopt(guest, path, &known.held)?;
                (self.read_ms, self.needed) = (Some(at_ms), known.needed);
                return Ok(());
            }
            Some((_, Err(error))) => error,
            None => CentralError::Unreachable("no answer".to_owned()),
        };
        if self.read_ms.is_some_and(|at_ms| now.saturating_sub(at_ms) <= DAY_MS) {
            log::warn!("what other replicas hold is known from before: the central store: {failed}");
            return Ok(());
        }
        Err(RetentionError::HoldsUnknown(failed))
    }

    /// The site and month of each key that records need which are held anywhere.
    pub fn needed(&self) -> &BTreeSet<(String, String)> {
        &self.needed
    }

    /// Purges the central store, once a day, by the holds that the journal at `path` has.
    ///
    /// # Errors
    /// The journal cannot be read. What goes wrong with the central store is only told.
    pub fn purge(
        &mut self,
        now_ms: u64,
        path: &Path,
        sites: &[SiteKeys],
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), RetentionError> {
        let is_fresh = self.read_ms.is_some_and(|at_ms| at_ms == now_ms);
        let is_due = self.purged_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= DAY_MS);
        if !(self.purging.is_running() || is_fresh && is_due) {
            return Ok(());
        }
        let holds = hold::list(path)?;
        let cutoffs = retention::cutoffs(sites, now_ms, &holds)?;
        let in_force: Vec<_> = holds.iter().map(|hold| hold.id.to_string()).collect();
        let store = self.store.clone();
        let purge = move || central_retention::run_alone(&mut central::connect(&store)?, &cutoffs, &in_force);
        match self.purging.result(now_ms, is_stopped, purge) {
            Some((at_ms, Ok(purged))) => {
                self.purged_ms = Some(at_ms);
                self.watch.note_purge(None);
                if let Some(Purged { records, days }) = purged.filter(|purged| purged.records + purged.days > 0) {
                    log::info!("{records} records of the central store were due and are purged, {days} days dropped");
                }
            }
            Some((_, Err(error))) => {
                let reason = match &error {
                    CentralError::NotAllowed(_) => format!("{error}: {}", central_retention::GRANTS),
                    _ => error.to_string(),
                };
                log::error!("what is due cannot be removed from the central store: {reason}");
                self.watch.note_purge(Some(reason));
            }
            None => {}
        }
        Ok(())
    }
}

fn read(store: &CentralSettings) -> Result<Known, CentralError> {
    let mut client = central::connect(store)?;
    let held = match central::held(&mut client) {
        // Nobody shipped anything: nothing is held elsewhere.
        Err(CentralError::Empty) => return Ok(Known { held: Held::default(), needed: BTreeSet::new() }),
        held => held?,
    };
    let needed = central::needed_keys(&mut client, &held.holds)?;
    Ok(Known { held, needed })
}

/// Work on a thread of its own, since a server may neither answer nor fail: one at a time.
struct Errand<T>(Option<(u64, Receiver<T>)>);

impl<T: Send + 'static> Errand<T> {
    fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// What comes of `work`, or of that which still goes on, and when it was begun. `None`: nothing yet.
    fn result(
        &mut self,
        now_ms: u64,
        is_stopped: &dyn Fn() -> bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<(u64, T)> {
        let (at_ms, receiver) = self.0.take().or_else(|| {
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new().name("central".to_owned());
            thread.spawn(move || sender.send(work()).ok()).ok().map(|_| (now_ms, receiver))
        })?;
        for _ in 0..PATIENCE.as_millis() / SLICE.as_millis() {
            match receiver.recv_timeout(SLICE) {
                Ok(done) => return Some((at_ms, done)),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if is_stopped() => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.0 = Some((at_ms, receiver));
        None
    }
}
