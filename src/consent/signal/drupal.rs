//! Drupal's module EU Cookie Compliance: `cookie-agreed` is 0, disagreed, or 2, agreed; 1 is agreed, while thanks are
//! still to be said.
//!
//! Where categories are asked for, `cookie-agreed-categories` is a JSON list of those that were accepted; else
//! agreement is for everything. `cookie-agreed-version` is the version of the policy, to be compared with the site's
//! `revision`. Names of categories belong to the site; usual ones are known.
//! Source: the module's script.

use super::decode::json;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

const AGREED: &str = "cookie-agreed";
const CATEGORIES: &str = "cookie-agreed-categories";
const VERSION: &str = "cookie-agreed-version";

pub(super) const FORMAT: Format = Format {
    name: "drupal",
    tier: Tier::Banner,
    cookies: &[AGREED, CATEGORIES, VERSION],
    listed_cookies: &[],
    ids: &[
        ("essential", "necessary"),
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("preference", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("performance", "analytics"),
        ("statistics", "analytics"),
        ("advertising", "marketing"),
        ("marketing", "marketing"),
        ("targeting", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut agreed, mut disagreed) = (false, false);
    for value in input.values(AGREED) {
        match value {
            b"0" => disagreed = true,
            b"1" | b"2" => agreed = true,
            _ => return Some(Signal::problem(Problem::Malformed)),
        }
    }
    if !agreed && !disagreed {
        return Some(Signal::undecided());
    }
    let is_current = |version: &[u8]| std::str::from_utf8(version).is_ok_and(|version| input.is_current(version));
    if agreed && !input.values(VERSION).all(|version| is_current(&decode_percent(version))) {
        return Some(Signal::problem(Problem::OtherRevision));
    }
    let mut has_categories = false;
    for list in input.values(CATEGORIES) {
        let Some(accepted) = json(list, |text| serde_json::from_str::<Vec<String>>(text).ok()) else {
            return Some(Signal::problem(Problem::Malformed));
        };
        choices.accepted(accepted.iter());
        has_categories = true;
    }
    if disagreed {
        choices.set_all(input.site.purposes, false);
    } else if !has_categories {
        choices.set_all(input.site.purposes, true);
    }
    Some(choices.signal(Strength::Explicit, None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const ALL: &str = "+preferences +analytics +marketing";
    const NOTHING: &str = "-preferences -analytics -marketing";

    #[test]
    fn agreement_without_categories_is_for_everything() {
        reader(&FORMAT).check(&[
            ("cookie-agreed=2", ALL),
            ("cookie-agreed=1", ALL),
            ("cookie-agreed=0", NOTHING),
            ("cookie-agreed=2; cookie-agreed=0", NOTHING),
            ("cookie-agreed=", "malformed"),
            ("cookie-agreed=3", "malformed"),
            ("cookie-agreed=yes", "malformed"),
        ]);
    }

    #[test]
    fn categories_are_read() {
        reader(&FORMAT).check(&[
            (r#"cookie-agreed=2; cookie-agreed-categories=["essential","preference","statistics","marketing"]"#, ALL),
            (
                r#"cookie-agreed=2; cookie-agreed-categories=["essential","statistics"]"#,
                "+analytics -preferences -marketing",
            ),
            (
                "cookie-agreed=2; cookie-agreed-categories=[%22essential%22%2C%22statistics%22]",
                "+analytics -preferences -marketing",
            ),
            ("cookie-agreed=2; cookie-agreed-categories=%5B%22essential%22%5D", NOTHING),
            ("cookie-agreed=2; cookie-agreed-categories=%5B%5D", NOTHING),
            (
                r#"cookie-agreed=2; cookie-agreed-categories=["media_youtube"]"#,
                "-preferences -analytics -marketing ?media_youtube",
            ),
            (r#"cookie-agreed=0; cookie-agreed-categories=["marketing"]"#, NOTHING),
            ("cookie-agreed=2; cookie-agreed-categories=", "malformed"),
            ("cookie-agreed=2; cookie-agreed-categories=[%22marketing%22", "malformed"),
        ]);
    }

    #[test]
    fn categories_without_agreement_are_no_choice() {
        reader(&FORMAT).check(&[
            (r#"cookie-agreed-categories=["marketing"]"#, "undecided"),
            ("cookie-agreed-version=1.0.0", "undecided"),
        ]);
    }

    #[test]
    fn agreement_to_another_version_is_none() {
        reader_with(&FORMAT, &[], Some("1.0.1")).check(&[
            ("cookie-agreed=2; cookie-agreed-version=1.0.1", ALL),
            ("cookie-agreed=2; cookie-agreed-version=1.0.0", "made for another revision of the banner's settings"),
            ("cookie-agreed=0; cookie-agreed-version=1.0.0", NOTHING),
        ]);
    }

    #[test]
    fn a_site_says_what_its_categories_are() {
        reader_with(&FORMAT, &[("media_youtube", "marketing")], None).check(&[(
            r#"cookie-agreed=2; cookie-agreed-categories=["statistics","media_youtube"]"#,
            "+analytics +marketing -preferences",
        )]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), "cookie-agreed=2", "cookie-agreed=0", true);
        let categories = |list: &str| format!("cookie-agreed-categories={list}; cookie-agreed=2");
        holds(&reader(&FORMAT), &categories(r#"["analytics","marketing"]"#), &categories("[]"), true);
    }
}
