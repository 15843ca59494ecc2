//! The signal in the own consent cookie; its format is in [`crate::consent::OwnCookie`].
//!
//! The same name twice (host-only and on a parent domain) means both must agree: the most restrictive holds.

use super::{Signal, SignalInput, Strength};
use crate::consent::cookies::cookie_pairs;
use crate::consent::own::OwnConsent;
use crate::policy::Purpose;

pub(super) fn read<'a>(input: &SignalInput<'a>) -> Option<Signal<'a>> {
    if !input.own.may_be_in(input.headers) {
        return None;
    }
    let named = cookie_pairs(input.headers).filter(|pair| pair.name == input.own.name.as_bytes());
    let read = named.filter_map(|pair| input.own.parse(pair.value, input.purposes));
    let consent = read.reduce(|a, b| {
        let granted = a.granted.intersection(b.granted);
        let older = if a.given_at <= b.given_at { a } else { b };
        OwnConsent { granted, ..older }
    })?;
    let granted = consent.granted.intersection(input.site_purposes).with(Purpose::NECESSARY);
    Some(Signal {
        granted,
        denied: input.site_purposes.without(granted),
        strength: Strength::Explicit,
        decided_at: Some(consent.given_at),
        policy_version: Some(consent.policy_version).filter(|version| !version.is_empty()),
    })
}
