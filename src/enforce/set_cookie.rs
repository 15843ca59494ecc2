//! Reading and shortening `Set-Cookie` values the way browsers take them (RFC 6265, sections 5.2 and 5.3).

use super::date::parse_cookie_date;
use crate::consent::CookiePair;

/// Browsers ignore attributes that are longer (RFC 6265bis, section 5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// One `Set-Cookie` value.
#[derive(Clone, Copy)]
pub struct SetCookie<'a> {
    line: &'a [u8],
}

impl<'a> SetCookie<'a> {
    pub fn new(line: &'a [u8]) -> Self {
        SetCookie { line }
    }

    /// The name that the browser will send.
    pub fn name(&self) -> &'a [u8] {
        CookiePair::parse(self.line.split(|b| *b == b';').next().unwrap_or_default()).name
    }

    /// Seconds from `now` until the browser forgets the cookie; 0 if it deletes one. `None` for a session cookie.
    pub fn lifetime(&self, now: u64) -> Option<u64> {
        let (mut max_age, mut expires) = (None, None);
        for (name, value) in self.attributes().filter(|(_, value)| value.len() <= MAX_ATTRIBUTE) {
            if name.eq_ignore_ascii_case(b"max-age") {
                max_age = parse_max_age(value).or(max_age);
            } else if name.eq_ignore_ascii_case(b"expires") {
                expires = parse_cookie_date(value).or(expires);
            }
        }
        let until_expiry = |at: i64| u64::try_from(at).unwrap_or(0).saturating_sub(now);
        max_age.or_else(|| expires.map(until_expiry))
    }

    /// Whether the browser only deletes a cookie on account of this.
    pub fn is_deletion(&self, now: u64) -> bool {
        self.lifetime(now) == Some(0)
    }

    fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.line.split(|b| *b == b';').skip(1).map(split_attribute)
    }
}

fn split_attribute(segment: &[u8]) -> (&[u8], &[u8]) {
    let equals = memchr::memchr(b'=', segment).unwrap_or(segment.len());
    let (name, value) = segment.split_at_checked(equals).unwrap_or((segment, b""));
    (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
}

/// RFC 6265, section 5.2.2: digits with an optional minus; anything else is ignored.
fn parse_max_age(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() < value.len() {
        return Some(0);
    }
    Some(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// The value with a life of at most `cap` seconds; all other attributes stay as they are. `None` if it is short enough
/// already, or ends with the session.
pub fn cap_lifetime(line: &[u8], cap: u32, now: u64) -> Option<Vec<u8>> {
    SetCookie::new(line).lifetime(now).filter(|life| *life > u64::from(cap))?;
    let mut capped = Vec::with_capacity(line.len() + 20);
    for (position, segment) in line.split(|b| *b == b';').enumerate() {
        let (name, _) = split_attribute(segment);
        let limits = name.eq_ignore_ascii_case(b"max-age") || name.eq_ignore_ascii_case(b"expires");
        if position == 0 {
            capped.extend_from_slice(segment);
        } else if !limits {
            capped.push(b';');
            capped.extend_from_slice(segment);
        }
    }
    capped.extend_from_slice(format!("; Max-Age={cap}").as_bytes());
    Some(capped)
}

/// The value with the attribute `Secure`; `None` if it has it.
pub(super) fn require_secure(line: &[u8]) -> Option<Vec<u8>> {
    let is_secure = SetCookie::new(line).attributes().any(|(name, _)| name.eq_ignore_ascii_case(b"secure"));
    (!is_secure).then(|| [line, b"; Secure"].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn names_are_those_the_browser_will_send() {
        for (line, name) in [
            ("_ga=1; Path=/", "_ga"),
            (" _ga = 1", "_ga"),
            ("=_ga=1", "_ga"),
            ("_ga", "_ga"),
            ("_ga; Secure", "_ga"),
            ("", ""),
            ("a=b=c; x", "a"),
        ] {
            assert_eq!(SetCookie::new(line.as_bytes()).name(), name.as_bytes(), "{line}");
        }
    }

    #[test]
    fn deletions_are_told_from_settings() {
        for (line, deletes) in [
            ("a=; Max-Age=0", true),
            ("a=; max-age=-1", true),
            ("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("a=1; Max-Age=0; Max-Age=60", false),
            ("a=1; Max-Age=60; Max-Age=0", true),
            ("a=1; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("a=1; Max-Age=", false),
            ("a=1; Max-Age=+0", false),
            ("a=1; Max-Age=-", false),
            ("a=1; Max-Age=0x", false),
            ("a=1", false),
            ("a=1; Path=/; Max-Age = 0 ", true),
            ("Max-Age=0", false),
            ("a=Max-Age=0", false),
        ] {
            assert_eq!(SetCookie::new(line.as_bytes()).is_deletion(NOW), deletes, "{line}");
        }
        let padded = format!("a=1; Max-Age={}", "0".repeat(2000));
        assert!(!SetCookie::new(padded.as_bytes()).is_deletion(NOW), "a browser ignores so long an attribute");
    }

    #[test]
    fn a_secure_cookie_is_told_as_browsers_do() {
        for (line, is_secure) in [
            ("a=1; Secure", true),
            ("a=1;SECURE;Path=/", true),
            ("a=1; Secure=false", true),
            ("a=1; Path=/secure", false),
            ("a=secure", false),
            ("secure; Path=/", false),
            ("a=1; Secured", false),
        ] {
            let required = require_secure(line.as_bytes());
            assert_eq!(required, (!is_secure).then(|| format!("{line}; Secure").into_bytes()), "{line}");
        }
    }

    #[test]
    fn lifetimes_are_capped_and_nothing_else_changes() {
        for (line, capped) in [
            ("a=1; Max-Age=7200; Path=/; Secure", Some("a=1; Path=/; Secure; Max-Age=3600")),
            ("a=1; Expires=Wed, 09 Jun 2038 10:18:14 GMT; Path=/", Some("a=1; Path=/; Max-Age=3600")),
            ("a=1;expires=Wed, 09 Jun 2038 10:18:14 GMT;MAX-AGE=99999;HttpOnly", Some("a=1;HttpOnly; Max-Age=3600")),
            ("a=1; Max-Age=99999999999999999999999", Some("a=1; Max-Age=3600")),
            ("a=1; Max-Age=3600", None),
            ("a=1; Path=/", None),
            ("a=; Max-Age=0", None),
        ] {
            let expected = capped.map(|text| text.as_bytes().to_vec());
            assert_eq!(cap_lifetime(line.as_bytes(), 3600, NOW), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..120), cap in any::<u32>()) {
            let cookie = SetCookie::new(&line);
            cookie.name();
            if let Some(capped) = cap_lifetime(&line, cap, NOW) {
                prop_assert_eq!(SetCookie::new(&capped).lifetime(NOW), Some(u64::from(cap)));
                prop_assert_eq!(SetCookie::new(&capped).name(), cookie.name());
            }
        }
    }
}
