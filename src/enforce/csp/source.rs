//! Source lists (CSP3, section 6.7.2): whether one admits an own URL, and what a source to be added would change.

use super::syntax::tokens;

/// An own URL as the browser knows it. Scheme and host are those of the page.
#[derive(Clone, Copy)]
pub(super) struct OwnUrl<'a> {
    pub secure: bool,
    /// Host, and port if it is not the scheme's.
    pub authority: &'a str,
    pub path: &'a str,
}

impl OwnUrl<'_> {
    /// The source that matches this URL and no other, if its host can be written as one: there are none for IPv6. It
    /// has no scheme, so the page's counts.
    pub(super) fn source(&self) -> Option<String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        let writable = !self.authority.is_empty() && self.authority.bytes().all(plain);
        writable.then(|| format!("{}{}", self.authority, self.path))
    }

    fn host_and_port(&self) -> (&str, &str) {
        let default = if self.secure { "443" } else { "80" };
        self.authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((self.authority, default))
    }
}

/// The sources in the value of a directive.
#[derive(Clone, Copy)]
pub(super) struct SourceList<'a>(pub &'a [u8]);

impl<'a> SourceList<'a> {
    fn tokens(self) -> impl Iterator<Item = &'a [u8]> {
        tokens(self.0)
    }

    pub(super) fn has(self, keyword: &str) -> bool {
        self.tokens().any(|token| token.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// Whether `source` is in it, letter by letter.
    pub(super) fn lists(self, source: &str) -> bool {
        self.tokens().any(|token| token == source.as_bytes())
    }

    /// Whether it admits nothing at all: it is empty, or `'none'` alone.
    pub(super) fn is_none(self) -> bool {
        let mut tokens = self.tokens();
        let first = tokens.next();
        first.is_none_or(|first| first.eq_ignore_ascii_case(b"'none'")) && tokens.next().is_none()
    }

    /// The nonces in it.
    pub(super) fn nonces(self) -> impl Iterator<Item = &'a [u8]> {
        self.tokens().filter_map(|token| quoted(token, b"'nonce-"))
    }

    /// Whether a hash could be added without taking permission from anything: a hash or nonce makes `'unsafe-inline'`
    /// void, so where that still counts there must be none (CSP3, section 6.7.3.2).
    pub(super) fn takes_hashes(self) -> bool {
        let hashed = |token: &[u8]| {
            [&b"'nonce-"[..], b"'sha256-", b"'sha384-", b"'sha512-"].iter().any(|kind| quoted(token, kind).is_some())
        };
        !self.has("'unsafe-inline'") || self.has("'strict-dynamic'") || self.tokens().any(hashed)
    }

    /// Whether it admits `url` by its host and path, or by its scheme.
    pub(super) fn admits(self, url: OwnUrl<'_>) -> bool {
        self.tokens().any(|token| matches(token, url))
    }
}

/// What follows `kind` in `'kind…'`.
fn quoted<'a>(token: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = token.split_at_checked(kind.len())?;
    let value = rest.strip_suffix(b"'").filter(|value| !value.is_empty())?;
    start.eq_ignore_ascii_case(kind).then_some(value)
}

