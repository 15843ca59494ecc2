//! The thread that removes what is due.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::replicas::Replicas;
use crate::config::LedgerSettings;
use crate::ledger::journal::{Clock, Guest, Journal};
use crate::ledger::keys::{KeyRing, SiteKeys};
use crate::ledger::retention::{self, RetentionError};

/// How often it looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is due goes within this time: days end at another hour in each time zone.
const PURGE_EVERY_MS: u64 = 60 * 60_000;

/// After a failure, it is tried again this much later.
const RETRY_AFTER_MS: u64 = 10 * 60_000;

/// All that is needed to remove records and keys.
pub(super) struct Retain {
    pub settings: LedgerSettings,
    pub sites: Vec<SiteKeys>,
    pub journal: Journal,
    pub seed: Zeroizing<[u8; 32]>,
    pub clock: Clock,
    pub replicas: Option<Replicas>,
}

impl Retain {
    /// Removes what is due, now and then, until the other end of `stopped` is gone.
    pub fn until(&mut self, stopped: &Receiver<()>) {
        let mut next = 0;
        loop {
            let now = (self.clock)();
            if now >= next {
                let done = self.remove(now, stopped);
                next = now + if done.is_ok() { PURGE_EVERY_MS } else { RETRY_AFTER_MS };
                if let Err(error) = &done {
                    log::error!("what is due cannot be removed from the ledger: {error}");
                }
                self.journal.note_retention(now, done.map_err(|error| error.to_string()));
            }
            if stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// How many records were purged.
    fn remove(&mut self, now_ms: u64, stopped: &Receiver<()>) -> Result<u64, RetentionError> {
        let (settings, sites, replicas) = (&self.settings, &self.sites, &mut self.replicas);
        let outside = Some(settings.checkpoints.clone());
        let guest = Guest { checkpoints: outside, signing_seed: self.seed.clone(), now_ms };
        let is_stopped = || stopped.try_recv() != Err(TryRecvError::Empty);
        let mut until_stopped = |_| if is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        if let Some(replicas) = replicas {
            replicas.adopt(&guest, &settings.path, &is_stopped)?;
        }
        let purged = retention::run(&guest, &settings.path, sites, None, &mut until_stopped)?;
        if purged.records > 0 {
            log::info!("{} records of the ledger were due and are purged", purged.records);
        }
        for plan in retention::plan(&settings.path, sites, now_ms)? {
            if plan.cutoff_ms.is_none() {
                log::warn!(
                    "the ledger has records of `{}`, and the configuration does not say how long they are kept",
                    plan.site
                );
            }
        }
        let mut ring = KeyRing::open(&settings.keys, sites)?;
        retention::refuse_restored(&ring, &settings.path)?;
        let needed = replicas.as_ref().map(|replicas| replicas.needed().clone()).unwrap_or_default();
        for event in retention::destroy_due_keys(&guest, &settings.path, &mut ring, &needed)? {
            log::info!("the key `{}` of the ledger was due and is destroyed", event.key.kid);
        }
        if let Some(replicas) = replicas {
            replicas.purge(now_ms, &settings.path, sites, &is_stopped)?;
        }
        Ok(purged.records)
    }
}
