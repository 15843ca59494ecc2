//! When nothing has to change, nothing is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use consentry::config;
use consentry::consent::{OwnCookie, Resolver, SiteSignals};
use consentry::enforce::{Edit, Judge, ResponseFacts, Tally, edit_request, edit_response};
use consentry::policy::{Host, RequestFacts, Ruleset};
use http::HeaderMap;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code)]
// SAFETY: every call goes to the system's allocator as it came; counting touches only a thread-local cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

fn ruleset() -> (Ruleset, SiteSignals) {
    let text = crate::support::TestApp::configuration("", &crate::support::site(([127, 0, 0, 1], 1).into(), ""));
    let loaded = config::parse("test.toml".as_ref(), text.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
    let mut compiled = loaded.config.unwrap().compile();
    (compiled.ruleset, compiled.signals.remove(0))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// Everything that policy and enforcement do for one request and its response.
fn decide(
    (ruleset, signals): &(Ruleset, SiteSignals),
    own: &OwnCookie,
    host: &Host,
    request: &HeaderMap,
    response: &HeaderMap,
    now: u64,
) -> bool {
    let site = &ruleset.sites[ruleset.site_at(host).unwrap()];
    let resolver = Resolver { site, signals, own, purposes: &ruleset.purposes, catalog: &ruleset.catalog };
    let consent = resolver.resolve(request, None, now, &mut ());
    let judge = Judge { catalog: &ruleset.catalog, site, host, granted: consent.grant() };
    let mut tally = Tally::default();
    let facts = RequestFacts { method: "GET", path: b"/products/lantern", query: b"colour=red&page=2", body: None };
    let blocked = judge.request(&facts).known().is_some_and(|verdict| verdict.blocks());
    let edits = edit_request(&judge, request, facts.query, &mut tally);
    let facts = ResponseFacts {
        status: 200,
        headers: response,
        request,
        path: facts.path,
        secure: true,
        now,
        blocked_path: "/.consentry/blocked",
        consent_header: "x-consent-purposes",
        by_consent: false,
        is_page: false,
    };
    let changes = edit_response(&judge, &facts, &mut tally);
    !blocked
        && edits.cookie == Edit::Unchanged
        && edits.query.is_none()
        && edits.referer.is_none()
        && changes.is_empty()
}

#[test]
fn clean_paths_allocate_nothing() {
    let (ruleset, own) = (ruleset(), OwnCookie::new("consentry", None));
    let host = Host::parse(b"www.shop.example").unwrap();
    let now = consentry::reload::unix_time();
    let everything = crate::support::everything();
    let with_consent = format!("PHPSESSID=1; {everything}; _ga=1; _fbp=2; pll_language=de");
    let request = |cookie: &str| {
        headers(&[
            ("cookie", cookie),
            ("referer", "https://www.shop.example/?q=1"),
            ("accept", "*/*"),
            ("sec-gpc", "0"),
        ])
    };
    let response = |cookie: &str| {
        headers(&[
            ("content-type", "text/html"),
            ("set-cookie", "PHPSESSID=1; HttpOnly"),
            ("set-cookie", cookie),
            ("link", "</a.css>; rel=canonical"),
            ("vary", "Accept-Encoding"),
            ("cache-control", "no-cache"),
            ("location", "/next"),
        ])
    };
    let no_link = |cookie: &str| {
        let mut map = response(cookie);
        map.remove("link");
        map
    };
    for (what, request, response) in [
        ("only necessary cookies", request("PHPSESSID=1; csrftoken=2; cf_clearance=3"), no_link("csrftoken=2; Secure")),
        ("everything granted", request(&with_consent), no_link("_ga=1; Max-Age=99999999")),
        ("no cookies at all", headers(&[("accept", "*/*")]), headers(&[("content-type", "image/png")])),
        ("a deletion", request("PHPSESSID=1"), no_link("_ga=; Max-Age=0")),
    ] {
        // The first round warms what the automata keep.
        assert!(decide(&ruleset, &own, &host, &request, &response, now), "{what}: something changed");
        let count = allocations(|| assert!(decide(&ruleset, &own, &host, &request, &response, now)));
        assert_eq!(count, 0, "{what}");
    }
}

#[test]
fn stripping_allocates_once_for_the_request() {
    let ((ruleset, _), host) = (ruleset(), Host::parse(b"shop.example").unwrap());
    let site = &ruleset.sites[0];
    let judge = Judge {
        catalog: &ruleset.catalog,
        site,
        host: &host,
        granted: consentry::policy::PurposeSet::NECESSARY.into(),
    };
    let request = headers(&[("cookie", "_ga=1; PHPSESSID=2; _fbp=3; csrftoken=4; _gid=5")]);
    let mut tally = Tally::default();
    assert_eq!(allocations(|| drop(edit_request(&judge, &request, b"", &mut tally))), 1);
}
