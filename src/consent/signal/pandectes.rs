//! Pandectes, a banner for Shopify: `_pandectes_gdpr`, base64 of JSON with `status`, `timestamp` in seconds, and
//! `preferences`, three bits.
//!
//! A bit that is set is a **refusal**: 1 functionality, 2 analytics, 4 marketing. Before a choice, `status` is empty and
//! the rest `null`. `allow` is the visitor's choice, `deny` refuses everything; of other words nothing is documented, so
//! they only refuse where silence is none.
//! Source: the banner's script for the bits; records in public code for the rest.

use serde::Deserialize;

use super::decode::{Text, base64};
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};

const COOKIE: &str = "_pandectes_gdpr";

pub(super) const FORMAT: Format = Format {
    name: "pandectes",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[("1", "preferences"), ("2", "analytics"), ("4", "marketing")],
    read,
};

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Unix time in seconds.
    timestamp: Option<u64>,
    preferences: Option<u8>,
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut found, mut strength, mut decided_at) = (false, Strength::Explicit, None::<u64>);
    for value in input.values(COOKIE) {
        let Some(json) = base64(value) else { continue };
        let Ok(record) = serde_json::from_slice::<Record<'_>>(&json) else { continue };
        let refused = match (record.status.as_ref().map(|status| &*status.0), record.preferences) {
            (None | Some(""), _) => return Some(Signal::undecided()),
            (Some("deny"), _) => u8::MAX,
            (Some("allow"), Some(bits)) => bits,
            (Some(_), Some(bits)) => {
                strength = Strength::Implied;
                bits
            }
            (Some(_), None) => continue,
        };
        for (bit, id) in [(1, "1"), (2, "2"), (4, "4")] {
            choices.set(id, refused & bit == 0);
        }
        found = true;
        decided_at = [decided_at, record.timestamp].into_iter().flatten().min();
    }
    Some(if found { choices.signal(strength, decided_at) } else { Signal::problem(Problem::Malformed) })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn encoded(json: &str) -> String {
        format!("_pandectes_gdpr={}", STANDARD.encode(json))
    }

    fn cookie(status: &str, preferences: u8) -> String {
        encoded(&format!(
            r#"{{"country":{{"code":"ES","state":"AN","detected":1772442900}},"status":"{status}","timestamp":1772442930,"preferences":{preferences},"id":"6734d660250df40335cbfb9d"}}"#
        ))
    }

    const ALL: &str = "+preferences +analytics +marketing @1772442930";

    #[test]
    fn bits_that_are_set_are_refusals() {
        reader(&FORMAT).check(&[
            (&cookie("allow", 0), ALL),
            (&cookie("allow", 0).replace('=', "%3D").replacen("%3D", "=", 1), ALL),
            (&cookie("allow", 4), "+preferences +analytics -marketing @1772442930"),
            (&cookie("allow", 6), "+preferences -analytics -marketing @1772442930"),
            (&cookie("allow", 7), "-preferences -analytics -marketing @1772442930"),
            (&cookie("deny", 7), "-preferences -analytics -marketing @1772442930"),
            (&cookie("deny", 0), "-preferences -analytics -marketing @1772442930"),
            (
                &format!("{}; {}", cookie("allow", 0), cookie("allow", 2)),
                "+preferences +marketing -analytics @1772442930",
            ),
        ]);
    }

    #[test]
    fn before_a_choice_nothing_is_decided() {
        let before = encoded(r#"{"country":{"code":"IN"},"status":"","timestamp":null,"preferences":null}"#);
        reader(&FORMAT).check(&[(&before, "undecided"), (&format!("{}; {before}", cookie("allow", 0)), "undecided")]);
    }

    #[test]
    fn a_status_that_is_not_known_is_no_choice() {
        reader(&FORMAT).check(&[(&cookie("dismiss", 4), "+preferences +analytics -marketing ~ @1772442930")]);
    }

    #[test]
    fn what_is_not_of_the_form_is_malformed() {
        let reader = reader(&FORMAT);
        for value in ["", "allow", "e30x", "{}"] {
            assert_eq!(reader.read(&format!("_pandectes_gdpr={value}")), "malformed", "{value}");
        }
        for json in [r#"{"status":"allow"}"#, r#"{"status":"allow","preferences":"0"}"#, r#"{"status":1}"#, "[]"] {
            assert_eq!(reader.read(&encoded(json)), "malformed", "{json}");
        }
    }

    #[test]
    fn a_site_says_what_the_bits_are() {
        reader_with(&FORMAT, &[("1", "marketing")], None)
            .check(&[(&cookie("allow", 1), "+analytics -marketing @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie("allow", 0), &cookie("deny", 7), true);
    }
}
