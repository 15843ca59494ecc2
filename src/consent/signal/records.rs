//! A banner's record may come in several cookies, of one name or of several: read together, the most restrictive
//! holds, and the oldest time.

use std::borrow::Cow;

use super::{Choices, Problem, Signal, SignalInput, Strength};
use crate::consent::cookies::CookiePair;

/// What a record says besides its choices.
pub(super) enum Record<'a> {
    Choice {
        strength: Strength,
        /// Unix time in seconds, if the record tells.
        decided_at: Option<u64>,
        /// The revision of the banner's settings it was made under. Empty if records have one, but not this.
        revision: Option<Cow<'a, str>>,
    },
    /// Written before any choice.
    Undecided,
    /// Only the page can read it.
    Opaque,
}

impl<'a> Record<'a> {
    /// The visitor chose.
    pub fn explicit(decided_at: Option<u64>) -> Self {
        Record::Choice { strength: Strength::Explicit, decided_at, revision: None }
    }

    /// The banner set its default.
    pub fn implied(decided_at: Option<u64>) -> Self {
        Record::Choice { strength: Strength::Implied, decided_at, revision: None }
    }

    /// A choice that was made under `revision`, which records of this format always have.
    pub fn of_revision(self, revision: Option<Cow<'a, str>>) -> Self {
        match self {
            Record::Choice { strength, decided_at, .. } => {
                Record::Choice { strength, decided_at, revision: Some(revision.unwrap_or_default()) }
            }
            other => other,
        }
    }
}

/// Reads each of `cookies` with `read`, which returns `None`, having set no choice, for what is not of the form. `None`
/// if there are no cookies.
pub(super) fn records<'a, 'm>(
    input: &SignalInput<'a>,
    cookies: impl Iterator<Item = CookiePair<'a>>,
    mut choices: Choices<'m>,
    mut read: impl FnMut(CookiePair<'a>, &mut Choices<'m>) -> Option<Record<'a>>,
) -> Option<Signal<'a>> {
    let mut choice = None;
    let mut otherwise = None;
    for cookie in cookies {
        match read(cookie, &mut choices) {
            Some(Record::Choice { strength, decided_at, revision }) => {
                let signal = Signal { strength, decided_at, policy_version: revision, ..Signal::undecided() };
                choice = Some(choice.map_or(signal.clone(), |earlier| together(input, earlier, signal)));
            }
            Some(Record::Opaque) => otherwise = Some(Signal::opaque()),
            Some(Record::Undecided) => {
                otherwise.get_or_insert_with(Signal::undecided);
            }
            None => {
                otherwise.get_or_insert_with(|| Signal::problem(Problem::Malformed));
            }
        }
    }
    let Some(Signal { strength, decided_at, policy_version, .. }) = choice else { return otherwise };
    let policy_version = policy_version.filter(|version| !version.is_empty() || input.revision.is_some());
    Some(Signal { policy_version, ..choices.signal(strength, decided_at) })
}

/// What two records say: the weaker strength, the older time, the revision that is not in force.
fn together<'a>(input: &SignalInput<'_>, a: Signal<'a>, b: Signal<'a>) -> Signal<'a> {
    let is_current = |signal: &Signal<'_>| signal.policy_version.as_deref().is_none_or(|text| input.is_current(text));
    let policy_version = if is_current(&a) { b.policy_version } else { a.policy_version };
    Signal {
        strength: if a.strength == Strength::Implied { a.strength } else { b.strength },
        decided_at: a.decided_at.into_iter().chain(b.decided_at).min(),
        policy_version,
        ..Signal::undecided()
    }
}
