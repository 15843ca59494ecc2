//! CookieFirst: `cookiefirst-consent`, URL-encoded JSON of one boolean for each category, with the time of the choice in
//! seconds.
//!
//! `version` and `type` are not read.
//! Source: cookies of sites that use it, and programs that read them.

use super::decode::{Members, Scalar, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "cookiefirst",
    tier: Tier::Banner,
    cookies: &["cookiefirst-consent"],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("performance", "analytics"),
        ("advertising", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let Members(members) = serde_json::from_str::<Members<'_, Scalar<'_>>>(text).ok()?;
    let (mut found, mut at) = (false, None);
    for (key, value) in &members {
        match value {
            Scalar::Boolean(state) => {
                choices.set(key.as_bytes(), *state);
                found = true;
            }
            value if key == "timestamp" => at = value.number().and_then(|at| u64::try_from(at).ok()),
            _ => {}
        }
    }
    found.then(|| Record::explicit(at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(performance: bool, advertising: bool) -> String {
        format!(
            "cookiefirst-consent=%7B%22necessary%22%3Atrue%2C%22performance%22%3A{performance}%2C%22functional%22%3Afalse%2C%22advertising%22%3A{advertising}%2C%22timestamp%22%3A1772442930%2C%22type%22%3A%22category%22%2C%22version%22%3A%22c838beda-6c15-421b-87b0-0cfb408b5bdf%22%7D"
        )
    }

    #[test]
    fn categories_are_read() {
        let (all, none) = (cookie(true, true), cookie(false, false));
        reader(&FORMAT).check(&[
            (&cookie(true, false), "+analytics -preferences -marketing @1772442930"),
            (&all, "+analytics +marketing -preferences @1772442930"),
            (&none, "-preferences -analytics -marketing @1772442930"),
            (&format!("{all}; {none}"), "-preferences -analytics -marketing @1772442930"),
            (r#"cookiefirst-consent={"necessary":true,"performance":true}"#, "+analytics"),
            (r#"cookiefirst-consent={"performance":true,"video":true,"timestamp":"soon"}"#, "+analytics ?video"),
            (r#"cookiefirst-consent={"necessary":true}"#, "undecided"),
            (r#"cookiefirst-consent={"performance":"true"}"#, "malformed"),
            (all.trim_end_matches("%7D"), "malformed"),
            ("cookiefirst-consent=[true]", "malformed"),
            ("cookiefirst-consent=", "malformed"),
        ]);
    }

    #[test]
    fn categories_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("functional", "marketing")], None);
        reader.check(&[(&cookie(true, true), "+analytics -marketing @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie(true, true), &cookie(false, false), true);
    }
}
