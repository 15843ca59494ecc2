//! Didomi: `didomi_token`, base64 of JSON, whose `purposes` list what is enabled and disabled.
//!
//! The token is there before a choice, then without `purposes` and `vendors`. Where the TC string is used, it alone holds
//! the standard purposes, and the token the others. `cookies` is storage itself: who refuses it refuses everything.
//! Choices about vendors are not read. `didomi_dcs`, which can replace the token, holds numbers that only the tenant's
//! page can name.
//! Source: Didomi developer documentation, the pages on cookies and on the Didomi Consent String.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decode::{Text, base64, iso_time};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

const CONSENT_STRING: &str = "didomi_dcs";

pub(super) const FORMAT: Format = Format {
    name: "didomi",
    tier: Tier::Banner,
    cookies: &["didomi_token", CONSENT_STRING],
    listed_cookies: &[],
    ids: &[
        ("cookies", "necessary"),
        ("select_basic_ads", "marketing"),
        ("create_ads_profile", "marketing"),
        ("select_personalized_ads", "marketing"),
        ("measure_ad_performance", "marketing"),
        ("create_content_profile", "preferences"),
        ("select_personalized_content", "preferences"),
        ("improve_products", "preferences"),
        ("measure_content_performance", "analytics"),
        ("market_research", "analytics"),
        // What a device tells about itself and where it is: features of the framework, no purposes.
        ("geolocation_data", "necessary"),
        ("device_characteristics", "necessary"),
    ],
    read,
};

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    purposes: Option<Purposes<'a>>,
    vendors: Option<IgnoredAny>,
    #[serde(borrow)]
    updated: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Purposes<'a> {
    #[serde(borrow, default)]
    enabled: Vec<Text<'a>>,
    #[serde(borrow, default)]
    disabled: Vec<Text<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| {
        if cookie.name == CONSENT_STRING.as_bytes() {
            return Some(Record::Opaque);
        }
        record(&base64(cookie.value)?, choices)
    })
}

fn record(json: &[u8], choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let token: Token<'_> = serde_json::from_slice(json).ok()?;
    let Some(purposes) = token.purposes else { return token.undecided() };
    for (ids, enabled) in [(&purposes.enabled, true), (&purposes.disabled, false)] {
        ids.iter().for_each(|Text(id)| choices.set(id.as_bytes(), enabled));
    }
    if purposes.disabled.iter().any(|Text(id)| id == "cookies") {
        choices.set_all(choices.mapped(), false);
    }
    Some(Record::explicit(token.updated.and_then(|Text(time)| iso_time(&time))))
}

impl Token<'_> {
    /// A token without purposes: from before a choice, or of one that is about vendors only.
    fn undecided(&self) -> Option<Record<'static>> {
        (self.updated.is_some() || self.vendors.is_some()).then_some(Record::Undecided)
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;

    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const UNDECIDED: &str = "didomi_token=eyJ1c2VyX2lkIjoiM2YwYzliNTItN2QxMS00ZTBhLTlhNjQtMGI2YzJmM2Q4ZTcxIiwiY3JlYXRlZCI6IjIwMjYtMDMtMDJUMDk6MTU6MzAuMTIwWiIsInVwZGF0ZWQiOiIyMDI2LTAzLTAyVDA5OjE1OjMwLjEyMFoiLCJ2ZXJzaW9uIjpudWxsfQ==";
    const CUSTOM: &str = "didomi_token=eyJ1c2VyX2lkIjoiM2YwYzliNTItN2QxMS00ZTBhLTlhNjQtMGI2YzJmM2Q4ZTcxIiwiY3JlYXRlZCI6IjIwMjYtMDMtMDJUMDk6MTU6MzAuMTIwWiIsInVwZGF0ZWQiOiIyMDI2LTAzLTAyVDA5OjE1OjMxLjAwMFoiLCJ2ZW5kb3JzIjp7ImVuYWJsZWQiOlsiZ29vZ2xlIl0sImRpc2FibGVkIjpbImM6aG90amFyIl19LCJwdXJwb3NlcyI6eyJlbmFibGVkIjpbImFuYWx5dGljcy1YazNkUDlhWiJdLCJkaXNhYmxlZCI6WyJnZW9sb2NhdGlvbl9kYXRhIl19LCJ2ZXJzaW9uIjoyfQ==";

    fn token(enabled: &str, disabled: &str) -> String {
        let json = format!(
            r#"{{"user_id":"3f0c9b52","created":"2026-02-02T09:15:30.120Z","updated":"2026-03-02T09:15:30.120Z","purposes":{{"enabled":[{enabled}],"disabled":[{disabled}]}},"version":2}}"#
        );
        format!("didomi_token={}", STANDARD.encode(json))
    }

    fn of(json: &str) -> String {
        format!("didomi_token={}", STANDARD.encode(json))
    }

    #[test]
    fn purposes_are_read() {
        let partial = token(r#""cookies","market_research""#, r#""select_basic_ads","create_content_profile""#);
        reader(&FORMAT).check(&[
            (&partial, "+analytics -preferences -marketing @1772442930"),
            (&partial.replace('=', "%3D").replacen("%3D", "=", 1), "+analytics -preferences -marketing @1772442930"),
            (&token(r#""select_basic_ads""#, r#""measure_ad_performance""#), "-marketing @1772442930"),
            (CUSTOM, "undecided ?analytics-Xk3dP9aZ"),
            (
                &format!("{}; {}", token(r#""market_research""#, ""), token("", r#""market_research""#)),
                "-analytics @1772442930",
            ),
            ("didomi_token=", "malformed"),
            ("didomi_token=!", "malformed"),
            (&of("{}"), "malformed"),
            (&of(r#"{"purposes":"all","updated":"2026-03-02T09:15:30Z"}"#), "malformed"),
            (&of(r#"{"purposes":{"enabled":[1]}}"#), "malformed"),
        ]);
    }

    #[test]
    fn a_token_without_a_choice_is_undecided() {
        reader(&FORMAT).check(&[
            (UNDECIDED, "undecided"),
            (&token("", ""), "undecided"),
            (&of(r#"{"vendors":{"enabled":["google"]},"purposes":null}"#), "undecided"),
        ]);
    }

    #[test]
    fn who_refuses_storage_refuses_everything() {
        let row = token(r#""select_basic_ads","market_research""#, r#""cookies""#);
        reader(&FORMAT).check(&[(&row, "-preferences -analytics -marketing @1772442930")]);
    }

    #[test]
    fn the_consent_string_is_for_the_page() {
        reader(&FORMAT).check(&[
            ("didomi_dcs=CGBs3f0NVgAAAA~abc", "opaque"),
            (&format!("didomi_dcs=CGBs3f0; {}", token(r#""market_research""#, "")), "+analytics @1772442930"),
            (&format!("{UNDECIDED}; didomi_dcs=CGBs3f0"), "opaque"),
        ]);
    }

    #[test]
    fn purposes_and_the_cookies_name_are_the_sites() {
        let reader = reader_with(&FORMAT, &[("analytics-Xk3dP9aZ", "analytics")], None);
        reader.check(&[(CUSTOM, "+analytics @1772442931")]);
        reader.named(&["choice"]).check(&[(&CUSTOM.replace("didomi_token", "choice"), "+analytics @1772442931")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let ids = r#""select_basic_ads","market_research""#;
        holds(&reader(&FORMAT), &token(ids, ""), &token("", ids), true);
    }
}
