//! Borlabs Cookie: `borlabs-cookie`, URL-encoded JSON, whose `consents` list the services that were accepted in each group.
//!
//! A group that is missing, or empty, is refused. `version` is the site's own number: the banner asks again when it has
//! changed. Which services of a group were left out is not read; nor is the time at which the cookie ends.
//! Source: cookies of sites that use versions 2 and 3, and programs that read them.

use std::borrow::Cow;

use serde::Deserialize;

use super::decode::{Members, Scalar, Text, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "borlabs",
    tier: Tier::Banner,
    cookies: &["borlabs-cookie"],
    listed_cookies: &[],
    ids: &[("essential", "necessary"), ("statistics", "analytics"), ("marketing", "marketing")],
    read,
};

#[derive(Deserialize)]
struct Cookie<'a> {
    #[serde(borrow)]
    consents: Members<'a, Vec<Text<'a>>>,
    #[serde(borrow)]
    version: Option<Scalar<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let Cookie { consents: Members(groups), version } = serde_json::from_str(text).ok()?;
    for (group, _) in groups.iter().filter(|(_, services)| services.is_empty()) {
        choices.set(group.as_bytes(), false);
    }
    choices.accepted(groups.iter().filter(|(_, services)| !services.is_empty()).map(|(group, _)| group.as_bytes()));
    let version = version.as_ref().and_then(Scalar::number).map(|number| Cow::Owned(number.to_string()));
    Some(Record::explicit(None).of_revision(version))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(groups: &str) -> String {
        format!(
            r#"borlabs-cookie={{"consents":{{"essential":["borlabs-cookie"]{groups}}},"domainPath":"shop.example/","expires":"Sun, 21 Dec 2026 09:54:17 GMT","uid":"anonymous","v3":true,"version":1}}"#
        )
    }

    #[test]
    fn groups_with_services_are_granted() {
        let encoded = "borlabs-cookie=%7B%22consents%22%3A%7B%22essential%22%3A%5B%22borlabs-cookie%22%5D%2C%22statistics%22%3A%5B%22google-tag-manager%22%2C%22google-analytics%22%5D%2C%22marketing%22%3A%5B%5D%7D%2C%22domainPath%22%3A%22shop.example%2F%22%2C%22expires%22%3A%22Tue%2C%2017%20Jan%202027%2013%3A09%3A34%20GMT%22%2C%22uid%22%3A%22anonymous%22%2C%22version%22%3A%227%22%7D";
        let all = cookie(r#","statistics":["matomo"],"marketing":["pixel"]"#);
        reader(&FORMAT).check(&[
            (encoded, "+analytics -marketing #7"),
            (&all, "+analytics +marketing #1"),
            (&format!("{all}; {}", cookie("")), "-analytics -marketing #1"),
            (
                &cookie(r#","statistics":["matomo"],"external-media":["vimeo"]"#),
                "+analytics -marketing #1 ?external-media",
            ),
            (&cookie(r#","marketing":true"#), "malformed"),
            (all.trim_end_matches('}'), "malformed"),
            ("borlabs-cookie=true", "malformed"),
            ("borlabs-cookie={}", "malformed"),
        ]);
    }

    #[test]
    fn groups_that_are_missing_or_empty_are_refused() {
        reader(&FORMAT).check(&[
            (&cookie(""), "-analytics -marketing #1"),
            (&cookie(r#","statistics":[]"#), "-analytics -marketing #1"),
        ]);
    }

    #[test]
    fn the_version_is_a_revision() {
        let row = cookie(r#","marketing":["pixel"]"#);
        reader_with(&FORMAT, &[], Some("1")).check(&[
            (&row, "+marketing -analytics #1"),
            (&format!("{row}; {}", row.replace("\"version\":1", "\"version\":\"2\"")), "+marketing -analytics #2"),
            (&row.replace("version", "release"), "+marketing -analytics #"),
        ]);
    }

    #[test]
    fn groups_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("external-media", "preferences")], None);
        reader.check(&[
            (&cookie(r#","external-media":["vimeo"]"#), "+preferences -analytics -marketing #1"),
            (&cookie(""), "-preferences -analytics -marketing #1"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let all = cookie(r#","statistics":["matomo"],"marketing":["pixel"]"#);
        holds(&reader(&FORMAT), &all, &cookie(""), true);
    }
}
