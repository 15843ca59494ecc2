//! `Set-Cookie` values that delete cookies which the browser sent.
//!
//! A browser deletes only what matches in name, domain and path (RFC 6265, section 5.3, step 11), and a request tells
//! only the name. So each place where the cookie may be is named, the likely ones first, within a bound.

use crate::policy::Host;

/// A response gets at most this many deletions, and this many bytes of them: servers in front of us limit the size of a
/// header section, some to 4 KiB in all.
const MAX_LINES: usize = 32;
const MAX_BYTES: usize = 3072;

/// Host-only and on the registrable domain, with `/`: where nearly all trackers put theirs.
const LIKELY_PLACES: usize = 2;

/// Lines for likely places, if there are more cookies than lines; the rest is for cookies that are still there.
const MAX_LIKELY_LINES: usize = 24;

/// Where the request went that carried the cookies.
#[derive(Clone, Copy)]
pub struct ExpiryScope<'a> {
    pub host: &'a Host,
    /// Path of the request, without query.
    pub path: &'a [u8],
    /// Whether the visitor came by https. Only then can `Secure` be set, and must be to overwrite a `Secure` cookie.
    pub secure: bool,
    /// Unix time in seconds: what finds no room now finds it later.
    pub now: u64,
}

/// Deletions for cookies called `names`: the likely places of each, then the others. Where there is no room for all,
/// each response begins with others.
pub fn expiries(names: &[&[u8]], scope: &ExpiryScope<'_>) -> Vec<Vec<u8>> {
    let places = places(scope);
    let likely = names.iter().flat_map(|name| places.iter().take(LIKELY_PLACES).map(move |place| (*name, place)));
    let other = places.iter().skip(LIKELY_PLACES).flat_map(|place| names.iter().map(move |name| (*name, place)));
    let (likely, other): (Vec<_>, Vec<_>) = (likely.collect(), other.collect());
    let likely = rotated(&likely, scope.now, LIKELY_PLACES);
    let (first, later) = likely.split_at_checked(MAX_LIKELY_LINES).unwrap_or((&likely, &[]));
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for (name, place) in first.iter().chain(&rotated(&other, scope.now, 1)).chain(later) {
        if !place.can_hold(name) {
            continue;
        }
        let line = place.deletion(name, scope.secure);
        bytes += line.len();
        if lines.len() == MAX_LINES || bytes > MAX_BYTES {
            break;
        }
        lines.push(line);
    }
    lines
}

/// The same members from another start, which moves on with `now` in steps of `step` members.
fn rotated<T: Copy>(members: &[T], now: u64, step: usize) -> Vec<T> {
    let steps = members.len().div_ceil(step).max(1);
    let start = usize::try_from(now).unwrap_or(0) % steps * step;
    let (before, after) = members.split_at_checked(start).unwrap_or((members, &[]));
    // Everything has room: the order says what is likely.
    if members.len() <= MAX_LIKELY_LINES { members.to_vec() } else { [after, before].concat() }
}

/// A place in the browser's jar.
struct Place<'a> {
    domain: Option<&'a str>,
    path: &'a [u8],
    partitioned: bool,
    secure: bool,
}

fn places<'a>(scope: &ExpiryScope<'a>) -> Vec<Place<'a>> {
    let domains = domains(scope.host);
    let paths = ancestors(scope.path);
    let place = |domain, path, partitioned| Place { domain, path, partitioned, secure: scope.secure };
    let mut places = Vec::new();
    for path in paths {
        places.extend(domains.iter().map(|domain| place(*domain, path, false)));
        if path == b"/" && scope.secure {
            places.extend(domains.iter().map(|domain| place(*domain, path, true)));
        }
    }
    places
}

/// Host-only, then the registrable domain (where most trackers set theirs), then what lies between.
fn domains(host: &Host) -> Vec<Option<&str>> {
    let mut domains = vec![None];
    let registrable = host.registrable_domain();
    if host.is_address() || !registrable.contains('.') {
        return domains;
    }
    domains.push(Some(registrable));
    let name = host.as_str();
    let parents = std::iter::once(name).chain(name.match_indices('.').filter_map(|(dot, _)| name.get(dot + 1..)));
    domains.extend(parents.take_while(|parent| parent.len() > registrable.len()).map(Some));
    domains
}

/// `/`, then every ancestor of the path from the top, then the path itself: all the `Path` values that could have made
/// the browser send a cookie here.
fn ancestors(path: &[u8]) -> Vec<&[u8]> {
    let mut paths = vec![&b"/"[..]];
    // A path that cannot stand in an attribute is not one that a cookie was set for.
    if !path.starts_with(b"/") || path.iter().any(|b| *b == b';' || b.is_ascii_control()) {
        return paths;
    }
    let cuts = memchr::memchr_iter(b'/', path).filter(|cut| *cut > 0).chain(std::iter::once(path.len()));
    for cut in cuts {
        paths.extend(path.get(..cut).filter(|parent| parent.len() > 1));
        paths.extend(path.get(..=cut).filter(|parent| parent.len() > 1));
    }
    paths.dedup();
    paths
}

