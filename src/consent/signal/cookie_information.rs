//! Cookie Information: `CookieInformationConsent`, URL-encoded JSON, with the categories that were approved and those that
//! were denied.
//!
//! It also holds the address at which the visitor chose, and an id: nothing of these is read.
//! Source: cookies of sites that use it, and the vendor's template for Google Tag Manager, which reads them.

use serde::Deserialize;

use super::decode::{Text, iso_time, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "cookie_information",
    tier: Tier::Banner,
    cookies: &["CookieInformationConsent"],
    listed_cookies: &[],
    ids: &[
        ("cookie_cat_necessary", "necessary"),
        ("cookie_cat_functional", "preferences"),
        ("cookie_cat_statistic", "analytics"),
        ("cookie_cat_marketing", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Consent<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    consents_approved: Vec<Text<'a>>,
    #[serde(borrow, default)]
    consents_denied: Vec<Text<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let consent: Consent<'_> = serde_json::from_str(text).ok()?;
    for (ids, approved) in [(&consent.consents_approved, true), (&consent.consents_denied, false)] {
        ids.iter().for_each(|Text(id)| choices.set(id.as_bytes(), approved));
    }
    Some(Record::explicit(consent.timestamp.and_then(|Text(time)| iso_time(&time))))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(approved: &str, denied: &str) -> String {
        let json = format!(
            r#"{{"website_uuid":"0240e5d8-0ab8-4b16-aed7-0daef8579187","timestamp":"2026-03-02T09:15:30.120Z","consent_url":"https://shop.example/?a=1","consent_website":"shop.example","user_uid":"202cb5c3-34f2-46f3-afaa-b8483b0ce479","consents_approved":[{approved}],"consents_denied":[{denied}],"user_agent":"Mozilla/5.0 (X11)"}}"#
        );
        format!("CookieInformationConsent={json}")
    }

    fn encoded(cookie: &str) -> String {
        let (name, json) = cookie.split_once('=').unwrap();
        let escapes =
            [('{', "%7B"), ('}', "%7D"), ('"', "%22"), (',', "%2C"), (':', "%3A"), ('[', "%5B"), (']', "%5D")];
        let json = escapes.iter().fold(json.to_owned(), |json, (plain, escape)| json.replace(*plain, escape));
        format!("{name}={json}")
    }

    #[test]
    fn approved_and_denied_categories_are_read() {
        let partial = cookie(
            r#""cookie_cat_necessary","cookie_cat_statistic""#,
            r#""cookie_cat_functional","cookie_cat_marketing""#,
        );
        let all = cookie(r#""cookie_cat_statistic","cookie_cat_marketing""#, "");
        let none = cookie(r#""cookie_cat_necessary""#, r#""cookie_cat_statistic","cookie_cat_marketing""#);
        let unknown = cookie(r#""cookie_cat_statistic","cookie_cat_unclassified""#, "");
        reader(&FORMAT).check(&[
            (&partial, "+analytics -preferences -marketing @1772442930"),
            (&encoded(&partial), "+analytics -preferences -marketing @1772442930"),
            (&all, "+analytics +marketing @1772442930"),
            (&none, "-analytics -marketing @1772442930"),
            (&format!("{all}; {none}"), "-analytics -marketing @1772442930"),
            (&unknown, "+analytics @1772442930 ?cookie_cat_unclassified"),
            (&cookie("", ""), "undecided"),
            (&partial.replace("consents_approved", "approved"), "malformed"),
            (&cookie("1", ""), "malformed"),
            (encoded(&partial).trim_end_matches("%7D"), "malformed"),
            ("CookieInformationConsent=true", "malformed"),
        ]);
    }

    #[test]
    fn a_category_in_neither_list_is_undecided() {
        reader(&FORMAT).check(&[(&cookie("", r#""cookie_cat_marketing""#), "-marketing @1772442930")]);
    }

    #[test]
    fn categories_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("cookie_cat_unclassified", "marketing")], None);
        reader.check(&[(&cookie(r#""cookie_cat_unclassified""#, ""), "+marketing @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let both = r#""cookie_cat_statistic","cookie_cat_marketing""#;
        holds(&reader(&FORMAT), &cookie(both, ""), &cookie("", both), true);
    }
}
