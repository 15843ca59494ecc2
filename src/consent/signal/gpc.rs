//! Global Privacy Control: `Sec-GPC: 1` (W3C, <https://www.w3.org/TR/gpc/>, section 3.2).
//!
//! A cap and never a grant. Only the exact value `1` counts, and of several fields one such suffices.

use http::HeaderMap;

/// Whether the visitor's browser asks not to sell or share.
pub fn global_privacy_control(headers: &HeaderMap) -> bool {
    headers.get_all("sec-gpc").iter().any(|value| value.as_bytes() == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_value_counts() {
        for (values, expected) in [
            (&["1"][..], true),
            (&["0", "1"], true),
            (&["0"], false),
            (&["1;q=1"], false),
            (&["true"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("sec-gpc", value.parse().unwrap());
            }
            assert_eq!(global_privacy_control(&headers), expected, "{values:?}");
        }
    }
}
