//! From a banner's ids to purposes.

use super::{Signal, Strength};
use crate::policy::{Purpose, PurposeSet, Purposes};

/// What a format's ids mean on one site. Upper and lower case are the same.
#[derive(Clone, Debug, Default)]
pub struct IdMap(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    /// In lower case; the list is sorted by it.
    id: Box<[u8]>,
    purpose: Purpose,
    /// Whether the site itself says so: then the id exists there.
    configured: bool,
}

impl IdMap {
    /// The `configured` meanings, and the format's `defaults` for all other ids.
    pub fn new(defaults: &[(&str, &str)], configured: &[(Box<str>, Purpose)], purposes: &Purposes) -> Self {
        let configured = configured.iter().map(|(id, purpose)| (&**id, *purpose, true));
        let defaults = defaults.iter().filter_map(|(id, name)| Some((*id, purposes.get(name)?, false)));
        let mut entries: Vec<_> = configured
            .chain(defaults)
            .map(|(id, purpose, configured)| Entry {
                id: id.to_ascii_lowercase().into_bytes().into(),
                purpose,
                configured,
            })
            .collect();
        // Stable, so that what is configured comes before a default of the same id.
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        entries.dedup_by(|later, earlier| later.id == earlier.id);
        IdMap(entries)
    }

    /// What `id` is for. `None` if nobody has said.
    pub fn get(&self, id: &[u8]) -> Option<Purpose> {
        let order = |entry: &Entry| entry.id.iter().copied().cmp(id.iter().map(u8::to_ascii_lowercase));
        let found = self.0.binary_search_by(order).ok()?;
        self.0.get(found).map(|entry| entry.purpose)
    }
}

/// Collects what a record says, id by id. Of several words about one purpose, a refusal holds.
pub struct Choices<'m> {
    ids: &'m IdMap,
    granted: PurposeSet,
    denied: PurposeSet,
    /// Told each id that nobody has mapped.
    unmapped: &'m mut dyn FnMut(&[u8]),
}

impl<'m> Choices<'m> {
    pub fn new(ids: &'m IdMap, unmapped: &'m mut dyn FnMut(&[u8])) -> Self {
        Choices { ids, granted: PurposeSet::EMPTY, denied: PurposeSet::EMPTY, unmapped }
    }

    /// The record grants or refuses `id`. An id that is not mapped grants nothing.
    pub fn set(&mut self, id: impl AsRef<[u8]>, granted: bool) {
        match self.ids.get(id.as_ref()) {
            Some(purpose) => self.set_all(PurposeSet::of(purpose), granted),
            None => (self.unmapped)(id.as_ref()),
        }
    }

    /// The record grants or refuses `purposes`, whatever ids they have.
    pub fn set_all(&mut self, purposes: PurposeSet, granted: bool) {
        let set = if granted { &mut self.granted } else { &mut self.denied };
        *set = set.union(purposes);
    }

    /// The record lists only what was accepted. What is mapped and not listed is refused: each id that the site has
    /// configured; of the default ones, which a site rarely has all, the purposes for which none is listed.
    pub fn accepted<I: AsRef<[u8]>>(&mut self, listed: impl Iterator<Item = I> + Clone) {
        listed.clone().for_each(|id| self.set(id, true));
        let is_listed = |entry: &Entry| listed.clone().any(|id| entry.id.eq_ignore_ascii_case(id.as_ref()));
        // Of this list alone: another record's does not make up for what is missing here.
        let granted: PurposeSet = listed.clone().filter_map(|id| self.ids.get(id.as_ref())).collect();
        let mut refused = PurposeSet::EMPTY;
        for entry in self.ids.0.iter().filter(|entry| entry.configured || !granted.contains(entry.purpose)) {
            if !is_listed(entry) {
                refused = refused.with(entry.purpose);
            }
        }
        self.denied = self.denied.union(refused);
    }

    /// What a single id is for, for formats whose ids are not all alike.
    pub fn purpose_of(&self, id: &[u8]) -> Option<Purpose> {
        self.ids.get(id)
    }

    /// Every id that somebody has mapped, and what it is for.
    pub fn ids(&self) -> impl Iterator<Item = (&'m [u8], Purpose)> + use<'m> {
        self.ids.0.iter().map(|entry| (&*entry.id, entry.purpose))
    }

    /// Every purpose that some id is for.
    pub fn mapped(&self) -> PurposeSet {
        self.ids.0.iter().map(|entry| entry.purpose).collect()
    }

    /// Whether nothing was said about any purpose but the necessary one.
    pub fn is_empty(&self) -> bool {
        self.granted.union(self.denied).without(PurposeSet::NECESSARY).is_empty()
    }

    /// The signal. `decided_at` is Unix time in seconds.
    pub fn signal<'a>(self, strength: Strength, decided_at: Option<u64>) -> Signal<'a> {
        Signal {
            granted: self.granted.without(self.denied),
            denied: self.denied.without(PurposeSet::NECESSARY),
            strength,
            decided_at,
            ..Signal::undecided()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Purpose = Purpose::MARKETING;
    const A: Purpose = Purpose::ANALYTICS;

    fn read(configured: &[(&str, Purpose)], work: impl Fn(&mut Choices<'_>)) -> (PurposeSet, PurposeSet, Vec<String>) {
        let defaults = [("stats", "analytics"), ("ads", "marketing"), ("social", "marketing")];
        let configured: Vec<_> = configured.iter().map(|(id, purpose)| (Box::from(*id), *purpose)).collect();
        let ids = IdMap::new(&defaults, &configured, &Purposes::default());
        let mut unmapped = Vec::new();
        let mut note = |id: &[u8]| unmapped.push(String::from_utf8_lossy(id).into_owned());
        let mut choices = Choices::new(&ids, &mut note);
        work(&mut choices);
        let signal = choices.signal(Strength::Explicit, None);
        (signal.granted, signal.denied, unmapped)
    }

    fn set(purposes: &[Purpose]) -> PurposeSet {
        purposes.iter().copied().collect()
    }

    #[test]
    fn a_refusal_holds_against_a_grant_for_the_same_purpose() {
        let (granted, denied, unmapped) = read(&[], |choices| {
            choices.set("ADS", true);
            choices.set("social", false);
            choices.set("stats", true);
            choices.set("other", true);
        });
        assert_eq!((granted, denied, unmapped), (set(&[A]), set(&[M]), vec!["other".to_owned()]));
    }

    #[test]
    fn the_sites_word_comes_before_the_default() {
        let (granted, ..) = read(&[("Stats", M)], |choices| choices.set("stats", true));
        assert_eq!(granted, set(&[M]));
    }

    #[test]
    fn what_is_not_in_a_list_of_accepted_ids_is_refused() {
        let accepted = |configured: &[(&str, Purpose)], ids: &[&str]| {
            let (granted, denied, _) = read(configured, |choices| choices.accepted(ids.iter()));
            (granted, denied)
        };
        assert_eq!(accepted(&[], &["ads"]), (set(&[M]), set(&[A])), "of the default ids, one suffices");
        assert_eq!(accepted(&[("partners", M)], &["ads"]), (set(&[]), set(&[A, M])), "the site has both");
        assert_eq!(accepted(&[("partners", M)], &["ads", "partners"]), (set(&[M]), set(&[A])));
        assert_eq!(accepted(&[], &[]), (set(&[]), set(&[A, M])));
        let (granted, denied, _) = read(&[], |choices| {
            choices.accepted(["ads", "stats"].iter());
            choices.accepted(["ads"].iter());
        });
        assert_eq!((granted, denied), (set(&[M]), set(&[A])), "each list counts for itself");
    }
}
