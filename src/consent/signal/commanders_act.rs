//! Commanders Act, TrustCommander: `TC_PRIVACY`, fields between `@`: the status, then the banner's version and ids,
//! and at the end the categories, those that are blocked, and the times of updating, creating and expiring.
//!
//! Status 0 is consent and 1 is refusal, against what one expects. The categories that follow take that status; old
//! banners write `ALL`. The fields before the categories differ between versions, so all is counted from the times, which
//! have three numbers of milliseconds. Categories belong to the tenant: none has a meaning by default.
//! Source: Commanders Act documentation, "TrustCommander cookie".

use super::decode::millis;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::{PurposeSet, decode_percent};

const COOKIE: &str = "TC_PRIVACY";

pub(super) const FORMAT: Format =
    Format { name: "commanders_act", tier: Tier::Banner, cookies: &[COOKIE], listed_cookies: &[], ids: &[], read };

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut updated: Option<u64> = None;
    for value in input.values(COOKIE) {
        let fields = decode_percent(value);
        if let Some(at) = record(&fields, input.site.purposes, &mut choices) {
            updated = Some(updated.map_or(at, |earlier| earlier.min(at)));
        }
    }
    Some(match updated {
        Some(at) => choices.signal(Strength::Explicit, Some(at)),
        None => Signal::problem(Problem::Malformed),
    })
}

/// Reads one record; returns when it was updated, in Unix seconds. `None` if it is no such record.
fn record(record: &[u8], all: PurposeSet, choices: &mut Choices<'_>) -> Option<u64> {
    let fields: Vec<&[u8]> = record.split(|byte| *byte == b'@').collect();
    let times = fields.iter().rposition(|field| updated(field).is_some())?;
    let (status, categories) = (fields.first()?, fields.get(times.checked_sub(2).filter(|at| *at > 0)?)?);
    let listed = ids(categories);
    match (*status, *categories) {
        (b"0", b"ALL") => choices.set_all(all, true),
        (b"0", _) => choices.accepted(listed),
        (b"1", b"ALL" | b"") => choices.set_all(all, false),
        (b"1", _) => listed.for_each(|id| choices.set(id, false)),
        _ => return None,
    }
    ids(fields.get(times - 1)?).for_each(|id| choices.set(id, false));
    updated(fields.get(times)?)
}

/// The ids of a list between commas.
fn ids(list: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|id| !id.is_empty())
}

/// The first of three times, in Unix seconds. `None` if the field holds something else.
fn updated(field: &[u8]) -> Option<u64> {
    let mut times = field.split(|byte| *byte == b',').map(|time| {
        let is_time = time.len() >= 12 && time.iter().all(u8::is_ascii_digit);
        is_time.then(|| std::str::from_utf8(time).ok()?.parse().ok()).flatten()
    });
    let (updated, ..) = (times.next()??, times.next()??, times.next()??);
    times.next().is_none().then(|| millis(updated))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    const TIMES: &str = "1772442930120,1772442930120,1806311730120";

    fn mapped() -> Reader {
        reader_with(&FORMAT, &[("2", "analytics"), ("3", "marketing"), ("12", "preferences")], None)
    }

    #[test]
    fn categories_take_the_status() {
        mapped().check(&[
            (&format!("TC_PRIVACY=0@012@2@2568@2,3,12@@{TIMES}"), "+preferences +analytics +marketing @1772442930"),
            (&format!("TC_PRIVACY=0@012@2@2568@2@3@{TIMES}@"), "+analytics -preferences -marketing @1772442930"),
            (
                "TC_PRIVACY=0@031%7C2%7C3515@2%2C3@@1772442930120%2C1772442930120%2C1806311730120@1%2C2%2C3",
                "+analytics +marketing -preferences @1772442930",
            ),
            (
                &format!("TC_PRIVACY=0@012|CQgcD4AQgcD4AAcA.I@2@2568@2,7@@{TIMES}"),
                "+analytics -preferences -marketing @1772442930 ?7",
            ),
            (&format!("TC_PRIVACY=0@012@2@2568@@@{TIMES}"), "-preferences -analytics -marketing @1772442930"),
            (&format!("TC_PRIVACY=0@012@2@2568@ALL@@{TIMES}"), "+preferences +analytics +marketing @1772442930"),
            ("TC_PRIVACY=", "malformed"),
            ("TC_PRIVACY=0@012@2@2568@2,3@@1772442930120", "malformed"),
            (&format!("TC_PRIVACY=2@012@2@2568@2,3@@{TIMES}"), "malformed"),
            (&format!("TC_PRIVACY=0@{TIMES}"), "malformed"),
        ]);
    }

    #[test]
    fn status_zero_is_consent_and_one_is_refusal() {
        mapped().check(&[
            (&format!("TC_PRIVACY=0@012@2@2568@2@@{TIMES}"), "+analytics -preferences -marketing @1772442930"),
            (&format!("TC_PRIVACY=1@012@2@2568@2@@{TIMES}"), "-analytics @1772442930"),
            (&format!("TC_PRIVACY=1@012@2@2568@ALL@@{TIMES}"), "-preferences -analytics -marketing @1772442930"),
            (&format!("TC_PRIVACY=1@012@2@2568@@@{TIMES}"), "-preferences -analytics -marketing @1772442930"),
        ]);
    }

    #[test]
    fn without_a_mapping_nothing_is_granted() {
        reader(&FORMAT).check(&[(&format!("TC_PRIVACY=0@012@2@2568@2,3@@{TIMES}"), "undecided ?2 ?3")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |status: u8| format!("TC_PRIVACY={status}@012@2@2568@2,3@@{TIMES}");
        holds(&mapped(), &line(0), &line(1), true);
    }
}