impl Place<'_> {
    /// RFC 6265bis, section 4.1.3: what a name's prefix promises about the place.
    fn can_hold(&self, name: &[u8]) -> bool {
        if has_prefix(name, b"__host-") {
            return self.secure && self.domain.is_none() && self.path == b"/";
        }
        !has_prefix(name, b"__secure-") || self.secure
    }

    fn deletion(&self, name: &[u8], secure: bool) -> Vec<u8> {
        let mut line = name.to_vec();
        line.extend_from_slice(b"=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=");
        line.extend_from_slice(self.path);
        if let Some(domain) = self.domain {
            line.extend_from_slice(b"; Domain=");
            line.extend_from_slice(domain.as_bytes());
        }
        if secure {
            // `None` lets the deletion through in a cross-site frame, too.
            line.extend_from_slice(b"; Secure; SameSite=None");
        }
        if self.partitioned {
            line.extend_from_slice(b"; Partitioned");
        }
        line
    }
}

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(names: &[&str], host: &str, path: &str, secure: bool) -> Vec<String> {
        let host = Host::parse(host.as_bytes()).unwrap();
        let names: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
        let scope = ExpiryScope { host: &host, path: path.as_bytes(), secure, now: 0 };
        expiries(&names, &scope).into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    fn places_of(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| line.split_once("GMT; ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn every_place_that_could_hold_the_cookie_is_named() {
        let found = places_of(&lines(&["_ga"], "www.shop.example", "/a/b", false));
        for place in [
            "Path=/",
            "Path=/; Domain=shop.example",
            "Path=/; Domain=www.shop.example",
            "Path=/a",
            "Path=/a/; Domain=shop.example",
            "Path=/a/b; Domain=www.shop.example",
        ] {
            assert!(found.iter().any(|f| f == place), "{place} in {found:?}");
        }
        assert_eq!(found[0], "Path=/");
        assert_eq!(found[1], "Path=/; Domain=shop.example");
        assert!(found.iter().all(|place| !place.ends_with("Domain=example")), "never the public suffix");
    }

    #[test]
    fn https_adds_secure_and_partitioned() {
        let found = places_of(&lines(&["_ga"], "shop.example", "/", true));
        assert_eq!(
            found,
            [
                "Path=/; Secure; SameSite=None",
                "Path=/; Domain=shop.example; Secure; SameSite=None",
                "Path=/; Secure; SameSite=None; Partitioned",
                "Path=/; Domain=shop.example; Secure; SameSite=None; Partitioned",
            ]
        );
    }

    #[test]
    fn prefixes_keep_their_promise() {
        let found = places_of(&lines(&["__Host-id"], "shop.example", "/a", true));
        assert_eq!(found, ["Path=/; Secure; SameSite=None", "Path=/; Secure; SameSite=None; Partitioned"]);
        assert!(lines(&["__host-id", "__Secure-id"], "shop.example", "/", false).is_empty(), "not from http");
    }

    #[test]
    fn addresses_have_no_domain() {
        assert_eq!(lines(&["_ga"], "127.0.0.1", "/", false).len(), 1);
        assert_eq!(lines(&["_ga"], "localhost", "/", false).len(), 1);
    }

    #[test]
    fn number_and_size_are_bounded_and_likely_places_come_first() {
        let names: Vec<String> = (0..500).map(|i| format!("tracker_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = lines(&names, "a.b.c.shop.example", "/a/b/c/d/e/f", true);
        assert!(found.len() <= MAX_LINES && found.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
        assert!(found.iter().any(|line| line.contains("Domain=shop.example")), "both likely places of a cookie");
    }

    #[test]
    fn many_cookies_are_erased_over_several_responses() {
        let host = Host::parse(b"www.shop.example").unwrap();
        let all: Vec<String> = (0..60).map(|i| format!("tracker_{i}")).collect();
        let mut left: Vec<&[u8]> = all.iter().map(|name| name.as_bytes()).collect();
        // All of them sit on the parent domain, which is the second guess.
        for now in 0..40 {
            let lines = expiries(&left, &ExpiryScope { host: &host, path: b"/a", secure: true, now });
            let gone = |name: &&[u8]| {
                lines.iter().any(|line| {
                    line.starts_with(&[name, &b"=;"[..]].concat())
                        && line.ends_with(b"Path=/; Domain=shop.example; Secure; SameSite=None")
                })
            };
            left.retain(|name| !gone(name));
        }
        assert_eq!(left.len(), 0);
    }
}
