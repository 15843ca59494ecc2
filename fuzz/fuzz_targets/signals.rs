//! Every format of signals on a site where silence is no consent: nothing is a crash, and only a choice of the visitor's
//! that was understood grants anything. The environment's `FORMAT=NAME` keeps to one format, so that each can be given
//! its time; without it the first byte chooses.
#![no_main]

use std::collections::HashMap;
use std::sync::OnceLock;

use consentry::config;
use consentry::consent::signal::{FORMATS, Signal, Strength};
use consentry::consent::{Fate, Observer, OwnCookie, Resolver, SiteSignals};
use consentry::policy::{PurposeSet, Ruleset};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n[[site]]\nname = \"s\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:1\"]\n";

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let loaded = config::parse("c.toml".as_ref(), CONFIG.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.expect("the configuration is valid").compile().ruleset
    })
}

/// The purposes that the visitor granted, by what the formats say.
struct Chosen(PurposeSet);

impl Observer for Chosen {
    fn is_thorough(&self) -> bool {
        true
    }

    fn signal(&mut self, _: &'static str, signal: &Signal<'_>, fate: Fate) {
        assert!(signal.granted.intersection(signal.denied).is_empty());
        assert!(signal.problem.is_none() || signal.decided().is_empty());
        if fate == Fate::Used && signal.strength == Strength::Explicit {
            self.0 = self.0.union(signal.granted);
        }
    }
}

/// The position of the one format that the environment names.
fn only() -> Option<usize> {
    static ONLY: OnceLock<Option<usize>> = OnceLock::new();
    *ONLY.get_or_init(|| {
        let name = std::env::var("FORMAT").ok()?;
        Some(FORMATS.iter().position(|format| format.name == name).expect("FORMAT is the name of a format"))
    })
}

fuzz_target!(|input: &[u8]| {
    let (position, value) = match (only(), input.split_first()) {
        (Some(position), _) => (position, input),
        (None, Some((first, value))) => (usize::from(*first) % FORMATS.len(), value),
        (None, None) => return,
    };
    let name = FORMATS[position].cookies.first().map_or("consentry", |name| name.trim_end_matches('*'));
    // Further cookies may follow in the value.
    let line = [name.as_bytes(), b"=", value].concat();
    let Ok(line) = HeaderValue::from_bytes(&line) else { return };
    let headers = HeaderMap::from_iter([(http::header::COOKIE, line)]);
    let ruleset = ruleset();
    let resolver = Resolver {
        site: &ruleset.sites[0],
        signals: &SiteSignals::new(&[position], &HashMap::new(), "consentry", &ruleset.purposes),
        own: &OwnCookie::new("consentry", None),
        purposes: &ruleset.purposes,
        catalog: &ruleset.catalog,
    };
    let mut chosen = Chosen(PurposeSet::NECESSARY);
    let consent = resolver.resolve(&headers, None, 1_772_443_000, &mut chosen);
    assert!(chosen.0.covers(consent.granted));
});
