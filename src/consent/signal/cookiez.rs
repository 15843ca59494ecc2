//! Cookiez, a banner for WordPress: `cookiez-user-consent`, percent-encoded JSON with a decision for each category, and
//! the hash of the site's list of cookies for which it was made.
//!
//! The banner itself takes a record only while that hash is the page's, which a server does not see: the site may give
//! it as `revision`. Without one, nobody knows whether the choice still holds, and it counts as the banner's default,
//! not as the visitor's consent. Without `meta`, it is no record.
//! Source: what the banner's script writes and reads.

use serde::Deserialize;

use super::decode::{Members, Text, json};
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};

const COOKIE: &str = "cookiez-user-consent";

pub(super) const FORMAT: Format = Format {
    name: "cookiez",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("analytics", "analytics"),
        ("advertising", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    data: Data<'a>,
    #[serde(borrow)]
    meta: Meta<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    consent: Members<'a, bool>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "cookiesHash")]
    hash: Text<'a>,
    /// Unix time in seconds.
    timestamp: u64,
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut is_current, mut decided_at) = (true, None::<u64>);
    for value in input.values(COOKIE) {
        let at = json(value, |text| {
            let record: Record<'_> = serde_json::from_str(text).ok()?;
            record.data.consent.0.iter().for_each(|(id, granted)| choices.set(&**id, *granted));
            is_current &= input.is_current(&record.meta.hash.0);
            Some(record.meta.timestamp)
        });
        decided_at = [decided_at, at].into_iter().flatten().min();
    }
    if decided_at.is_none() {
        return Some(Signal::problem(Problem::Malformed));
    }
    if !is_current {
        return Some(Signal::problem(Problem::OtherRevision));
    }
    let strength = if input.revision.is_some() { Strength::Explicit } else { Strength::Implied };
    Some(choices.signal(strength, decided_at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn current() -> Reader {
        reader_with(&FORMAT, &[], Some("8f2b"))
    }

    fn raw(analytics: bool, advertising: bool, hash: &str) -> String {
        format!(
            r#"cookiez-user-consent={{"data":{{"consentId":"a","consent":{{"necessary":true,"functional":true,"analytics":{analytics},"advertising":{advertising}}}}},"meta":{{"cookiesHash":"{hash}","timestamp":1772442930}}}}"#
        )
    }

    fn cookie(analytics: bool, advertising: bool, hash: &str) -> String {
        let raw = raw(analytics, advertising, hash);
        raw.replace('{', "%7B").replace('"', "%22").replace(':', "%3A").replace(',', "%2C").replace('}', "%7D")
    }

    #[test]
    fn categories_are_read() {
        let all = "+preferences +analytics +marketing @1772442930";
        let unclassified = raw(true, true, "8f2b").replace(r#""functional":true"#, r#""unclassified":true"#);
        current().check(&[
            (&cookie(true, true, "8f2b"), all),
            (&raw(true, true, "8f2b"), all),
            (&cookie(true, false, "8f2b"), "+preferences +analytics -marketing @1772442930"),
            (&cookie(false, false, "8f2b"), "+preferences -analytics -marketing @1772442930"),
            (&unclassified, "+analytics +marketing @1772442930 ?unclassified"),
            ("cookiez-user-consent=", "malformed"),
            (r#"cookiez-user-consent={"data":{"consent":{"analytics":true}}}"#, "malformed"),
            (&raw(true, true, "8f2b").replace("1772442930", "null"), "malformed"),
        ]);
    }

    #[test]
    fn a_record_for_another_list_of_cookies_is_none() {
        let other = "made for another revision of the banner's settings";
        current().check(&[
            (&cookie(true, true, "77aa"), other),
            (&format!("{}; {}", cookie(true, true, "8f2b"), cookie(true, true, "77aa")), other),
        ]);
    }

    #[test]
    fn without_the_hash_nobody_knows_whether_it_holds() {
        reader(&FORMAT).check(&[(&cookie(true, false, "8f2b"), "+preferences +analytics -marketing ~ @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&current(), &cookie(true, true, "8f2b"), &cookie(false, false, "8f2b"), true);
    }
}
