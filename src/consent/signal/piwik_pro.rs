//! Piwik PRO: `ppms_privacy_<site>`, JSON, raw or with its quotes and commas encoded, whose `consents` give a status for
//! each type: 1 agreed, -1 refused, 0 not decided.
//!
//! The cookie is there before a choice, with every status 0.
//! Source: Piwik PRO developer documentation, the Consent Manager's JavaScript API (types, statuses); the form is of
//! cookies that sites set.

use serde::Deserialize;

use super::decode::{Members, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "piwik_pro",
    tier: Tier::Banner,
    cookies: &["ppms_privacy_*"],
    listed_cookies: &[],
    ids: &[
        ("analytics", "analytics"),
        ("ab_testing_and_personalization", "preferences"),
        ("conversion_tracking", "marketing"),
        ("marketing_automation", "marketing"),
        ("remarketing", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Privacy<'a> {
    #[serde(borrow)]
    consents: Members<'a, Consent>,
}

#[derive(Deserialize)]
struct Consent {
    status: i64,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let Privacy { consents: Members(consents) } = serde_json::from_str(text).ok()?;
    if consents.iter().all(|(_, consent)| consent.status == 0) {
        return Some(Record::Undecided);
    }
    for (id, consent) in &consents {
        match consent.status {
            1 => choices.set(id.as_bytes(), true),
            -1 => choices.set(id.as_bytes(), false),
            _ => {}
        }
    }
    Some(Record::explicit(None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(analytics: i64, remarketing: i64) -> String {
        format!(
            r#"ppms_privacy_6c58358e-1595-4533-8cf8-9b1c061871d0={{"visitorId":"0478c604-ce60-4537-8e17-fdb53fcd5c31","domain":{{"normalized":"shop.example","isWildcard":false,"pattern":"shop.example"}},"consents":{{"analytics":{{"status":{analytics}}},"remarketing":{{"status":{remarketing}}},"conversion_tracking":{{"status":{remarketing}}}}}}}"#
        )
    }

    #[test]
    fn statuses_are_read() {
        let partial = cookie(1, -1);
        let encoded = partial.replace('"', "%22").replace(',', "%2C");
        let mixed = cookie(1, 1).replacen(r#""remarketing":{"status":1"#, r#""remarketing":{"status":-1"#, 1);
        reader(&FORMAT).check(&[
            (&partial, "+analytics -marketing"),
            (&encoded, "+analytics -marketing"),
            (&cookie(1, 1), "+analytics +marketing"),
            (&cookie(-1, -1), "-analytics -marketing"),
            (&mixed, "+analytics -marketing"),
            (&cookie(1, 1).replace("analytics", "custom_consent"), "+marketing ?custom_consent"),
            (&partial.replace("1}", "true}"), "malformed"),
            (partial.trim_end_matches('}'), "malformed"),
            ("ppms_privacy_1={}", "malformed"),
            ("ppms_privacy_1=", "malformed"),
        ]);
    }

    #[test]
    fn a_status_of_nothing_is_not_decided() {
        reader(&FORMAT).check(&[
            (&cookie(0, 0), "undecided"),
            (&cookie(1, 0), "+analytics"),
            (&cookie(0, 2), "undecided"),
            ("ppms_privacy_1={\"consents\":{}}", "undecided"),
        ]);
    }

    #[test]
    fn of_two_sites_on_one_domain_the_refusal_holds() {
        let other = cookie(-1, 1).replace("6c58358e", "00000000");
        reader(&FORMAT).check(&[(&format!("{}; {other}", cookie(1, 1)), "+marketing -analytics")]);
    }

    #[test]
    fn types_are_what_the_site_says() {
        reader_with(&FORMAT, &[("remarketing", "analytics")], None).check(&[(&cookie(1, -1), "-analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie(1, 1), &cookie(-1, -1), true);
    }
}
