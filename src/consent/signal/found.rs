//! Finding the cookies that say something about consent among all others, at little cost where there are none.

use arrayvec::ArrayVec;
use http::HeaderMap;

use crate::consent::cookies::{CookiePair, cookie_pairs};

/// Longest value that is looked at, in bytes: what browsers store (RFC 6265, section 6.1).
pub const MAX_VALUE: usize = 4096;

/// So many cookies are looked at. A banner writes at most a dozen.
pub const MAX_COOKIES: usize = 64;

/// Which formats read a cookie, by its name. A set of formats is a bit for each position in the list of all.
#[derive(Clone, Debug, Default)]
pub struct CookieIndex {
    names: Vec<Name>,
    /// By the first byte: which names begin with it, as a range in `names`, and which second bytes these have.
    by_first: Vec<First>,
}

#[derive(Clone, Debug)]
struct Name {
    text: Box<[u8]>,
    /// Whether it is only the beginning.
    prefix: bool,
    formats: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct First {
    range: (u16, u16),
    /// A bit for each second byte modulo 64.
    seconds: u64,
}

impl CookieIndex {
    /// `names` with their formats; a `*` at the end of a name stands for anything.
    pub fn new<'n>(names: impl IntoIterator<Item = (&'n str, u64)>) -> Self {
        let mut list: Vec<Name> = Vec::new();
        for (name, formats) in names {
            let text = name.strip_suffix('*').unwrap_or(name).as_bytes();
            let prefix = name.ends_with('*');
            match list.iter_mut().find(|known| *known.text == *text && known.prefix == prefix) {
                Some(known) => known.formats |= formats,
                None => list.push(Name { text: text.into(), prefix, formats }),
            }
        }
        list.retain(|name| !name.text.is_empty());
        list.sort_by(|a, b| a.text.cmp(&b.text));
        let mut by_first = vec![First::default(); 256];
        for (at, name) in list.iter().enumerate() {
            let at = u16::try_from(at).unwrap_or(u16::MAX);
            let first = name.text.first().map_or(0, |byte| usize::from(*byte));
            let Some(entry) = by_first.get_mut(first) else { continue };
            if entry.seconds == 0 {
                entry.range.0 = at;
            }
            entry.range.1 = at.saturating_add(1);
            entry.seconds |= name.text.get(1).map_or(u64::MAX, |byte| 1 << (byte & 63));
        }
        CookieIndex { names: list, by_first }
    }

    /// The formats that read a cookie called `name`.
    pub fn formats(&self, name: &[u8]) -> u64 {
        let Some((first, rest)) = name.split_first() else { return 0 };
        let second = rest.first().copied().unwrap_or(0);
        let Some(entry) = self.by_first.get(usize::from(*first)) else { return 0 };
        if entry.seconds >> (second & 63) & 1 == 0 {
            return 0;
        }
        let (from, to) = entry.range;
        let names = self.names.get(usize::from(from)..usize::from(to)).unwrap_or_default();
        let matches = |known: &&Name| match known.prefix {
            true => name.starts_with(&known.text),
            false => name == &*known.text,
        };
        names.iter().filter(matches).fold(0, |formats, known| formats | known.formats)
    }
}

/// All cookies of a request that some format reads.
#[derive(Default)]
pub struct Found<'a> {
    cookies: ArrayVec<Hit<'a>, MAX_COOKIES>,
    /// Formats of which there is a cookie.
    pub formats: u64,
    /// Formats of which a cookie came twice, with different values.
    pub conflicting: u64,
    /// Formats of which a cookie was too long to be looked at.
    pub oversized: u64,
    /// Whether there were more than are looked at.
    pub overflow: bool,
}

#[derive(Clone, Copy)]
struct Hit<'a> {
    cookie: CookiePair<'a>,
    formats: u64,
}

impl<'a> Found<'a> {
    pub fn new(headers: &'a HeaderMap, index: &CookieIndex) -> Self {
        let mut found = Found::default();
        for cookie in cookie_pairs(headers) {
            let formats = index.formats(cookie.name);
            if formats != 0 {
                found.add(cookie, formats);
            }
        }
        found
    }

    fn add(&mut self, cookie: CookiePair<'a>, formats: u64) {
        self.formats |= formats;
        if cookie.value.len() > MAX_VALUE {
            self.oversized |= formats;
            return;
        }
        let same = |hit: &&Hit<'_>| hit.cookie.name == cookie.name;
        if let Some(earlier) = self.cookies.iter().find(same) {
            if earlier.cookie.value == cookie.value {
                return;
            }
            self.conflicting |= formats;
        }
        self.overflow |= self.cookies.try_push(Hit { cookie, formats }).is_err();
    }

    /// Those that the format with the bit `format` reads.
    pub fn of(&self, format: u64) -> FoundCookies<'_> {
        FoundCookies { hits: &self.cookies, format }
    }
}

/// The cookies of one format.
#[derive(Clone, Copy)]
pub struct FoundCookies<'a> {
    hits: &'a [Hit<'a>],
    format: u64,
}

impl<'a> FoundCookies<'a> {
    pub fn iter(self) -> impl Iterator<Item = CookiePair<'a>> {
        self.hits.iter().filter(move |hit| hit.formats & self.format != 0).map(|hit| hit.cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_are_found() {
        let index = CookieIndex::new([
            ("CookieConsent", 1),
            ("cmplz_*", 2),
            ("CookieControl", 4),
            ("CookieConsent", 8),
            ("a", 16),
        ]);
        for (name, formats) in [
            ("CookieConsent", 9),
            ("CookieControl", 4),
            ("cmplz_", 2),
            ("cmplz_marketing", 2),
            ("a", 16),
            ("ab", 0),
            ("CookieConsen", 0),
            ("CookieConsents", 0),
            ("cookieconsent", 0),
            ("", 0),
            ("C", 0),
        ] {
            assert_eq!(index.formats(name.as_bytes()), formats, "{name}");
        }
    }

    #[test]
    fn a_cookie_that_comes_twice_is_a_conflict_only_if_it_says_something_else() {
        let index = CookieIndex::new([("a", 1), ("b", 2)]);
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=1; b=1; a=1; x=3".parse().unwrap());
        headers.append("cookie", "b=2".parse().unwrap());
        let found = Found::new(&headers, &index);
        assert_eq!((found.formats, found.conflicting), (3, 2));
        assert_eq!(found.of(1).iter().count(), 1);
        assert_eq!(found.of(2).iter().map(|cookie| cookie.value).collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn there_is_an_end_to_what_is_looked_at() {
        let index = CookieIndex::new([("a*", 1)]);
        let mut headers = HeaderMap::new();
        let many: Vec<_> = (0..4000).map(|number| format!("a{number}=1")).collect();
        headers.append("cookie", many.join("; ").parse().unwrap());
        let found = Found::new(&headers, &index);
        assert!(found.overflow && found.of(1).iter().count() == MAX_COOKIES);
        let mut headers = HeaderMap::new();
        headers.append("cookie", format!("a={}", "x".repeat(MAX_VALUE + 1)).parse().unwrap());
        let found = Found::new(&headers, &index);
        assert_eq!((found.oversized, found.of(1).iter().count()), (1, 0));
    }
}
