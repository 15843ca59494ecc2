//! Transcend: `tcm`, JSON with a decision for each purpose: `true`, `false`, or `"Auto"`.
//!
//! `"Auto"` is what the region's rules make of it, and counts as allowed. Only `confirmed:true` is a choice of the
//! visitor, and only of the purposes that are not `"Auto"`. Names of purposes belong to the tenant; the usual are known.
//! Source: what the consent manager (airgap.js) writes.

use serde::Deserialize;

use super::decode::{Members, Text, iso_time, json};
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};

const COOKIE: &str = "tcm";

pub(super) const FORMAT: Format = Format {
    name: "transcend",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[
        ("Essential", "necessary"),
        ("Functional", "preferences"),
        ("Analytics", "analytics"),
        ("Advertising", "marketing"),
        ("SaleOfInfo", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    purposes: Members<'a, Decision<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(default)]
    confirmed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Decision<'a> {
    Made(bool),
    Named(#[serde(borrow)] Text<'a>),
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut found, mut confirmed, mut decided_at) = (false, true, None::<u64>);
    for value in input.values(COOKIE) {
        let record = json(value, |text| {
            let record: Record<'_> = serde_json::from_str(text).ok()?;
            tell(&record, &mut choices);
            Some((record.confirmed, record.timestamp.and_then(|time| iso_time(&time.0))))
        });
        let Some((by_visitor, at)) = record else { continue };
        (found, confirmed) = (true, confirmed && by_visitor);
        decided_at = [decided_at, at].into_iter().flatten().min();
    }
    if !found {
        return Some(Signal::problem(Problem::Malformed));
    }
    let strength = if confirmed { Strength::Explicit } else { Strength::Implied };
    Some(choices.signal(strength, decided_at))
}

fn tell(record: &Record<'_>, choices: &mut Choices<'_>) {
    for (purpose, decision) in &record.purposes.0 {
        match decision {
            Decision::Made(granted) => choices.set(&**purpose, *granted),
            Decision::Named(name) if name.0 == "Auto" && !record.confirmed => choices.set(&**purpose, true),
            Decision::Named(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(purposes: &str, confirmed: bool) -> String {
        format!(
            r#"tcm={{"purposes":{{{purposes}}},"timestamp":"2026-03-02T09:15:30.120Z","confirmed":{confirmed},"prompted":true,"updated":true}}"#
        )
    }

    fn all(state: bool) -> String {
        cookie(&format!(r#""SaleOfInfo":{state},"Functional":{state},"Analytics":{state},"Advertising":{state}"#), true)
    }

    #[test]
    fn purposes_are_read() {
        let encoded = all(true).replace('{', "%7B").replace('"', "%22").replace(',', "%2C").replace('}', "%7D");
        let partial = cookie(r#""Analytics":true,"Advertising":true,"SaleOfInfo":false,"Heatmaps":true"#, true);
        reader(&FORMAT).check(&[
            (&all(true), "+preferences +analytics +marketing @1772442930"),
            (&encoded, "+preferences +analytics +marketing @1772442930"),
            (&all(false), "-preferences -analytics -marketing @1772442930"),
            (&partial, "+analytics -marketing @1772442930 ?Heatmaps"),
            (&cookie("", true), "undecided"),
            ("tcm=", "malformed"),
            (r#"tcm={"purposes":{"Analytics":1},"confirmed":true}"#, "malformed"),
            (r#"tcm={"confirmed":true}"#, "malformed"),
        ]);
    }

    #[test]
    fn automatic_is_allowed_by_default_and_only_confirmed_is_a_choice() {
        let mixed = r#""Functional":"Auto","Analytics":true,"Advertising":false"#;
        reader(&FORMAT).check(&[
            (&cookie(mixed, false), "+preferences +analytics -marketing ~ @1772442930"),
            (&cookie(mixed, true), "+analytics -marketing @1772442930"),
            (&cookie(r#""Functional":"Auto","Analytics":"Auto","Advertising":"Auto""#, true), "undecided"),
            (r#"tcm={"purposes":{"Analytics":true}}"#, "+analytics ~"),
        ]);
    }

    #[test]
    fn tenants_purposes_are_what_the_site_says() {
        reader_with(&FORMAT, &[("BrowserCookies", "analytics")], None)
            .check(&[(&cookie(r#""BrowserCookies":true"#, true), "+analytics @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &all(true), &all(false), true);
    }
}
