//! Iubenda: `_iub_cs-<site>` or `_iub_cs-s<site>`, URL-encoded JSON, with either a choice for each of five purposes or
//! one `consent` for all.
//!
//! With an id alone it is from before a choice. A purpose that is missing is not used by the site. Cookies that go on
//! after the site's number, as `-granular`, `-uspr`, are others, and not read.
//! Source: cookies of sites that use it, and what plugins that read it make of them; iubenda documents none.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::decode::{Members, Text, iso_time, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

const PREFIX: &[u8] = b"_iub_cs-";

pub(super) const FORMAT: Format = Format {
    name: "iubenda",
    tier: Tier::Banner,
    cookies: &["_iub_cs-*"],
    listed_cookies: &[],
    ids: &[("1", "necessary"), ("2", "preferences"), ("3", "preferences"), ("4", "analytics"), ("5", "marketing")],
    read,
};

#[derive(Deserialize)]
struct Preference<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    purposes: Option<Members<'a, bool>>,
    consent: Option<bool>,
    id: Option<IgnoredAny>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    let cookies = input.cookies.iter().filter(|cookie| is_record(cookie.name));
    records(input, cookies, choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

/// Whether nothing but the site's number follows in `name`.
fn is_record(name: &[u8]) -> bool {
    let Some(site) = name.strip_prefix(PREFIX) else { return true };
    let number = site.strip_prefix(b"s").unwrap_or(site);
    !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let preference: Preference<'_> = serde_json::from_str(text).ok()?;
    let at = preference.timestamp.and_then(|Text(time)| iso_time(&time));
    match (preference.purposes, preference.consent) {
        (Some(Members(purposes)), consent) => {
            purposes.iter().for_each(|(id, state)| choices.set(id.as_bytes(), *state));
            if consent == Some(false) {
                choices.set_all(choices.mapped(), false);
            }
        }
        (None, Some(consent)) => choices.set_all(choices.mapped(), consent),
        (None, None) => return preference.id.map(|_| Record::Undecided),
    }
    Some(Record::explicit(at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn purposes(purposes: &str) -> String {
        format!(
            r#"_iub_cs-12345678={{"timestamp":"2026-03-02T09:15:30.120Z","version":"1.108.0","purposes":{{{purposes}}},"id":12345678,"cons":{{"rand":"a1b2c3"}}}}"#
        )
    }

    fn simple(consent: bool) -> String {
        format!(
            "_iub_cs-12345678=%7B%22consent%22%3A{consent}%2C%22timestamp%22%3A%222026-03-02T09%3A15%3A30.120Z%22%2C%22version%22%3A%221.108.0%22%2C%22id%22%3A12345678%7D"
        )
    }

    #[test]
    fn purposes_or_one_consent_are_read() {
        let encoded = "_iub_cs-12345678=%7B%22timestamp%22%3A%222026-03-02T09%3A15%3A30.120Z%22%2C%22version%22%3A%221.108.0%22%2C%22purposes%22%3A%7B%221%22%3Atrue%2C%222%22%3Atrue%2C%223%22%3Afalse%2C%224%22%3Atrue%2C%225%22%3Afalse%7D%2C%22id%22%3A12345678%2C%22cons%22%3A%7B%22rand%22%3A%22a1b2c3%22%7D%7D";
        let both = r#"_iub_cs-1={"purposes":{"4":true,"5":true},"consent":false}"#;
        reader(&FORMAT).check(&[
            (encoded, "+analytics -preferences -marketing @1772442930"),
            (&encoded.replace("-1234", "-s1234"), "+analytics -preferences -marketing @1772442930"),
            (&purposes(r#""1":true,"4":true,"5":true"#), "+analytics +marketing @1772442930"),
            (&purposes(r#""4":true,"6":true"#), "+analytics @1772442930 ?6"),
            (&simple(true), "+preferences +analytics +marketing @1772442930"),
            (&simple(false), "-preferences -analytics -marketing @1772442930"),
            (both, "-preferences -analytics -marketing"),
            (&purposes(r#""4":"true""#), "malformed"),
            ("_iub_cs-1={}", "malformed"),
            ("_iub_cs-1=true", "malformed"),
            ("_iub_cs-1=%7B%22consent%22%3Atrue", "malformed"),
        ]);
    }

    #[test]
    fn an_id_alone_is_from_before_a_choice() {
        reader(&FORMAT).check(&[
            ("_iub_cs-90483436=%7B%22id%22%3A90483436%7D", "undecided"),
            (
                &format!("_iub_cs-1=%7B%22id%22%3A1%7D; {}", simple(false)),
                "-preferences -analytics -marketing @1772442930",
            ),
        ]);
    }

    #[test]
    fn a_purpose_that_is_missing_is_not_used_by_the_site() {
        reader(&FORMAT).check(&[(&purposes(r#""1":true,"4":true"#), "+analytics @1772442930")]);
    }

    #[test]
    fn cookies_that_go_on_after_the_number_are_others() {
        reader(&FORMAT).check(&[
            ("_iub_cs-1-uspr={\"s\":true,\"sh\":true,\"adv\":true}", "none"),
            ("_iub_cs-1-granular=abc; _iub_cs-=1; _iub_cs-s=1", "none"),
            (
                &format!("_iub_cs-12345678-granular={{\"consent\":true}}; {}", simple(false)),
                "-preferences -analytics -marketing @1772442930",
            ),
        ]);
    }

    #[test]
    fn purposes_and_the_cookies_name_are_the_sites() {
        let reader = reader_with(&FORMAT, &[("3", "analytics")], None).named(&["choice"]);
        reader.check(&[(r#"choice={"purposes":{"3":false,"4":true}}"#, "-analytics")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &purposes(r#""4":true,"5":true"#), &purposes(r#""4":false,"5":false"#), true);
        holds(&reader(&FORMAT), &simple(true), &simple(false), true);
    }
}
