//! `observe`, `enforce`, `off`.

use crate::support::{Origin, TestApp, get, site};

const FIELDS: [(&str, &str); 7] = [
    ("Set-Cookie", "_ga=1"),
    ("Set-Cookie", "PHPSESSID=2"),
    ("Link", "<https://www.googletagmanager.com>; rel=preconnect"),
    ("NEL", "{\"report_to\":\"x\",\"max_age\":5}"),
    ("Cache-Control", "public, max-age=60"),
    ("Report-To", "not json"),
    ("Reporting-Endpoints", "odd"),
];

fn comparable(response: crate::support::Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers: Vec<_> =
        response.headers.into_iter().filter(|(name, _)| name != "Date" && name != "Connection").collect();
    headers.sort();
    (response.status, headers, response.body)
}

#[test]
fn observing_changes_nothing_and_counts_everything() {
    let origin = Origin::with_headers(&FIELDS);
    let app = TestApp::start(&site(origin.address, "mode = \"observe\""));
    let request = [
        ("Cookie", "_ga=1; _fbp=2; PHPSESSID=3"),
        ("Sec-Browsing-Topics", "x"),
        ("Referer", "https://shop.example/?gclid=1"),
    ];
    let direct = comparable(get(origin.address, "/p?gclid=1", &request));
    let seen_directly = origin.last();
    assert_eq!(comparable(get(app.address, "/p?gclid=1", &request)), direct);
    let seen = origin.last();
    assert_eq!(seen.target, seen_directly.target);
    for name in ["cookie", "sec-browsing-topics", "referer"] {
        assert_eq!(seen.header(name), seen_directly.header(name), "{name}");
    }
    assert_eq!(get(app.address, "/g/collect?v=2&tid=G-1", &[]).text(), "hello");
    let granted = crate::support::everything();
    let tracker = get(app.address, "/matomo.js", &[("Cookie", &granted)]);
    assert_eq!(tracker.header("cache-control"), Some("public, max-age=60"));

    app.expect_cookies("request", "analytics", "would_block", 1.0);
    app.expect_cookies("request", "marketing", "would_block", 1.0);
    app.expect_cookies("request", "necessary", "allow", 2.0);
    app.expect_cookies("response", "analytics", "would_block", 2.0);
    app.expect_cookies("request", "analytics", "block", 0.0);
    app.expect_metric(
        "consentry_tracker_requests_total{action=\"would_block\",purpose=\"analytics\",site=\"shop\"}",
        1.0,
    );
    app.expect_metric("consentry_parameters_total{action=\"would_block\",purpose=\"marketing\",site=\"shop\"}", 1.0);
    assert!(app.metric("consentry_headers_total{action=\"would_block\",purpose=\"marketing\",site=\"shop\"}") >= 1.0);
}

#[test]
fn off_is_a_plain_proxy() {
    let origin = Origin::with_headers(&FIELDS);
    let app = TestApp::start(&site(origin.address, "mode = \"off\""));
    let request = [("Cookie", "_ga=1; _fbp=2")];
    let direct = comparable(get(origin.address, "/p?gclid=1", &request));
    assert_eq!(comparable(get(app.address, "/p?gclid=1", &request)), direct);
    assert_eq!(get(app.address, "/.consentry/consent", &[]).text(), "hello", "not even own pages");
    app.expect_cookies("request", "analytics", "would_block", 0.0);
}

#[test]
fn a_rule_can_have_its_own_mode() {
    let origin = Origin::with_headers(&[("Set-Cookie", "one=1"), ("Set-Cookie", "two=2")]);
    let rule = |name: &str, mode: &str| {
        format!("[[site.cookie]]\nname = \"{name}\"\npurpose = \"analytics\"\nmode = \"{mode}\"\n")
    };
    let app = TestApp::start(&site(
        origin.address,
        &format!("mode = \"enforce\"\n{}{}", rule("one", "observe"), rule("two", "enforce")),
    ));
    assert_eq!(get(app.address, "/", &[]).sets(), ["one"]);
    let app = TestApp::start(&site(
        origin.address,
        &format!("mode = \"observe\"\n{}{}", rule("one", "observe"), rule("two", "enforce")),
    ));
    assert_eq!(get(app.address, "/", &[]).sets(), ["one"]);
    let app = TestApp::start(&site(
        origin.address,
        &format!("mode = \"off\"\n{}{}", rule("one", "observe"), rule("two", "enforce")),
    ));
    assert_eq!(get(app.address, "/", &[]).sets(), ["one", "two"]);
}

#[test]
fn enforcing_counts_what_was_done() {
    let origin = Origin::with_headers(&FIELDS);
    let app = TestApp::start(&site(origin.address, ""));
    get(app.address, "/p?gclid=1", &[("Cookie", "_ga=1; PHPSESSID=3; mystery=4")]);
    app.expect_cookies("request", "analytics", "block", 1.0);
    app.expect_cookies("request", "unknown", "block", 1.0);
    app.expect_cookies("request", "necessary", "allow", 1.0);
    app.expect_cookies("response", "analytics", "block", 1.0);
    app.expect_metric("consentry_consents_total{site=\"shop\",source=\"default\"}", 1.0);
}
