//! What a response loses, and gains, on its way to the visitor.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, LINK, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cache::{is_explicitly_shared, is_targeted, keep_private, varies_by};
use super::change::{HeaderChange, header_value};
use super::csp::{add_policy, filter_report_uri};
use super::expire::{ExpiryScope, expiries};
use super::judge::{Direction, Judge, Tally};
use super::link::{filter_link, filter_report_to, filter_reporting_endpoints, refresh_target};
use super::list::Edit;
use super::query::strip_parameters;
use super::set_cookie::{SetCookie, cap_lifetime};
use crate::policy::{Host, Purpose, PurposeSet, ResourceKind, Url, decode_percent, query_pairs};

/// What the edits of a response depend on, beside the verdicts.
pub struct ResponseFacts<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// The request's headers as the visitor sent them.
    pub request: &'a HeaderMap,
    /// The request's path.
    pub path: &'a [u8],
    /// Whether the visitor came by https.
    pub secure: bool,
    /// Unix time in seconds.
    pub now: u64,
    /// Where a redirect to a denied tracker leads instead.
    pub blocked_path: &'a str,
    /// The field that tells the upstream about consent.
    pub consent_header: &'a str,
    /// Whether the request got here only because a purpose was granted.
    pub by_consent: bool,
    /// Whether it is a page, whose content depends on consent.
    pub is_page: bool,
}

/// At most so many cookies are deleted by one response.
const MAX_EXPIRED: usize = 32;

/// Which of the fields that matter a response has: found in one pass, since most responses have few of them.
#[derive(Default)]
struct Present {
    set_cookie: bool,
    link: bool,
    location: bool,
    refresh: bool,
    vary: bool,
    /// Says how caches may store it.
    caching: bool,
    /// Reporting, client hints and advertising.
    features: bool,
    /// Content Security Policy.
    policies: bool,
}

impl Present {
    fn in_headers(headers: &HeaderMap) -> Self {
        let mut present = Present::default();
        for name in headers.keys() {
            match name.as_str() {
                "set-cookie" => present.set_cookie = true,
                "link" => present.link = true,
                "location" => present.location = true,
                "refresh" => present.refresh = true,
                "vary" => present.vary = true,
                "cache-control" => present.caching = true,
                name if is_targeted(name) => present.caching = true,
                "nel" | "report-to" | "reporting-endpoints" | "accept-ch" | "critical-ch" => present.features = true,
                "content-security-policy" | "content-security-policy-report-only" => present.policies = true,
                name if ADVERTISING.contains(&name) => present.features = true,
                _ => {}
            }
        }
        present
    }
}

/// Fields that register an advertising event or ask for interests.
const ADVERTISING: [&str; 7] = [
    "observe-browsing-topics",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "attribution-reporting-register-os-source",
    "attribution-reporting-register-os-trigger",
    "ad-auction-signals",
    "shared-storage-write",
];

/// The changes to a response. Empty, and without an allocation, if nothing changes.
pub fn edit_response(judge: &Judge<'_>, facts: &ResponseFacts<'_>, tally: &mut Tally) -> Vec<HeaderChange> {
    let mut changes = Vec::new();
    let present = Present::in_headers(facts.headers);
    let mut consent_shows = false;
    if present.set_cookie || wants_expiries(facts) {
        consent_shows = edit_set_cookies(judge, facts, tally, &mut changes);
    }
    if present.link {
        let mut denied = |url: &[u8], kind| denies(judge, url, kind, tally);
        edit_values(facts.headers, LINK, |value| filter_link(value, &mut denied), &mut changes);
    }
    if present.location {
        edit_location(judge, facts, tally, &mut changes);
    }
    if present.refresh {
        let target = facts.headers.get(REFRESH).and_then(|value| refresh_target(value.as_bytes()));
        if target.is_some_and(|url| denies(judge, url, ResourceKind::Document, tally)) {
            changes.push(HeaderChange::remove(REFRESH));
        }
    }
    if present.features {
        edit_features(judge, facts.headers, tally, &mut changes);
    }
    if present.policies {
        for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
            let mut denied = |url: &[u8]| denies_report(judge, url, tally);
            edit_values(facts.headers, name, |value| filter_report_uri(value, &mut denied), &mut changes);
        }
    }
    // What a tracker answers to those who agreed is not for a cache to serve to all.
    consent_shows |= facts.by_consent && judge.enforces();
    consent_shows &= present.caching && is_explicitly_shared(facts.headers);
    consent_shows |= present.vary && judge.enforces() && varies_by(facts.headers, facts.consent_header);
    let mut depends = !changes.is_empty() || consent_shows || facts.is_page;
    depends |= add_policy(judge, facts, &mut changes);
    if depends && facts.status >= 200 {
        keep_private(facts.headers, &mut changes);
    }
    changes
}

