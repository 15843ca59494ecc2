//! Securiti: `__privaci_cookie_consents`, JSON whose `consents` have 1 or 0 for each category.
//!
//! `__privaci_cookie_no_action` stands beside it as long as the visitor has not answered. A category that is missing is
//! refused: so reads the banner itself, and an empty list refuses everything. `implicit_consent` tells the region's
//! default. Categories are numbers of the tenant's: none has a meaning by default. The JSON comes as it is,
//! percent-encoded, or in base64.
//! Source: what the banner's script writes and reads.

use serde::Deserialize;

use super::decode::{Members, base64, json};
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::PurposeSet;

const COOKIE: &str = "__privaci_cookie_consents";
const NO_ACTION: &str = "__privaci_cookie_no_action";

pub(super) const FORMAT: Format =
    Format { name: "securiti", tier: Tier::Banner, cookies: &[COOKIE, NO_ACTION], listed_cookies: &[], ids: &[], read };

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    consents: Members<'a, State>,
    #[serde(default)]
    implicit_consent: bool,
    /// Unix time in seconds.
    ts: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum State {
    Flag(bool),
    Number(u64),
}

impl State {
    fn is_granted(&self) -> bool {
        matches!(self, State::Flag(true) | State::Number(1))
    }
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    if input.values(NO_ACTION).next().is_some() {
        return Some(Signal::undecided());
    }
    let (mut found, mut implied, mut decided_at) = (false, false, None::<u64>);
    let mut read = |text: &str| {
        let record: Record<'_> = serde_json::from_str(text).ok()?;
        tell(&record, input.site.purposes, &mut choices);
        Some((record.implicit_consent, record.ts))
    };
    for value in input.values(COOKIE) {
        let record = json(value, &mut read).or_else(|| read(std::str::from_utf8(&base64(value)?).ok()?));
        let Some((is_default, at)) = record else { continue };
        (found, implied) = (true, implied || is_default);
        decided_at = [decided_at, at].into_iter().flatten().min();
    }
    if !found {
        return Some(Signal::problem(Problem::Malformed));
    }
    let strength = if implied { Strength::Implied } else { Strength::Explicit };
    Some(choices.signal(strength, decided_at))
}

fn tell(record: &Record<'_>, all: PurposeSet, choices: &mut Choices<'_>) {
    let consents = &record.consents.0;
    if consents.is_empty() {
        choices.set_all(all, false);
    }
    consents.iter().filter(|(_, state)| !state.is_granted()).for_each(|(id, _)| choices.set(&**id, false));
    choices.accepted(consents.iter().filter(|(_, state)| state.is_granted()).map(|(id, _)| &**id));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn mapped() -> Reader {
        reader_with(
            &FORMAT,
            &[("97", "necessary"), ("98", "preferences"), ("99", "analytics"), ("100", "marketing")],
            None,
        )
    }

    fn cookie(consents: &str) -> String {
        format!(
            r#"__privaci_cookie_consents={{"consents":{{{consents}}},"location":"30#KE","lang":"en","gpcInBrowserOnConsent":false,"status":"record-consent-success","implicit_consent":false,"ts":1772442930}}"#
        )
    }

    fn all(state: u8) -> String {
        cookie(&format!(r#""97":1,"98":{state},"99":{state},"100":{state}"#))
    }

    #[test]
    fn consents_are_read() {
        let encoded = all(1).replace('{', "%7B").replace('"', "%22").replace(',', "%2C").replace('}', "%7D");
        let base64 =
            "__privaci_cookie_consents=eyJjb25zZW50cyI6eyI5OSI6MSwiMTAwIjowLCI5OCI6MH0sInRzIjoxNzcyNDQyOTMwfQ==";
        mapped().check(&[
            (&all(1), "+preferences +analytics +marketing @1772442930"),
            (&encoded, "+preferences +analytics +marketing @1772442930"),
            (&all(0), "-preferences -analytics -marketing @1772442930"),
            (&cookie(r#""98":0,"99":true,"100":0,"101":1"#), "+analytics -preferences -marketing @1772442930 ?101"),
            (base64, "+analytics -preferences -marketing @1772442930"),
            (r#"__privaci_cookie_consents={"consents":{"98":1,"99":1,"100":1}}"#, "+preferences +analytics +marketing"),
            ("__privaci_cookie_consents=", "malformed"),
            (r#"__privaci_cookie_consents={"consents":{"99":"1"}}"#, "malformed"),
            (r#"__privaci_cookie_consents={"ts":1772442930}"#, "malformed"),
        ]);
    }

    #[test]
    fn while_there_was_no_action_nothing_is_decided() {
        mapped().check(&[
            (&format!("__privaci_cookie_no_action=true; {}", all(1)), "undecided"),
            ("__privaci_cookie_no_action=", "undecided"),
        ]);
    }

    #[test]
    fn an_empty_list_refuses_everything_and_a_missing_category_is_refused() {
        reader(&FORMAT).check(&[(&cookie(""), "-preferences -analytics -marketing @1772442930")]);
        mapped().check(&[(&cookie(r#""99":1"#), "+analytics -preferences -marketing @1772442930")]);
    }

    #[test]
    fn implicit_consent_is_the_regions_default() {
        let implicit = all(1).replace(r#""implicit_consent":false"#, r#""implicit_consent":true"#);
        mapped().check(&[(&implicit, "+preferences +analytics +marketing ~ @1772442930")]);
    }

    #[test]
    fn without_a_mapping_nothing_is_granted() {
        reader(&FORMAT).check(&[(&cookie(r#""1207":1"#), "undecided ?1207")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&mapped(), &all(1), &all(0), true);
    }
}
