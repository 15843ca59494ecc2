//! How signals combine into the one consent that holds for a request.
//!
//! Each source decides the purposes that no source before it has decided:
//!
//! | rank | source | says |
//! |---|---|---|
//! | 1 | the own cookie | the visitor's choice made here, or told by the bridge |
//! | 2 | the formats that the site lists, in its order | the choice that a banner wrote |
//! | 3 | if it lists none: the WP Consent API | the choice that a banner wrote, in neutral words |
//! | 4 | if it lists none: every banner's record | the most restrictive of them |
//! | 5 | if it lists none: the TC string | the same choice in the IAB's words |
//! | 6 | if it lists none: GPP's US sections, US Privacy string | the most restrictive of them; only ever an opt-out |
//! | 7 | the jurisdiction's default | what holds without a choice |
//!
//! Whatever comes out, `Sec-GPC: 1` caps. What never counts: a record that is malformed, older than the site's
//! validity, from the future, or of another revision; what a banner set by itself, as a grant where silence is none;
//! under a newer version of the policy, what that version added.

use http::HeaderMap;

use super::own::OwnCookie;
use super::signal::{Choices, FORMATS, Format, Found, Problem, Signal, SignalInput, Strength, global_privacy_control};
use super::site_signals::{SiteSignals, Trusted};
use crate::policy::{Catalog, Country, Grant, Jurisdiction, OnRefusal, Purpose, PurposeSet, Purposes, Site, VendorSet};

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
    /// Vendors that are refused although their purpose may be granted.
    pub refused: VendorSet,
    /// The first that said something.
    pub source: Source,
    /// Whether `Sec-GPC: 1` took something away.
    pub capped: bool,
    /// Unix time in seconds of the choice, if one was made and its record tells.
    pub decided_at: Option<u64>,
    /// Position of the policy's version that was agreed to, if the site has versions and a choice was made.
    pub policy_version: Option<usize>,
    /// Whether a later version has added something since.
    pub outdated: bool,
    /// Of the visitor, or of the site where nobody knows better.
    pub jurisdiction: Jurisdiction,
}

impl Consent {
    /// What verdicts go by.
    pub fn grant(&self) -> Grant {
        Grant { purposes: self.granted, refused: self.refused }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It decided what no source before it had.
    Used,
    /// All that it says was decided before.
    Overruled,
    /// It says nothing about any purpose.
    Undecided,
    /// It is a choice that only the page can read.
    Opaque,
    /// Older than the site's validity.
    Expired,
    /// Given later than now.
    FromTheFuture,
    /// Only grants, and these by the banner itself: where silence is no consent, that is none.
    OnlyImplied,
    /// Given under a version of the policy that no longer suffices.
    OlderPolicy,
    /// The record cannot be believed.
    Problem(Problem),
}

/// Learns what is met on the way to a consent.
pub trait Observer {
    /// Whether it wants to be told of signals that can change nothing any more.
    fn is_thorough(&self) -> bool {
        false
    }

    /// A signal was read.
    fn signal(&mut self, _format: &'static str, _signal: &Signal<'_>, _fate: Fate) {}

    /// A record of the format at `position` holds an id that nobody has mapped.
    fn unmapped(&mut self, _position: usize, _id: &[u8]) {}

    /// Sources of one rank, or two cookies of one name, say different things.
    fn conflict(&mut self) {}
}

impl Observer for () {}

/// All that a consent depends on besides the request.
#[derive(Clone, Copy)]
pub struct Resolver<'r> {
    pub site: &'r Site,
    pub signals: &'r SiteSignals,
    pub own: &'r OwnCookie,
    pub purposes: &'r Purposes,
    pub catalog: &'r Catalog,
}

/// What a source, or several, have said.
#[derive(Clone, Copy, Default)]
struct Decided {
    granted: PurposeSet,
    denied: PurposeSet,
}

impl Decided {
    fn purposes(self) -> PurposeSet {
        self.granted.union(self.denied)
    }
}

