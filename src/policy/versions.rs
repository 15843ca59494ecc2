//! Versions of a site's policy, and what consent given under an older one covers.
//!
//! Consent is for what the visitor was told (GDPR, art. 4(11): "informed"): it covers what its version knew, and no more.

use super::pattern::Pattern;
use super::purpose::PurposeSet;
use super::url::normal_path;
use super::vendors::VendorSet;

/// What a visitor keeps who has not agreed to the policy's present version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRefusal {
    /// What the older version knew goes on as before; what was added is denied.
    #[default]
    OriginalScope,
    /// Nothing: the choice has to be made again.
    AskAgain,
    /// The site is not served, but for what visitors need for their rights.
    Stop,
}

/// What a version of the policy adds to those before it.
#[derive(Clone, Debug, Default)]
pub struct Added {
    pub purposes: PurposeSet,
    pub vendors: VendorSet,
    /// Parts of the site that it brought.
    pub paths: Vec<Pattern>,
}

impl Added {
    fn is_empty(&self) -> bool {
        self.purposes.is_empty() && self.vendors.is_empty() && self.paths.is_empty()
    }
}

/// A version of the policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// As the own cookie names it.
    pub id: Box<str>,
    /// Unix time in seconds from which it holds.
    pub effective: u64,
    /// How the banner's record names it.
    pub revision: Option<Box<str>>,
    pub added: Added,
}

/// All versions of a site's policy.
#[derive(Clone, Debug, Default)]
pub struct PolicyVersions {
    list: Vec<PolicyVersion>,
    pub on_refusal: OnRefusal,
    /// Paths that are served whatever a visitor has refused.
    pub always: Vec<Pattern>,
}

impl PolicyVersions {
    pub fn new(mut list: Vec<PolicyVersion>, on_refusal: OnRefusal, always: Vec<Pattern>) -> Self {
        list.sort_by_key(|version| version.effective);
        PolicyVersions { list, on_refusal, always }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The version in force at Unix time `time`, in seconds.
    pub fn at(&self, time: u64) -> Option<usize> {
        self.list.iter().rposition(|version| version.effective <= time)
    }

    pub fn get(&self, position: usize) -> Option<&PolicyVersion> {
        self.list.get(position)
    }

    /// The version under which a choice was made, by the name that its record gives, else by its date. Where neither is
    /// known, the first: it covers the least.
    pub fn of_choice(&self, name: Option<&str>, decided_at: Option<u64>) -> usize {
        let named = |version: &PolicyVersion| Some(&*version.id) == name || version.revision.as_deref() == name;
        let by_name = name.and_then(|_| self.list.iter().position(named));
        by_name.or_else(|| self.at(decided_at?)).unwrap_or(0)
    }

    /// Whether what is in force at `now` adds something to the version at `position`.
    pub fn is_outdated(&self, position: usize, now: u64) -> bool {
        self.since(position, now).any(|version| !version.added.is_empty())
    }

    /// The purposes and vendors that came after the version at `position`, and are in force at `now`.
    pub fn added_since(&self, position: usize, now: u64) -> (PurposeSet, VendorSet) {
        together(self.since(position, now))
    }

    /// Whether `path` came after the version at `position`.
    pub fn is_path_since(&self, position: usize, now: u64, path: &[u8]) -> bool {
        let mut paths = self.since(position, now).flat_map(|version| &version.added.paths);
        let path = normal_path(path);
        paths.any(|pattern| pattern.matches(&path))
    }

    /// The purposes and vendors of versions that do not hold yet: nobody can have agreed to them.
    pub fn to_come(&self, now: u64) -> (PurposeSet, VendorSet) {
        together(self.list.iter().filter(|version| version.effective > now))
    }

    /// All vendors that some version adds.
    pub fn vendors(&self) -> VendorSet {
        together(self.list.iter()).1
    }

    /// Whether `path` is served whatever was refused.
    pub fn is_always_served(&self, path: &[u8]) -> bool {
        let path = normal_path(path);
        self.always.iter().any(|pattern| pattern.matches(&path))
    }

    fn since(&self, position: usize, now: u64) -> impl Iterator<Item = &PolicyVersion> {
        let later = self.list.get(position + 1..).unwrap_or_default();
        later.iter().filter(move |version| version.effective <= now)
    }
}

/// All that these versions add.
fn together<'v>(versions: impl Iterator<Item = &'v PolicyVersion>) -> (PurposeSet, VendorSet) {
    versions.fold(Default::default(), |(purposes, vendors), version| {
        (purposes.union(version.added.purposes), vendors.union(&version.added.vendors))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Purpose;

    fn versions() -> PolicyVersions {
        let version = |id: &str, effective, purposes: PurposeSet, path: Option<&str>| PolicyVersion {
            id: id.into(),
            effective,
            revision: Some(format!("r{id}").into()),
            added: Added {
                purposes,
                vendors: VendorSet::EMPTY,
                paths: path.map(|path| Pattern::new(path).unwrap()).into_iter().collect(),
            },
        };
        let analytics = PurposeSet::of(Purpose::ANALYTICS);
        let marketing = PurposeSet::of(Purpose::MARKETING);
        let list = vec![
            version("3", 300, marketing, None),
            version("1", 100, PurposeSet::EMPTY, None),
            version("2", 200, analytics, Some("/new/*")),
        ];
        PolicyVersions::new(list, OnRefusal::OriginalScope, vec![Pattern::new("/rights/*").unwrap()])
    }

    #[test]
    fn the_version_of_a_choice_is_known_by_name_or_by_date() {
        let versions = versions();
        for (name, at, expected) in [
            (Some("2"), None, 1),
            (Some("r3"), Some(150), 2),
            (Some("unknown"), Some(250), 1),
            (None, Some(150), 0),
            (None, Some(50), 0),
            (None, None, 0),
        ] {
            assert_eq!(versions.of_choice(name, at), expected, "{name:?} {at:?}");
        }
    }

    #[test]
    fn what_was_added_since_is_what_counts_and_only_once_it_holds() {
        let versions = versions();
        let analytics = PurposeSet::of(Purpose::ANALYTICS);
        assert_eq!(versions.added_since(0, 250).0, analytics);
        assert_eq!(versions.added_since(0, 350).0, analytics.with(Purpose::MARKETING));
        assert_eq!(versions.added_since(2, 350).0, PurposeSet::EMPTY);
        assert!(versions.is_outdated(0, 200) && !versions.is_outdated(0, 199) && !versions.is_outdated(1, 299));
        assert!(versions.is_path_since(0, 250, b"/new//x") && !versions.is_path_since(1, 250, b"/new/x"));
        assert_eq!(versions.to_come(250).0, PurposeSet::of(Purpose::MARKETING));
        assert!(versions.is_always_served(b"/rights/export"));
        assert_eq!((versions.at(99), versions.at(100), versions.at(1000)), (None, Some(0), Some(2)));
    }
}
