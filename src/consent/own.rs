//! The own consent cookie: one line of text that says what was granted, when, and under which policy.
//!
//! `1~<granted, dot separated>~<policy version or empty>~<given at, unix seconds>~<receipt id>[~<signature>]`. Nothing
//! granted is an empty second field, and still a decision. `necessary` is never listed. With a signing key, only a
//! value whose signature is right says anything.

use std::fmt;

use ring::hmac;

use crate::policy::{Purpose, PurposeSet, Purposes};

/// Longest value that is looked at, in bytes.
const MAX_VALUE: usize = 1024;

/// How the own cookie is named and protected.
pub struct OwnCookie {
    pub name: Box<str>,
    key: Option<hmac::Key>,
}

/// What the own cookie says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OwnConsent<'a> {
    /// Never holds `necessary`: that needs no consent.
    pub granted: PurposeSet,
    /// Empty if the site has no versions.
    pub policy_version: &'a str,
    /// Unix time in seconds.
    pub given_at: u64,
    pub receipt_id: &'a str,
}

impl OwnCookie {
    /// `key` is the secret that values are signed with (HMAC-SHA-256, RFC 2104).
    pub fn new(name: &str, key: Option<&[u8]>) -> Self {
        OwnCookie { name: name.into(), key: key.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)) }
    }

    /// Reads a value. `None` for anything that is not exactly of this form: malformed is undecided. Purposes that no
    /// site knows any more are skipped.
    pub fn parse<'a>(&self, value: &'a [u8], purposes: &Purposes) -> Option<OwnConsent<'a>> {
        let value = std::str::from_utf8(value).ok().filter(|value| value.len() <= MAX_VALUE)?;
        let mut fields = value.split('~');
        let ["1", granted, version, given_at, receipt_id] = std::array::from_fn(|_| fields.next().unwrap_or("\0"))
        else {
            return None;
        };
        let signature = fields.next();
        let plain = |text: &str| text.bytes().all(is_plain);
        let digits = !given_at.is_empty() && given_at.bytes().all(|b| b.is_ascii_digit());
        if fields.next().is_some() || !plain(version) || !plain(receipt_id) || receipt_id.is_empty() || !digits {
            return None;
        }
        if let Some(key) = &self.key {
            let signed = value.get(..value.rfind('~')?)?;
            let signature = decode_hex(signature?)?;
            hmac::verify(key, signed.as_bytes(), &signature).ok()?;
        }
        let names = granted.split('.').filter(|_| !granted.is_empty());
        if names.clone().any(|name| name.is_empty() || !plain(name) || name == "necessary") {
            return None;
        }
        Some(OwnConsent {
            granted: names.filter_map(|name| purposes.get(name)).collect(),
            policy_version: version,
            given_at: given_at.parse().ok()?,
            receipt_id,
        })
    }

    /// The value that says `consent`, signed if there is a key.
    pub fn format(&self, consent: &OwnConsent<'_>, purposes: &Purposes) -> String {
        let optional = consent.granted.without(PurposeSet::of(Purpose::NECESSARY));
        let granted: Vec<_> = purposes.names(optional).collect();
        let OwnConsent { policy_version, given_at, receipt_id, .. } = consent;
        let mut value = format!("1~{}~{policy_version}~{given_at}~{receipt_id}", granted.join("."));
        if let Some(key) = &self.key {
            let signature = hmac::sign(key, value.as_bytes());
            value.push('~');
            value.extend(signature.as_ref().iter().flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]));
        }
        value
    }
}

/// Tells what was granted; the receipt is the visitor's.
impl fmt::Debug for OwnConsent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnConsent({:?}, {})", self.granted, self.given_at)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cookie(key: Option<&[u8]>) -> OwnCookie {
        OwnCookie::new("consentry", key)
    }

    #[test]
    fn value_of_the_contract_is_read_and_written() {
        let (own, purposes) = (cookie(None), Purposes::default());
        let text = "1~analytics.marketing~2023-10-09~1772442930~k3f9q2";
        let consent = own.parse(text.as_bytes(), &purposes).unwrap();
        assert_eq!(consent.granted, [Purpose::ANALYTICS, Purpose::MARKETING].into_iter().collect());
        assert_eq!((consent.policy_version, consent.given_at), ("2023-10-09", 1_772_442_930));
        assert_eq!(own.format(&consent, &purposes), text);
    }

    #[test]
    fn nothing_granted_is_still_a_decision() {
        let consent = cookie(None).parse(b"1~~~1772442930~k3f9q2", &Purposes::default()).unwrap();
        assert_eq!(consent.granted, PurposeSet::EMPTY);
    }

    #[test]
    fn malformed_says_nothing() {
        for text in [
            "",
            "1",
            "true",
            "2~analytics~~1772442930~r",
            "1~analytics~~~r",
            "1~analytics~~1772442930",
            "1~analytics~~1772442930~",
            "1~analytics~~-1~r",
            "1~analytics~~99999999999999999999~r",
            "1~necessary~~1772442930~r",
            "1~analytics.~~1772442930~r",
            "1~analytics~~1772442930~r~s~t",
            "1~analytics~v 1~1772442930~r",
            "\"1~analytics~~1772442930~r\"",
            "1~analytics%2Emarketing~~1772442930~r",
        ] {
            assert_eq!(cookie(None).parse(text.as_bytes(), &Purposes::default()), None, "{text}");
        }
        assert_eq!(cookie(None).parse(&[0xff; 8], &Purposes::default()), None);
    }

    #[test]
    fn with_a_key_only_a_right_signature_counts() {
        let (own, purposes) = (cookie(Some(b"secret")), Purposes::default());
        let consent = cookie(None).parse(b"1~analytics~~1772442930~r", &purposes).unwrap();
        let signed = own.format(&consent, &purposes);
        assert_eq!(own.parse(signed.as_bytes(), &purposes), Some(consent));
        assert_eq!(own.parse(b"1~analytics~~1772442930~r", &purposes), None, "unsigned");
        assert_eq!(own.parse(signed.replace("analytics", "marketing").as_bytes(), &purposes), None, "altered");
        assert_eq!(cookie(Some(b"other")).parse(signed.as_bytes(), &purposes), None, "another key");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            cookie(None).parse(&value, &Purposes::default());
            cookie(Some(b"k")).parse(&value, &Purposes::default());
        }
    }
}
