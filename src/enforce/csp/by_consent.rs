//! The policy that depends on consent: an additional one, so that browsers intersect it with an upstream's own.

use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use super::super::cache::is_explicitly_shared;
use super::super::change::{HeaderChange, header_value};
use super::super::judge::Judge;
use super::super::list::Edit;
use super::super::response::ResponseFacts;
use super::syntax::{Directive, change_members, find};
use crate::policy::CspMode;

/// What the page's own code may do is for its own policy to say; this one is about whom it may contact.
const EVERYWHERE: &str = "'self' data: blob: 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'";

/// Adds the site's policy to a page or worker. Returns whether the response is one that a cache must not show to others: with an
/// enforced policy that it got, or because of consent did not get.
pub(in super::super) fn add_policy(
    judge: &Judge<'_>,
    facts: &ResponseFacts<'_>,
    changes: &mut Vec<HeaderChange>,
) -> bool {
    let options = &judge.site.options.csp;
    if options.mode == CspMode::Off || !is_governed(facts) {
        return false;
    }
    let enforced = options.mode == CspMode::Enforce && judge.enforces();
    if judge.grants_everything() {
        return enforced && is_explicitly_shared(facts.headers);
    }
    let (name, report_to) = if enforced {
        (CONTENT_SECURITY_POLICY, None)
    } else {
        (CONTENT_SECURITY_POLICY_REPORT_ONLY, Some(&*options.report_path))
    };
    append(facts.headers, name, policy(judge, report_to), changes);
    enforced
}

fn policy(judge: &Judge<'_>, report_to: Option<&str>) -> Vec<u8> {
    let (sources, granted) = (&judge.site.sources, &judge.granted);
    let report = report_to.map_or([""; 2], |path| ["; report-uri ", path]);
    let parts = ["default-src ", EVERYWHERE].into_iter().chain(sources.hosts(granted)).chain(sources.sockets(granted));
    let parts = parts.chain(["; form-action 'self'"]).chain(sources.hosts(granted)).chain(report);
    parts.collect::<String>().into_bytes()
}

/// Puts another value at the end of a field that may be changed already.
fn append(headers: &HeaderMap, name: HeaderName, value: Vec<u8>, changes: &mut Vec<HeaderChange>) {
    let value = header_value(value);
    match changes.iter_mut().find(|change| change.name == name) {
        Some(change) => change.values.extend(value),
        None => {
            let values = headers.get_all(&name).iter().cloned().chain(value).collect();
            changes.push(HeaderChange { name, values });
        }
    }
}

/// Whether a browser may make a document of the response, or a worker, which goes by its own policy (CSP3, section 4.2.2).
fn is_governed(facts: &ResponseFacts<'_>) -> bool {
    if facts.status < 200 || (matches!(facts.status, 300..400) && facts.status != 304) {
        return false;
    }
    let destination = facts.request.get("sec-fetch-dest").map_or(&b""[..], |value| value.as_bytes());
    if matches!(destination, b"worker" | b"sharedworker" | b"serviceworker") {
        return true;
    }
    match facts.headers.get(CONTENT_TYPE) {
        Some(kind) => {
            let kind = kind.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|page| kind.eq_ignore_ascii_case(page))
        }
        // Nothing says what it is, so it counts what it was asked for as.
        None => match facts.request.get("sec-fetch-dest") {
            Some(destination) => {
                [&b"document"[..], b"iframe", b"frame", b"object", b"embed"].contains(&destination.as_bytes())
            }
            None => {
                let accept = facts.request.get(ACCEPT);
                accept.is_none_or(|accept| memchr::memmem::find(accept.as_bytes(), b"text/html").is_some())
            }
        },
    }
}

/// A field's value without the `report-uri` that `denied` names (CSP3, section 6.5.1).
pub(in super::super) fn filter_report_uri(value: &[u8], mut denied: impl FnMut(&[u8]) -> bool) -> Edit {
    change_members(value, b',', |policy| {
        // Only the first counts.
        let counts = find(policy, "report-uri")?.start;
        let mut offset = 0;
        let edit = change_members(policy, b';', |text| {
            let start = offset;
            offset += text.len() + 1;
            let directive = Directive::parse(text).filter(|directive| directive.start + start == counts)?;
            without(text, &directive, &mut denied)
        });
        match edit {
            Edit::Unchanged => None,
            Edit::Removed => Some(Vec::new()),
            Edit::Replaced(bytes) => Some(bytes),
        }
    })
}

/// The directive without the tokens that `denied` names; nothing if none is left; `None` if none of them goes.
fn without(text: &[u8], directive: &Directive<'_>, denied: &mut impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut tokens = directive.tokens();
    let first = tokens.position(&mut *denied)?;
    let kept: Vec<_> = directive.tokens().take(first).chain(tokens.filter(|token| !denied(token))).collect();
    let start = text.get(..directive.start).unwrap_or_default();
    Some(if kept.is_empty() { Vec::new() } else { [start, &kept.join(&b' ')].concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_to_others_go() {
        for (value, left) in [
            ("default-src 'self'", "unchanged"),
            ("default-src 'self'; report-uri /csp", "unchanged"),
            ("default-src 'self'; report-uri https://t.example/r; img-src *", "default-src 'self'; img-src *"),
            ("report-uri https://t.example/r", "removed"),
            ("Report-URI  https://t.example/r /own https://t.example/s ;img-src *", "Report-URI  /own;img-src *"),
            ("img-src *, report-uri https://t.example, img-src a", "img-src *, img-src a"),
            ("report-uri /own; report-uri https://t.example", "unchanged"),
        ] {
            let edit = filter_report_uri(value.as_bytes(), |url| memchr::memmem::find(url, b"t.example").is_some());
            let text = match edit {
                Edit::Unchanged => "unchanged".to_owned(),
                Edit::Removed => "removed".to_owned(),
                Edit::Replaced(bytes) => String::from_utf8(bytes).unwrap(),
            };
            assert_eq!(text, left, "{value}");
        }
    }
}