impl Resolver<'_> {
    /// The consent that holds at `now`, in Unix seconds, for a request from `country`.
    pub fn resolve(
        &self,
        headers: &HeaderMap,
        country: Option<Country>,
        now: u64,
        observer: &mut impl Observer,
    ) -> Consent {
        let options = &self.site.options;
        let jurisdiction = options.jurisdiction_in(country);
        let mut consent = Consent {
            granted: PurposeSet::NECESSARY,
            refused: VendorSet::EMPTY,
            source: Source::Default,
            capped: false,
            decided_at: None,
            policy_version: None,
            outdated: false,
            jurisdiction,
        };
        let found = Found::new(headers, &self.signals.index);
        let decided =
            if found.formats == 0 { Decided::default() } else { self.combine(&found, &mut consent, now, observer) };
        let undecided = options.purposes.without(decided.purposes());
        let default = match jurisdiction {
            Jurisdiction::OptIn => PurposeSet::EMPTY,
            Jurisdiction::OptOut | Jurisdiction::Notice => undecided,
        };
        let (to_come, vendors_to_come) = options.versions.to_come(now);
        consent.refused = consent.refused.union(&vendors_to_come);
        consent.granted = decided.granted.union(default).without(to_come).with(Purpose::NECESSARY);
        cap(consent, options.gpc_caps, headers)
    }

    /// Asks the signals rank by rank. What no record can say in so little space says nothing.
    fn combine(&self, found: &Found<'_>, consent: &mut Consent, now: u64, observer: &mut impl Observer) -> Decided {
        let all = self.site.options.purposes;
        let mut decided = Decided::default();
        for rank in self.signals.trusted.chunk_by(|a, b| a.rank == b.rank) {
            let complete = decided.purposes().covers(all);
            let mut said = Decided::default();
            for trusted in rank.iter().filter(|trusted| found.formats & trusted.bit() != 0) {
                // What is said of vendors holds beside a banner's record, but not against what was chosen here.
                let chosen_here = consent.source == Source::Format(0);
                let names_vendors = !chosen_here && trusted.format().is_some_and(Format::names_vendors);
                if complete && !names_vendors && !observer.is_thorough() {
                    continue;
                }
                let Some((signal, mut fate)) = self.ask(trusted, found, consent.jurisdiction, now, observer) else {
                    continue;
                };
                if fate == Fate::Used && names_vendors {
                    consent.refused = consent.refused.union(&signal.refused);
                }
                if fate == Fate::Used && decided.purposes().covers(signal.decided().intersection(all)) {
                    fate = Fate::Overruled;
                }
                observer.signal(trusted.format().map_or("unknown", |format| format.name), &signal, fate);
                if fate != Fate::Used {
                    continue;
                }
                if found.conflicting & trusted.bit() != 0 {
                    observer.conflict();
                }
                if consent.source == Source::Default {
                    self.attribute(consent, trusted, &signal, now);
                }
                said.granted = said.granted.union(signal.granted);
                said.denied = said.denied.union(signal.denied);
            }
            if !said.granted.intersection(said.denied).is_empty() {
                observer.conflict();
            }
            let open = all.without(decided.purposes());
            decided.granted = decided.granted.union(said.granted.without(said.denied).intersection(open));
            decided.denied = decided.denied.union(said.denied.intersection(open));
        }
        decided
    }

    fn attribute(&self, consent: &mut Consent, trusted: &Trusted, signal: &Signal<'_>, now: u64) {
        consent.source = Source::Format(trusted.position);
        consent.decided_at = signal.decided_at;
        let versions = &self.site.options.versions;
        if !versions.is_empty() {
            let version = versions.of_choice(signal.policy_version.as_deref(), signal.decided_at);
            consent.policy_version = Some(version);
            consent.refused = consent.refused.union(&versions.added_since(version, now).1);
            consent.outdated = versions.is_outdated(version, now);
        }
    }

    /// What one format says, and whether that counts.
    fn ask<'a>(
        &'a self,
        trusted: &'a Trusted,
        found: &'a Found<'a>,
        jurisdiction: Jurisdiction,
        now: u64,
        observer: &mut impl Observer,
    ) -> Option<(Signal<'a>, Fate)> {
        let problem = |problem| Some((Signal::problem(problem), Fate::Problem(problem)));
        if found.overflow {
            return problem(Problem::TooMany);
        }
        let input = SignalInput {
            cookies: found.of(trusted.bit()),
            own: self.own,
            purposes: self.purposes,
            site: &self.site.options,
            catalog: self.catalog,
            revision: trusted.revision.as_deref(),
            names: (trusted.format()?.cookies, trusted.cookies.as_deref()),
        };
        if found.oversized & trusted.bit() != 0 && input.cookies.iter().next().is_none() {
            return problem(Problem::Oversized);
        }
        let mut unmapped = |id: &[u8]| observer.unmapped(trusted.position, id);
        let mut signal = (trusted.format()?.read)(&input, Choices::new(&trusted.ids, &mut unmapped))?;
        let fate = self.weigh(trusted, &mut signal, jurisdiction, now);
        Some((signal, fate))
    }

    /// Whether `signal` counts; takes from it what does not.
    fn weigh(&self, trusted: &Trusted, signal: &mut Signal<'_>, jurisdiction: Jurisdiction, now: u64) -> Fate {
        let options = &self.site.options;
        if let Some(problem) = signal.problem {
            return Fate::Problem(problem);
        }
        if signal.strength == Strength::Opaque {
            return Fate::Opaque;
        }
        if let (Some(current), Some(revision)) = (&trusted.revision, &signal.policy_version)
            && **current != **revision
        {
            return Fate::Problem(Problem::OtherRevision);
        }
        match signal.decided_at {
            Some(at) if at > now.saturating_add(CLOCK_SKEW) => return Fate::FromTheFuture,
            Some(at) if now.saturating_sub(at) > options.validity => return Fate::Expired,
            _ => {}
        }
        if signal.decided().without(PurposeSet::NECESSARY).is_empty() {
            return Fate::Undecided;
        }
        if signal.strength == Strength::Implied && jurisdiction == Jurisdiction::OptIn {
            signal.granted = PurposeSet::EMPTY;
            if signal.denied.is_empty() {
                return Fate::OnlyImplied;
            }
        }
        if !options.versions.is_empty() {
            let version = options.versions.of_choice(signal.policy_version.as_deref(), signal.decided_at);
            if options.versions.on_refusal == OnRefusal::AskAgain && options.versions.is_outdated(version, now) {
                return Fate::OlderPolicy;
            }
            let (since, _) = options.versions.added_since(version, now);
            signal.granted = signal.granted.without(since);
            signal.denied = signal.denied.union(since);
        }
        Fate::Used
    }
}

