//! Violation reports (CSP3, section 5), of which only the blocked URL and the directive are read.

use serde::Deserialize;

use crate::policy::Url;

/// So many of one list are looked at.
const MAX_REPORTS: usize = 100;

/// What a page was kept from, or would have been. Holds what a visitor's page asked for.
pub struct Violation {
    /// As it was reported.
    pub url: String,
    /// A name from the specification, or `other`.
    pub directive: &'static str,
}

/// How a browser reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// `application/csp-report`: one report, by `report-uri`.
    Single,
    /// `application/reports+json`: a list, by `report-to` (Reporting API, section 3.4).
    List,
}

impl ReportFormat {
    /// The format that a `Content-Type` names.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let kind = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| kind.eq_ignore_ascii_case(name);
        match () {
            () if is(b"application/csp-report") => Some(ReportFormat::Single),
            () if is(b"application/reports+json") => Some(ReportFormat::List),
            () => None,
        }
    }

    /// The longest body that is read, in bytes.
    pub fn limit(self) -> usize {
        match self {
            ReportFormat::Single => 16 << 10,
            ReportFormat::List => 64 << 10,
        }
    }
}

#[derive(Deserialize)]
struct Single {
    #[serde(rename = "csp-report")]
    report: SingleBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct SingleBody {
    blocked_uri: String,
    effective_directive: String,
    violated_directive: String,
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "type")]
    kind: String,
    body: ReportBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportBody {
    #[serde(rename = "blockedURL")]
    blocked_url: String,
    effective_directive: String,
}

/// The violations in `body` that name a URL on a network. `None` if it is not a report.
pub fn parse(format: ReportFormat, body: &[u8]) -> Option<Vec<Violation>> {
    let named: Vec<(String, String)> = match format {
        ReportFormat::Single => {
            let Single { report } = serde_json::from_slice(body).ok()?;
            let directive = Some(report.effective_directive).filter(|directive| !directive.is_empty());
            vec![(report.blocked_uri, directive.unwrap_or(report.violated_directive))]
        }
        ReportFormat::List => {
            let list: Vec<serde_json::Value> = serde_json::from_slice(body).ok()?;
            let reports = list.into_iter().take(MAX_REPORTS);
            // There are reports of other kinds, too.
            let reports = reports.filter_map(|report| serde_json::from_value::<Report>(report).ok());
            let reports = reports.filter(|report| report.kind == "csp-violation");
            reports.map(|report| (report.body.blocked_url, report.body.effective_directive)).collect()
        }
    };
    let violation = |(url, directive): (String, String)| {
        Url::parse(url.as_bytes())?.host?;
        Some(Violation { url, directive: known(&directive) })
    };
    Some(named.into_iter().filter_map(violation).collect())
}

/// Directives that stop a page from contacting somebody.
const DIRECTIVES: [&str; 17] = [
    "child-src",
    "connect-src",
    "default-src",
    "font-src",
    "form-action",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "prefetch-src",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-elem",
    "worker-src",
];

/// The name in this program, so that no other is kept.
fn known(directive: &str) -> &'static str {
    let first = directive.split_ascii_whitespace().next().unwrap_or_default();
    DIRECTIVES.into_iter().find(|known| *known == first).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(format: ReportFormat, body: &str) -> Option<Vec<(String, &'static str)>> {
        let violations = parse(format, body.as_bytes())?;
        Some(violations.into_iter().map(|violation| (violation.url, violation.directive)).collect())
    }

    #[test]
    fn reports_are_read() {
        for (body, expected) in [
            (
                r#"{"csp-report":{"document-uri":"https://shop.example/x?y","blocked-uri":"https://t.example/a?b","effective-directive":"img-src","status-code":200}}"#,
                Some(vec![("https://t.example/a?b", "img-src")]),
            ),
            (
                r#"{"csp-report":{"blocked-uri":"https://t.example","violated-directive":"script-src 'self'"}}"#,
                Some(vec![("https://t.example", "script-src")]),
            ),
            (
                r#"{"csp-report":{"blocked-uri":"wss://t.example","effective-directive":"made-up"}}"#,
                Some(vec![("wss://t.example", "other")]),
            ),
            (r#"{"csp-report":{"blocked-uri":"inline"}}"#, Some(vec![])),
            (r#"{"csp-report":{"blocked-uri":"data"}}"#, Some(vec![])),
            (r#"{"csp-report":{}}"#, Some(vec![])),
            (r#"{"csp-report":{"blocked-uri":1}}"#, None),
            (r#"{"csp-report":"x"}"#, None),
            ("{}", None),
            ("[]", None),
            ("", None),
            ("\u{0}", None),
        ] {
            let expected: Option<Vec<_>> =
                expected.map(|list| list.into_iter().map(|(url, directive)| (url.to_owned(), directive)).collect());
            assert_eq!(read(ReportFormat::Single, body), expected, "{body}");
        }
    }

    #[test]
    fn lists_of_reports_are_read() {
        let violation = r#"{"type":"csp-violation","url":"x","body":{"blockedURL":"https://t.example/a","effectiveDirective":"script-src-elem"}}"#;
        let body =
            format!(r#"[{{"type":"deprecation","body":{{}}}},1,{{"type":"csp-violation","body":null}},{violation}]"#);
        assert_eq!(read(ReportFormat::List, &body).unwrap(), [("https://t.example/a".to_owned(), "script-src-elem")]);
        let many = format!("[{}]", vec![violation; 500].join(","));
        assert_eq!(read(ReportFormat::List, &many).unwrap().len(), MAX_REPORTS);
        assert_eq!(read(ReportFormat::List, "{}"), None);
    }

    #[test]
    fn deep_nesting_is_survived() {
        let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
        assert!(parse(ReportFormat::List, deep.as_bytes()).is_none());
        let inside = format!(r#"{{"csp-report":{{"x":{}1{}}}}}"#, "[".repeat(7000), "]".repeat(7000));
        assert!(parse(ReportFormat::Single, inside.as_bytes()).unwrap().is_empty(), "what is not read is skipped");
    }

    #[test]
    fn formats_have_names() {
        assert_eq!(ReportFormat::of(b"Application/CSP-Report; charset=utf-8"), Some(ReportFormat::Single));
        assert_eq!(ReportFormat::of(b"application/reports+json"), Some(ReportFormat::List));
        assert_eq!(ReportFormat::of(b"application/json"), None);
    }

    proptest! {
        #[test]
        fn any_body_is_survived(body in proptest::collection::vec(any::<u8>(), 0..200), single: bool) {
            let format = if single { ReportFormat::Single } else { ReportFormat::List };
            if let Some(violations) = parse(format, &body) {
                prop_assert!(violations.iter().all(|violation| Url::parse(violation.url.as_bytes()).is_some()));
            }
        }
    }
}
