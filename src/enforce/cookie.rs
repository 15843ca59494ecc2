//! Taking cookies out of a `Cookie` value.

use super::list::{Edit, retain, split};
use crate::consent::CookiePair;

/// Keeps the cookies whose name `keep` agrees to; the bytes and the order of what stays are untouched.
pub fn edit_cookie(line: &[u8], mut keep: impl FnMut(&[u8]) -> bool) -> Edit {
    retain(line, b';', split(line, b';'), |segment| keep(CookiePair::parse(segment).name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without(line: &str, denied: &[&str]) -> Option<String> {
        match edit_cookie(line.as_bytes(), |name| !denied.iter().any(|d| d.as_bytes() == name)) {
            Edit::Unchanged => Some(line.to_owned()),
            Edit::Removed => None,
            Edit::Replaced(bytes) => Some(String::from_utf8(bytes).unwrap()),
        }
    }

    #[test]
    fn every_spelling_of_a_denied_cookie_goes() {
        for (line, left) in [
            ("_ga=1", None),
            ("_ga=1; a=2", Some("a=2")),
            ("a=2; _ga=1", Some("a=2")),
            ("a=2; _ga=1; b=3", Some("a=2; b=3")),
            ("a=2;_ga=1;b=3", Some("a=2;b=3")),
            ("a=2 ;  _ga = 1 ;\tb=3", Some("a=2 ;\tb=3")),
            ("_ga=1; _ga=2; a=1; _ga=3", Some("a=1")),
            ("_ga; a=1", Some("a=1")),
            ("_ga=; a=1", Some("a=1")),
            ("_ga=a=b=c; a=1", Some("a=1")),
            ("\"_ga\"=1; a=1", Some("a=1")),
            ("=_ga=1; a=1", Some("a=1")),
            ("_ga=\"x\"; a=\"y z\"", Some("a=\"y z\"")),
            ("a=1;; _ga=2;", Some("a=1;;")),
            ("; _ga=1 ; ", None),
        ] {
            assert_eq!(without(line, &["_ga"]).as_deref(), left, "{line}");
        }
    }

    #[test]
    fn what_stays_is_not_touched() {
        for line in ["", ";", "a=1; b=\"x, y\"; c={\"k\":1}; =; d", " a=1 ;b=2"] {
            assert_eq!(edit_cookie(line.as_bytes(), |_| true), Edit::Unchanged, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_allowed_stays_in_order_and_what_is_denied_goes(
            cookies in proptest::collection::vec(("[a-c]{1,2}", "[ -:<-~]{0,6}"), 0..20),
            denied in proptest::collection::vec("[a-c]{1,2}", 0..4),
        ) {
            let cookies: Vec<_> = cookies.into_iter().map(|(n, v)| (n, v.replace(';', "").trim().to_owned())).collect();
            let line = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
            let expected: Vec<_> = cookies.iter().filter(|(n, _)| !denied.contains(n)).map(|(n, v)| format!("{n}={v}")).collect();
            let denied: Vec<_> = denied.iter().map(String::as_str).collect();
            prop_assert_eq!(without(&line, &denied).unwrap_or_default(), expected.join("; "));
        }

        #[test]
        fn any_bytes_are_edited_without_growing(line in proptest::collection::vec(any::<u8>(), 0..200), odd in any::<u8>()) {
            let keep = |name: &[u8]| name.first().is_none_or(|b| b % 2 == odd % 2);
            if let Edit::Replaced(bytes) = edit_cookie(&line, keep) {
                prop_assert!(bytes.len() < line.len());
                prop_assert_eq!(edit_cookie(&bytes, keep), Edit::Unchanged, "nothing denied is left");
            }
        }
    }
}
