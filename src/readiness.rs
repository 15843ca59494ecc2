//! Whether this process should get traffic, and if not, why: a set of named blockers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What still stands in the way.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Not ready, because of `name`, for as long as the result lives.
    pub fn block(&self, name: &'static str) -> Blocker {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Blocker { readiness: self.clone(), name }
    }

    /// The names of all blockers; none means ready.
    pub fn blockers(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

/// Keeps the process from being ready.
pub struct Blocker {
    readiness: Readiness,
    name: &'static str,
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.readiness.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }
}
