//! Cookiebot: `CookieConsent`, a JavaScript object literal with bare keys and single-quoted strings.
//!
//! Two bare values are documented for servers: `0`, declined, and `-1`, a region without a duty to ask, where
//! everything is allowed. The visitor chose only if `method` is `explicit` and `stamp` is not `-1`. Other libraries
//! write `true` and `false` under the same name: not ours.
//! Source: Cookiebot developer documentation, "Server-side usage of the consent cookie".

use super::decode::millis;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::{PurposeSet, decode_percent};

pub(super) const FORMAT: Format = Format {
    name: "cookiebot",
    tier: Tier::Banner,
    cookies: &["CookieConsent"],
    listed_cookies: &[],
    ids: &[("preferences", "preferences"), ("statistics", "analytics"), ("marketing", "marketing")],
    read,
};

/// What the records found so far say about the visitor's own will.
#[derive(Default)]
struct Will {
    found: bool,
    implied: bool,
    decided_at: Option<u64>,
}

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut will = Will::default();
    let mut malformed = false;
    for cookie in input.cookies.iter() {
        let value = decode_percent(cookie.value);
        match value.trim_ascii() {
            b"0" => {
                choices.set_all(choices.mapped(), false);
                will.found = true;
            }
            b"-1" => {
                choices.set_all(choices.mapped(), true);
                (will.found, will.implied) = (true, true);
            }
            object if object.starts_with(b"{") => match record(object, &mut choices, &mut will) {
                Some(()) => will.found = true,
                None => malformed = true,
            },
            _ => {}
        }
    }
    if malformed && !will.found {
        return Some(Signal::problem(Problem::Malformed));
    }
    let strength = if will.implied { Strength::Implied } else { Strength::Explicit };
    will.found.then(|| choices.signal(strength, will.decided_at))
}

/// Reads one object. What it says is told only once it is known to be whole.
fn record(object: &[u8], choices: &mut Choices<'_>, will: &mut Will) -> Option<()> {
    let (mut granted, mut denied) = (PurposeSet::EMPTY, PurposeSet::EMPTY);
    let (mut explicit, mut stamp, mut at) = (false, false, None);
    let mut rest = object.strip_prefix(b"{")?;
    loop {
        let (key, value, next) = member(rest)?;
        match (key, value) {
            (b"method", Value::Text(method)) => explicit = method == b"explicit",
            (b"stamp", Value::Text(text)) => stamp = text != b"-1",
            (b"utc", Value::Number(number)) => at = Some(millis(number)),
            (id, Value::Boolean(state)) => {
                let purpose = choices.purpose_of(id).map_or(PurposeSet::EMPTY, PurposeSet::of);
                let set = if state { &mut granted } else { &mut denied };
                *set = set.union(purpose);
            }
            _ => {}
        }
        match next.trim_ascii_start().split_first()? {
            (b',', after) => rest = after,
            (b'}', after) if after.trim_ascii().is_empty() => break,
            _ => return None,
        }
    }
    choices.set_all(granted, true);
    choices.set_all(denied, false);
    will.implied |= !(explicit && stamp);
    will.decided_at = will.decided_at.max(at);
    Some(())
}

enum Value<'a> {
    Boolean(bool),
    Number(u64),
    Text(&'a [u8]),
}

/// `key:value`, and what follows.
fn member(text: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let colon = memchr::memchr(b':', text)?;
    let (key, rest) = (text.get(..colon)?.trim_ascii(), text.get(colon + 1..)?.trim_ascii_start());
    if let Some(rest) = rest.strip_prefix(b"'") {
        let end = memchr::memchr(b'\'', rest)?;
        return Some((key, Value::Text(rest.get(..end)?), rest.get(end + 1..)?));
    }
    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
    let (word, next) = (rest.get(..end)?.trim_ascii(), rest.get(end..)?);
    let value = match word {
        b"true" => Value::Boolean(true),
        b"false" => Value::Boolean(false),
        number => Value::Number(std::str::from_utf8(number.strip_prefix(b"-").unwrap_or(number)).ok()?.parse().ok()?),
    };
    Some((key, value, next))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader};
    use super::*;

    fn cookie(statistics: bool, marketing: bool, method: &str, stamp: &str) -> String {
        format!(
            "CookieConsent={{stamp:%27{stamp}%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:{statistics}%2Cmarketing:{marketing}%2Cmethod:%27{method}%27%2Cver:1%2Cutc:1772442930120%2Cregion:%27de%27}}"
        )
    }

    #[test]
    fn objects_and_bare_values_are_read() {
        let encoded = cookie(true, false, "explicit", "Zm9vYmFyYmF6cXV4+/ab0==");
        let decoded = "CookieConsent={stamp:'abc+/==', necessary:true, preferences:true, statistics:true, marketing:true, method:'explicit', ver:1, utc:1772442930120, region:'us-06'}";
        let iab = "CookieConsent={stamp:'a',statistics:false,marketing:false,method:'explicit',utc:1772442930120,iab2:'CQ,{x:y}',gacm:'1~2'}";
        reader(&FORMAT).check(&[
            (&encoded, "+analytics -preferences -marketing @1772442930"),
            (decoded, "+preferences +analytics +marketing @1772442930"),
            (iab, "-analytics -marketing @1772442930"),
            ("CookieConsent=0", "-preferences -analytics -marketing"),
            ("CookieConsent={stamp:'0',statistics:false,marketing:false,method:'explicit'}", "-analytics -marketing"),
            ("CookieConsent={stamp:'a',statistics:true", "malformed"),
            ("CookieConsent={stamp:'a',statistics:true,marketing:1x}", "malformed"),
            ("CookieConsent={}", "malformed"),
        ]);
    }

    #[test]
    fn stamp_minus_one_and_implied_are_the_regions_default() {
        reader(&FORMAT).check(&[
            (&cookie(true, true, "implied", "-1"), "+analytics +marketing -preferences ~ @1772442930"),
            (&cookie(true, true, "explicit", "-1"), "+analytics +marketing -preferences ~ @1772442930"),
            (&cookie(true, true, "implied", "a"), "+analytics +marketing -preferences ~ @1772442930"),
            ("CookieConsent={stamp:'a',statistics:true,utc:1772442930120}", "+analytics ~ @1772442930"),
            ("CookieConsent=-1", "+preferences +analytics +marketing ~"),
        ]);
    }

    #[test]
    fn the_name_is_also_others() {
        for value in ["true", "false", "1", "", "yes"] {
            assert_eq!(reader(&FORMAT).read(&format!("CookieConsent={value}")), "none", "{value}");
        }
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let [granting, refusing] = [true, false].map(|state| cookie(state, state, "explicit", "a"));
        holds(&reader(&FORMAT), &granting, &refusing, true);
    }
}
