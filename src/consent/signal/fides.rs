//! Fides by Ethyca: `fides_consent`, or `fides_consent_<suffix>`, JSON, URL-encoded or as base64, with a choice for each
//! notice.
//!
//! A choice is a boolean or the word of its mechanism: `opt_in`, `opt_out`, `acknowledge`. `fides_meta` tells how it
//! came about: only saved records have `updatedAt`, and a banner that was dismissed, a script or Global Privacy Control
//! choose without the visitor. Notices that do not apply where the visitor is are written down as granted, and are not
//! read, nor are old records, which are without `fides_meta`.
//! Source: Fides, its source code (`fides-js`, `cookie.ts`).

use serde::Deserialize;

use super::decode::{Members, Scalar, Text, base64, iso_time, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "fides",
    tier: Tier::Banner,
    cookies: &["fides_consent*"],
    listed_cookies: &[],
    ids: &[
        ("essential", "necessary"),
        ("functional", "preferences"),
        ("analytics", "analytics"),
        ("advertising", "marketing"),
        ("marketing", "marketing"),
        ("data_sales_and_sharing", "marketing"),
    ],
    read,
};

/// The ways in which the visitor chooses.
const VISITORS: [&str; 5] = ["accept", "reject", "save", "individual_notice", "acknowledge"];

#[derive(Deserialize)]
struct Cookie<'a> {
    #[serde(borrow)]
    consent: Members<'a, Scalar<'a>>,
    #[serde(borrow)]
    fides_meta: Meta<'a>,
    #[serde(borrow, default)]
    non_applicable_notice_keys: Vec<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    updated_at: Option<Text<'a>>,
    #[serde(borrow)]
    consent_method: Option<Text<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| {
        let in_base64 = || base64(cookie.value).and_then(|json| std::str::from_utf8(&json).ok().map(str::to_owned));
        let read = json(cookie.value, |text| record(text, choices));
        read.or_else(|| record(&in_base64()?, choices))
    })
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let cookie: Cookie<'_> = serde_json::from_str(text).ok()?;
    let Meta { updated_at, consent_method } = &cookie.fides_meta;
    let Some(Text(updated_at)) = updated_at.as_ref().filter(|Text(time)| !time.is_empty()) else {
        return Some(Record::Undecided);
    };
    let at = iso_time(updated_at);
    for (notice, choice) in &cookie.consent.0 {
        let applies = !cookie.non_applicable_notice_keys.iter().any(|Text(other)| other == notice);
        if let Some(granted) = granted(choice).filter(|_| applies) {
            choices.set(notice.as_bytes(), granted);
        }
    }
    let by_visitor = consent_method.as_ref().is_none_or(|Text(method)| VISITORS.contains(&method.as_ref()));
    Some(if by_visitor { Record::explicit(at) } else { Record::implied(at) })
}

fn granted(choice: &Scalar<'_>) -> Option<bool> {
    match choice {
        Scalar::Boolean(state) => Some(*state),
        Scalar::Text(word) => match word.as_ref() {
            "opt_in" | "acknowledge" => Some(true),
            "opt_out" => Some(false),
            _ => None,
        },
        Scalar::Number(_) | Scalar::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;

    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn json(consent: &str, method: &str) -> String {
        format!(
            r#"{{"consent":{{{consent}}},"identity":{{"fides_user_device_id":"560ec2cf-6387-47df-beaf-6a8f505290e4"}},"fides_meta":{{"version":"0.9.0","createdAt":"2026-02-02T09:15:30.120Z","updatedAt":"2026-03-02T09:15:30.120Z","consentMethod":"{method}"}},"tcf_consent":{{}},"non_applicable_notice_keys":["functional"]}}"#
        )
    }

    fn cookie(consent: &str, method: &str) -> String {
        let escapes =
            [('{', "%7B"), ('}', "%7D"), ('"', "%22"), (',', "%2C"), (':', "%3A"), ('[', "%5B"), (']', "%5D")];
        let json = escapes.iter().fold(json(consent, method), |json, (plain, escape)| json.replace(*plain, escape));
        format!("fides_consent={json}")
    }

    #[test]
    fn notices_are_read() {
        let partial = r#""essential":true,"analytics":true,"advertising":false"#;
        let (all, none) = (r#""analytics":true,"marketing":true"#, r#""analytics":false,"marketing":false"#);
        let both =
            format!("{}; {}", cookie(all, "accept"), cookie(none, "reject").replace("consent=", "consent_shop="));
        reader(&FORMAT).check(&[
            (&cookie(partial, "save"), "+analytics -marketing @1772442930"),
            (&format!("fides_consent_shop={}", json(partial, "save")), "+analytics -marketing @1772442930"),
            (&format!("fides_consent={}", STANDARD.encode(json(partial, "save"))), "+analytics -marketing @1772442930"),
            (&cookie(all, "accept"), "+analytics +marketing @1772442930"),
            (&cookie(none, "reject"), "-analytics -marketing @1772442930"),
            (&both, "-analytics -marketing @1772442930"),
            (
                &cookie(r#""analytics":"opt_in","advertising":"opt_out","marketing":"not_applicable""#, "save"),
                "+analytics -marketing @1772442930",
            ),
            (&cookie(r#""analytics":true,"us_notice":true"#, "save"), "+analytics @1772442930 ?us_notice"),
            (&cookie("", "accept"), "undecided"),
            (&cookie(all, "accept").replace("fides_meta", "meta"), "malformed"),
            (cookie(all, "accept").trim_end_matches("%7D"), "malformed"),
            (r#"fides_consent={"analytics":true}"#, "malformed"),
            ("fides_consent=true", "malformed"),
            ("fides_consent=", "malformed"),
        ]);
    }

    #[test]
    fn what_was_never_saved_is_undecided() {
        let never = |time: &str| cookie(r#""analytics":true"#, "accept").replace("2026-03-02T09%3A15%3A30.120Z", time);
        reader(&FORMAT).check(&[(&never(""), "undecided"), (&never("later"), "+analytics")]);
    }

    #[test]
    fn only_the_visitor_chooses() {
        for method in ["dismiss", "script", "gpc", "ot_migration"] {
            let row = cookie(r#""analytics":true,"marketing":false"#, method);
            assert_eq!(reader(&FORMAT).read(&row), "+analytics -marketing ~ @1772442930", "{method}");
        }
    }

    #[test]
    fn what_does_not_apply_is_not_granted() {
        reader(&FORMAT)
            .check(&[(&cookie(r#""functional":true,"analytics":true"#, "accept"), "+analytics @1772442930")]);
    }

    #[test]
    fn notices_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("us_notice", "marketing"), ("marketing", "analytics")], None);
        let row = cookie(r#""us_notice":true,"marketing":false"#, "save");
        reader.check(&[(&row, "+marketing -analytics @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: bool| cookie(&format!(r#""analytics":{state},"advertising":{state}"#), "save");
        holds(&reader(&FORMAT), &line(true), &line(false), true);
    }
}
