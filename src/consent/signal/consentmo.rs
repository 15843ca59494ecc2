//! Consentmo, a banner for Shopify: `cookieconsent_preferences_disabled`, a list of what is switched **off**, and
//! `cookieconsent_status`, which button was pressed.
//!
//! What is listed is refused; of the categories that have a meaning, the others are granted, if the status says that
//! the visitor accepted. `dismiss` closes the banner and `non_gdpr` is a region without one: no choice. A list with a
//! word in it that nobody has mapped grants nothing, for it might be damaged. Another library writes
//! `cookieconsent_status`, too: without the list, the status only refuses.
//! Source: public code that reads the cookies as the banner does.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

const DISABLED: &str = "cookieconsent_preferences_disabled";
const STATUS: &str = "cookieconsent_status";

pub(super) const FORMAT: Format = Format {
    name: "consentmo",
    tier: Tier::Banner,
    cookies: &[DISABLED, STATUS],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functionality", "preferences"),
        ("analytics", "analytics"),
        ("marketing", "marketing"),
    ],
    read,
};

/// What the statuses say together; the greatest holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Accepted,
    /// Set by the banner.
    Default,
    /// None that is known.
    Unknown,
    Refused,
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let status = input.values(STATUS).map(|status| match &*decode_percent(status) {
        b"deny" => Status::Refused,
        b"accept_all" | b"accept_selected" | b"allow" => Status::Accepted,
        b"dismiss" | b"non_gdpr" => Status::Default,
        _ => Status::Unknown,
    });
    let status = status.max();
    let (mut has_list, mut is_known) = (false, true);
    for list in input.values(DISABLED) {
        has_list = true;
        let list = decode_percent(list);
        for id in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|id| !id.is_empty()) {
            is_known &= choices.purpose_of(id).is_some();
            choices.set(id, false);
        }
    }
    match status {
        Some(Status::Refused) => choices.set_all(choices.mapped(), false),
        _ if !has_list => return None,
        Some(Status::Accepted | Status::Default) if is_known => choices.set_all(choices.mapped(), true),
        Some(_) if choices.is_empty() => return Some(Signal::problem(Problem::Malformed)),
        _ => {}
    }
    let strength = if status == Some(Status::Default) { Strength::Implied } else { Strength::Explicit };
    Some(choices.signal(strength, None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookies(disabled: &str, status: &str) -> String {
        format!("cookieconsent_preferences_disabled={disabled}; cookieconsent_status={status}")
    }

    const ALL: &str = "+preferences +analytics +marketing";
    const NOTHING: &str = "-preferences -analytics -marketing";

    #[test]
    fn what_is_listed_is_refused() {
        reader(&FORMAT).check(&[
            (&cookies("", "accept_all"), ALL),
            (&cookies("", "allow"), ALL),
            (&cookies("marketing", "accept_selected"), "+preferences +analytics -marketing"),
            (&cookies("functionality%2Canalytics", "accept_selected"), "+marketing -preferences -analytics"),
            (&cookies("functionality,analytics,marketing", "deny"), NOTHING),
            (&cookies("", "deny"), NOTHING),
            (
                &format!("{}; cookieconsent_preferences_disabled=marketing", cookies("", "accept_all")),
                "+preferences +analytics -marketing",
            ),
            (&format!("{}; cookieconsent_status=deny", cookies("", "accept_all")), NOTHING),
            (&cookies("", "maybe"), "malformed"),
        ]);
    }

    #[test]
    fn without_an_accepting_status_nothing_is_granted() {
        reader(&FORMAT).check(&[
            ("cookieconsent_preferences_disabled=", "undecided"),
            ("cookieconsent_preferences_disabled=marketing", "-marketing"),
            (&cookies("marketing", "maybe"), "-marketing"),
        ]);
    }

    #[test]
    fn a_closed_banner_and_a_region_without_one_are_no_choice() {
        reader(&FORMAT).check(&[
            (&cookies("", "non_gdpr"), &format!("{ALL} ~")),
            (&cookies("marketing", "dismiss"), "+preferences +analytics -marketing ~"),
        ]);
    }

    #[test]
    fn a_list_that_may_be_damaged_grants_nothing() {
        reader(&FORMAT).check(&[(&cookies("analytics,marke", "accept_selected"), "-analytics ?marke")]);
    }

    #[test]
    fn the_status_is_also_anothers() {
        reader(&FORMAT).check(&[
            ("cookieconsent_status=allow", "none"),
            ("cookieconsent_status=dismiss", "none"),
            ("cookieconsent_status=deny", NOTHING),
        ]);
    }

    #[test]
    fn a_site_says_what_its_categories_are() {
        reader_with(&FORMAT, &[("functionality", "marketing")], None)
            .check(&[(&cookies("functionality", "accept_selected"), "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookies("", "accept_all"), &cookies("analytics,marketing", "deny"), true);
    }
}
