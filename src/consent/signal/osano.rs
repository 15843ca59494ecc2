//! Osano: `osano_consentmanager`, encrypted: only the page can read it.
//!
//! Its own script looks for JSON of `{CATEGORY: "ACCEPT"|"DENY"}` first, and so does this. Who accepts `OPT_OUT` has
//! opted out of the sale of data. `osano_consentmanager_uuid` is an id, and not read.
//! Source: cookies of sites that use it, and programs that read them. Its JSON has not been seen, so that there only the
//! two words count.

use super::decode::{Members, Scalar, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "osano",
    tier: Tier::Banner,
    cookies: &["osano_consentmanager"],
    listed_cookies: &[],
    ids: &[
        ("ESSENTIAL", "necessary"),
        ("STORAGE", "necessary"),
        ("PERSONALIZATION", "preferences"),
        ("ANALYTICS", "analytics"),
        ("MARKETING", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| {
        match json(cookie.value, |text| serde_json::from_str(text).ok().map(|parsed| record(&parsed, choices))) {
            None if is_blob(cookie.value) => Some(Record::Opaque),
            read => read,
        }
    })
}

/// Whether `value` is made of the characters of base64 only.
fn is_blob(value: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    !value.is_empty() && crate::policy::decode_percent(value).iter().all(is_base64)
}

fn record(Members(categories): &Members<'_, Scalar<'_>>, choices: &mut Choices<'_>) -> Record<'static> {
    for (id, state) in categories {
        let accepted = match state {
            Scalar::Text(word) if word == "ACCEPT" => true,
            Scalar::Text(word) if word == "DENY" => false,
            _ => continue,
        };
        match id.as_ref() {
            "OPT_OUT" if accepted => choices.set("MARKETING", false),
            "OPT_OUT" => {}
            id => choices.set(id, accepted),
        }
    }
    Record::explicit(None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(analytics: &str, marketing: &str) -> String {
        format!(
            r#"osano_consentmanager={{"ESSENTIAL":"ACCEPT","STORAGE":"ACCEPT","ANALYTICS":"{analytics}","MARKETING":"{marketing}","PERSONALIZATION":"DENY"}}"#
        )
    }

    #[test]
    fn what_is_encrypted_is_for_the_page() {
        reader(&FORMAT).check(&[
            ("osano_consentmanager=t5e_8v4OumSWIPLrZ4C41VM5pbZtizjk9iq9tINRnyNKTilP8TdS6VVw4LRuPqu7", "opaque"),
            (
                "osano_consentmanager=Qk3vAbCd%3D%3D; osano_consentmanager_uuid=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71",
                "opaque",
            ),
            ("osano_consentmanager_uuid=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71", "none"),
        ]);
    }

    #[test]
    fn json_is_read() {
        let partial = cookie("ACCEPT", "DENY");
        let encoded = partial.replace('{', "%7B").replace('"', "%22").replace(',', "%2C").replace('}', "%7D");
        reader(&FORMAT).check(&[
            (&partial, "+analytics -preferences -marketing"),
            (&encoded, "+analytics -preferences -marketing"),
            (&cookie("DENY", "DENY"), "-preferences -analytics -marketing"),
            (&format!("{}; {partial}", cookie("ACCEPT", "ACCEPT")), "+analytics -preferences -marketing"),
            (r#"osano_consentmanager={"ANALYTICS":"accepted","MARKETING":true}"#, "undecided"),
            (r#"osano_consentmanager={"VIDEO":"ACCEPT"}"#, "undecided ?VIDEO"),
            (r#"osano_consentmanager={"ANALYTICS":"ACCEPT""#, "malformed"),
            ("osano_consentmanager=", "malformed"),
        ]);
    }

    #[test]
    fn who_accepts_to_opt_out_refuses_marketing() {
        reader(&FORMAT).check(&[
            (r#"osano_consentmanager={"MARKETING":"ACCEPT","OPT_OUT":"ACCEPT"}"#, "-marketing"),
            (r#"osano_consentmanager={"MARKETING":"ACCEPT","OPT_OUT":"DENY"}"#, "+marketing"),
        ]);
    }

    #[test]
    fn categories_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("personalization", "marketing")], None);
        reader.check(&[(&cookie("ACCEPT", "ACCEPT"), "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie("ACCEPT", "ACCEPT"), &cookie("DENY", "DENY"), true);
    }
}
