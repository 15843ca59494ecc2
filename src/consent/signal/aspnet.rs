//! ASP.NET Core's cookie policy: `.AspNet.Consent=yes`, one word for everything that is not essential.
//!
//! The value is a setting, `ConsentCookieValue`, which a site changes to ask again: it is given as `revision`. Any other
//! value is no consent. A withdrawal deletes the cookie, so there is no refusal.
//! Source: ASP.NET Core documentation, "GDPR support", and its code, `CookiePolicyOptions`.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

pub(super) const FORMAT: Format =
    Format { name: "aspnet", tier: Tier::Banner, cookies: &[".AspNet.Consent"], listed_cookies: &[], ids: &[], read };

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let consent = input.revision.unwrap_or("yes").as_bytes();
    // The name is a setting, too.
    if !input.cookies.iter().all(|cookie| *decode_percent(cookie.value) == *consent) {
        return Some(Signal::problem(Problem::OtherRevision));
    }
    choices.set_all(input.site.purposes, true);
    Some(choices.signal(Strength::Explicit, None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const ALL: &str = "+preferences +analytics +marketing";
    const OTHER: &str = "made for another revision of the banner's settings";

    #[test]
    fn only_the_value_is_consent() {
        reader(&FORMAT).check(&[(".AspNet.Consent=yes", ALL), (".AspNet.Consent=%79es", ALL)]);
        for value in ["", "no", "Yes", "true", "1", "yes1", "ye", "yes; .AspNet.Consent=no"] {
            assert_eq!(reader(&FORMAT).read(&format!(".AspNet.Consent={value}")), OTHER, "{value}");
        }
    }

    #[test]
    fn a_site_says_what_the_value_is() {
        let reader = reader_with(&FORMAT, &[], Some("v2 yes"));
        reader.check(&[
            (".AspNet.Consent=v2%20yes", ALL),
            (".AspNet.Consent=yes", OTHER),
            (".AspNet.Consent=v2%20yes; .AspNet.Consent=yes", OTHER),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), ".AspNet.Consent=yes", ".AspNet.Consent=no", true);
    }
}
