//! Tealium: `CONSENTMGR`, a list of `key:value` between `|`, in any order.
//!
//! `consent` is what the visitor said as a whole: `false` refuses everything, and `true` beside `cN:0` is a partial
//! consent. `cN` are the categories of Tealium's numbered list: analytics, affiliates, display ads, search, email,
//! personalization, social, big data, misc, cookie match, CDP, mobile, engagement, monitoring, CRM. A prompt without
//! categories writes `consent` and `ts` alone, which then speaks for all; a record without `ts` may be cut off.
//! Source: Tealium documentation, "Consent preferences manager", and its JavaScript API.

use super::decode::millis;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::{PurposeSet, decode_percent};

const COOKIE: &str = "CONSENTMGR";

pub(super) const FORMAT: Format = Format {
    name: "tealium",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[
        ("c1", "analytics"),
        ("c2", "marketing"),
        ("c3", "marketing"),
        ("c4", "marketing"),
        ("c5", "marketing"),
        ("c6", "preferences"),
        ("c7", "marketing"),
        ("c8", "marketing"),
        ("c10", "marketing"),
        ("c11", "marketing"),
        ("c14", "analytics"),
        ("c15", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut found, mut decided_at) = (false, None::<u64>);
    for value in input.values(COOKIE) {
        let list = decode_percent(value);
        found |= pairs(&list).next().is_some();
        let at = record(&list, input.site.purposes, &mut choices);
        decided_at = [decided_at, at].into_iter().flatten().min();
    }
    Some(if found { choices.signal(Strength::Explicit, decided_at) } else { Signal::problem(Problem::Malformed) })
}

/// Reads one list; returns when the visitor chose, in Unix seconds, if it tells.
fn record(list: &[u8], all: PurposeSet, choices: &mut Choices<'_>) -> Option<u64> {
    let find = |wanted: &[u8]| pairs(list).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let consent = find(b"consent")? == b"true";
    let at = find(b"ts").and_then(|number| std::str::from_utf8(number).ok()?.parse().ok()).map(millis);
    let categories = || pairs(list).filter(|(key, _)| is_category(key));
    if !consent || (at.is_some() && categories().next().is_none()) {
        choices.set_all(all, consent);
    }
    for (category, value) in categories().filter(|_| consent) {
        if let b"1" | b"0" = value {
            choices.set(category, value == b"1");
        }
    }
    at
}

/// The keys and values of a list.
fn pairs(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    list.split(|byte| *byte == b'|').filter_map(|pair| {
        let colon = memchr::memchr(b':', pair)?;
        Some((pair.get(..colon)?, pair.get(colon + 1..)?))
    })
}

/// Whether `key` is `c` and a number.
fn is_category(key: &[u8]) -> bool {
    key.strip_prefix(b"c").is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(analytics: u8, ads: u8, consent: bool) -> String {
        format!("CONSENTMGR=c1:{analytics}%7Cc3:{ads}%7Cc6:1%7Cts:1772442930120%7Cconsent:{consent}")
    }

    #[test]
    fn categories_are_read() {
        reader(&FORMAT).check(&[
            (&cookie(1, 1, true), "+preferences +analytics +marketing @1772442930"),
            (&cookie(1, 0, true), "+preferences +analytics -marketing @1772442930"),
            (&cookie(0, 0, false), "-preferences -analytics -marketing @1772442930"),
            ("CONSENTMGR=consent:true|c1:1|c3:0|ts:1772442930120", "+analytics -marketing @1772442930"),
            ("CONSENTMGR=c3:1|c7:0|c1:1|consent:true", "+analytics -marketing"),
            ("CONSENTMGR=1772442930120:undefined|consent:true|c1:1|c9:1", "+analytics ?c9"),
            ("CONSENTMGR=", "malformed"),
            ("CONSENTMGR=true", "malformed"),
            ("CONSENTMGR=ts:1772442930120", "undecided"),
        ]);
    }

    #[test]
    fn consent_as_a_whole_speaks_for_all_without_categories() {
        let all = "+preferences +analytics +marketing @1772442930";
        reader(&FORMAT).check(&[
            ("CONSENTMGR=ts:1772442930120%7Cconsent:true", all),
            ("CONSENTMGR=ts:1772442930120|consent:false", "-preferences -analytics -marketing @1772442930"),
            ("CONSENTMGR=consent:true", "undecided"),
        ]);
    }

    #[test]
    fn a_whole_refusal_holds_against_categories() {
        reader(&FORMAT).check(&[(&cookie(1, 1, false), "-preferences -analytics -marketing @1772442930")]);
    }

    #[test]
    fn categories_without_consent_are_no_choice() {
        reader(&FORMAT).check(&[("CONSENTMGR=c1:1|c3:0|ts:1772442930120", "undecided")]);
    }

    #[test]
    fn of_two_records_the_older_tells_the_time() {
        let older = cookie(1, 1, true).replace("1772442930120", "1700000000000");
        reader(&FORMAT)
            .check(&[(&format!("{}; {older}", cookie(1, 1, true)), "+preferences +analytics +marketing @1700000000")]);
    }

    #[test]
    fn a_site_says_what_its_categories_are() {
        reader_with(&FORMAT, &[("c9", "marketing")], None).check(&[("CONSENTMGR=c9:1|consent:true", "+marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie(1, 1, true), &cookie(0, 0, false), true);
        let partial = "CONSENTMGR=consent:true|c1:1|c3:0|ts:1772442930120";
        let reader = reader(&FORMAT);
        let ads = |end: usize| reader.read_bytes(&partial.as_bytes()[..end]).contains("+marketing");
        assert!(!(11..partial.len()).any(ads), "a cut-off consent is no whole consent");
    }
}
