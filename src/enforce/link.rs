//! Response fields that make a browser contact somebody: `Link`, reporting, redirects.

use super::list::{Edit, comma_members, retain};

/// Relations that make a browser fetch or connect (HTML, section 4.6.7).
const FETCHING: [&[u8]; 14] = [
    b"preload",
    b"modulepreload",
    b"prefetch",
    b"preconnect",
    b"dns-prefetch",
    b"prerender",
    b"stylesheet",
    b"icon",
    b"next",
    b"manifest",
    b"apple-touch-icon",
    b"apple-touch-icon-precomposed",
    b"mask-icon",
    b"compression-dictionary",
];

/// A `Link` value without the links that make a browser contact what `denied` names (RFC 8288, section 3).
pub(super) fn filter_link(value: &[u8], mut denied: impl FnMut(&[u8]) -> bool) -> Edit {
    retain(value, b',', comma_members(value), |link| {
        // What is no link makes no browser fetch anything.
        split_link(link).is_none_or(|(target, parameters)| !(fetches(parameters) && denied(target)))
    })
}

/// The target and the parameters of one link; `None` if it is not a link at all.
fn split_link(link: &[u8]) -> Option<(&[u8], &[u8])> {
    let link = link.trim_ascii().strip_prefix(b"<")?;
    let end = memchr::memchr(b'>', link)?;
    Some((link.get(..end)?, link.get(end + 1..)?))
}

fn fetches(parameters: &[u8]) -> bool {
    parameters.split(|b| *b == b';').any(|parameter| {
        let equals = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at_checked(equals).unwrap_or((parameter, b""));
        let relations = value.split(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'='));
        name.trim_ascii().eq_ignore_ascii_case(b"rel") && relations.into_iter().any(is_fetching)
    })
}

/// Whether a link of this relation makes a browser fetch or connect.
pub(super) fn is_fetching(relation: &[u8]) -> bool {
    FETCHING.iter().any(|known| known.eq_ignore_ascii_case(relation))
}

/// A `Reporting-Endpoints` value without the endpoints that `denied` names (Reporting API, section 3.3).
pub(super) fn filter_reporting_endpoints(value: &[u8], mut denied: impl FnMut(&[u8]) -> bool) -> Edit {
    retain(value, b',', comma_members(value), |endpoint| {
        let mut quoted = endpoint.split(|b| *b == b'"');
        quoted.nth(1).is_none_or(|url| !denied(url))
    })
}

/// A `Report-To` value, a list of JSON objects (Reporting API, 2018 draft), without groups that report to what `denied`
/// names. Browsers ignore what is not such a list.
pub(super) fn filter_report_to(value: &[u8], mut denied: impl FnMut(&[u8]) -> bool) -> Edit {
    let list = [b"[", value, b"]"].concat();
    let Ok(mut groups) = serde_json::from_slice::<Vec<serde_json::Value>>(&list) else { return Edit::Unchanged };
    let before = groups.len();
    groups.retain(|group| {
        let endpoints = group.get("endpoints").and_then(|list| list.as_array());
        let urls = endpoints.into_iter().flatten().filter_map(|endpoint| endpoint.get("url")?.as_str());
        !urls.into_iter().any(|url| denied(url.as_bytes()))
    });
    if groups.len() == before {
        return Edit::Unchanged;
    }
    let kept: Vec<_> = groups.iter().map(ToString::to_string).collect();
    if kept.is_empty() { Edit::Removed } else { Edit::Replaced(kept.join(", ").into_bytes()) }
}

/// The URL in a `Refresh` value, `5; url=…` (HTML, section 4.6.8.2). `None` if it reloads the page itself.
pub(super) fn refresh_target(value: &[u8]) -> Option<&[u8]> {
    let after_time = value.iter().position(|b| matches!(b, b';' | b','))?;
    let rest = value.get(after_time + 1..)?.trim_ascii();
    let named = rest.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(b"url"));
    let url = if named { rest.get(3..)?.trim_ascii_start().strip_prefix(b"=")? } else { rest };
    Some(url.trim_ascii().trim_ascii_start()).map(|url| match url.first() {
        Some(quote @ (b'"' | b'\'')) => {
            url.get(1..).unwrap_or_default().split(|b| b == quote).next().unwrap_or_default()
        }
        _ => url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(url: &[u8]) -> bool {
        memchr::memmem::find(url, b"t.example").is_some()
    }

    fn text(edit: Edit) -> String {
        match edit {
            Edit::Unchanged => "unchanged".into(),
            Edit::Removed => "removed".into(),
            Edit::Replaced(bytes) => String::from_utf8(bytes).unwrap(),
        }
    }

    #[test]
    fn links_that_contact_a_tracker_go() {
        for (value, left) in [
            ("</a.css>; rel=preload; as=style", "unchanged"),
            ("<https://t.example/x.js>; rel=preload", "removed"),
            ("</a.css>; rel=preload, <//t.example>; rel=\"preconnect\"; crossorigin", "</a.css>; rel=preload"),
            ("<https://t.example/a,b>; rel=DNS-PREFETCH, </b>; rel=next", "</b>; rel=next"),
            ("<https://t.example/>; rel=canonical", "unchanged"),
            ("<https://t.example/>; title=\"a, b\"; rel=\"x preload\"", "removed"),
            ("garbage", "unchanged"),
        ] {
            assert_eq!(text(filter_link(value.as_bytes(), denied)), left, "{value}");
        }
    }

    #[test]
    fn reports_to_a_tracker_go() {
        let endpoints = r#"main="https://shop.example/r", t="https://t.example/r""#;
        assert_eq!(text(filter_reporting_endpoints(endpoints.as_bytes(), denied)), r#"main="https://shop.example/r""#);
        let groups = r#"{"group":"a","max_age":1,"endpoints":[{"url":"https://t.example/"}]}, {"group":"b","max_age":1,"endpoints":[]}"#;
        assert_eq!(text(filter_report_to(groups.as_bytes(), denied)), r#"{"endpoints":[],"group":"b","max_age":1}"#);
        assert_eq!(text(filter_report_to(b"nonsense", denied)), "unchanged");
    }

    #[test]
    fn refresh_is_read_as_browsers_do() {
        for (value, url) in [
            ("5", None),
            ("0; url=https://t.example/", Some("https://t.example/")),
            ("0;URL = 'https://t.example/'", Some("https://t.example/")),
            ("1, https://t.example/", Some("https://t.example/")),
        ] {
            assert_eq!(refresh_target(value.as_bytes()), url.map(str::as_bytes), "{value}");
        }
    }
}
