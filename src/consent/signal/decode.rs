//! What formats have in common below their meaning: times, and JSON in its wrappings.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::policy::decode_percent;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Base64 (RFC 4648) in either alphabet, with or without padding, which may be percent-encoded.
pub(super) fn base64(value: &[u8]) -> Option<Vec<u8>> {
    let value = decode_percent(value);
    let url_safe = value.iter().any(|byte| matches!(byte, b'-' | b'_'));
    if url_safe { URL_SAFE.decode(&value) } else { STANDARD.decode(&value) }.ok()
}

/// Unix time in seconds of an ISO 8601 date and time as scripts write it (RFC 3339).
pub fn iso_time(text: &str) -> Option<u64> {
    u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp()).ok()
}

/// Unix time in seconds of a number of milliseconds.
pub(super) fn millis(number: u64) -> u64 {
    number / 1000
}

/// Text that is JSON as it is, or after percent-decoding: both stand in cookies. Calls `read` with the one that parses.
pub(super) fn json<T>(value: &[u8], mut read: impl FnMut(&str) -> Option<T>) -> Option<T> {
    let raw = std::str::from_utf8(value).ok()?;
    if raw.starts_with(['{', '['])
        && let Some(parsed) = read(raw)
    {
        return Some(parsed);
    }
    match decode_percent(value) {
        Cow::Borrowed(_) => None,
        Cow::Owned(decoded) => read(std::str::from_utf8(&decoded).ok()?),
    }
}

/// A JSON object as its members, in order; of a key that comes twice, both count.
#[derive(Debug)]
pub(super) struct Members<'a, V>(pub Vec<(Cow<'a, str>, V)>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Members<'a, V> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a, V>(std::marker::PhantomData<(&'a (), V)>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<'a, V> {
            type Value = Members<'a, V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A JSON string, borrowed where it holds no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A JSON value of which only the plain kinds matter.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Number(i64),
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

impl Scalar<'_> {
    pub fn is(&self, state: bool) -> bool {
        matches!(self, Scalar::Boolean(own) if *own == state)
    }

    /// A whole number, also one that is written as text.
    pub fn number(&self) -> Option<i64> {
        match self {
            Scalar::Number(number) => Some(*number),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) | Scalar::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_in_both_spellings() {
        let first = |value: &str| {
            let read = |text: &str| {
                let members: Members<'_, bool> = serde_json::from_str(text).ok()?;
                members.0.first().map(|(key, value)| (key.clone().into_owned(), *value))
            };
            json(value.as_bytes(), read)
        };
        let expected = Some(("a".to_owned(), true));
        for value in [r#"{"a":true}"#, "%7B%22a%22%3Atrue%7D", "{%22a%22:true}", r#"{"\u0061":true}"#] {
            assert_eq!(first(value), expected, "{value}");
        }
        for value in ["", "{", "%7", "true", r#"{"a":1}"#, "%257B%2522a%2522%253Atrue%257D"] {
            assert_eq!(first(value), None, "{value}");
        }
    }

    #[test]
    fn times_and_base64_are_read() {
        assert_eq!(iso_time("2026-03-02T09:15:30.120Z"), Some(1_772_442_930));
        assert_eq!(iso_time("Mon Mar 02 2026 10:15:30 GMT+0100"), None);
        assert_eq!(iso_time("1960-01-01T00:00:00Z"), None);
        assert_eq!(millis(1_772_442_930_120), 1_772_442_930);
        for value in ["eyJhIjoxfQ==", "eyJhIjoxfQ", "eyJhIjoxfQ%3D%3D"] {
            assert_eq!(base64(value.as_bytes()).as_deref(), Some(&br#"{"a":1}"#[..]), "{value}");
        }
        assert_eq!(base64(b"!"), None);
    }
}
