//! Taking identifying parameters out of a query.

use super::list::{Edit, retain, split};
use crate::policy::{decode_percent, query_pairs};

/// Names of parameters that sign a query.
const SIGNATURES: [&str; 11] = [
    "signature",
    "sig",
    "sign",
    "hmac",
    "mac",
    "x-amz-signature",
    "x-goog-signature",
    "x-oss-signature",
    "x-cos-signature",
    "key-pair-id",
    "__token__",
];

/// The query without the parameters that `drop` names; the rest is untouched and in order. `None` if nothing goes.
/// `drop` is asked once for each parameter, and not at all if the query is signed.
pub fn strip_parameters(query: &[u8], mut drop: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    if query.is_empty() || is_signed(query) {
        return None;
    }
    match retain(query, b'&', split(query, b'&'), |part| !drop(&decode_percent(key(part)))) {
        Edit::Unchanged => None,
        Edit::Removed => Some(Vec::new()),
        Edit::Replaced(left) => Some(left),
    }
}

fn key(part: &[u8]) -> &[u8] {
    query_pairs(part).next().map_or(&b""[..], |(key, _)| key)
}

/// Whether a parameter signs the query, so that nothing may be taken out of it.
pub fn is_signed(query: &[u8]) -> bool {
    let names = |key: &[u8]| SIGNATURES.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes()));
    query_pairs(query).any(|(key, _)| names(&decode_percent(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(query: &str) -> Option<String> {
        let left = strip_parameters(query.as_bytes(), |name| name == b"gclid" || name == b"fbclid")?;
        Some(String::from_utf8(left).unwrap())
    }

    #[test]
    fn only_click_ids_go() {
        for (query, left) in [
            ("gclid=1", Some("")),
            ("a=1&gclid=2&b=3", Some("a=1&b=3")),
            ("gclid=2&a=%20+x&fbclid=", Some("a=%20+x")),
            ("gcl%69d=2&a=1", Some("a=1")),
            ("a=1&&b&gclid", Some("a=1&&b")),
            ("a=gclid&utm_source=x&code=1&state=2", None),
            ("GCLID=1", None),
            ("gclid=1&X-Amz-Signature=abc", None),
            ("gclid=1&sig=abc", None),
            ("", None),
        ] {
            assert_eq!(stripped(query).as_deref(), left, "{query}");
        }
    }
}
