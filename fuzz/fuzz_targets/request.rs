//! A whole request and response through the built-in catalog: header section, target, cookies, response fields.
#![no_main]

use std::sync::OnceLock;

use consentry::config;
use consentry::enforce::{Judge, ResponseFacts, Tally, edit_request, edit_response};
use consentry::policy::{Host, PurposeSet, RequestFacts, Ruleset};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n[[site]]\nname = \"s\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:1\"]\n";

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let loaded = config::parse("c.toml".as_ref(), CONFIG.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.expect("the configuration is valid").compile().ruleset
    })
}

fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value[1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}

fuzz_target!(|input: (&[u8], &[u8], &[u8], &[u8])| {
    let (target, request, response, body) = input;
    consentry::net::check_head(request).ok();
    let (request, response) = (headers(request), headers(response));
    let host = request.get("host").and_then(|host| Host::parse(host.as_bytes()));
    let host = host.unwrap_or_else(|| Host::parse(b"shop.example").expect("a host"));
    let ruleset = ruleset();
    let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: PurposeSet::NECESSARY.into() };
    let mark = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    let (path, query) = (&target[..mark], target.get(mark + 1..).unwrap_or_default());
    judge.request(&RequestFacts { method: "POST", path, query, body: Some(body) });
    let mut tally = Tally::default();
    edit_request(&judge, &request, query, &mut tally);
    let facts = ResponseFacts {
        status: 200,
        headers: &response,
        request: &request,
        path,
        secure: true,
        now: 1_700_000_000,
        blocked_path: "/.consentry/blocked",
        consent_header: "x-consent-purposes", by_consent: false, is_page: false,
    };
    for change in edit_response(&judge, &facts, &mut tally) {
        assert!(change.values.iter().all(|value| !value.as_bytes().contains(&b'\n')));
    }
});
