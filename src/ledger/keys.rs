//! The key ring: one directory, one file a key, and a manifest that says what became of each.
//!
//! The key of a month is random and nothing else leads to it, so destroying it is final: what was made with it can
//! never be tested again. No key is ever used in place of another that is missing.

mod epoch;
mod file;
mod manifest;
mod permissions;

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::pseudonym::{ClientAddress, DigestKey, LinkDigest, ObjectDigest, Pseudonym};
use file::{Secret, remove_durably};
use manifest::Slot;

pub use epoch::{Epoch, NotAnEpoch};
pub use manifest::{KeyEntry, KeyPurpose, KeyState};
pub use permissions::keep_apart;

/// What the keys of a site depend on.
#[derive(Clone, Debug)]
pub struct SiteKeys {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub site: Box<str>,
    /// Where its months begin and end.
    pub time_zone: TimeZone,
    /// For how many months after its own a record of a share link may be kept.
    pub retention_max_months: u32,
}

/// Why a visitor has no pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPseudonym {
    /// There is no key for that site and month, or its file is missing.
    NoKey,
    /// The key was destroyed: nobody can tell any more.
    Destroyed,
}

/// A key ring that cannot be used, or could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no directory", path.display())]
    NoDirectory { path: PathBuf },
    #[error("{} is no file", path.display())]
    NoFile { path: PathBuf },
    #[error("{} may be used by others than its owner (mode {mode:04o}): take that from them with `chmod go=`", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} belongs to user {owner}, not to user {user} that this process runs as", path.display())]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("{} leads out of the key directory", path.display())]
    Outside { path: PathBuf },
    #[error("{} is no key file, was cut, or was altered: its check value does not fit", path.display())]
    Damaged { path: PathBuf },
    #[error("{} holds another key than the manifest says (`{expected}`)", path.display())]
    Other { path: PathBuf, expected: Box<str> },
    #[error("{} is back although the key `{kid}` was destroyed: remove the file", path.display())]
    Restored { path: PathBuf, kid: Box<str> },
    #[error("{}: {problem}", path.display())]
    Manifest { path: PathBuf, problem: String },
    #[error("the keys in {} and the ledger {} are in one directory tree: whoever copies one would have both", keys.display(), ledger.display())]
    SameTree { keys: PathBuf, ledger: PathBuf },
    #[error("there is no key `{kid}`")]
    Unknown { kid: Box<str> },
    #[error("the key `{kid}` was destroyed before")]
    Gone { kid: Box<str> },
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl KeyError {
    fn io(path: &Path, source: io::Error) -> Self {
        KeyError::Io { path: path.to_owned(), source }
    }
}

/// A key was made or destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key as it is now.
    pub key: KeyEntry,
    pub at: Timestamp,
}

