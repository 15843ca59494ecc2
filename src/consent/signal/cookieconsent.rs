//! CookieConsent by orestbida, versions 3 and 2, which share the name `cc_cookie`: JSON, URL-encoded by version 3 and, if
//! set so, by version 2.
//!
//! The record lists the categories that were accepted; what is not listed is refused. Nothing is written before a
//! choice. Like the library, this takes for valid only what has its id and its times: `consentId`, `consentTimestamp`
//! and `lastConsentTimestamp`, in version 2 `consent_uuid` and `consent_date`. `revision` is the site's own number.
//! Version 2 has `level` beside `categories`, and had it alone. Services within categories are not read.
//! Source: the packages `vanilla-cookieconsent` 3.1 and 2.9, and their cookies as they write them.

use std::borrow::Cow;

use serde::Deserialize;

use super::decode::{Scalar, Text, iso_time, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "cookieconsent",
    tier: Tier::Banner,
    cookies: &["cc_cookie"],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functionality", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("ads", "marketing"),
        ("marketing", "marketing"),
        ("targeting", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Consent<'a> {
    #[serde(borrow)]
    categories: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    level: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    revision: Option<Scalar<'a>>,
    #[serde(borrow, rename = "consentId", alias = "consent_uuid")]
    id: Text<'a>,
    #[serde(borrow, rename = "consentTimestamp", alias = "consent_date")]
    first: Text<'a>,
    #[serde(borrow, rename = "lastConsentTimestamp", alias = "last_consent_update")]
    last: Option<Text<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let consent: Consent<'_> = serde_json::from_str(text).ok()?;
    let Text(first) = &consent.first;
    if consent.id.0.is_empty() || first.is_empty() {
        return None;
    }
    let accepted = consent.categories.or(consent.level)?;
    choices.accepted(accepted.iter().map(|Text(id)| id.as_bytes()));
    let at = iso_time(consent.last.as_ref().map_or(first, |Text(last)| last));
    let revision = consent.revision.as_ref().and_then(Scalar::number).map(|number| Cow::Owned(number.to_string()));
    Some(Record::explicit(at).of_revision(revision))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    /// As version 3.1 writes it, unescaped.
    fn v3(categories: &str, revision: u32) -> String {
        format!(
            r#"cc_cookie={{"categories":[{categories}],"revision":{revision},"data":null,"consentTimestamp":"2026-02-02T09:15:30.120Z","consentId":"3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71","services":{{"necessary":[],"analytics":["matomo"],"ads":[]}},"languageCode":"en","lastConsentTimestamp":"2026-03-02T09:15:30.120Z","expirationTime":1788167730120}}"#
        )
    }

    /// As version 2.9 writes it.
    fn v2(categories: &str) -> String {
        format!(
            r#"cc_cookie={{"categories":[{categories}],"level":[{categories}],"revision":0,"data":null,"rfc_cookie":false,"consent_date":"2026-03-02T09:15:30.120Z","consent_uuid":"ff233ff9-fdc1-410d-92e1-423156ed33d6","last_consent_update":"2026-03-02T09:15:30.120Z"}}"#
        )
    }

    #[test]
    fn accepted_categories_are_read_in_both_versions() {
        let escaped = "cc_cookie=%7B%22categories%22%3A%5B%22necessary%22%2C%22analytics%22%5D%2C%22revision%22%3A2%2C%22data%22%3Anull%2C%22consentTimestamp%22%3A%222026-03-02T09%3A15%3A30.120Z%22%2C%22consentId%22%3A%223f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71%22%2C%22services%22%3A%7B%22necessary%22%3A%5B%5D%2C%22analytics%22%3A%5B%22matomo%22%5D%2C%22ads%22%3A%5B%5D%7D%2C%22languageCode%22%3A%22en%22%2C%22lastConsentTimestamp%22%3A%222026-03-02T09%3A15%3A30.120Z%22%2C%22expirationTime%22%3A1788167730120%7D";
        let only_level = v2(r#""necessary","analytics""#).replace(r#""categories":["necessary","analytics"],"#, "");
        reader(&FORMAT).check(&[
            (escaped, "+analytics -preferences -marketing @1772442930 #2"),
            (&v3(r#""necessary","analytics","ads""#, 0), "+analytics +marketing -preferences @1772442930 #0"),
            (&v3(r#""necessary""#, 0), "-preferences -analytics -marketing @1772442930 #0"),
            (&v2(r#""necessary","analytics","ads""#), "+analytics +marketing -preferences @1772442930 #0"),
            (&v2(r#""necessary""#), "-preferences -analytics -marketing @1772442930 #0"),
            (&v2(""), "-preferences -analytics -marketing @1772442930 #0"),
            (&only_level, "+analytics -preferences -marketing @1772442930 #0"),
            (&v3(r#""analytics","experiments""#, 0), "+analytics -preferences -marketing @1772442930 #0 ?experiments"),
        ]);
    }

    #[test]
    fn without_an_id_and_a_time_a_record_is_not_valid() {
        let all = v3(r#""necessary","analytics","ads""#, 0);
        let id = r#""3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71""#;
        let rows = [
            all.replace("consentId", "id"),
            all.replace(id, "null"),
            all.replace(id, r#""""#),
            all.replace("consentTimestamp", "timestamp"),
            all.replace("categories", "groups"),
            all.replace(r#"["necessary","analytics","ads"]"#, r#"{"analytics":true}"#),
            all.trim_end_matches('}').to_owned(),
            "cc_cookie=1".to_owned(),
            "cc_cookie=".to_owned(),
        ];
        for row in rows {
            assert_eq!(reader(&FORMAT).read(&row), "malformed", "{row}");
        }
    }

    #[test]
    fn the_revision_is_told_and_of_two_the_one_that_is_not_in_force() {
        let row = |revision| v3(r#""analytics""#, revision);
        let told = "+analytics -preferences -marketing @1772442930";
        reader_with(&FORMAT, &[], Some("2")).check(&[
            (&row(2), &format!("{told} #2")),
            (&format!("{}; {}", row(2), row(1)), &format!("{told} #1")),
            (&format!("{}; {}", row(1), row(2)), &format!("{told} #1")),
            (&row(2).replace("revision", "version"), &format!("{told} #")),
        ]);
    }

    #[test]
    fn of_two_records_the_older_time_holds() {
        let row = v3(r#""analytics""#, 0);
        let older = row.replace("2026-03-02", "2026-03-01");
        let told = "+analytics -preferences -marketing @1772356530 #0";
        reader(&FORMAT).check(&[(&format!("{row}; {older}"), told), (&format!("{older}; {row}"), told)]);
    }

    #[test]
    fn categories_and_the_cookies_name_are_the_sites() {
        let reader = reader_with(&FORMAT, &[("experiments", "marketing")], None).named(&["choice"]);
        let row = v3(r#""experiments","ads""#, 0).replace("cc_cookie", "choice");
        reader.check(&[(&row, "+marketing -preferences -analytics @1772442930 #0")]);
        let row = v3(r#""ads""#, 0).replace("cc_cookie", "choice");
        reader.check(&[(&row, "-preferences -analytics -marketing @1772442930 #0")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &v3(r#""necessary","analytics","ads""#, 0), &v3(r#""necessary""#, 0), true);
        holds(&reader(&FORMAT), &v2(r#""necessary","analytics","ads""#), &v2(r#""necessary""#), true);
    }
}
