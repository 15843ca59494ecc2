//! TrustArc: buckets, numbered from 0, that the visitor accepted.
//!
//! Three cookies hold the same choice: `notice_gdpr_prefs` lists the buckets, then `:` and extras (`0,1:`,
//! `0::implied,us`); `notice_preferences` names the highest (`2:`); `cmapi_cookie_privacy` lists them numbered from 1
//! (`permit 1,2`, the space also as `_`). Only the first two say that the visitor chose. `notice_behavior` says how the
//! region asks (`expressed,eu`, `implied,us`), and stands there before any choice. What the buckets are for belongs to
//! the tenant; of a usual notice with three, 0 is required, 1 functional, 2 advertising.
//! Source: what the notice's script writes.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

const LIST: &str = "notice_gdpr_prefs";
const HIGHEST: &str = "notice_preferences";
const PERMIT: &str = "cmapi_cookie_privacy";
const BEHAVIOR: &str = "notice_behavior";

/// The buckets by their ids. Tenants have three or four.
const BUCKETS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

pub(super) const FORMAT: Format = Format {
    name: "trustarc",
    tier: Tier::Banner,
    cookies: &[LIST, HIGHEST, PERMIT, BEHAVIOR],
    listed_cookies: &[],
    ids: &[("0", "necessary"), ("1", "preferences"), ("2", "marketing")],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let is_implied = |value: &[u8]| value.windows(b"implied".len()).any(|word| word == b"implied");
    let (mut chosen, mut found, mut malformed) = (false, false, false);
    let mut implied = input.values(BEHAVIOR).any(is_implied);
    for (name, read) in [(LIST, list as fn(&[u8]) -> Option<u16>), (HIGHEST, highest), (PERMIT, permit)] {
        for value in input.values(name) {
            let value = decode_percent(value);
            let Some(accepted) = read(value.trim_ascii()) else {
                malformed = true;
                continue;
            };
            let is_accepted = |bucket: &&(usize, &&str)| accepted >> bucket.0 & 1 == 1;
            choices.accepted(BUCKETS.iter().enumerate().filter(|bucket| is_accepted(&bucket)).map(|(_, id)| id));
            implied |= is_implied(&value);
            found = true;
            chosen |= name != PERMIT;
        }
    }
    let strength = if chosen && !implied { Strength::Explicit } else { Strength::Implied };
    Some(match found {
        true => choices.signal(strength, None),
        false if malformed => Signal::problem(Problem::Malformed),
        false => Signal::undecided(),
    })
}

/// `0,1:` and extras, as bits.
fn list(value: &[u8]) -> Option<u16> {
    numbers(value.split(|byte| *byte == b':').next()?)
}

/// `1:`, which stands for all up to it, as bits.
fn highest(value: &[u8]) -> Option<u16> {
    let bit = numbers(value.split(|byte| *byte == b':').next()?)?;
    bit.is_power_of_two().then_some(bit | (bit - 1))
}

/// `permit 1,2` and words, numbered from 1, as bits.
fn permit(value: &[u8]) -> Option<u16> {
    let list = value.strip_prefix(b"permit")?.strip_prefix(b" ").or(value.strip_prefix(b"permit_"))?;
    let numbered_from_one = numbers(list.split(|byte| matches!(byte, b' ' | b'_')).next()?)?;
    (numbered_from_one & 1 == 0).then_some(numbered_from_one >> 1)
}

/// A list of single digits, as bits.
fn numbers(list: &[u8]) -> Option<u16> {
    list.split(|byte| *byte == b',').try_fold(0, |bits, number| match number {
        [digit @ b'0'..=b'9'] => Some(bits | 1 << (digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn four_buckets() -> Reader {
        reader_with(&FORMAT, &[("1", "preferences"), ("2", "analytics"), ("3", "marketing")], None)
    }

    #[test]
    fn buckets_are_read() {
        let behavior = "notice_behavior=expressed,eu";
        reader(&FORMAT).check(&[
            (&format!("{behavior}; notice_preferences=2:; notice_gdpr_prefs=0,1,2:"), "+preferences +marketing"),
            (
                &format!("{behavior}; notice_preferences=1:; notice_gdpr_prefs=0,1:; cmapi_cookie_privacy=permit 1,2"),
                "+preferences -marketing",
            ),
            (
                &format!(
                    "{behavior}; notice_preferences=0:; notice_gdpr_prefs=0:; cmapi_cookie_privacy=permit 1 required"
                ),
                "-preferences -marketing",
            ),
            ("notice_gdpr_prefs=0%2C1%2C2%3A; notice_behavior=expressed|eu", "+preferences +marketing"),
            ("notice_gdpr_prefs=0,1,2,3:", "+preferences +marketing ?3"),
            ("notice_gdpr_prefs=0,1,2:; notice_gdpr_prefs=0:", "-preferences -marketing"),
            (behavior, "undecided"),
            ("notice_gdpr_prefs=", "malformed"),
            ("notice_gdpr_prefs=all:", "malformed"),
            ("notice_preferences=0,2:", "malformed"),
        ]);
    }

    #[test]
    fn privacy_is_numbered_from_one_and_the_others_from_zero() {
        reader(&FORMAT).check(&[
            ("notice_gdpr_prefs=0,1:; cmapi_cookie_privacy=permit 1,2", "+preferences -marketing"),
            ("notice_gdpr_prefs=0,1,2:; cmapi_cookie_privacy=permit_1,2,3", "+preferences +marketing"),
            ("cmapi_cookie_privacy=permit 0,1", "malformed"),
            ("cmapi_cookie_privacy=1,2,3", "malformed"),
            ("cmapi_cookie_privacy=permitted; notice_gdpr_prefs=0,1:", "+preferences -marketing"),
        ]);
    }

    #[test]
    fn a_region_that_implies_consent_is_no_choice() {
        let all = "notice_preferences=2:; notice_gdpr_prefs=0,1,2:";
        reader(&FORMAT).check(&[
            ("notice_gdpr_prefs=0,1,2::implied,us", "+preferences +marketing ~"),
            (&format!("notice_behavior=implied,us; {all}"), "+preferences +marketing ~"),
            (&format!("{all}; notice_behavior=implied|us"), "+preferences +marketing ~"),
            ("notice_gdpr_prefs=0::implied,us", "-preferences -marketing ~"),
        ]);
    }

    #[test]
    fn privacy_alone_is_no_choice() {
        reader(&FORMAT).check(&[("cmapi_cookie_privacy=permit 1,2,3", "+preferences +marketing ~")]);
    }

    #[test]
    fn tenants_buckets_are_what_the_site_says() {
        four_buckets().check(&[
            ("notice_gdpr_prefs=0,2:", "+analytics -preferences -marketing"),
            ("notice_preferences=2:", "+preferences +analytics -marketing"),
            ("notice_gdpr_prefs=0,1,2,3:; notice_preferences=2:", "+preferences +analytics -marketing"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&four_buckets(), "notice_gdpr_prefs=0,1,2,3:", "notice_gdpr_prefs=0,1:", true);
        holds(&four_buckets(), "cmapi_cookie_privacy=permit 1,2,3,4", "cmapi_cookie_privacy=permit 1", true);
    }
}