impl KeyEvent {
    /// `key.made` or `key.destroyed`.
    pub fn name(&self) -> &'static str {
        if self.key.state == KeyState::Destroyed { "key.destroyed" } else { "key.made" }
    }

    /// What the ledger keeps of it: for a key that was destroyed, this is the certificate.
    pub fn detail(&self) -> Value {
        let KeyEntry { kid, purpose, epoch, check, destroyed_by, destroyed_because, .. } = &self.key;
        let mut detail = json!({ "kid": kid, "purpose": purpose, "epoch": epoch, "check": check });
        if let (Some(object), KeyState::Destroyed) = (detail.as_object_mut(), self.key.state) {
            object.insert("by".to_owned(), json!(destroyed_by));
            object.insert("because".to_owned(), json!(destroyed_because));
        }
        detail
    }
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
    visitors: BTreeMap<Epoch, Result<DigestKey, NoPseudonym>>,
    link: Option<DigestKey>,
    object: Option<DigestKey>,
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
            let key = self.load_key(entry)?;
            let site = loaded.entry(entry.site.clone()).or_default();
            match (entry.purpose, entry.epoch) {
                (KeyPurpose::Visitor, Some(epoch)) => _ = site.visitors.insert(epoch, key),
                (KeyPurpose::Visitor, None) => {}
                (KeyPurpose::Link, _) => site.link = key.ok(),
                (KeyPurpose::Object, _) => site.object = key.ok(),
            }
        }
        (self.entries, self.loaded) = (entries, loaded);
        Ok(())
    }

    fn load_key(&self, entry: &KeyEntry) -> Result<Result<DigestKey, NoPseudonym>, KeyError> {
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
        Ok(DigestKey::expand(&secret.bytes, entry.purpose.label()).ok_or(NoPseudonym::NoKey))
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
        match self.loaded.get(site).and_then(|keys| keys.visitors.get(&epoch)) {
            Some(Ok(key)) => Ok(key.visitor(site, address)),
            Some(Err(reason)) => Err(*reason),
            None => Err(NoPseudonym::NoKey),
        }
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
            KeyPurpose::Visitor => entry.epoch.and_then(|epoch| keys.visitors.get(&epoch)).is_some_and(Result::is_ok),
            KeyPurpose::Link => keys.link.is_some(),
            KeyPurpose::Object => keys.object.is_some(),
        }
    }

    /// Makes the keys that sites need now and next month and that never were, writes the states of `now` down, and
    /// loads what another process changed.
    ///
    /// A key that is lost or was destroyed is not made again: its month has no pseudonyms from then on.
    ///
    /// # Errors
    /// As [`KeyRing::open`], or the directory cannot be written. What was made until then stays and is found later.
    pub fn rotate(&mut self, now: Timestamp) -> Result<Vec<KeyEvent>, KeyError> {
        let _lock = self.lock()?;
        let mut entries = manifest::read(&self.directory)?;
        let before = entries.clone();
        entries.iter_mut().for_each(|entry| entry.state = entry.state_at(now));
        let mut events = Vec::new();
        for slot in self.sites.values().flat_map(|site| slots(site, now)) {
            if !entries.iter().any(|entry| entry.fits(&slot)) {
                let secret = self.fill(&slot)?;
                let key = KeyEntry::new(&slot, secret.kid.clone(), secret.check(), now);
                entries.push(key.clone());
                events.push(KeyEvent { key, at: now });
            }
        }
        if entries != before {
            entries.sort_by(|a, b| (&a.site, a.purpose, a.epoch).cmp(&(&b.site, b.purpose, b.epoch)));
            manifest::write(&self.directory, &entries)?;
        }
        self.load()?;
        events.sort_by(|a, b| a.key.kid.cmp(&b.key.kid));
        Ok(events)
    }

    /// A key in the file of `slot`: the one that a process left which died before it wrote the manifest, or a new one.
    fn fill(&self, slot: &Slot<'_>) -> Result<Secret, KeyError> {
        let name = slot.file_name();
        if let Some(file) = permissions::private_file(&self.directory, &name)? {
            let path = self.directory.join(&name);
            let secret = Secret::read(file, &path)?;
            let prefix = slot.kid_prefix();
            if !secret.kid.starts_with(&prefix) {
                return Err(KeyError::Other { path, expected: format!("{prefix}…").into() });
            }
            return Ok(secret);
        }
        let secret = Secret::generate(&slot.kid_prefix())?;
        secret.write(&self.directory, &name)?;
        Ok(secret)
    }

    /// Destroys the key called `kid`: its file first, then what is loaded, then the manifest tells it.
    ///
    /// # Errors
    /// It is unknown or was destroyed before, or the disk refuses; then nothing says that it was destroyed.
    pub fn destroy(&mut self, kid: &str, now: Timestamp, who: &str, why: &str) -> Result<KeyEvent, KeyError> {
        let _lock = self.lock()?;
        let mut entries = manifest::read(&self.directory)?;
        let Some(entry) = entries.iter_mut().find(|entry| *entry.kid == *kid) else {
            return Err(KeyError::Unknown { kid: kid.into() });
        };
        if entry.state == KeyState::Destroyed {
            return Err(KeyError::Gone { kid: kid.into() });
        }
        remove_durably(&self.directory, &entry.file_name())?;
        entry.state = KeyState::Destroyed;
        entry.destroyed_at = Some(now);
        entry.destroyed_by = Some(who.into());
        entry.destroyed_because = Some(why.into());
        let event = KeyEvent { key: entry.clone(), at: now };
        manifest::write(&self.directory, &entries)?;
        self.load()?;
        Ok(event)
    }

    /// Compares with the keys that the ledger says were destroyed: a restored copy of the whole directory knows
    /// nothing of that.
    ///
    /// # Errors
    /// [`KeyError::Restored`] for the first of `destroyed` that is here as if nothing had happened.
    pub fn refuse_restored<'a>(&self, destroyed: impl IntoIterator<Item = &'a str>) -> Result<(), KeyError> {
        let alive = |kid: &str| self.entries.iter().find(|key| *key.kid == *kid && key.state != KeyState::Destroyed);
        match destroyed.into_iter().find_map(alive) {
            Some(key) => Err(KeyError::Restored { path: self.directory.join(key.file_name()), kid: key.kid.clone() }),
            None => Ok(()),
        }
    }

    /// One process at a time changes the directory.
    fn lock(&self) -> Result<File, KeyError> {
        let path = self.directory.join(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.and_then(|file| file.lock().map(|()| file)).map_err(|error| KeyError::io(&path, error))
    }
}

/// The keys that `site` needs at `now`.
fn slots(site: &SiteKeys, now: Timestamp) -> [Slot<'_>; 4] {
    let epoch = Epoch::of(now, &site.time_zone);
    let slot = |purpose, epoch| Slot { site, purpose, epoch };
    [
        slot(KeyPurpose::Visitor, Some(epoch)),
        slot(KeyPurpose::Visitor, Some(epoch.next())),
        slot(KeyPurpose::Link, None),
        slot(KeyPurpose::Object, None),
    ]
}

#[cfg(test)]
mod tests;
