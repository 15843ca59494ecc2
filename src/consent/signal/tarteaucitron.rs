//! tarteaucitron: `!<service>=true|false|wait` for each service, without anything between them.
//!
//! The cookie is written before any choice, and services that the library holds exempt from consent are `true` in it
//! from the beginning: so while any service is at `wait`, nothing is taken as granted, and no such service (`matomo`)
//! has a meaning by default. Services are the library's own names, of which it says what they are for; the meanings here
//! are stricter where that is well known to be advertising. An entry `!id=…` may be among them.
//! Source: tarteaucitron.js, its list of services.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::{PurposeSet, decode_percent};

pub(super) const FORMAT: Format = Format {
    name: "tarteaucitron",
    tier: Tier::Banner,
    cookies: &["tarteaucitron"],
    listed_cookies: &[],
    ids: &[
        ("analytics", "analytics"),
        ("gajs", "analytics"),
        ("gtag", "analytics"),
        ("multiplegtag", "analytics"),
        ("adobeanalytics", "analytics"),
        ("amplitude", "analytics"),
        ("atinternet", "analytics"),
        ("clarity", "analytics"),
        ("contentsquare", "analytics"),
        ("crazyegg", "analytics"),
        ("eulerian", "analytics"),
        ("hotjar", "analytics"),
        ("kameleoon", "analytics"),
        ("matomocloud", "analytics"),
        ("metrica", "analytics"),
        ("mixpanel", "analytics"),
        ("pianoanalytics", "analytics"),
        ("piwikpro", "analytics"),
        ("xiti", "analytics"),
        ("adform", "marketing"),
        ("adsense", "marketing"),
        ("amazon", "marketing"),
        ("criteo", "marketing"),
        ("doubleclick", "marketing"),
        ("facebook", "marketing"),
        ("facebookpixel", "marketing"),
        ("googleads", "marketing"),
        ("googleadwordsconversion", "marketing"),
        ("googleadwordsremarketing", "marketing"),
        ("hubspot", "marketing"),
        ("instagram", "marketing"),
        ("klaviyo", "marketing"),
        ("linkedin", "marketing"),
        ("linkedininsighttag", "marketing"),
        ("microsoftcampaignanalytics", "marketing"),
        ("outbrain", "marketing"),
        ("pinterest", "marketing"),
        ("pinterestpixel", "marketing"),
        ("reddit", "marketing"),
        ("snapchat", "marketing"),
        ("teads", "marketing"),
        ("tiktok", "marketing"),
        ("twitter", "marketing"),
        ("twitteruwt", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut found, mut open) = (false, false);
    for cookie in input.cookies.iter() {
        services(&decode_percent(cookie.value), |service, state| {
            found = true;
            match state {
                b"true" => choices.set(service, true),
                b"false" => choices.set(service, false),
                _ => open = true,
            }
        });
    }
    if !found {
        return Some(Signal::problem(Problem::Malformed));
    }
    let signal = choices.signal(Strength::Explicit, None);
    Some(if open { Signal { granted: PurposeSet::EMPTY, ..signal } } else { signal })
}

/// Tells each service and its state.
fn services(value: &[u8], mut tell: impl FnMut(&[u8], &[u8])) {
    let Some(list) = value.trim_ascii().strip_prefix(b"!") else { return };
    for entry in list.split(|byte| *byte == b'!').filter(|entry| !entry.is_empty()) {
        let equals = memchr::memchr(b'=', entry).unwrap_or(entry.len());
        let service = entry.get(..equals).unwrap_or_default();
        if service != b"id" {
            tell(service, entry.get(equals + 1..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    #[test]
    fn services_are_read() {
        reader_with(&FORMAT, &[("matomo", "analytics")], None).check(&[
            ("tarteaucitron=!matomo=true!facebookpixel=true!gtag=true", "+analytics +marketing"),
            ("tarteaucitron=!facebookpixel=false!gtag=false!matomo=false", "-analytics -marketing"),
            ("tarteaucitron=!matomo=true!gtag=true!facebookpixel=false", "+analytics -marketing"),
            ("tarteaucitron=%21gtag%3Dtrue%21facebookpixel%3Dfalse", "+analytics -marketing"),
            ("tarteaucitron=!id=8f2b!gtag=true!", "+analytics"),
            ("tarteaucitron=!gtag=true; tarteaucitron=!gtag=false", "-analytics"),
            ("tarteaucitron=!youtube=true!gtag=true", "+analytics ?youtube"),
            ("tarteaucitron=", "malformed"),
            ("tarteaucitron=!", "malformed"),
            ("tarteaucitron=!id=8f2b", "malformed"),
            ("tarteaucitron=gtag=true", "malformed"),
        ]);
    }

    #[test]
    fn while_a_service_waits_nothing_is_granted() {
        reader(&FORMAT).check(&[
            ("tarteaucitron=!gtag=wait!facebookpixel=wait!matomo=true", "undecided ?matomo"),
            ("tarteaucitron=!gtag=true!facebookpixel=false!youtube=wait", "-marketing"),
            ("tarteaucitron=!gtag=true!facebookpixel=tru", "undecided"),
            ("tarteaucitron=!gtag=true!face", "undecided"),
        ]);
    }

    #[test]
    fn an_exempt_service_that_is_true_says_nothing_about_others() {
        reader(&FORMAT).check(&[
            ("tarteaucitron=!matomo=true", "undecided ?matomo"),
            ("tarteaucitron=!matomo=true!gtag=false", "-analytics ?matomo"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: bool| format!("tarteaucitron=!gtag={state}!facebookpixel={state}");
        holds(&reader(&FORMAT), &line(true), &line(false), true);
    }
}
