//! The key ring: one directory, one file a key, and a manifest that says what became of each.
//!
//! The key of a month is random and nothing else leads to it, so destroying it is final: what was made with it can
//! never be tested again. No key is ever used in place of another that is missing.

mod epoch;
mod error;
mod file;
mod life;
mod manifest;
mod permissions;

use std::collections::{BTreeMap, HashMap};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::pseudonym::{ClientAddress, ConsentDigest, DigestKey, LinkDigest, ObjectDigest, Pseudonym};
use file::Secret;

pub use epoch::{Epoch, NotAnEpoch};
pub use error::KeyError;
pub use life::KeyEvent;
pub use manifest::{KeyEntry, KeyPurpose, KeyState};
pub use permissions::keep_apart;

/// What the keys of a site depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteKeys {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub site: Box<str>,
    /// Where its months begin and end.
    pub time_zone: TimeZone,
    /// For how many months after its own a record of a share link may be kept.
    pub retention_max_months: u32,
    /// For how many months, at the least, a record of a share link is kept.
    pub retention_min_months: u32,
}

/// Why a visitor has no pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPseudonym {
    /// There is no key for that site and month, or its file is missing.
    NoKey,
    /// The key was destroyed: nobody can tell any more.
    Destroyed,
}

/// A key, and whether it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// With the state at the time of asking.
    pub key: KeyEntry,
    /// Its file is there and was loaded.
    pub loaded: bool,
    /// No record needs it any more. A hold on a record is not known here.
    pub due: bool,
}

/// The keys of all sites, loaded and verified.
pub struct KeyRing {
    directory: PathBuf,
    sites: HashMap<Box<str>, SiteKeys>,
    entries: Vec<KeyEntry>,
    loaded: HashMap<Box<str>, Loaded>,
}

/// The keys of one site, ready for use.
#[derive(Default)]
struct Loaded {
    months: BTreeMap<Epoch, Result<Month, NoPseudonym>>,
    link: Option<DigestKey>,
    object: Option<DigestKey>,
}

/// What the one secret of a month makes: all of it is gone with that.
struct Month {
    visitor: DigestKey,
    consent: DigestKey,
}

