//! CookieScript: `CookieScriptConsent`, JSON, raw or URL-encoded, whose `categories` are a JSON list within a JSON string.
//!
//! `action` is the visitor's: `accept` with the categories that were accepted, or `reject`. Without one, or with another,
//! the banner has been shown or closed, no more. What is not in the list is refused; without a list nothing is granted.
//! Source: cookies of sites that use it, and programs that read them.

use serde::Deserialize;

use super::decode::{Scalar, Text, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "cookiescript",
    tier: Tier::Banner,
    cookies: &["CookieScriptConsent"],
    listed_cookies: &[],
    ids: &[
        ("strict", "necessary"),
        ("functionality", "preferences"),
        ("performance", "analytics"),
        ("targeting", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Consent<'a> {
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow)]
    categories: Option<Categories<'a>>,
    #[serde(borrow)]
    consenttime: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Categories<'a> {
    Text(#[serde(borrow)] Text<'a>),
    List(#[serde(borrow)] Vec<Text<'a>>),
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let consent: Consent<'_> = serde_json::from_str(text).ok()?;
    let accepted: Option<Vec<Text<'_>>> = match &consent.categories {
        Some(Categories::Text(Text(list))) => Some(serde_json::from_str(list).ok()?),
        Some(Categories::List(list)) => Some(list.iter().map(|Text(id)| Text(id.as_ref().into())).collect()),
        None => None,
    };
    match (consent.action.as_ref().map(|Text(action)| action.as_ref()), accepted) {
        (Some("reject"), _) => choices.set_all(choices.mapped(), false),
        (Some("accept"), Some(accepted)) => choices.accepted(accepted.iter().map(|Text(id)| id.as_bytes())),
        _ => return Some(Record::Undecided),
    }
    let at = consent.consenttime.as_ref().and_then(Scalar::number).and_then(|at| u64::try_from(at).ok());
    Some(Record::explicit(at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(action: &str, categories: &str) -> String {
        let escaped = categories.replace('"', r#"\""#);
        format!(
            r#"CookieScriptConsent={{"bannershown":1,"action":"{action}","consenttime":1772442930,"categories":"[{escaped}]","key":"99a8bf43-ba89-444c-9333-2971c53e72a6"}}"#
        )
    }

    #[test]
    fn a_list_within_a_string_is_read() {
        let partial = cookie("accept", r#""performance""#);
        let encoded = partial.replace('{', "%7B").replace('"', "%22").replace('\\', "%5C").replace('}', "%7D");
        let list = r#"CookieScriptConsent={"action":"accept","consenttime":"1772442930","categories":["performance","targeting"]}"#;
        reader(&FORMAT).check(&[
            (&partial, "+analytics -preferences -marketing @1772442930"),
            (&encoded, "+analytics -preferences -marketing @1772442930"),
            (
                &cookie("accept", r#""performance","targeting","functionality""#),
                "+preferences +analytics +marketing @1772442930",
            ),
            (list, "+analytics +marketing -preferences @1772442930"),
            (&cookie("accept", ""), "-preferences -analytics -marketing @1772442930"),
            (
                &cookie("accept", r#""targeting","unclassified""#),
                "+marketing -preferences -analytics @1772442930 ?unclassified",
            ),
            (&cookie("accept", r#""targeting"#), "malformed"),
            (partial.trim_end_matches('}'), "malformed"),
            (r#"CookieScriptConsent={"action":"accept","categories":{}}"#, "malformed"),
            ("CookieScriptConsent=accept", "malformed"),
        ]);
    }

    #[test]
    fn a_rejection_refuses_whatever_is_listed() {
        let (none, all) = (cookie("reject", ""), cookie("accept", r#""performance","targeting","functionality""#));
        reader(&FORMAT).check(&[
            (&none, "-preferences -analytics -marketing @1772442930"),
            (&cookie("reject", r#""performance""#), "-preferences -analytics -marketing @1772442930"),
            (&format!("{none}; {all}"), "-preferences -analytics -marketing @1772442930"),
            (r#"CookieScriptConsent={"action":"reject"}"#, "-preferences -analytics -marketing"),
        ]);
    }

    #[test]
    fn without_an_action_and_a_list_nothing_is_decided() {
        reader(&FORMAT).check(&[
            (r#"CookieScriptConsent={"bannershown":1}"#, "undecided"),
            (r#"CookieScriptConsent={"action":"accept"}"#, "undecided"),
            (&cookie("close", r#""performance""#), "undecided"),
        ]);
    }

    #[test]
    fn categories_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("unclassified", "marketing")], None);
        reader.check(&[(&cookie("accept", r#""targeting""#), "-preferences -analytics -marketing @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie("accept", r#""performance","targeting""#), &cookie("reject", ""), true);
    }
}
