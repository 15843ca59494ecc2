//! CookieYes: `cookieyes-consent`, a list of `key:value`, comma-separated and not escaped.
//!
//! The cookie stands there with empty values before any choice. Only `action:yes` says that the visitor acted; without
//! it, the values are the region's default. The key `consent` is not looked at: under the banner's rules for California
//! its `yes` means opted out.
//! Source: what the banner's script writes.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

const COOKIE: &str = "cookieyes-consent";

pub(super) const FORMAT: Format = Format {
    name: "cookieyes",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[
        ("necessary", "necessary"),
        ("functional", "preferences"),
        ("analytics", "analytics"),
        ("performance", "analytics"),
        ("advertisement", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut found, mut acted) = (false, true);
    for value in input.values(COOKIE) {
        if let Some(by_visitor) = record(&decode_percent(value), &mut choices) {
            (found, acted) = (true, acted && by_visitor);
        }
    }
    if !found {
        return Some(Signal::problem(Problem::Malformed));
    }
    let strength = if acted { Strength::Explicit } else { Strength::Implied };
    Some(choices.signal(strength, None))
}

/// Reads one list; returns whether the visitor acted. `None` if it is no such list.
fn record(list: &[u8], choices: &mut Choices<'_>) -> Option<bool> {
    let pairs = || list.split(|byte| *byte == b',').filter_map(pair);
    let (_, action) = pairs().find(|(key, _)| *key == b"action")?;
    for (key, state) in pairs().filter(|(key, _)| !matches!(*key, b"action" | b"consentid" | b"consent")) {
        if let b"yes" | b"no" = state {
            choices.set(key, state == b"yes");
        }
    }
    Some(action == b"yes")
}

/// The key and the value of `key:value`.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', text)?;
    Some((text.get(..colon)?.trim_ascii(), text.get(colon + 1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const ID: &str = "consentid:QWJjRGVmR2hpSmtsTW5vUHFyU3R1Vnd4WXoxMjM0NTY";

    fn cookie(action: &str, analytics: &str, advertisement: &str) -> String {
        format!(
            "cookieyes-consent={ID},consent:yes,action:{action},necessary:yes,functional:yes,analytics:{analytics},performance:{analytics},advertisement:{advertisement}"
        )
    }

    #[test]
    fn categories_are_read() {
        let encoded = cookie("yes", "yes", "no").replace(':', "%3A").replace(',', "%2C");
        let partial = cookie("yes", "yes", "no")
            .replace("performance:yes", "performance:no,other:no,lastRenewedDate:1700000000000");
        reader(&FORMAT).check(&[
            (&cookie("yes", "yes", "yes"), "+preferences +analytics +marketing"),
            (&cookie("yes", "yes", "no"), "+preferences +analytics -marketing"),
            (&encoded, "+preferences +analytics -marketing"),
            (&partial, "+preferences -analytics -marketing ?other"),
            ("cookieyes-consent=consentid:,consent:,action:,necessary:,functional:,analytics:,performance:,advertisement:,other:", "undecided"),
            ("cookieyes-consent=action:yes,advertisement:no", "-marketing"),
            ("cookieyes-consent=", "malformed"),
            ("cookieyes-consent=yes", "malformed"),
            ("cookieyes-consent=consent:yes,analytics:yes", "malformed"),
            ("cookieyes-consent=consent; cookieyes-consent=action:yes,analytics:no", "-analytics"),
        ]);
    }

    #[test]
    fn without_an_action_the_values_are_the_regions_default() {
        reader(&FORMAT).check(&[
            (&cookie("no", "yes", "yes"), "+preferences +analytics +marketing ~"),
            (&cookie("", "yes", "no"), "+preferences +analytics -marketing ~"),
            (
                &format!("{}; {}", cookie("yes", "yes", "yes"), cookie("no", "yes", "yes")),
                "+preferences +analytics +marketing ~",
            ),
        ]);
    }

    #[test]
    fn the_consent_key_which_inverts_under_californias_law_says_nothing() {
        let opted_out = cookie("yes", "no", "no");
        let not = opted_out.replace("consent:yes", "consent:no");
        reader(&FORMAT)
            .check(&[(&opted_out, "+preferences -analytics -marketing"), (&not, "+preferences -analytics -marketing")]);
    }

    #[test]
    fn a_site_says_what_its_other_category_is() {
        reader_with(&FORMAT, &[("other", "marketing")], None)
            .check(&[("cookieyes-consent=action:yes,other:yes", "+marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie("yes", "yes", "yes"), &cookie("yes", "no", "no"), true);
    }
}
