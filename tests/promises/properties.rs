//! For any header and any consent: nothing denied leaves, everything allowed leaves unchanged and in order, nothing
//! grows, nothing panics.

use std::collections::HashMap;

use consentry::config;
use consentry::consent::{OwnCookie, Resolver, SiteSignals, cookie_pairs};
use consentry::enforce::{Direction, Edit, Judge, ResponseFacts, SetCookie, Tally, edit_request, edit_response};
use consentry::policy::{Host, Purpose, PurposeSet, Ruleset};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

fn ruleset() -> &'static Ruleset {
    static RULESET: std::sync::OnceLock<Ruleset> = std::sync::OnceLock::new();
    RULESET.get_or_init(|| {
        let text = crate::support::TestApp::configuration("", &crate::support::site(([127, 0, 0, 1], 1).into(), ""));
        let loaded =
            config::parse("test.toml".as_ref(), text.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.unwrap().compile().ruleset
    })
}

fn any_granted() -> impl Strategy<Value = PurposeSet> {
    proptest::collection::vec(0..4usize, 0..4).prop_map(|indices| {
        let all = [Purpose::NECESSARY, Purpose::PREFERENCES, Purpose::ANALYTICS, Purpose::MARKETING];
        indices.into_iter().map(|index| all[index]).collect::<PurposeSet>().with(Purpose::NECESSARY)
    })
}

/// Names that rules know, names that none knows, and noise.
fn any_segment() -> impl Strategy<Value = Vec<u8>> {
    let names = proptest::sample::select(vec![
        "_ga",
        "_ga_X",
        "_fbp",
        "PHPSESSID",
        "csrftoken",
        "pll_language",
        "mystery",
        "consentry",
        "",
        "\"_ga\"",
        "_GA",
    ]);
    let pair = (names, "[ \t]{0,2}", "[ -:<-~]{0,12}")
        .prop_map(|(name, space, value)| format!("{space}{name}{space}={value}").into_bytes());
    let noise = proptest::collection::vec(prop_oneof![0x20..0x7fu8, 0x80..=0xffu8, Just(b'='), Just(b'\t')], 0..20);
    prop_oneof![4 => pair, 1 => noise]
}

fn any_cookie_line() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any_segment(), 0..12).prop_map(|segments| segments.join(&b';'))
}

fn cookies(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    cookie_pairs(map).map(|pair| (pair.name.to_vec(), pair.value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn request_cookies(lines in proptest::collection::vec(any_cookie_line(), 0..4), granted in any_granted()) {
        let (ruleset, host) = (ruleset(), Host::parse(b"shop.example").unwrap());
        let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: granted.into() };
        let mut before = HeaderMap::new();
        lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).for_each(|value| _ = before.append(COOKIE, value));
        let edits = edit_request(&judge, &before, b"", &mut Tally::default());
        let mut after = before.clone();
        match edits.cookie {
            Edit::Unchanged => {}
            Edit::Removed => _ = after.remove(COOKIE),
            Edit::Replaced(bytes) => {
                let total: usize = before.get_all(COOKIE).iter().map(|line| line.len() + 2).sum();
                prop_assert!(bytes.len() < total);
                after.insert(COOKIE, HeaderValue::from_bytes(&bytes).expect("still a field value"));
            }
        }
        prop_assert!(after.get_all(COOKIE).iter().count() <= 1);
        let allowed: Vec<_> = cookies(&before).into_iter().filter(|(name, _)| judge.cookie(name).allowed).collect();
        prop_assert_eq!(cookies(&after), allowed);
    }

    #[test]
    fn response_cookies(lines in proptest::collection::vec(any_cookie_line(), 0..8), granted in any_granted()) {
        let (ruleset, host) = (ruleset(), Host::parse(b"shop.example").unwrap());
        let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: granted.into() };
        let mut headers = HeaderMap::new();
        lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).for_each(|value| _ = headers.append(SET_COOKIE, value));
        let (request, mut tally) = (HeaderMap::new(), Tally::default());
        let facts = ResponseFacts {
            status: 200, headers: &headers, request: &request, path: b"/", secure: false, now: 1_700_000_000,
            blocked_path: "/.consentry/blocked", consent_header: "x-consent-purposes", by_consent: false,
 is_page: false,
        };
        let changes = edit_response(&judge, &facts, &mut tally);
        let before: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        let after = changes.iter().find(|change| change.name == SET_COOKIE).map_or(before.clone(), |change| change.values.clone());
        let passes = |line: &HeaderValue| {
            let cookie = SetCookie::new(line.as_bytes());
            cookie.is_deletion(1_700_000_000) || judge.cookie(cookie.name()).allowed
        };
        prop_assert_eq!(after, before.iter().filter(|line| passes(line)).cloned().collect::<Vec<_>>());
        let counted: u16 = tally.iter().filter(|(direction, ..)| *direction == Direction::ResponseCookie).map(|(.., count)| count).sum();
        // Deletions of what is denied pass without being counted.
        let is_counted = |line: &HeaderValue| {
            let cookie = SetCookie::new(line.as_bytes());
            judge.cookie(cookie.name()).allowed || !cookie.is_deletion(1_700_000_000)
        };
        let judged = before.iter().filter(|line| is_counted(line)).count();
        prop_assert_eq!(usize::from(counted), judged);
    }

    #[test]
    fn consent_never_comes_from_noise(lines in proptest::collection::vec(any_cookie_line(), 0..4), gpc in "[01 ]{0,2}") {
        let (ruleset, own) = (ruleset(), OwnCookie::new("consentry", None));
        let mut headers = HeaderMap::new();
        lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).for_each(|value| _ = headers.append(COOKIE, value));
        headers.append("sec-gpc", HeaderValue::from_str(&gpc).unwrap());
        let signals = SiteSignals::new(&[], &HashMap::new(), "consentry", &ruleset.purposes);
        let resolver = Resolver { site: &ruleset.sites[0], signals: &signals, own: &own, purposes: &ruleset.purposes, catalog: &ruleset.catalog };
        let consent = resolver.resolve(&headers, None, 1_700_000_000, &mut ());
        prop_assert_eq!(consent.granted, PurposeSet::NECESSARY);
    }

    #[test]
    fn any_response_header_is_survived(name in proptest::sample::select(vec!["link", "nel", "report-to", "reporting-endpoints", "location", "refresh", "vary", "cache-control", "accept-ch", "content-security-policy"]), value in proptest::collection::vec(prop_oneof![0x20..0x7fu8, 0x80..=0xffu8], 0..60), granted in any_granted()) {
        let (ruleset, host) = (ruleset(), Host::parse(b"shop.example").unwrap());
        let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: granted.into() };
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_bytes(&value).unwrap());
        let request = HeaderMap::new();
        let facts = ResponseFacts {
            status: 302, headers: &headers, request: &request, path: b"/", secure: true, now: 0,
            blocked_path: "/.consentry/blocked", consent_header: "x-consent-purposes", by_consent: false,
 is_page: false,
        };
        edit_response(&judge, &facts, &mut Tally::default());
    }
}
