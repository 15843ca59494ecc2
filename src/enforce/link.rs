//! Response fields that make a browser contact somebody: `Link`, reporting, redirects.

use super::list::{Edit, comma_members, retain};
use crate::policy::ResourceKind;

/// Relations that make a browser fetch or connect (HTML, section 4.6.7), and what they fetch.
const FETCHING: [(&[u8], ResourceKind); 14] = [
    (b"preload", ResourceKind::Other),
    (b"modulepreload", ResourceKind::Script),
    (b"prefetch", ResourceKind::Other),
    (b"preconnect", ResourceKind::Other),
    (b"dns-prefetch", ResourceKind::Other),
    (b"prerender", ResourceKind::Document),
    (b"stylesheet", ResourceKind::Stylesheet),
    (b"icon", ResourceKind::Image),
    (b"next", ResourceKind::Document),
    (b"manifest", ResourceKind::Other),
    (b"apple-touch-icon", ResourceKind::Image),
    (b"apple-touch-icon-precomposed", ResourceKind::Image),
    (b"mask-icon", ResourceKind::Image),
    (b"compression-dictionary", ResourceKind::Other),
];

/// What `as` may say of a resource that is fetched ahead (HTML, section 4.2.4.3; Fetch, section 2.2.5).
const DESTINATIONS: [(&[u8], ResourceKind); 14] = [
    (b"script", ResourceKind::Script),
    (b"worker", ResourceKind::Script),
    (b"sharedworker", ResourceKind::Script),
    (b"serviceworker", ResourceKind::Script),
    (b"style", ResourceKind::Stylesheet),
    (b"image", ResourceKind::Image),
    (b"font", ResourceKind::Font),
    (b"audio", ResourceKind::Media),
    (b"video", ResourceKind::Media),
    (b"track", ResourceKind::Media),
    (b"fetch", ResourceKind::Fetch),
    (b"document", ResourceKind::Frame),
    (b"object", ResourceKind::Object),
    (b"embed", ResourceKind::Object),
];

/// A `Link` value without the links that make a browser contact what `denied` names (RFC 8288, section 3).
pub(super) fn filter_link(value: &[u8], mut denied: impl FnMut(&[u8], ResourceKind) -> bool) -> Edit {
    retain(value, b',', comma_members(value), |link| {
        // What is no link makes no browser fetch anything.
        split_link(link)
            .is_none_or(|(target, parameters)| !fetched(parameters).is_some_and(|kind| denied(target, kind)))
    })
}

/// The target and the parameters of one link; `None` if it is not a link at all.
fn split_link(link: &[u8]) -> Option<(&[u8], &[u8])> {
    let link = link.trim_ascii().strip_prefix(b"<")?;
    let end = memchr::memchr(b'>', link)?;
    Some((link.get(..end)?, link.get(end + 1..)?))
}

/// What a link with these parameters makes a browser fetch; `None` if nothing.
fn fetched(parameters: &[u8]) -> Option<ResourceKind> {
    let mut kind = None;
    let mut destination = None;
    let mut ahead = false;
    for parameter in parameters.split(|b| *b == b';') {
        let equals = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
        let (name, value) = parameter.split_at_checked(equals).unwrap_or((parameter, b""));
        let mut words = value.split(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'='));
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"as") {
            destination = destination.or(words.find_map(destination_kind));
        } else if name.eq_ignore_ascii_case(b"rel") {
            for relation in words {
                ahead |=
                    [&b"preload"[..], b"modulepreload", b"prefetch"].iter().any(|r| r.eq_ignore_ascii_case(relation));
                // Of several relations, one that knows what it fetches says more.
                kind = kind.filter(|known| *known != ResourceKind::Other).or(lookup(&FETCHING, relation)).or(kind);
            }
        }
    }
    kind.map(|kind| destination.filter(|_| ahead).unwrap_or(kind))
}

fn lookup(words: &[(&[u8], ResourceKind)], word: &[u8]) -> Option<ResourceKind> {
    words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

/// Whether a link of this relation makes a browser fetch or connect.
pub(super) fn is_fetching(relation: &[u8]) -> bool {
    lookup(&FETCHING, relation).is_some()
}

/// What `as` says a resource is; `None` for words that no browser knows.
pub(super) fn destination_kind(word: &[u8]) -> Option<ResourceKind> {
    lookup(&DESTINATIONS, word)
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
            assert_eq!(text(filter_link(value.as_bytes(), |url, _| denied(url))), left, "{value}");
        }
    }

    #[test]
    fn what_a_link_fetches_is_told_by_its_relation_and_destination() {
        for (parameters, kind) in [
            ("; rel=preload; as=script", Some(ResourceKind::Script)),
            ("; as=\"image\"; REL=\"preload\"", Some(ResourceKind::Image)),
            ("; rel=preload", Some(ResourceKind::Other)),
            ("; rel=preload; as=unheard-of", Some(ResourceKind::Other)),
            ("; rel=modulepreload", Some(ResourceKind::Script)),
            ("; rel=stylesheet; as=image", Some(ResourceKind::Stylesheet)),
            ("; rel=\"preconnect stylesheet\"", Some(ResourceKind::Stylesheet)),
            ("; rel=\"stylesheet preconnect\"", Some(ResourceKind::Stylesheet)),
            ("; rel=prefetch; as=fetch", Some(ResourceKind::Fetch)),
            ("; rel=canonical; as=script", None),
            ("; title=preload", None),
        ] {
            assert_eq!(fetched(parameters.as_bytes()), kind, "{parameters}");
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