/// Trailers carry no cookies (RFC 9110, section 6.5.1); one that is there can only be meant to slip through.
pub fn edit_trailers(trailers: &mut HeaderMap) {
    trailers.remove(SET_COOKIE);
}

/// Changes `Set-Cookie`. Returns whether the response sets, for all who share it, what only some agreed to.
fn edit_set_cookies(
    judge: &Judge<'_>,
    facts: &ResponseFacts<'_>,
    tally: &mut Tally,
    changes: &mut Vec<HeaderChange>,
) -> bool {
    let lines = facts.headers.get_all(SET_COOKIE);
    let mut kept: Option<Vec<HeaderValue>> = None;
    let mut optional = false;
    for (position, line) in lines.iter().enumerate() {
        let fate = judge_set_cookie(judge, line.as_bytes(), facts.now, tally, &mut optional);
        let kept_before = || lines.iter().take(position).cloned().collect();
        match fate {
            Fate::Keep => kept.iter_mut().for_each(|kept| kept.push(line.clone())),
            Fate::Drop => _ = kept.get_or_insert_with(kept_before),
            Fate::Replace(value) => kept.get_or_insert_with(kept_before).extend(header_value(value)),
        }
    }
    if wants_expiries(facts) {
        let denied: Vec<_> = judge.blocked_cookies(facts.request).take(MAX_EXPIRED).collect();
        if !denied.is_empty() {
            let scope = ExpiryScope { host: judge.host, path: facts.path, secure: facts.secure, now: facts.now };
            let kept = kept.get_or_insert_with(|| lines.iter().cloned().collect());
            kept.extend(expiries(&denied, &scope).into_iter().filter_map(header_value));
        }
    }
    changes.extend(kept.map(|values| HeaderChange { name: SET_COOKIE, values }));
    optional && judge.enforces()
}