/// Whether one source matches an own URL (CSP3, section 6.7.2.8).
fn matches(token: &[u8], url: OwnUrl<'_>) -> bool {
    let Ok(token) = std::str::from_utf8(token) else { return false };
    if token == "*" || token.eq_ignore_ascii_case("'self'") {
        return true;
    }
    let admits_scheme =
        |scheme: &str| scheme.eq_ignore_ascii_case("http") || (url.secure && scheme.eq_ignore_ascii_case("https"));
    if let Some(scheme) = token.strip_suffix(':') {
        return admits_scheme(scheme);
    }
    let rest = match token.split_once("://") {
        Some((scheme, rest)) if admits_scheme(scheme) => rest,
        Some(_) => return false,
        None => token,
    };
    let (authority, path) = rest.find('/').and_then(|slash| rest.split_at_checked(slash)).unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let (own_host, own_port) = url.host_and_port();
    let default = if url.secure { "443" } else { "80" };
    let port_fits = match port {
        "*" => true,
        "" => own_port == default,
        "80" => own_port == "80" || (url.secure && own_port == "443"),
        port => own_port == port,
    };
    host_fits(host, own_host) && port_fits && path_fits(path, url.path)
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(suffix) if suffix.starts_with('.') => {
            let start = host.len().checked_sub(suffix.len()).filter(|start| *start > 0);
            start.and_then(|start| host.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        Some(_) => false,
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// Own paths have no escapes, so a pattern with some is one that does not fit.
fn path_fits(pattern: &str, path: &str) -> bool {
    pattern.is_empty() || pattern == path || (pattern.ends_with('/') && path.starts_with(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "/.consentry/guard-1.js";

    #[test]
    fn own_urls_are_admitted_as_browsers_would() {
        let https = OwnUrl { secure: true, authority: "shop.example", path: SCRIPT };
        let ported = OwnUrl { secure: false, authority: "Shop.example:8080", path: SCRIPT };
        for (list, by_https, by_port) in [
            ("", false, false),
            ("'none'", false, false),
            ("'SELF'", true, true),
            ("*", true, true),
            ("https:", true, false),
            ("http:", true, true),
            ("wss: data:", false, false),
            ("shop.example", true, false),
            ("SHOP.EXAMPLE:8080", false, true),
            ("shop.example:*", true, true),
            ("shop.example:80", true, false),
            ("*.example:*", true, true),
            ("*.shop.example", false, false),
            ("*:8080", false, true),
            ("https://shop.example", true, false),
            ("http://shop.example:8080", false, true),
            ("http://shop.example", true, false),
            ("shop.example/.consentry/", true, false),
            ("shop.example/.consentry", false, false),
            ("shop.example/", true, false),
            ("shop.example/.consentry/guard-1.js", true, false),
            ("cdn.example x.shop.example hop.example", false, false),
            ("'nonce-abc' 'unsafe-inline' 'sha256-x'", false, false),
        ] {
            let list = SourceList(list.as_bytes());
            assert_eq!(list.admits(https), by_https, "{}", String::from_utf8_lossy(list.0));
            assert_eq!(list.admits(ported), by_port, "{}", String::from_utf8_lossy(list.0));
        }
    }

    #[test]
    fn the_source_of_an_own_url_admits_it() {
        for (secure, authority) in [(true, "shop.example"), (false, "127.0.0.1:8080"), (true, "localhost:443")] {
            let url = OwnUrl { secure, authority, path: SCRIPT };
            let source = url.source().unwrap();
            assert!(SourceList(source.as_bytes()).admits(url), "{source}");
            assert!(!SourceList(source.as_bytes()).admits(OwnUrl { path: "/other.js", ..url }));
        }
        for authority in ["[::1]:80", "", "a b", "a;b", "a,b"] {
            assert!(OwnUrl { secure: true, authority, path: SCRIPT }.source().is_none(), "{authority}");
        }
    }

    #[test]
    fn hashes_are_not_added_where_inline_scripts_would_stop() {
        for (list, takes) in [
            ("'self'", true),
            ("'self' 'unsafe-inline'", false),
            ("'UNSAFE-INLINE' 'nonce-'", false),
            ("'unsafe-inline' 'nonce-x'", true),
            ("'unsafe-inline' 'sha384-x'", true),
            ("'unsafe-inline' 'strict-dynamic'", true),
        ] {
            assert_eq!(SourceList(list.as_bytes()).takes_hashes(), takes, "{list}");
        }
    }

    #[test]
    fn nothing_is_admitted_by_none_alone() {
        for (list, none) in [("", true), (" 'NONE' ", true), ("'none' a", false), ("'self'", false)] {
            assert_eq!(SourceList(list.as_bytes()).is_none(), none, "{list}");
        }
    }
}
