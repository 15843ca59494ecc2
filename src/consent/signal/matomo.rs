//! Matomo: `mtm_consent` and `mtm_cookie_consent`, whose value is the time of consent, and `mtm_consent_removed`, whose
//! value is the time of its withdrawal; all in milliseconds.
//!
//! The first is for tracking, the second only for cookies of the tracker. A withdrawal holds against both. Where no
//! consent is asked for, none of them is written.
//! Source: Matomo developer documentation, "Tracking & Cookie Consent", and the tracker's script.

use super::decode::millis;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};

const GIVEN: [&str; 2] = ["mtm_consent", "mtm_cookie_consent"];
const REMOVED: &str = "mtm_consent_removed";

pub(super) const FORMAT: Format = Format {
    name: "matomo",
    tier: Tier::Banner,
    cookies: &["mtm_consent", "mtm_cookie_consent", REMOVED],
    listed_cookies: &[],
    ids: &[("mtm_consent", "analytics"), ("mtm_cookie_consent", "analytics")],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut decided_at: Option<u64> = None;
    let mut tell = |at: u64| decided_at = Some(decided_at.map_or(at, |earlier| earlier.min(at)));
    for name in GIVEN {
        for at in input.values(name).filter_map(time) {
            choices.set(name, true);
            tell(at);
        }
    }
    // Refused whatever the value is: what else could it mean?
    for value in input.values(REMOVED) {
        choices.set_all(choices.mapped(), false);
        time(value).into_iter().for_each(&mut tell);
    }
    if choices.is_empty() {
        return Some(Signal::problem(Problem::Malformed));
    }
    Some(choices.signal(Strength::Explicit, decided_at))
}

/// Unix time in seconds of a number of milliseconds.
fn time(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten().map(millis)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    #[test]
    fn times_are_consent() {
        reader(&FORMAT).check(&[
            ("mtm_consent=1772442930120", "+analytics @1772442930"),
            ("mtm_cookie_consent=1772442930120", "+analytics @1772442930"),
            ("mtm_consent=1772442930120; mtm_consent=1700000000000", "+analytics @1700000000"),
            ("mtm_consent_removed=1772442930120", "-analytics @1772442930"),
            ("mtm_consent_removed=1", "-analytics @0"),
            ("mtm_consent_removed=yes", "-analytics"),
        ]);
    }

    #[test]
    fn presence_is_not_consent() {
        for value in ["", "true", "yes", "-1", "1772442930120x", "99999999999999999999999"] {
            assert_eq!(reader(&FORMAT).read(&format!("mtm_consent={value}")), "malformed", "{value}");
        }
    }

    #[test]
    fn a_withdrawal_holds_against_a_consent_that_is_still_there() {
        reader(&FORMAT).check(&[
            ("mtm_consent=1772442930120; mtm_consent_removed=1772442999000", "-analytics @1772442930"),
            ("mtm_consent_removed=1772442930120; mtm_cookie_consent=1772442999000", "-analytics @1772442930"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let reader = reader_with(&FORMAT, &[("mtm_cookie_consent", "marketing")], None);
        let granting = "mtm_consent=1772442930120; mtm_cookie_consent=1772442930120";
        holds(&reader, granting, "mtm_consent_removed=1772442930120", true);
    }
}
