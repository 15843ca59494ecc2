//! Cookie consent bundle for Symfony: `Cookie_Category_<category>=true|false` for each category, and `Cookie_Consent`
//! with the time of the choice, in words that are not read.
//!
//! Without `Cookie_Consent` nobody chose: then categories only refuse.
//! Source: the bundle's documentation and code (ConnectHolland/cookie-consent-bundle and its successors).

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::PurposeSet;

const CONSENT: &str = "Cookie_Consent";
const CATEGORY: &[u8] = b"Cookie_Category_";

pub(super) const FORMAT: Format = Format {
    name: "symfony",
    tier: Tier::Banner,
    cookies: &[CONSENT, "Cookie_Category_*"],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("marketing", "marketing"),
        ("social_media", "marketing"),
        ("tracking", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut has_categories, mut found) = (false, false);
    for cookie in input.cookies.iter() {
        let Some(category) = cookie.name.strip_prefix(CATEGORY) else { continue };
        has_categories = true;
        if let b"true" | b"false" = cookie.value {
            choices.set(category, cookie.value == b"true");
            found = true;
        }
    }
    if !found {
        return has_categories.then(|| Signal::problem(Problem::Malformed)).or(Some(Signal::undecided()));
    }
    let signal = choices.signal(Strength::Explicit, None);
    let chosen = input.values(CONSENT).any(|time| !time.is_empty());
    Some(if chosen { signal } else { Signal { granted: PurposeSet::EMPTY, ..signal } })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const TIME: &str = "Cookie_Consent=Mon%2C%2002%20Mar%202026%2009%3A15%3A30%20%2B0000; Cookie_Consent_Key=69a5";

    fn cookies(analytics: &str, marketing: &str) -> String {
        format!("{TIME}; Cookie_Category_analytics={analytics}; Cookie_Category_marketing={marketing}")
    }

    #[test]
    fn categories_are_read() {
        reader(&FORMAT).check(&[
            (&cookies("true", "true"), "+analytics +marketing"),
            (&cookies("true", "false"), "+analytics -marketing"),
            (&cookies("false", "false"), "-analytics -marketing"),
            (&format!("{}; Cookie_Category_social_media=false", cookies("true", "true")), "+analytics -marketing"),
            (&format!("{}; Cookie_Category_analytics=false", cookies("true", "true")), "+marketing -analytics"),
            (&format!("{TIME}; Cookie_Category_video=true"), "undecided ?video"),
            (&format!("{TIME}; Cookie_Category_analytics=1"), "malformed"),
            (TIME, "undecided"),
        ]);
    }

    #[test]
    fn categories_without_a_time_only_refuse() {
        reader(&FORMAT).check(&[
            ("Cookie_Category_analytics=true; Cookie_Category_marketing=false", "-marketing"),
            ("Cookie_Consent=; Cookie_Category_analytics=true", "undecided"),
        ]);
    }

    #[test]
    fn a_site_says_what_its_categories_are() {
        reader_with(&FORMAT, &[("video", "marketing")], None)
            .check(&[(&format!("{TIME}; Cookie_Category_video=true"), "+marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookies("true", "true"), &cookies("false", "false"), true);
    }
}
