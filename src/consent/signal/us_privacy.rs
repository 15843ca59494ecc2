//! The US Privacy string: `usprivacy`, four characters, or JSON around them.
//!
//! `Y` in the third place is an opt-out from sale, which denies what the site calls sale. Nothing here ever grants.
//! Source: IAB Tech Lab, "US Privacy String", version 1.0.

use serde::Deserialize;

use super::decode::{Text, json};
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::consent::iab::us_privacy::UsPrivacy;
use crate::policy::decode_percent;

pub(super) const FORMAT: Format =
    Format { name: "usprivacy", tier: Tier::UsOptOut, cookies: &["usprivacy"], listed_cookies: &[], ids: &[], read };

/// As some banners wrap it.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, rename = "uspString")]
    string: Text<'a>,
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut found = false;
    for cookie in input.cookies.iter() {
        let Some(string) = string(cookie.value) else { continue };
        found = true;
        if string.opted_out_of_sale == Some(true) {
            choices.set_all(input.site.gpc_caps, false);
        }
    }
    if found { Some(choices.signal(Strength::Explicit, None)) } else { Some(Signal::problem(Problem::Malformed)) }
}

fn string(value: &[u8]) -> Option<UsPrivacy> {
    let wrapped = |text: &str| {
        let wrapped: Wrapped<'_> = serde_json::from_str(text).ok()?;
        UsPrivacy::parse(wrapped.string.0.as_bytes()).ok()
    };
    UsPrivacy::parse(&decode_percent(value)).ok().or_else(|| json(value, wrapped))
}

#[cfg(test)]
mod tests {
    use super::super::testing::reader;
    use super::*;

    #[test]
    fn the_third_character_decides() {
        reader(&FORMAT).check(&[
            ("usprivacy=1NYY", "-marketing"),
            ("usprivacy=1-Y-", "-marketing"),
            ("usprivacy=1YNN", "undecided"),
            ("usprivacy=1---", "undecided"),
            ("usprivacy=1YNN; usprivacy=1YYN", "-marketing"),
            ("usprivacy={%22uspString%22:%221YYN%22}", "-marketing"),
            ("usprivacy=%7B%22uspString%22%3A%221YNN%22%7D", "undecided"),
            ("usprivacy=2YYN", "malformed"),
            ("usprivacy=1YY", "malformed"),
            ("usprivacy=", "malformed"),
            ("usprivacy={}", "malformed"),
        ]);
    }
}
