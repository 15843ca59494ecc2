//! The CookieYes plugin for WordPress before version 3, also called GDPR Cookie Consent and CookieLawInfo:
//! `viewed_cookie_policy=yes|no`, and `cookielawinfo-checkbox-<category>=yes|no` for each category.
//!
//! The checkboxes are written with their defaults as soon as the script runs; only `viewed_cookie_policy` says that the
//! visitor chose. Its `no` refuses everything, whatever the boxes say. Old versions know only `non-necessary`, which
//! stands for all.
//! Source: what the plugin's script writes.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};

const VIEWED: &str = "viewed_cookie_policy";
const CHECKBOX: &[u8] = b"cookielawinfo-checkbox-";

pub(super) const FORMAT: Format = Format {
    name: "cookielawinfo",
    tier: Tier::Banner,
    cookies: &[VIEWED, "cookielawinfo-checkbox-*"],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("performance", "analytics"),
        ("advertisement", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut viewed, mut known) = (false, false);
    for value in input.values(VIEWED) {
        match value {
            b"yes" => viewed = true,
            b"no" => {
                choices.set_all(input.site.purposes, false);
                viewed = true;
            }
            _ => {}
        }
    }
    for cookie in input.cookies.iter() {
        let Some(category) = cookie.name.strip_prefix(CHECKBOX) else { continue };
        let (b"yes" | b"no") = cookie.value else { continue };
        let granted = cookie.value == b"yes";
        known = true;
        if category == b"non-necessary" && choices.purpose_of(category).is_none() {
            choices.set_all(input.site.purposes, granted);
        } else {
            choices.set(category, granted);
        }
    }
    if !viewed && !known {
        return Some(Signal::problem(Problem::Malformed));
    }
    Some(choices.signal(if viewed { Strength::Explicit } else { Strength::Implied }, None))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn boxes(analytics: &str, advertisement: &str) -> String {
        format!(
            "cookielawinfo-checkbox-necessary=yes; cookielawinfo-checkbox-functional=yes; cookielawinfo-checkbox-analytics={analytics}; cookielawinfo-checkbox-advertisement={advertisement}"
        )
    }

    #[test]
    fn boxes_are_read_once_the_policy_was_viewed() {
        let viewed = |boxes: &str| format!("viewed_cookie_policy=yes; {boxes}");
        reader(&FORMAT).check(&[
            (&viewed(&boxes("yes", "yes")), "+preferences +analytics +marketing"),
            (&viewed(&boxes("yes", "no")), "+preferences +analytics -marketing"),
            (&viewed("cookielawinfo-checkbox-others=yes; cookielawinfo-checkbox-analytics=no"), "-analytics ?others"),
            (&viewed("cookielawinfo-checkbox-non-necessary=yes"), "+preferences +analytics +marketing"),
            (&viewed("cookielawinfo-checkbox-non-necessary=no"), "-preferences -analytics -marketing"),
            (&viewed("cookielawinfo-checkbox-analytics=1"), "undecided"),
            ("cookielawinfo-checkbox-analytics=1", "malformed"),
            ("viewed_cookie_policy=; cookielawinfo-checkbox-analytics=yes", "+analytics ~"),
            ("viewed_cookie_policy=yes", "undecided"),
            ("viewed_cookie_policy=maybe", "malformed"),
            ("cookielawinfo-checkbox-necessary=yes", "undecided"),
        ]);
    }

    #[test]
    fn boxes_before_a_choice_are_defaults() {
        reader(&FORMAT).check(&[(&boxes("yes", "no"), "+preferences +analytics -marketing ~")]);
    }

    #[test]
    fn a_refused_policy_refuses_what_the_boxes_still_have() {
        let refused = "-preferences -analytics -marketing";
        reader(&FORMAT).check(&[
            ("viewed_cookie_policy=no", refused),
            (&format!("viewed_cookie_policy=no; {}", boxes("yes", "yes")), refused),
            (&format!("viewed_cookie_policy=yes; viewed_cookie_policy=no; {}", boxes("yes", "yes")), refused),
        ]);
    }

    #[test]
    fn a_site_says_what_its_boxes_are() {
        let reader = reader_with(&FORMAT, &[("others", "marketing"), ("non-necessary", "analytics")], None);
        reader.check(&[(
            "viewed_cookie_policy=yes; cookielawinfo-checkbox-others=no; cookielawinfo-checkbox-non-necessary=yes",
            "+analytics -marketing",
        )]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: &str| format!("viewed_cookie_policy={state}; {}", boxes(state, state));
        holds(&reader(&FORMAT), &line("yes"), &line("no"), true);
    }
}
