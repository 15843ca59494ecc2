//! URLs as a proxy meets them: in request lines, `Link`, `Location`. Only what deciding needs, and never an error.

use std::borrow::Cow;

use super::hosts::Host;

/// A URL reference cut into the parts that rules ask for (RFC 3986, section 4.1).
#[derive(Clone, Copy)]
pub struct Url<'a> {
    /// `None` for a reference without an authority: it stays on the host it came from.
    pub host: Option<Host>,
    /// Path without query; may be empty or relative.
    pub path: &'a [u8],
    /// Query without `?`.
    pub query: &'a [u8],
}

impl<'a> Url<'a> {
    /// Reads an absolute, scheme-relative or relative reference the way browsers do (WHATWG URL): surrounding space is
    /// ignored, `\` counts as `/`, user information is skipped. `None` for schemes that fetch nothing from a network.
    pub fn parse(text: &'a [u8]) -> Option<Url<'a>> {
        let text = text.trim_ascii();
        let (rest, absolute) = match scheme_end(text) {
            Some(colon) => {
                let scheme = text.get(..colon).unwrap_or_default();
                if ![&b"http"[..], b"https", b"ws", b"wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                    return None;
                }
                (text.get(colon + 1..).unwrap_or_default(), true)
            }
            None => (text, false),
        };
        let slashes = rest.iter().take_while(|b| matches!(b, b'/' | b'\\')).count();
        let (host, rest) = if absolute || slashes >= 2 {
            let rest = rest.get(slashes..).unwrap_or_default();
            let end = rest.iter().position(|b| matches!(b, b'/' | b'\\' | b'?' | b'#')).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, b""));
            let authority =
                memchr::memrchr(b'@', authority).map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
            (Some(Host::parse(authority)?), rest)
        } else {
            (None, rest)
        };
        let rest = memchr::memchr(b'#', rest).map_or(rest, |hash| rest.get(..hash).unwrap_or_default());
        let (path, query) = split_query(rest);
        Some(Url { host, path, query })
    }
}

fn scheme_end(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|b| !b.is_ascii_alphanumeric() && !b"+-.".contains(b))?;
    (end > 0 && text.get(end) == Some(&b':') && text.first().is_some_and(u8::is_ascii_alphabetic)).then_some(end)
}

/// Path and query, cut at the first `?`.
pub fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (target.get(..mark).unwrap_or_default(), target.get(mark + 1..).unwrap_or_default()),
        None => (target, b""),
    }
}

/// The path in one spelling: percent-decoded once, `\` as `/`, runs of `/` as one, dot segments resolved (RFC 3986,
/// section 5.2.4). Borrowed when it is in that spelling already.
pub fn normal_path(path: &[u8]) -> Cow<'_, [u8]> {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.'] | [b'%' | b'\\', _]);
    if !path.windows(2).any(odd) && !path.ends_with(b"\\") && !path.ends_with(b"%") {
        return Cow::Borrowed(path);
    }
    let decoded = decode_percent(path);
    let mut out: Vec<u8> = Vec::with_capacity(decoded.len());
    let is_slash = |b: &u8| matches!(b, b'/' | b'\\');
    let mut segments = decoded.split(is_slash).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', &out).unwrap_or(0);
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if last {
            out.push(b'/');
        }
    }
    Cow::Owned(out)
}

/// Percent-decodes once; what is not a valid escape stays as it is.
pub fn decode_percent(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let decoded = escape.and_then(|([high, low], after)| Some((hex(*high)? << 4 | hex(*low)?, after)));
        let (byte, after) = decoded.unwrap_or((byte, after));
        out.push(byte);
        rest = after;
    }
    Cow::Owned(out)
}

/// A value of a form or query: `+` is a space, the rest percent-decoded (URL Standard, section 5.1).
pub fn decode_form(value: &[u8]) -> String {
    let spaced: Vec<u8> = value.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8_lossy(&decode_percent(&spaced)).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The `key=value` pairs of a query as they are spelled; a key without `=` has an empty value.
pub fn query_pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| match memchr::memchr(b'=', pair) {
        Some(equals) => (pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default()),
        None => (pair, &b""[..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_browsers_do() {
        for (text, host, path, query) in [
            ("https://T.example/a?b=c#d", Some("t.example"), "/a", "b=c"),
            ("//t.example", Some("t.example"), "", ""),
            (" \\\\t.example\\x ", Some("t.example"), "\\x", ""),
            ("https:t.example/x", Some("t.example"), "/x", ""),
            ("https://user:pw@t.example:8443/x", Some("t.example"), "/x", ""),
            ("/path?x", None, "/path", "x"),
            ("page:1", None, "page:1", ""),
        ] {
            let Some(url) = Url::parse(text.as_bytes()) else {
                assert_eq!(text, "page:1", "only an unknown scheme is not read");
                continue;
            };
            assert_eq!(url.host.as_ref().map(Host::as_str), host, "{text}");
            assert_eq!((url.path, url.query), (path.as_bytes(), query.as_bytes()), "{text}");
        }
        for text in ["data:text/html,x", "javascript:1", "mailto:a@b", "blob:https://x"] {
            assert!(Url::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        for (path, normal) in [
            ("/g/collect", "/g/collect"),
            ("/g//collect", "/g/collect"),
            ("/x/../g/./collect", "/g/collect"),
            ("/%67/collect", "/g/collect"),
            ("/g%2Fcollect", "/g/collect"),
            ("/%2e%2e/g/collect", "/g/collect"),
            ("/g\\collect", "/g/collect"),
            ("/g/", "/g/"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
        ] {
            assert_eq!(normal_path(path.as_bytes()), normal.as_bytes(), "{path}");
        }
        assert!(matches!(normal_path(b"/a.b/c"), Cow::Borrowed(_)));
    }
}
