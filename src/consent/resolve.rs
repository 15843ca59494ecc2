//! How signals combine into the one consent that holds for a request (the order of precedence).
//!
//! | rank | source | says |
//! |---|---|---|
//! | 1 | the own cookie | the visitor's choice made here |
//! | 2 | the formats that the site lists, in its order | the choice a banner wrote |
//! | 3 | formats detected, if the site lists none | the same |
//! | 4 | the jurisdiction's default | what holds without a choice |
//!
//! A signal older than the site's validity, or from the future, says nothing. `Sec-GPC: 1` caps whatever came out.

use http::HeaderMap;

use super::own::OwnCookie;
use super::signal::{FORMATS, Signal, SignalInput, global_privacy_control};
use crate::policy::{Jurisdiction, Purpose, PurposeSet, Purposes, Site};

/// Clocks of visitors and servers may differ by this much, in seconds.
const CLOCK_SKEW: u64 = 300;

/// Where a consent comes from: the position of a format, or the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Format(usize),
    Default,
}

impl Source {
    /// A name from a closed set, for labels.
    pub fn name(self) -> &'static str {
        match self {
            Source::Format(position) => FORMATS.get(position).map_or("unknown", |format| format.name),
            Source::Default => "default",
        }
    }
}

/// What holds for one request.
#[derive(Clone, Copy, Debug)]
pub struct Consent {
    /// Always holds `necessary`.
    pub granted: PurposeSet,
    pub source: Source,
    /// Whether `Sec-GPC: 1` took something away.
    pub capped: bool,
    /// Unix time in seconds of the choice, if one was made.
    pub decided_at: Option<u64>,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It decided.
    Used,
    /// Older than the site's validity.
    Expired,
    /// Given later than now.
    FromTheFuture,
}

/// The consent that holds, with each signal told to `observer` on the way.
pub fn resolve(
    site: &Site,
    purposes: &Purposes,
    own: &OwnCookie,
    headers: &HeaderMap,
    now: u64,
    mut observer: impl FnMut(&'static str, &Signal<'_>, Reading),
) -> Consent {
    let options = &site.options;
    let input = SignalInput { headers, own, purposes, site_purposes: options.purposes };
    let mut consent = default_consent(options.jurisdiction, options.purposes);
    for (position, format) in FORMATS.iter().enumerate().filter(|(_, format)| site_trusts(site, format.name)) {
        let Some(signal) = (format.read)(&input) else { continue };
        let reading = age(&signal, options.validity, now);
        observer(format.name, &signal, reading);
        if reading == Reading::Used {
            let undecided = options.purposes.without(signal.granted.union(signal.denied));
            consent = Consent {
                granted: signal.granted.union(consent.granted.intersection(undecided)).with(Purpose::NECESSARY),
                source: Source::Format(position),
                capped: false,
                decided_at: signal.decided_at,
            };
            break;
        }
    }
    cap(consent, options.gpc_caps, headers)
}

fn site_trusts(site: &Site, format: &str) -> bool {
    let listed = &site.options.signals;
    listed.is_empty() || format == "consentry" || listed.iter().any(|name| **name == *format)
}

fn default_consent(jurisdiction: Jurisdiction, purposes: PurposeSet) -> Consent {
    let granted = match jurisdiction {
        Jurisdiction::OptIn => PurposeSet::NECESSARY,
        Jurisdiction::OptOut | Jurisdiction::Notice => purposes,
    };
    Consent { granted, source: Source::Default, capped: false, decided_at: None }
}

fn age(signal: &Signal<'_>, validity: u64, now: u64) -> Reading {
    match signal.decided_at {
        Some(at) if at > now.saturating_add(CLOCK_SKEW) => Reading::FromTheFuture,
        Some(at) if now.saturating_sub(at) > validity => Reading::Expired,
        _ => Reading::Used,
    }
}

fn cap(consent: Consent, caps: PurposeSet, headers: &HeaderMap) -> Consent {
    let taken = consent.granted.intersection(caps);
    if taken.is_empty() || !global_privacy_control(headers) {
        return consent;
    }
    Consent { granted: consent.granted.without(caps).with(Purpose::NECESSARY), capped: true, ..consent }
}
