//! How shipping does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A central store that neither answers nor fails for so long is told as failing.
const SILENCE: Duration = Duration::from_secs(30);

/// What the thread that ships and those who watch it both see.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<CentralStatus>>);

/// How shipping to the central store does.
#[derive(Clone, Default, Debug)]
pub struct CentralStatus {
    /// Where the central store is.
    pub server: String,
    /// The last record of the journal that arrived. `None`: that is not known yet.
    pub shipped: Option<u64>,
    /// All that happened before this time (milliseconds since 1970) arrived, or was not known to be missing.
    pub reached_ms: u64,
    /// Since when (milliseconds since 1970) nothing can be shipped, and why.
    pub failing: Option<(u64, String)>,
    /// Journals that turned out to be another than the one that was shipped, since the start.
    pub forks: u64,
    /// Why what is due is not removed from it.
    pub purge_failing: Option<String>,
    /// Since when an answer is awaited, also in milliseconds since 1970.
    pub(super) waiting: Option<(Instant, u64)>,
}

impl Watch {
    /// How it does now.
    pub fn status(&self) -> CentralStatus {
        let mut status = self.lock().clone();
        if let (None, Some((since, since_ms))) = (&status.failing, status.waiting)
            && since.elapsed() >= SILENCE
        {
            let reason = format!("it neither answers nor fails, for more than {} s", SILENCE.as_secs());
            status.failing = Some((since_ms, reason));
        }
        status
    }

    /// Tells what came of removing what is due from it.
    pub(in crate::ledger) fn note_purge(&self, failing: Option<String>) {
        self.lock().purge_failing = failing;
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CentralStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CentralStatus {
    /// Records that are not known to have arrived, of a journal that ends with record `last`.
    pub fn lag_records(&self, last: u64) -> u64 {
        last.saturating_sub(self.shipped.unwrap_or_default())
    }

    /// For how long the oldest of them has been waiting, in seconds.
    pub fn lag_seconds(&self, last: u64, now_ms: u64) -> u64 {
        if self.lag_records(last) == 0 { 0 } else { now_ms.saturating_sub(self.reached_ms) / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_arrived_is_counted_and_grows_older() {
        let mut status = CentralStatus { reached_ms: 10_000, ..CentralStatus::default() };
        assert_eq!((status.lag_records(7), status.lag_seconds(7, 14_999)), (7, 4));
        status.shipped = Some(7);
        assert_eq!((status.lag_records(7), status.lag_seconds(7, 99_000)), (0, 0));
        assert_eq!((status.lag_records(9), status.lag_seconds(9, 12_000)), (2, 2));
    }
}