fn cap(consent: Consent, caps: PurposeSet, headers: &HeaderMap) -> Consent {
    let taken = consent.granted.intersection(caps);
    if taken.is_empty() || !global_privacy_control(headers) {
        return consent;
    }
    Consent { granted: consent.granted.without(caps).with(Purpose::NECESSARY), capped: true, ..consent }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::consent::signal::{MAX_COOKIES, MAX_VALUE};
    use crate::policy::{OperatorRules, SiteOptions};

    const NOW: u64 = 1_772_442_930;

    /// Formats and what became of them.
    #[derive(Default)]
    struct Fates(Vec<(&'static str, Fate)>);

    impl Observer for Fates {
        fn is_thorough(&self) -> bool {
            true
        }

        fn signal(&mut self, format: &'static str, _: &Signal<'_>, fate: Fate) {
            self.0.push((format, fate));
        }
    }

    /// What is granted by a `Cookie` line on a site that asks for consent, and the fates of all signals.
    fn resolve(cookies: &str) -> (Consent, Vec<(&'static str, Fate)>) {
        let options = SiteOptions { purposes: Purposes::BUILT_IN, validity: 10 * 86_400, ..SiteOptions::default() };
        let (catalog, purposes) = (Catalog::default(), Purposes::default());
        let site = Site::new(options, OperatorRules::default(), &catalog);
        let (own, signals) =
            (OwnCookie::new("consentry", None), SiteSignals::new(&[], &HashMap::new(), "consentry", &purposes));
        let resolver = Resolver { site: &site, signals: &signals, own: &own, purposes: &purposes, catalog: &catalog };
        let mut headers = HeaderMap::new();
        headers.append("cookie", cookies.parse().unwrap());
        let mut fates = Fates::default();
        (resolver.resolve(&headers, None, NOW, &mut fates), fates.0)
    }

    #[test]
    fn every_signal_is_told_with_its_fate() {
        let onetrust = "OptanonConsent=groups=C0002:1; OptanonAlertBoxClosed=2026-03-02T09:15:30Z";
        let fates = |cookies: &str| resolve(cookies).1;
        for (cookies, expected) in [
            (onetrust.to_owned(), Fate::Used),
            (onetrust.replace("03-02", "02-02"), Fate::Expired),
            (onetrust.replace("03-02", "03-03"), Fate::FromTheFuture),
            ("OptanonConsent=groups=C0002:1".to_owned(), Fate::OnlyImplied),
            ("OptanonConsent=groups=C0002:0".to_owned(), Fate::Used),
            (onetrust.replace("C0002", "C0001"), Fate::Undecided),
            ("OptanonConsent=groups".to_owned(), Fate::Problem(Problem::Malformed)),
        ] {
            assert_eq!(fates(&cookies), [("onetrust", expected)], "{cookies}");
        }
        let own = format!("consentry=1~~~{NOW}~r");
        assert_eq!(fates(&format!("{own}; {onetrust}")), [("consentry", Fate::Used), ("onetrust", Fate::Overruled)]);
        assert_eq!(fates("consentUUID=a"), [("sourcepoint", Fate::Opaque)]);
        assert_eq!(fates("consentry=1"), [("consentry", Fate::Problem(Problem::Unsigned))]);
    }

    #[test]
    fn what_is_too_long_or_too_much_says_nothing_whatever_the_format() {
        for format in FORMATS {
            for name in format.cookies {
                let name = name.replace('*', "x");
                let (consent, fates) = resolve(&format!("{name}={}", "1".repeat(MAX_VALUE + 1)));
                assert_eq!(consent.granted, PurposeSet::NECESSARY, "{name}");
                assert!(fates.contains(&(format.name, Fate::Problem(Problem::Oversized))), "{name}: {fates:?}");
                let many: Vec<_> = (0..=MAX_COOKIES).map(|number| format!("{name}={number}")).collect();
                let (consent, fates) = resolve(&many.join("; "));
                assert_eq!(consent.granted, PurposeSet::NECESSARY, "{name}");
                assert!(fates.contains(&(format.name, Fate::Problem(Problem::TooMany))), "{name}: {fates:?}");
            }
        }
    }
}
