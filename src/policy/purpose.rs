//! Purposes, and sets of them.

use std::fmt;

/// What a cookie or a request is for. Visitors consent per purpose (GDPR recital 32: "specific").
///
/// A small number that indexes the [`Purposes`] of the ruleset it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purpose(u8);

impl Purpose {
    /// Needed for what the visitor asked for; exempt from consent (ePrivacy Directive, art. 5(3)).
    pub const NECESSARY: Purpose = Purpose(0);
    /// Remembers a choice that the service works without: language, chat, video settings.
    pub const PREFERENCES: Purpose = Purpose(1);
    /// Measures how visitors use the site.
    pub const ANALYTICS: Purpose = Purpose(2);
    /// Advertising, and everything that follows a person across sites for it.
    pub const MARKETING: Purpose = Purpose(3);

    /// Position in [`Purposes`], below [`Purposes::MAX`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of purposes, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurposeSet(u32);

impl PurposeSet {
    /// Nothing at all.
    pub const EMPTY: PurposeSet = PurposeSet(0);
    /// Only [`Purpose::NECESSARY`].
    pub const NECESSARY: PurposeSet = PurposeSet(1);

    /// The set that holds just `purpose`.
    pub fn of(purpose: Purpose) -> Self {
        PurposeSet(1 << purpose.0)
    }

    pub fn contains(self, purpose: Purpose) -> bool {
        self.0 & (1 << purpose.0) != 0
    }

    /// Whether every member of `other` is a member.
    pub fn covers(self, other: PurposeSet) -> bool {
        other.0 & !self.0 == 0
    }

    #[must_use]
    pub fn with(self, purpose: Purpose) -> Self {
        PurposeSet(self.0 | 1 << purpose.0)
    }

    #[must_use]
    pub fn union(self, other: PurposeSet) -> Self {
        PurposeSet(self.0 | other.0)
    }

    #[must_use]
    pub fn intersection(self, other: PurposeSet) -> Self {
        PurposeSet(self.0 & other.0)
    }

    #[must_use]
    pub fn without(self, other: PurposeSet) -> Self {
        PurposeSet(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Members in ascending order of their index.
    pub fn iter(self) -> impl Iterator<Item = Purpose> {
        (0..32u8).filter(move |bit| self.0 & (1 << bit) != 0).map(Purpose)
    }
}

impl FromIterator<Purpose> for PurposeSet {
    fn from_iter<I: IntoIterator<Item = Purpose>>(purposes: I) -> Self {
        purposes.into_iter().fold(PurposeSet::EMPTY, PurposeSet::with)
    }
}

/// The names of all purposes of a ruleset: the four that are built in, then what sites declare.
#[derive(Clone, Debug)]
pub struct Purposes(Vec<Box<str>>);

/// A ruleset holds at most [`Purposes::MAX`] purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPurposes;

impl fmt::Display for TooManyPurposes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} purposes in all", Purposes::MAX)
    }
}

impl Default for Purposes {
    fn default() -> Self {
        Purposes(["necessary", "preferences", "analytics", "marketing"].map(Box::from).to_vec())
    }
}

impl Purposes {
    /// Built-in and declared purposes together, over all sites.
    ///
    /// One bit of a set stays free: the guard in the browser puts there what is denied whatever is granted.
    pub const MAX: usize = 31;

    /// The purposes that every site has.
    pub const BUILT_IN: PurposeSet = PurposeSet(0b1111);

    /// The purpose called `name`, declared now if it is new.
    pub fn declare(&mut self, name: &str) -> Result<Purpose, TooManyPurposes> {
        if let Some(known) = self.get(name) {
            return Ok(known);
        }
        let index = u8::try_from(self.0.len()).ok().filter(|i| usize::from(*i) < Self::MAX);
        let purpose = Purpose(index.ok_or(TooManyPurposes)?);
        self.0.push(name.into());
        Ok(purpose)
    }

    pub fn get(&self, name: &str) -> Option<Purpose> {
        let index = self.0.iter().position(|known| &**known == name)?;
        u8::try_from(index).ok().map(Purpose)
    }

    /// The name of `purpose`; empty if it belongs to another ruleset.
    pub fn name(&self, purpose: Purpose) -> &str {
        self.0.get(purpose.index()).map_or("", |name| name)
    }

    /// Names of the members of `set`, in ascending order of their index.
    pub fn names(&self, set: PurposeSet) -> impl Iterator<Item = &str> {
        set.iter().map(|purpose| self.name(purpose))
    }

    pub fn all(&self) -> PurposeSet {
        (0..self.0.len()).filter_map(|i| u8::try_from(i).ok()).map(Purpose).collect()
    }
}
