//! The signal in the own consent cookie; its format is in [`crate::consent::OwnCookie`].
//!
//! The same name twice (host-only and on a parent domain) means both must agree: the most restrictive holds.

use std::borrow::Cow;

use super::{Choices, Format, Problem, Signal, SignalInput, Tier};
use crate::consent::own::OwnConsent;
use crate::policy::Purpose;

/// Its cookie is named in `[consent]`.
pub(super) const FORMAT: Format =
    Format { name: "consentry", tier: Tier::Own, cookies: &[], listed_cookies: &[], ids: &[], read };

fn read<'a>(input: &SignalInput<'a>, _: Choices<'_>) -> Option<Signal<'a>> {
    let read = input.cookies.iter().filter_map(|cookie| input.own.parse(cookie.value, input.purposes));
    let consent = read.reduce(|a, b| {
        let granted = a.granted.intersection(b.granted);
        let older = if a.given_at <= b.given_at { a } else { b };
        OwnConsent { granted, ..older }
    });
    let Some(consent) = consent else { return Some(Signal::problem(Problem::Unsigned)) };
    let granted = consent.granted.intersection(input.site.purposes).with(Purpose::NECESSARY);
    Some(Signal {
        granted,
        denied: input.site.purposes.without(granted),
        decided_at: Some(consent.given_at),
        policy_version: Some(Cow::Borrowed(consent.policy_version)).filter(|version| !version.is_empty()),
        ..Signal::undecided()
    })
}
