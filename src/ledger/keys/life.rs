//! How keys come and go.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::epoch::Epoch;
use super::file::{Secret, remove_durably};
use super::manifest::{self, Slot};
use super::{KeyEntry, KeyError, KeyPurpose, KeyRing, KeyState, SiteKeys, permissions};

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

/// The file of the key that signs the journal's checkpoints. It belongs to no site and makes no digest.
const SIGNING: &str = "journal.key";

impl KeyRing {
    /// The seed of the key that signs the journal's checkpoints; made now if there is none.
    ///
    /// # Errors
    /// As [`KeyRing::open`], or the directory cannot be written.
    pub fn signing_seed(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let _lock = self.lock()?;
        let path = self.directory.join(SIGNING);
        if let Some(file) = permissions::private_file(&self.directory, SIGNING)? {
            return Ok(Secret::read(file, &path)?.bytes);
        }
        let secret = Secret::generate("journal-")?;
        secret.write(&self.directory, SIGNING)?;
        Ok(secret.bytes)
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