enum Fate {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// Most cookies stay as they are; only for the others is it worth to read what follows the name.
fn judge_set_cookie(judge: &Judge<'_>, line: &[u8], now: u64, tally: &mut Tally, optional: &mut bool) -> Fate {
    let cookie = SetCookie::new(line);
    let verdict = judge.cookie(cookie.name());
    if !verdict.allowed && cookie.is_deletion(now) {
        return Fate::Keep;
    }
    *optional |= verdict.purpose != Some(Purpose::NECESSARY);
    if tally.count(Direction::ResponseCookie, &verdict) {
        return Fate::Drop;
    }
    let lifetimes = &judge.site.options.lifetimes;
    let cap = verdict.purpose.map_or_else(|| lifetimes.strictest(), |purpose| lifetimes.get(purpose));
    let cap = cap.filter(|_| verdict.enforced);
    cap.and_then(|cap| cap_lifetime(line, cap, now)).map_or(Fate::Keep, Fate::Replace)
}

/// Deletions are for pages and what pages do, not for their images and styles: those stay cacheable, and the browser
/// has heard by then.
fn wants_expiries(facts: &ResponseFacts<'_>) -> bool {
    let to_a_page = match facts.request.get("sec-fetch-dest") {
        Some(destination) => matches!(destination.as_bytes(), b"document" | b"iframe" | b"frame"),
        None => true,
    };
    facts.status >= 200 && to_a_page && facts.request.contains_key(http::header::COOKIE)
}

fn denies(judge: &Judge<'_>, url: &[u8], kind: ResourceKind, tally: &mut Tally) -> bool {
    judge.url(url, kind).is_some_and(|verdict| tally.count(Direction::Header, &verdict))
}

/// Reports to others are analytics, unless a rule says what else they are.
fn denies_report(judge: &Judge<'_>, url: &[u8], tally: &mut Tally) -> bool {
    let host = Url::parse(url).and_then(|url| url.host);
    let foreign = host.is_some_and(|host| host.registrable_domain() != judge.host.registrable_domain());
    let verdict = judge.inherent(PurposeSet::of(Purpose::ANALYTICS));
    denies(judge, url, ResourceKind::Ping, tally) || (foreign && tally.count(Direction::Header, &verdict))
}

fn edit_values(
    headers: &HeaderMap,
    name: HeaderName,
    mut edit: impl FnMut(&[u8]) -> Edit,
    changes: &mut Vec<HeaderChange>,
) {
    let lines = headers.get_all(&name);
    let edits: Vec<_> = lines.iter().map(|line| edit(line.as_bytes())).collect();
    if edits.iter().all(|edit| *edit == Edit::Unchanged) {
        return;
    }
    let values = lines.iter().zip(edits).filter_map(|(line, edit)| match edit {
        Edit::Unchanged => Some(line.clone()),
        Edit::Removed => None,
        Edit::Replaced(bytes) => header_value(bytes),
    });
    changes.push(HeaderChange { values: values.collect(), name });
}

/// A redirect to a denied tracker goes to where the tracker would have sent the visitor, if that is this site, else to
/// our own page. A redirect elsewhere loses its click ids.
fn edit_location(judge: &Judge<'_>, facts: &ResponseFacts<'_>, tally: &mut Tally, changes: &mut Vec<HeaderChange>) {
    let Some(location) = facts.headers.get(LOCATION).map(HeaderValue::as_bytes) else { return };
    let replacement = if denies(judge, location, ResourceKind::Document, tally) {
        let own = || facts.blocked_path.as_bytes().to_vec();
        Some(onward_target(judge, location).unwrap_or_else(own))
    } else {
        without_click_ids(judge, location)
    };
    changes.extend(replacement.map(|target| HeaderChange::set(LOCATION, target)));
}

fn onward_target(judge: &Judge<'_>, bounce: &[u8]) -> Option<Vec<u8>> {
    let url = Url::parse(bounce)?;
    let own = |target: &[u8]| {
        let host: Option<Host> = Url::parse(target).and_then(|url| url.host);
        host.is_some_and(|host| judge.site.owns(&host) || host.as_str() == judge.host.as_str())
    };
    let absolute = |target: &[u8]| target.starts_with(b"https://") || target.starts_with(b"http://");
    let targets = query_pairs(url.query).map(|(_, value)| decode_percent(value));
    let onward = targets.into_iter().find(|target| absolute(target) && own(target))?;
    Some(onward.into_owned())
}

fn without_click_ids(judge: &Judge<'_>, location: &[u8]) -> Option<Vec<u8>> {
    let mark = memchr::memchr(b'?', location)?;
    let (before, after) = location.split_at_checked(mark)?;
    let after = after.get(1..)?;
    let hash = memchr::memchr(b'#', after).unwrap_or(after.len());
    let (query, fragment) = after.split_at_checked(hash)?;
    let left = strip_parameters(query, |name| judge.parameter(name).is_some_and(|verdict| verdict.blocks()))?;
    let question: &[u8] = if left.is_empty() { b"" } else { b"?" };
    Some([before, question, &left, fragment].concat())
}

/// Reporting, client hints, advertising.
fn edit_features(judge: &Judge<'_>, headers: &HeaderMap, tally: &mut Tally, changes: &mut Vec<HeaderChange>) {
    let analytics = PurposeSet::of(Purpose::ANALYTICS);
    let hints = analytics.with(Purpose::PREFERENCES);
    let marketing = PurposeSet::of(Purpose::MARKETING);
    let mut removable = |names: &[&'static str], purposes: PurposeSet| -> Vec<HeaderName> {
        let verdict = judge.inherent(purposes);
        let present = names.iter().map(|name| HeaderName::from_static(name)).filter(|name| headers.contains_key(name));
        present.filter(|_| tally.count(Direction::Header, &verdict)).collect()
    };
    changes.extend(removable(&["accept-ch", "critical-ch"], hints).into_iter().map(HeaderChange::remove));
    changes.extend(removable(&ADVERTISING, marketing).into_iter().map(HeaderChange::remove));
    // Network Error Logging outlives the visit in the browser; `max_age` 0 makes it forget (NEL, section 4.1).
    let forget = br#"{"report_to":"default","max_age":0}"#;
    changes.extend(removable(&["nel"], analytics).into_iter().map(|name| HeaderChange::set(name, forget.to_vec())));
    let mut denied = |url: &[u8]| denies_report(judge, url, tally);
    let report_to = HeaderName::from_static("report-to");
    edit_values(headers, report_to, |value| filter_report_to(value, &mut denied), changes);
    let endpoints = HeaderName::from_static("reporting-endpoints");
    edit_values(headers, endpoints, |value| filter_reporting_endpoints(value, &mut denied), changes);
}
