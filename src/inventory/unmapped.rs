//! Ids in banners' records that nobody has mapped to a purpose: what an operator has to decide about.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// So many ids are kept. Anybody can send anything, so there must be an end.
const MAX_IDS: usize = 64;

/// Longest id that is kept, in bytes.
const MAX_ID: usize = 64;

/// The ids seen on one site since its ruleset was loaded. Every request of a visitor brings the same ones, so that one
/// that is known costs no lock.
pub struct UnmappedIds {
    /// Digests of `ids`, zero where there is none yet.
    digests: [AtomicU64; MAX_IDS],
    ids: Mutex<BTreeSet<(&'static str, Box<str>)>>,
}

impl Default for UnmappedIds {
    fn default() -> Self {
        UnmappedIds { digests: [const { AtomicU64::new(0) }; MAX_IDS], ids: Mutex::default() }
    }
}

impl UnmappedIds {
    /// Keeps `id` of the format called `format`, if it can be the name of something and there is room.
    pub fn note(&self, format: &'static str, id: &[u8]) {
        let digest = BuildHasherDefault::<DefaultHasher>::default().hash_one((format, id)).max(1);
        let held = self.digests.iter().map(|slot| slot.load(Ordering::Relaxed)).take_while(|held| *held != 0);
        let (mut count, mut known) = (0, false);
        for held in held {
            count += 1;
            known |= held == digest;
        }
        if known || count >= MAX_IDS {
            return;
        }
        let Some(name) = std::str::from_utf8(id).ok().filter(|name| is_name(name)) else { return };
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = self.digests.get(ids.len())
            && ids.insert((format, name.into()))
        {
            slot.store(digest, Ordering::Relaxed);
        }
    }

    /// All ids, with their formats.
    pub fn list(&self) -> Vec<(&'static str, Box<str>)> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Whether it may be what an operator would call a category: no value, no address.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.: /&".contains(c);
    !text.is_empty() && text.len() <= MAX_ID && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_once_and_there_is_an_end() {
        let unmapped = UnmappedIds::default();
        for id in ["C0010", "C0010", "mail@host", "", "Ä b"] {
            unmapped.note("onetrust", id.as_bytes());
        }
        unmapped.note("klaro", b"C0010");
        let expected: [(&str, Box<str>); 3] =
            [("klaro", "C0010".into()), ("onetrust", "C0010".into()), ("onetrust", "Ä b".into())];
        assert_eq!(unmapped.list(), expected);
        (0..1000).for_each(|number| unmapped.note("klaro", format!("id{number}").as_bytes()));
        assert_eq!(unmapped.list().len(), MAX_IDS);
        unmapped.note("klaro", &[b'x'; 100]);
        assert_eq!(unmapped.list().len(), MAX_IDS);
    }
}
