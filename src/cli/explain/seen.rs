//! What is met on the way to a consent, in words.

use crate::consent::signal::{FORMATS, Signal};
use crate::consent::{Fate, Observer};
use crate::policy::{PurposeSet, Purposes};

/// The purposes of a set, for a sentence.
pub(super) fn names(purposes: &Purposes, set: PurposeSet) -> String {
    let names: Vec<_> = purposes.names(set).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Every signal that a request carries, and what became of it.
pub(super) struct Seen<'r> {
    pub purposes: &'r Purposes,
    pub lines: Vec<String>,
}

impl Observer for Seen<'_> {
    fn is_thorough(&self) -> bool {
        true
    }

    fn signal(&mut self, format: &'static str, signal: &Signal<'_>, fate: Fate) {
        let fate = match fate {
            Fate::Used => "it counts",
            Fate::Overruled => "overruled: sources before it have decided that",
            Fate::Undecided => "ignored: it holds no choice",
            Fate::Opaque => "ignored: only the page can read it (`bridge = true` lets it tell)",
            Fate::Expired => "ignored: older than the site's validity",
            Fate::FromTheFuture => "ignored: given in the future",
            Fate::OnlyImplied => "ignored: set by the banner itself, where silence is a refusal",
            Fate::OlderPolicy => "ignored: given under an older version of the policy",
            Fate::Problem(problem) => problem.as_str(),
        };
        let (granted, denied) = (names(self.purposes, signal.granted), names(self.purposes, signal.denied));
        let strength = signal.strength.as_str();
        self.lines.push(format!("signal    {format} ({strength}): grants {granted}; denies {denied}; {fate}"));
    }

    fn unmapped(&mut self, position: usize, id: &[u8]) {
        let format = FORMATS.get(position).map_or("unknown", |format| format.name);
        let id = String::from_utf8_lossy(id);
        self.lines.push(format!("signal    {format}: `{id}` is mapped to no purpose, and grants nothing"));
    }

    fn conflict(&mut self) {
        self.lines.push("signal    sources of equal rank disagree: the most restrictive holds".to_owned());
    }
}
