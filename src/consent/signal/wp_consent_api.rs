//! WP Consent API: a neutral record that several WordPress banners write, one cookie for each category,
//! `wp_consent_<category>=allow|deny`.
//!
//! The prefix can be changed by a filter. A category without a cookie is undecided. `statistics-anonymous`, statistics
//! without personal data, says nothing about the others: banners allow it at all times.
//! Source: the WordPress plugin "WP Consent API", its readme.

use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

const PREFIX: &[u8] = b"wp_consent_";

/// Its words for categories, which the plugins that write it use for their own records, too.
pub(super) const IDS: &[(&str, &str)] = &[
    ("functional", "necessary"),
    ("preferences", "preferences"),
    ("statistics", "analytics"),
    ("statistics-anonymous", "necessary"),
    ("marketing", "marketing"),
];

pub(super) const FORMAT: Format = Format {
    name: "wp_consent_api",
    tier: Tier::Neutral,
    cookies: &["wp_consent_*"],
    listed_cookies: &[],
    ids: IDS,
    read,
};

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| {
        choices.set(category(cookie.name, &[PREFIX]), allowed(cookie.value)?);
        Some(Record::explicit(None))
    })
}

/// What is left of a cookie's name without one of the usual `prefixes`, or else without one that the site has named.
pub(super) fn category<'n>(name: &'n [u8], prefixes: &[&[u8]]) -> &'n [u8] {
    let usual = prefixes.iter().find_map(|prefix| name.strip_prefix(*prefix));
    usual.or_else(|| name.rsplit(|byte| *byte == b'_').next()).unwrap_or(name)
}

/// `allow` or `deny`.
pub(super) fn allowed(value: &[u8]) -> Option<bool> {
    match value {
        b"allow" => Some(true),
        b"deny" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    #[test]
    fn each_category_is_a_cookie() {
        reader(&FORMAT).check(&[
            (
                "wp_consent_functional=allow; wp_consent_preferences=deny; wp_consent_statistics=allow; wp_consent_statistics-anonymous=allow; wp_consent_marketing=deny",
                "+analytics -preferences -marketing",
            ),
            ("wp_consent_statistics=allow; wp_consent_marketing=allow", "+analytics +marketing"),
            ("wp_consent_marketing=deny; wp_consent_marketing=allow", "-marketing"),
            ("wp_consent_functional=allow", "undecided"),
            ("wp_consent_statistics=allow; wp_consent_affiliates=allow", "+analytics ?affiliates"),
            ("wp_consent_statistics=allow; wp_consent_marketing=", "+analytics"),
            ("wp_consent_marketing=yes", "malformed"),
            ("wp_consent_marketing=", "malformed"),
            ("wp_consent_marketing=Allow", "malformed"),
            ("wp_lang=en", "none"),
        ]);
    }

    #[test]
    fn anonymous_statistics_are_no_consent_to_statistics() {
        reader(&FORMAT).check(&[
            ("wp_consent_statistics-anonymous=allow", "undecided"),
            ("wp_consent_statistics-anonymous=deny; wp_consent_statistics=allow", "+analytics"),
        ]);
    }

    #[test]
    fn categories_and_prefix_are_the_sites() {
        let reader = reader_with(&FORMAT, &[("affiliates", "marketing")], None);
        reader.check(&[("wp_consent_affiliates=allow; wp_consent_marketing=allow", "+marketing")]);
        let reader = reader.named(&["shop_consent_*"]);
        reader.check(&[("shop_consent_statistics=allow; shop_consent_affiliates=deny", "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |word| format!("wp_consent_statistics={word}; wp_consent_marketing={word}");
        holds(&reader(&FORMAT), &line("allow"), &line("deny"), false);
    }
}
