//! Keeping a response that depends on consent out of caches that serve several visitors.

use http::header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName};

use super::change::HeaderChange;

/// Fields that address a shared cache directly, and would override `Cache-Control` there (RFC 9213, Edge Architecture).
const TARGETED: [&str; 6] = [
    "cdn-cache-control",
    "surrogate-control",
    "cloudflare-cdn-cache-control",
    "vercel-cdn-cache-control",
    "netlify-cdn-cache-control",
    "x-accel-expires",
];

/// What the response depends on. `Cookie` and not the one cookie's name: `Vary` knows only fields.
const INPUTS: [&str; 2] = ["Cookie", "Sec-GPC"];

/// Changes that make `headers` storable by the visitor's own browser at most (RFC 9111, section 5.2.2.7), and there only
/// for as long as the choice stays the same.
pub(super) fn keep_private(headers: &HeaderMap, changes: &mut Vec<HeaderChange>) {
    if !is_private(headers) {
        let shared = ["public", "s-maxage", "proxy-revalidate", "private"];
        let kept =
            list(headers, CACHE_CONTROL).filter(|directive| !shared.iter().any(|name| is_named(directive, name)));
        let value = std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ");
        changes.push(HeaderChange::set(CACHE_CONTROL, value.into_bytes()));
    }
    if !has_directive(headers, "no-store") {
        vary(headers, INPUTS, changes);
    }
    let targeted = headers.keys().filter(|name| is_targeted(name.as_str()));
    changes.extend(targeted.cloned().map(HeaderChange::remove));
}

/// Whether this field addresses shared caches directly.
pub(super) fn is_targeted(name: &str) -> bool {
    TARGETED.contains(&name)
}

/// Whether the upstream says that shared caches may store this: then a cookie in it would reach other visitors.
pub(super) fn is_explicitly_shared(headers: &HeaderMap) -> bool {
    let targeted = headers.keys().any(|name| is_targeted(name.as_str()));
    let shared = |directive| ["public", "s-maxage", "max-age"].iter().any(|name| is_named(directive, name));
    targeted || (list(headers, CACHE_CONTROL).any(shared) && !is_private(headers))
}

/// Whether `Vary` names the field that tells the upstream about consent, which no cache in front of us ever sees.
pub(super) fn varies_by(headers: &HeaderMap, field: &str) -> bool {
    list(headers, VARY).any(|member| member.eq_ignore_ascii_case(field))
}

/// Adds `fields` to what the response says it varies by.
pub(super) fn vary<const N: usize>(headers: &HeaderMap, fields: [&str; N], changes: &mut Vec<HeaderChange>) {
    let present = || list(headers, VARY);
    let has = |field: &str| present().any(|member| member == "*" || member.eq_ignore_ascii_case(field));
    let missing = fields.into_iter().filter(|field| !has(field));
    let value = present().chain(missing.clone()).collect::<Vec<_>>().join(", ");
    if missing.count() > 0 {
        changes.push(HeaderChange::set(VARY, value.into_bytes()));
    }
}

/// Whether a cache may keep this and show it again without asking (RFC 9111, sections 3 and 4.2).
pub(super) fn is_storable(headers: &HeaderMap) -> bool {
    let says_how = [CACHE_CONTROL, EXPIRES, LAST_MODIFIED].iter().any(|name| headers.contains_key(name));
    (says_how || headers.keys().any(|name| is_targeted(name.as_str()))) && !has_directive(headers, "no-store")
}

/// Whether `Cache-Control` holds the directive called `name`, without a value.
pub(super) fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    list(headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case(name))
}

/// With a value, `private` is about single fields only.
fn is_private(headers: &HeaderMap) -> bool {
    let whole = |directive: &str| ["private", "no-store"].iter().any(|name| directive.eq_ignore_ascii_case(name));
    list(headers, CACHE_CONTROL).any(whole)
}

fn is_named(directive: &str, name: &str) -> bool {
    directive.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(name)
}

/// The members of all fields called `name`.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(pairs: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let mut changes = Vec::new();
        keep_private(&headers, &mut changes);
        let text = |change: &HeaderChange| {
            let values: Vec<_> = change.values.iter().map(|value| value.to_str().unwrap()).collect();
            format!("{}: {}", change.name, values.join(" | "))
        };
        changes.iter().map(text).collect()
    }

    #[test]
    fn shared_caches_are_told_to_keep_out() {
        for (headers, expected) in [
            (&[][..], &["cache-control: private", "vary: Cookie, Sec-GPC"][..]),
            (
                &[("cache-control", "public, max-age=60, s-maxage=600"), ("vary", "Accept-Encoding, cookie")],
                &["cache-control: private, max-age=60", "vary: Accept-Encoding, cookie, Sec-GPC"],
            ),
            (&[("cache-control", "no-store"), ("surrogate-control", "max-age=9")], &["surrogate-control: "]),
            (&[("cache-control", "Private, max-age=3")], &["vary: Cookie, Sec-GPC"]),
            (
                &[("cache-control", "private=\"set-cookie\", max-age=3"), ("vary", "*")],
                &["cache-control: private, max-age=3"],
            ),
        ] {
            assert_eq!(changed(headers), expected, "{headers:?}");
        }
    }
}
