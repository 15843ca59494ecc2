//! `manifest.json`: which keys there are and were, without anything secret.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::epoch::Epoch;
use super::file::write_durably;
use super::permissions::private_file;
use super::{KeyError, SiteKeys};

const NAME: &str = "manifest.json";
/// Thousands of keys.
const MAX_BYTES: u64 = 16 << 20;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPurpose {
    /// Pseudonyms of addresses. One key a site and month.
    Visitor,
    /// Digests of tokens. One key a site.
    Link,
    /// Digests of paths behind a link. One key a site.
    Object,
}

impl KeyPurpose {
    /// As the manifest writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyPurpose::Visitor => "visitor",
            KeyPurpose::Link => "link",
            KeyPurpose::Object => "object",
        }
    }

    /// What a key is expanded with before it is used.
    pub(super) const fn label(self) -> &'static str {
        match self {
            KeyPurpose::Visitor => "consentry/visitor/v1",
            KeyPurpose::Link => "consentry/link/v1",
            KeyPurpose::Object => "consentry/object/v1",
        }
    }
}

/// Where a key is in its life. It only goes downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Made ahead.
    Next,
    /// In use.
    Active,
    /// Its month is over; it answers questions about the records of that month.
    Kept,
    /// Nothing made with it can be tested any more.
    Destroyed,
}

impl KeyState {
    /// As the manifest writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyState::Next => "next",
            KeyState::Active => "active",
            KeyState::Kept => "kept",
            KeyState::Destroyed => "destroyed",
        }
    }
}

/// One key in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub kid: Box<str>,
    pub purpose: KeyPurpose,
    pub site: Box<str>,
    /// The month of a visitor key.
    pub epoch: Option<Epoch>,
    pub alg: Box<str>,
    pub not_before: Timestamp,
    /// The end of the month, exclusive.
    pub not_after: Option<Timestamp>,
    /// When the last record of the month falls due.
    pub destroy_after: Option<Timestamp>,
    pub state: KeyState,
    /// Tells keys apart without telling them, in base64url.
    pub check: Box<str>,
    pub destroyed_at: Option<Timestamp>,
    pub destroyed_by: Option<Box<str>>,
    pub destroyed_because: Option<Box<str>>,
}

impl KeyEntry {
    /// The entry of a key of `slot` that was just made.
    pub(super) fn new(slot: &Slot<'_>, kid: Box<str>, check: String, now: Timestamp) -> Self {
        let zone = &slot.site.time_zone;
        let after = |months: u32| slot.epoch.and_then(|epoch| epoch.start_after(months, zone));
        let mut entry = KeyEntry {
            kid,
            purpose: slot.purpose,
            site: slot.site.site.clone(),
            epoch: slot.epoch,
            alg: "hmac-sha256/hkdf-sha256".into(),
            not_before: after(0).unwrap_or(now),
            not_after: after(1),
            destroy_after: after(slot.site.retention_max_months.saturating_add(1)),
            state: KeyState::Next,
            check: check.into(),
            destroyed_at: None,
            destroyed_by: None,
            destroyed_because: None,
        };
        entry.state = entry.state_at(now);
        entry
    }

    /// The state at `now`.
    pub fn state_at(&self, now: Timestamp) -> KeyState {
        let by_time = match self.not_after {
            Some(end) if now >= end => KeyState::Kept,
            _ if now >= self.not_before => KeyState::Active,
            _ => KeyState::Next,
        };
        // Never back, even if the clock goes back.
        by_time.max(self.state)
    }

    pub(super) fn fits(&self, slot: &Slot<'_>) -> bool {
        self.site == slot.site.site && self.purpose == slot.purpose && self.epoch == slot.epoch
    }

    pub(super) fn file_name(&self) -> String {
        file_name(&self.site, self.purpose, self.epoch)
    }
}

/// A place that a key is to fill.
pub(super) struct Slot<'a> {
    pub(super) site: &'a SiteKeys,
    pub(super) purpose: KeyPurpose,
    pub(super) epoch: Option<Epoch>,
}

impl Slot<'_> {
    pub(super) fn file_name(&self) -> String {
        file_name(&self.site.site, self.purpose, self.epoch)
    }

    /// What the kid of its key begins with.
    pub(super) fn kid_prefix(&self) -> String {
        let site = &self.site.site;
        match self.epoch {
            Some(epoch) => format!("{site}-{}-{epoch}-", self.purpose.as_str()),
            None => format!("{site}-{}-", self.purpose.as_str()),
        }
    }
}

fn file_name(site: &str, purpose: KeyPurpose, epoch: Option<Epoch>) -> String {
    match epoch {
        Some(epoch) => format!("{site}.{}.{epoch}.key", purpose.as_str()),
        None => format!("{site}.{}.key", purpose.as_str()),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    keys: Vec<KeyEntry>,
}

/// The entries of the manifest in `directory`; none if there is no manifest yet.
pub(super) fn read(directory: &Path) -> Result<Vec<KeyEntry>, KeyError> {
    let path = directory.join(NAME);
    let Some(file) = private_file(directory, NAME)? else { return Ok(Vec::new()) };
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| KeyError::io(&path, error))?;
    let wrong = |problem: String| KeyError::Manifest { path: path.clone(), problem };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if manifest.version != 1 {
        return Err(wrong(format!("version {} is not known", manifest.version)));
    }
    let (mut kids, mut places) = (HashSet::new(), HashSet::new());
    for entry in &manifest.keys {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // It becomes the name of a file.
        if entry.site.is_empty() || !entry.site.bytes().all(plain) {
            return Err(wrong(format!("the key `{}` has an impossible site", entry.kid)));
        }
        let dated = entry.epoch.is_some() == (entry.purpose == KeyPurpose::Visitor);
        if !dated || !kids.insert(&entry.kid) || !places.insert((&entry.site, entry.purpose, entry.epoch)) {
            return Err(wrong(format!("the key `{}` is there twice, or in the wrong place", entry.kid)));
        }
    }
    Ok(manifest.keys)
}

pub(super) fn write(directory: &Path, keys: &[KeyEntry]) -> Result<(), KeyError> {
    let mut text = serde_json::to_vec_pretty(&Manifest { version: 1, keys: keys.to_vec() })
        .map_err(|error| KeyError::Manifest { path: directory.join(NAME), problem: error.to_string() })?;
    text.push(b'\n');
    write_durably(directory, NAME, &text, 0o600)
}
