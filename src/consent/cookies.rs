//! The pairs of `Cookie` fields as servers see them.

use http::HeaderMap;
use http::header::COOKIE;

/// One cookie of a request. Both parts are as they came, without surrounding space; quotes belong to the value.
#[derive(Clone, Copy)]
pub struct CookiePair<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> CookiePair<'a> {
    /// Reads what stands between two `;`: a pair ends at its first `=` (RFC 6265, section 5.4 read backwards). What has
    /// no `=` is a name without a value, which is how servers take it. A leading `=` is how a nameless cookie smuggles a
    /// name, and quotes around a name are dropped by some servers: both are looked through.
    pub fn parse(segment: &'a [u8]) -> CookiePair<'a> {
        let mut segment = segment.trim_ascii();
        while let Some(rest) = segment.strip_prefix(b"=") {
            segment = rest.trim_ascii_start();
        }
        let equals = memchr::memchr(b'=', segment).unwrap_or(segment.len());
        let name = segment.get(..equals).unwrap_or_default().trim_ascii_end();
        let unquoted = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
        let value = segment.get(equals + 1..).unwrap_or_default().trim_ascii_start();
        CookiePair { name: unquoted.unwrap_or(name), value }
    }
}

/// All cookies of all `Cookie` fields, in order.
pub fn cookie_pairs(headers: &HeaderMap) -> impl Iterator<Item = CookiePair<'_>> {
    let lines = headers.get_all(COOKIE).into_iter();
    let segments = lines.flat_map(|line| Segments { rest: Some(line.as_bytes()) });
    segments.filter(|segment| !segment.trim_ascii().is_empty()).map(CookiePair::parse)
}

/// What stands between semicolons, found many bytes at a time.
struct Segments<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = memchr::memchr(b';', rest);
        self.rest = end.and_then(|end| rest.get(end + 1..));
        Some(end.and_then(|end| rest.get(..end)).unwrap_or(rest))
    }
}

/// Several `Cookie` fields as the one that they mean (RFC 9113, section 8.2.3). `None` if there are fewer than two.
pub fn merge_lines(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(COOKIE).into_iter();
    let first = lines.next()?;
    let second = lines.next()?;
    let mut merged = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        merged.extend_from_slice(b"; ");
        merged.extend_from_slice(line.as_bytes());
    }
    Some(merged)
}