impl KeyRing {
    /// Loads the keys in `directory`, which is made if need be. No key is made; [`KeyRing::rotate`] does that.
    ///
    /// A key whose file is missing is left out. Keys of sites that are not in `sites` are verified, too.
    ///
    /// # Errors
    /// Anything in there that others may read, that belongs to somebody else or leads elsewhere; a file that is no
    /// key, or not the one in the manifest; the file of a key that was destroyed.
    pub fn open(directory: &Path, sites: &[SiteKeys]) -> Result<KeyRing, KeyError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| KeyError::io(directory, error))?;
        let directory = permissions::private_directory(directory)?;
        let sites = sites.iter().map(|site| (site.site.clone(), site.clone())).collect();
        let mut ring = KeyRing { directory, sites, entries: Vec::new(), loaded: HashMap::new() };
        ring.load()?;
        Ok(ring)
    }

    /// What is on the disk, loaded. Nothing changes if it cannot be.
    fn load(&mut self) -> Result<(), KeyError> {
        let entries = manifest::read(&self.directory)?;
        let mut loaded: HashMap<Box<str>, Loaded> = HashMap::new();
        for entry in &entries {
            let secret = self.load_secret(entry)?;
            let expand = |label| DigestKey::expand(&secret.as_ref().ok()?.bytes, label);
            let site = loaded.entry(entry.site.clone()).or_default();
            let label = entry.purpose.label();
            match (entry.purpose, entry.epoch) {
                (KeyPurpose::Visitor, Some(epoch)) => {
                    let month = expand(label).zip(expand("consentry/consent/v1"));
                    let month = month.map(|(visitor, consent)| Month { visitor, consent });
                    let why = secret.as_ref().err().copied().unwrap_or(NoPseudonym::NoKey);
                    site.months.insert(epoch, month.ok_or(why));
                }
                (KeyPurpose::Visitor, None) => {}
                (KeyPurpose::Link, _) => site.link = expand(label),
                (KeyPurpose::Object, _) => site.object = expand(label),
            }
        }
        (self.entries, self.loaded) = (entries, loaded);
        Ok(())
    }

    fn load_secret(&self, entry: &KeyEntry) -> Result<Result<Secret, NoPseudonym>, KeyError> {
        let name = entry.file_name();
        let path = self.directory.join(&name);
        if entry.state == KeyState::Destroyed {
            return match path.symlink_metadata() {
                Ok(_) => Err(KeyError::Restored { path, kid: entry.kid.clone() }),
                Err(_) => Ok(Err(NoPseudonym::Destroyed)),
            };
        }
        let Some(file) = permissions::private_file(&self.directory, &name)? else { return Ok(Err(NoPseudonym::NoKey)) };
        let secret = Secret::read(file, &path)?;
        if secret.kid != entry.kid || secret.check() != *entry.check {
            return Err(KeyError::Other { path, expected: entry.kid.clone() });
        }
        Ok(Ok(secret))
    }

    /// Who `address` is in `site` in the month that `at_ms` lies in, in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// There is no key, or no longer. No other key stands in.
    pub fn visitor(&self, site: &str, at_ms: u64, address: &ClientAddress) -> Result<(Epoch, Pseudonym), NoPseudonym> {
        let epoch = self.epoch(site, at_ms).ok_or(NoPseudonym::NoKey)?;
        self.pseudonym(site, epoch, address).map(|pseudonym| (epoch, pseudonym))
    }

    /// The month of `site` that `at_ms` lies in. `None` for a site that is not configured.
    pub fn epoch(&self, site: &str, at_ms: u64) -> Option<Epoch> {
        let at = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
        Some(Epoch::of(at, &self.sites.get(site)?.time_zone))
    }

    fn pseudonym(&self, site: &str, epoch: Epoch, address: &ClientAddress) -> Result<Pseudonym, NoPseudonym> {
        Ok(self.month(site, epoch)?.visitor.visitor(site, address))
    }

    /// The digest of the id that a visitor's own consent cookie bears, in the month that `at_ms` lies in: by it a visitor
    /// can ask for what is about them. It is of the month, so that it leads no further than the pseudonym.
    ///
    /// # Errors
    /// As [`KeyRing::visitor`].
    pub fn consent(&self, site: &str, at_ms: u64, id: &[u8]) -> Result<ConsentDigest, NoPseudonym> {
        let epoch = self.epoch(site, at_ms).ok_or(NoPseudonym::NoKey)?;
        Ok(ConsentDigest(self.month(site, epoch)?.consent.named(site, id)))
    }

    /// [`KeyRing::consent`] for every month whose key is there.
    pub fn consents(&self, site: &str, id: &[u8]) -> Vec<(Epoch, ConsentDigest)> {
        let months = self.loaded.get(site).into_iter().flat_map(|keys| &keys.months);
        let digest = |month: &Month| ConsentDigest(month.consent.named(site, id));
        months.filter_map(|(epoch, month)| Some((*epoch, digest(month.as_ref().ok()?)))).collect()
    }

    fn month(&self, site: &str, epoch: Epoch) -> Result<&Month, NoPseudonym> {
        let month = self.loaded.get(site).and_then(|keys| keys.months.get(&epoch));
        month.ok_or(NoPseudonym::NoKey)?.as_ref().map_err(|why| *why)
    }

    /// The digest of a share link's token. `None` without a key.
    pub fn link(&self, site: &str, token: &[u8]) -> Option<LinkDigest> {
        let key = self.loaded.get(site)?.link.as_ref()?;
        Some(LinkDigest(key.named(site, token)))
    }

    /// The digest of a path behind a share link. `None` without a key.
    pub fn object(&self, site: &str, path: &[u8]) -> Option<ObjectDigest> {
        let key = self.loaded.get(site)?.object.as_ref()?;
        Some(ObjectDigest(key.named(site, path)))
    }

    /// Who `address` was in each month from `from_ms` to `to_ms`, both included: the question of a custodian.
    pub fn check(
        &self,
        site: &str,
        address: &ClientAddress,
        from_ms: u64,
        to_ms: u64,
    ) -> Vec<(Epoch, Result<Pseudonym, NoPseudonym>)> {
        let (Some(first), Some(last)) = (self.epoch(site, from_ms), self.epoch(site, to_ms)) else { return Vec::new() };
        let months = std::iter::successors(Some(first), |epoch| Some(epoch.next()));
        months.take_while(|epoch| *epoch <= last).map(|epoch| (epoch, self.pseudonym(site, epoch, address))).collect()
    }

    /// A digest by which two questions about `address` are known to be about one, under the key of `epoch`. `None`
    /// without that key.
    pub fn asked(&self, site: &str, epoch: Epoch, address: &ClientAddress) -> Option<[u8; 16]> {
        Some(self.month(site, epoch).ok()?.visitor.asked(site, address))
    }

    /// Every key there is or was, as of `now`.
    pub fn status(&self, now: Timestamp) -> Vec<KeyStatus> {
        let status = |entry: &KeyEntry| {
            let state = entry.state_at(now);
            let due = state != KeyState::Destroyed && entry.destroy_after.is_some_and(|due| now >= due);
            KeyStatus { key: KeyEntry { state, ..entry.clone() }, loaded: self.has(entry), due }
        };
        self.entries.iter().map(status).collect()
    }

    fn has(&self, entry: &KeyEntry) -> bool {
        let Some(keys) = self.loaded.get(&entry.site) else { return false };
        match entry.purpose {
            KeyPurpose::Visitor => entry.epoch.and_then(|epoch| keys.months.get(&epoch)).is_some_and(Result::is_ok),
            KeyPurpose::Link => keys.link.is_some(),
            KeyPurpose::Object => keys.object.is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
