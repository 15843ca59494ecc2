//! Complianz: one cookie for each category, `cmplz_<category>=allow|deny`, or `cmplz_rt_…` on the main site of a network.
//!
//! `cmplz_policy_id` is the revision: the banner asks again when it has grown. `cmplz_banner-status=show` stands beside
//! categories that the visitor has not closed the banner over, so that these are the banner's own. What the script does
//! about a category without a cookie depends on the region it guesses, which nobody else knows: here it is undecided.
//! Other cookies of the same prefix hold raw JSON or ids, and are not read.
//! Source: the WordPress plugin Complianz, its banner's script (`complianz.js`).

use std::borrow::Cow;

use super::records::{Record, records};
use super::wp_consent_api::{IDS, allowed, category};
use super::{Choices, Format, Signal, SignalInput, Tier};

const PREFIXES: [&[u8]; 2] = [b"cmplz_rt_", b"cmplz_"];
const CATEGORIES: [&[u8]; 4] = [b"functional", b"preferences", b"statistics", b"marketing"];

pub(super) const FORMAT: Format =
    Format { name: "complianz", tier: Tier::Banner, cookies: &["cmplz_*"], listed_cookies: &[], ids: IDS, read };

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    let named = |wanted: &'static [u8]| {
        let cookies = input.cookies.iter();
        cookies.filter(move |cookie| category(cookie.name, &PREFIXES) == wanted).map(|cookie| cookie.value)
    };
    let open = named(b"banner-status").any(|status| status == b"show");
    let outdated = |id: &&[u8]| std::str::from_utf8(id).is_ok_and(|id| !input.is_current(id));
    let revision = named(b"policy_id").find(outdated).or_else(|| named(b"policy_id").next());
    let revision = revision.and_then(|id| std::str::from_utf8(id).ok()).map(Cow::Borrowed);
    let is_category = |name: &[u8]| CATEGORIES.contains(&category(name, &PREFIXES));
    let categories = input.cookies.iter().filter(|c| allowed(c.value).is_some() || is_category(c.name));
    let signal = records(input, categories, choices, |cookie, choices| {
        choices.set(category(cookie.name, &PREFIXES), allowed(cookie.value)?);
        let record = if open { Record::implied(None) } else { Record::explicit(None) };
        Some(record.of_revision(revision.clone()))
    });
    signal.or_else(|| input.cookies.iter().next().map(|_| Signal::undecided()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    #[test]
    fn each_category_is_a_cookie() {
        reader(&FORMAT).check(&[
            (
                "cmplz_policy_id=18; cmplz_functional=allow; cmplz_preferences=deny; cmplz_statistics=allow; cmplz_marketing=deny; cmplz_banner-status=dismissed; cmplz_consented_services={\"youtube\":true}",
                "+analytics -preferences -marketing #18",
            ),
            (
                "cmplz_rt_policy_id=3; cmplz_rt_functional=allow; cmplz_rt_marketing=allow; cmplz_rt_banner-status=dismissed",
                "+marketing #3",
            ),
            ("cmplz_statistics=allow; cmplz_marketing=deny", "+analytics -marketing"),
            ("cmplz_marketing=allow; cmplz_rt_marketing=deny", "-marketing"),
            ("cmplz_marketing=allow; cmplz_new-category=allow", "+marketing ?new-category"),
            ("cmplz_marketing=true", "malformed"),
            ("cmplz_statistics=allow; cmplz_marketing=%22allow%22", "+analytics"),
            ("cookielaw=1", "none"),
        ]);
    }

    #[test]
    fn a_category_without_a_cookie_is_undecided_whatever_the_region_is() {
        reader(&FORMAT).check(&[
            ("cmplz_banner-status=dismissed; cmplz_policy_id=18", "undecided"),
            ("cmplz_id=123; cmplz_saved_categories=[\"statistics\"]", "undecided"),
            ("cmplz_functional=allow; cmplz_statistics-anonymous=allow", "undecided"),
        ]);
    }

    #[test]
    fn while_the_banner_shows_categories_are_its_own() {
        reader(&FORMAT).check(&[
            ("cmplz_banner-status=show; cmplz_marketing=allow", "+marketing ~"),
            ("cmplz_marketing=deny; cmplz_rt_banner-status=show", "-marketing ~"),
        ]);
    }

    #[test]
    fn the_revision_is_told_and_of_two_the_one_that_is_not_in_force() {
        reader_with(&FORMAT, &[], Some("18")).check(&[
            ("cmplz_policy_id=18; cmplz_marketing=allow", "+marketing #18"),
            ("cmplz_policy_id=18; cmplz_policy_id=17; cmplz_marketing=allow", "+marketing #17"),
            ("cmplz_policy_id=17; cmplz_policy_id=18; cmplz_marketing=allow", "+marketing #17"),
            ("cmplz_marketing=allow", "+marketing #"),
        ]);
    }

    #[test]
    fn categories_and_prefix_are_the_sites() {
        let reader = reader_with(&FORMAT, &[("preferences", "marketing")], None).named(&["consent_*"]);
        reader.check(&[("consent_preferences=deny; consent_statistics=allow", "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |word| format!("cmplz_statistics={word}; cmplz_marketing={word}; cmplz_banner-status=dismissed");
        holds(&reader(&FORMAT), &line("allow"), &line("deny"), false);
    }
}
