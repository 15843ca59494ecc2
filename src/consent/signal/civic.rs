//! Civic Cookie Control: `CookieControl`, JSON, not encoded unless the site says so.
//!
//! `optionalCookies` gives each category's state: `accepted`, `revoked`, or `legitimate interest`, which is no consent.
//! A plain refusal leaves it empty, with `interactedWith` true: what is missing then is refused. Before that, states are
//! the banner's initial ones. Categories are the site's, their names without separators; the usual ones are known.
//! Source: cookies of sites that use version 9, and programs that read them.

use std::borrow::Cow;

use serde::Deserialize;

use super::decode::{Members, Text, json, millis};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "civic",
    tier: Tier::Banner,
    cookies: &["CookieControl"],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("advertising", "marketing"),
        ("marketing", "marketing"),
        ("marketingsocial", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control<'a> {
    #[serde(borrow)]
    optional_cookies: Members<'a, Text<'a>>,
    consent_date: Option<u64>,
    #[serde(default)]
    interacted_with: bool,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let control: Control<'_> = serde_json::from_str(text).ok()?;
    let Members(categories) = control.optional_cookies;
    let is_accepted = |(_, Text(state)): &&(Cow<'_, str>, Text<'_>)| state == "accepted";
    categories.iter().filter(|category| !is_accepted(category)).for_each(|(id, _)| choices.set(id.as_bytes(), false));
    let accepted = categories.iter().filter(is_accepted).map(|(id, _)| id.as_bytes());
    if !control.interacted_with {
        accepted.for_each(|id| choices.set(id, true));
        return Some(if categories.is_empty() { Record::Undecided } else { Record::implied(None) });
    }
    choices.accepted(accepted);
    Some(Record::explicit(control.consent_date.map(millis)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(categories: &str, interacted: bool) -> String {
        format!(
            r#"CookieControl={{"necessaryCookies":["PHPSESSID"],"optionalCookies":{{{categories}}},"statement":{{"shown":true,"updated":"01/01/2026"}},"consentDate":1772442930120,"consentExpiry":90,"interactedWith":{interacted},"user":"3F0C9B52-7D11-4E0A-9A64-0B6C2F3D8E71"}}"#
        )
    }

    #[test]
    fn states_are_read() {
        let partial = cookie(r#""analytics":"accepted","Marketing":"revoked""#, true);
        let encoded = partial.replace('{', "%7B").replace('"', "%22").replace(',', "%2C").replace('}', "%7D");
        let all = cookie(r#""analytics":"accepted","marketing":"accepted","preferences":"accepted""#, true);
        reader(&FORMAT).check(&[
            (&partial, "+analytics -preferences -marketing @1772442930"),
            (&encoded, "+analytics -preferences -marketing @1772442930"),
            (&all, "+preferences +analytics +marketing @1772442930"),
            (&format!("{all}; {partial}"), "+analytics -preferences -marketing @1772442930"),
            (&cookie(r#""chat":"accepted""#, true), "-preferences -analytics -marketing @1772442930 ?chat"),
            (&cookie(r#""chat":"revoked""#, true), "-preferences -analytics -marketing @1772442930 ?chat"),
            (&cookie(r#""analytics":true"#, true), "malformed"),
            (all.trim_end_matches('}'), "malformed"),
            (r#"CookieControl={"interactedWith":true}"#, "malformed"),
            ("CookieControl=accepted", "malformed"),
        ]);
    }

    #[test]
    fn after_an_interaction_nothing_means_that_everything_is_refused() {
        reader(&FORMAT).check(&[(&cookie("", true), "-preferences -analytics -marketing @1772442930")]);
    }

    #[test]
    fn before_an_interaction_states_are_the_banners() {
        let initial = cookie(r#""analytics":"accepted","marketing":"revoked""#, false);
        reader(&FORMAT).check(&[
            (&cookie("", false), "undecided"),
            (&initial, "+analytics -marketing ~"),
            (&initial.replace("interactedWith", "interacted"), "+analytics -marketing ~"),
        ]);
    }

    #[test]
    fn legitimate_interest_is_no_consent() {
        let row = cookie(r#""analytics":"accepted","marketing":"legitimate interest""#, true);
        reader(&FORMAT).check(&[(&row, "+analytics -preferences -marketing @1772442930")]);
    }

    #[test]
    fn categories_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("Chat", "marketing"), ("functional", "analytics")], None);
        reader.check(&[
            (&cookie(r#""chat":"accepted""#, true), "+marketing -preferences -analytics @1772442930"),
            (&cookie(r#""functional":"accepted""#, true), "+analytics -preferences -marketing @1772442930"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let all = cookie(r#""analytics":"accepted","marketing":"accepted""#, true);
        holds(&reader(&FORMAT), &all, &cookie("", true), true);
    }
}
