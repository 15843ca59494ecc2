//! Response fields that make a browser contact a tracker.

use crate::support::{Origin, TestApp, consent, everything, get, respond_with, site};

fn through(fields: &'static [(&'static str, &'static str)], cookie: &str) -> crate::support::Response {
    let origin = Origin::start(move |_| respond_with(200, fields, "body"));
    let app = TestApp::start(&site(origin.address, ""));
    get(app.address, "/page", &[("Cookie", cookie)])
}

#[test]
fn links_to_trackers_are_taken_out() {
    let fields = &[
        (
            "Link",
            "<https://www.googletagmanager.com/gtm.js?id=GTM-1>; rel=preload; as=script, </style.css>; rel=preload; as=style",
        ),
        ("Link", "<https://static.hotjar.com>; rel=preconnect"),
        ("Link", "<https://cdn.example/font.woff>; rel=preload"),
    ];
    let refused = through(fields, "a=1");
    assert_eq!(
        refused.all("link"),
        ["</style.css>; rel=preload; as=style", "<https://cdn.example/font.woff>; rel=preload"]
    );
    let granted = through(fields, &everything());
    assert_eq!(granted.all("link"), fields.iter().map(|(_, value)| *value).collect::<Vec<_>>());
}

#[test]
fn reporting_goes_to_the_site_only() {
    let fields = &[
        ("NEL", r#"{"report_to":"default","max_age":2592000}"#),
        ("Report-To", r#"{"group":"default","max_age":1,"endpoints":[{"url":"https://a.nel.cloudflare.com/report"}]}"#),
        ("Reporting-Endpoints", r#"own="https://shop.example/reports", other="https://collector.example/r""#),
    ];
    let refused = through(fields, "a=1");
    assert_eq!(refused.header("nel"), Some(r#"{"report_to":"default","max_age":0}"#), "the browser is told to forget");
    assert_eq!(refused.header("report-to"), None);
    assert_eq!(refused.header("reporting-endpoints"), Some(r#"own="https://shop.example/reports""#));
    let granted = through(fields, &everything());
    assert_eq!(granted.header("nel"), Some(fields[0].1));
    assert_eq!(granted.header("report-to"), Some(fields[1].1));
}

#[test]
fn hints_and_advertising_fields_need_consent() {
    let fields = &[
        ("Accept-CH", "Sec-CH-UA-Model, DPR"),
        ("Critical-CH", "DPR"),
        ("Observe-Browsing-Topics", "?1"),
        ("Attribution-Reporting-Register-Source", "{}"),
    ];
    let names = ["accept-ch", "critical-ch", "observe-browsing-topics", "attribution-reporting-register-source"];
    let passed = |cookie: &str| names.map(|name| through(fields, cookie).header(name).is_some());
    assert_eq!(passed("a=1"), [false; 4]);
    assert_eq!(passed(&consent("analytics")), [true, true, false, false]);
    assert_eq!(passed(&everything()), [true; 4]);
}

#[test]
fn redirects_do_not_bounce_through_trackers() {
    let location = |target: &'static str, cookie: &str| {
        let origin = Origin::start(move |_| respond_with(302, &[("Location", target)], ""));
        let app = TestApp::start(&site(origin.address, ""));
        get(app.address, "/out", &[("Cookie", cookie)]).header("location").map(str::to_owned)
    };
    let bounce = "https://ad.doubleclick.net/clk?url=https%3A%2F%2Fshop.example%2Fsale";
    assert_eq!(location(bounce, "a=1").as_deref(), Some("https://shop.example/sale"));
    let elsewhere = "https://ad.doubleclick.net/clk?url=https%3A%2F%2Fevil.example%2F";
    assert_eq!(location(elsewhere, "a=1").as_deref(), Some("/.consentry/blocked"));
    assert_eq!(location(bounce, &everything()).as_deref(), Some(bounce));
    assert_eq!(location("/next?gclid=1&a=2#x", "a=1").as_deref(), Some("/next?a=2#x"));
    assert_eq!(
        location("https://bank.example/?code=1&state=2", "a=1").as_deref(),
        Some("https://bank.example/?code=1&state=2")
    );
    assert_eq!(
        location("https://files.example/?gclid=1&X-Amz-Signature=2", "a=1").as_deref(),
        Some("https://files.example/?gclid=1&X-Amz-Signature=2")
    );
}

#[test]
fn refresh_to_a_tracker_is_dropped() {
    assert_eq!(through(&[("Refresh", "0; url=https://ad.doubleclick.net/x")], "a=1").header("refresh"), None);
    assert_eq!(through(&[("Refresh", "5; url=/next")], "a=1").header("refresh"), Some("5; url=/next"));
}
