//! What the responses of a site change that is there by https only.

use http::HeaderMap;
use http::header::{LOCATION, SET_COOKIE};

use super::change::{HeaderChange, header_value};
use super::set_cookie::require_secure;
use crate::policy::Host;

/// Cookies go by https only, and redirects stay there. `authority` is what the visitor calls this server: its host, and
/// the port if it is not the usual one.
pub fn secure_response(headers: &HeaderMap, authority: &[u8]) -> Vec<HeaderChange> {
    let mut changes = Vec::new();
    let lines = headers.get_all(SET_COOKIE);
    let secured: Vec<_> = lines.iter().map(|line| require_secure(line.as_bytes())).collect();
    if secured.iter().any(Option::is_some) {
        let values = lines.iter().zip(secured).filter_map(|(line, secured)| match secured {
            Some(secured) => header_value(secured),
            None => Some(line.clone()),
        });
        changes.push(HeaderChange { name: SET_COOKIE, values: values.collect() });
    }
    let location = headers.get(LOCATION).and_then(|location| https_location(location.as_bytes(), authority));
    changes.extend(location.map(|location| HeaderChange::set(LOCATION, location)));
    changes
}

/// The same place by https, if `location` is this server by http: under the name that the visitor knows it by, with the
/// same port or with none that means anything. Another port is another server.
fn https_location(location: &[u8], authority: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = location.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (named, path) = rest.split_at_checked(end)?;
    let bare = named.strip_suffix(b":80").or(named.strip_suffix(b":")).unwrap_or(named);
    let host = Host::parse(authority)?;
    let is_bare = bare.eq_ignore_ascii_case(host.as_str().as_bytes());
    (is_bare || named.eq_ignore_ascii_case(authority)).then(|| [b"https://", authority, path].concat())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn redirects_to_this_server_stay_on_https() {
        for (location, authority, expected) in [
            ("http://shop.example/a?b#c", "shop.example", Some("https://shop.example/a?b#c")),
            ("HTTP://SHOP.example", "shop.example", Some("https://shop.example")),
            ("http://shop.example:80/", "shop.example", Some("https://shop.example/")),
            ("http://shop.example?a", "shop.example:8443", Some("https://shop.example:8443?a")),
            ("http://shop.example:8443/", "shop.example:8443", Some("https://shop.example:8443/")),
            ("http://[::1]:80/", "[::1]:8443", Some("https://[::1]:8443/")),
            ("http://shop.example:8080/", "shop.example", None),
            ("http://shop.example:8080/", "shop.example:8443", None),
            ("http://www.shop.example/", "shop.example", None),
            ("http://shop.example.evil.example/", "shop.example", None),
            ("http://shop.example@evil.example/", "shop.example", None),
            ("http://evil.example/http://shop.example/", "shop.example", None),
            ("https://shop.example/", "shop.example", None),
            ("/a", "shop.example", None),
            ("http:/", "shop.example", None),
            ("http://", "", None),
        ] {
            let found = https_location(location.as_bytes(), authority.as_bytes());
            assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{location} at {authority}");
        }
    }

    #[test]
    fn cookies_keep_their_order_and_all_else() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; Path=/", "b=2; secure; HttpOnly", "c=3"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        let changes = secure_response(&headers, b"shop.example");
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].values, ["a=1; Path=/; Secure", "b=2; secure; HttpOnly", "c=3; Secure"]);
        headers.insert(SET_COOKIE, HeaderValue::from_static("b=2; Secure"));
        assert!(secure_response(&headers, b"shop.example").is_empty());
    }

    proptest! {
        #[test]
        fn only_the_scheme_and_the_port_change(location in "(http|https|HTTP)://(shop.example|evil.example|[a-z@:.]{0,12})(:80|:8443|)[/?#a-z]{0,8}") {
            if let Some(found) = https_location(location.as_bytes(), b"shop.example:8443") {
                prop_assert!(found.starts_with(b"https://shop.example:8443"));
                prop_assert!(location.to_ascii_lowercase().starts_with("http://shop.example"));
            }
        }
    }
}
