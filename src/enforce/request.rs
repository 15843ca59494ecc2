//! What a request loses on its way to the upstream.

use http::HeaderMap;
use http::header::{COOKIE, REFERER};

use super::cookie::edit_cookie;
use super::judge::{Direction, Judge, Tally};
use super::list::Edit;
use super::query::strip_parameters;
use crate::consent::merge_lines;
use crate::policy::{Purpose, PurposeSet, split_query};

/// Fields by which a browser takes part in advertising (Topics, Attribution Reporting, Protected Audience).
pub(super) const ADVERTISING: [&str; 5] = [
    "sec-browsing-topics",
    "attribution-reporting-eligible",
    "attribution-reporting-support",
    "sec-ad-auction-fetch",
    "sec-shared-storage-writable",
];

/// What has to change, worked out once and applied on every attempt.
pub struct RequestEdits {
    pub cookie: Edit,
    /// The query without click ids; empty means without `?`.
    pub query: Option<Vec<u8>>,
    /// Pages keep their address while the visitor browses, so the next request names the click id again.
    pub referer: Option<Vec<u8>>,
    pub removed: Vec<&'static str>,
}

impl Default for RequestEdits {
    fn default() -> Self {
        RequestEdits { cookie: Edit::Unchanged, query: None, referer: None, removed: Vec::new() }
    }
}

/// The edits of a request with these `headers` and this `query`.
pub fn edit_request(judge: &Judge<'_>, headers: &HeaderMap, query: &[u8], tally: &mut Tally) -> RequestEdits {
    let cookie = edit_cookies(headers, |name| !tally.count(Direction::RequestCookie, &judge.cookie(name)));
    let counted =
        |name: &[u8]| judge.parameter(name).is_some_and(|verdict| tally.count(Direction::Parameter, &verdict));
    let stripped = strip_parameters(query, counted);
    let referer = headers.get(REFERER).and_then(|value| {
        let (page, query) = split_query(value.as_bytes());
        let blocks = |name: &[u8]| judge.parameter(name).is_some_and(|verdict| verdict.blocks());
        Some(with_query(page, &strip_parameters(query, blocks)?))
    });
    RequestEdits { cookie, query: stripped, referer, removed: advertising_fields(judge, headers) }
}

/// `path`, and the query after a `?` unless it is empty.
fn with_query(path: &[u8], query: &[u8]) -> Vec<u8> {
    if query.is_empty() { path.to_vec() } else { [path, b"?", query].concat() }
}

/// Several fields become the one that they mean, in every mode: servers that read HTTP/1.1 may see only the first.
fn edit_cookies(headers: &HeaderMap, keep: impl FnMut(&[u8]) -> bool) -> Edit {
    match merge_lines(headers) {
        None => headers.get(COOKIE).map_or(Edit::Unchanged, |line| edit_cookie(line.as_bytes(), keep)),
        Some(merged) => match edit_cookie(&merged, keep) {
            Edit::Unchanged => Edit::Replaced(merged),
            edit => edit,
        },
    }
}

fn advertising_fields(judge: &Judge<'_>, headers: &HeaderMap) -> Vec<&'static str> {
    if !judge.inherent(PurposeSet::of(Purpose::MARKETING)).blocks() {
        return Vec::new();
    }
    ADVERTISING.into_iter().filter(|name| headers.contains_key(*name)).collect()
}
