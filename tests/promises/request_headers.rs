//! What else the upstream is told about a visitor.

use crate::support::{Origin, TestApp, consent, everything, get, site};

fn received(target: &str, fields: &[(&str, &str)], sections: &str) -> crate::support::Request {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start_with(sections, &site(origin.address, ""));
    get(app.address, target, fields);
    origin.last()
}

#[test]
fn click_ids_are_removed_and_nothing_else() {
    let target = |asked: &str, cookie: &str| received(asked, &[("Cookie", cookie)], "").target;
    assert_eq!(target("/p?gclid=1&q=a+b%20c&fbclid=2&utm_source=x", "a=1"), "/p?q=a+b%20c&utm_source=x");
    assert_eq!(target("/p?gclid=1", "a=1"), "/p");
    assert_eq!(target("/p?gclid=1&q=2", &everything()), "/p?gclid=1&q=2");
    assert_eq!(target("/f?gclid=1&X-Amz-Signature=s", "a=1"), "/f?gclid=1&X-Amz-Signature=s", "signed");
    assert_eq!(target("/cb?code=1&state=2&unknown=3", "a=1"), "/cb?code=1&state=2&unknown=3");
    assert_eq!(target("/p?gcl%69d=1&a=2", "a=1"), "/p?a=2");
    let referer = [("Referer", "https://shop.example/p?gclid=1&q=2")];
    assert_eq!(received("/style.css", &referer, "").header("referer"), Some("https://shop.example/p?q=2"));
}

#[test]
fn consent_is_told_and_cannot_be_forged() {
    let forged = ("X-Consent-Purposes", "necessary,marketing");
    let told = |cookie: &str, gpc: &str| {
        let fields = [("x-consent-purposes", "marketing"), forged, ("Cookie", cookie), ("Sec-GPC", gpc)];
        let request = received("/", &fields, "");
        assert_eq!(request.all("x-consent-purposes").len(), 1);
        request.header("x-consent-purposes").unwrap().to_owned()
    };
    assert_eq!(told("a=1", "0"), "necessary");
    assert_eq!(told(&consent("analytics"), "0"), "necessary,analytics");
    assert_eq!(told(&everything(), "0"), "necessary,preferences,analytics,marketing");
    assert_eq!(told(&everything(), "1"), "necessary,preferences,analytics");
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, "mode = \"off\""));
    get(app.address, "/", &[forged]);
    assert_eq!(origin.last().header("x-consent-purposes"), None, "nor where nothing is decided");
}

#[test]
fn forwarded_fields_are_right() {
    let forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
    ];
    let stranger = received("/", &forged, "");
    let of = |name: &str| stranger.all(name).join("|");
    assert_eq!(
        (of("x-forwarded-for"), of("x-forwarded-proto"), of("x-forwarded-host")),
        ("127.0.0.1".into(), "http".into(), "shop.example".into())
    );
    assert_eq!((of("forwarded"), of("x-real-ip")), (String::new(), String::new()));
    let trusted = received("/", &forged, "[server]\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.0/8\"]");
    let of = |name: &str| trusted.all(name).join("|");
    assert_eq!(
        (of("x-forwarded-for"), of("x-forwarded-proto"), of("x-forwarded-host")),
        ("6.6.6.6, 127.0.0.1".into(), "https".into(), "evil".into())
    );
    assert_eq!(of("forwarded"), "for=6.6.6.6, for=127.0.0.1");
}

#[test]
fn the_upstream_is_told_no_more_of_the_address_than_the_site_says() {
    let trusted = "[server]\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.0/8\"]";
    for (setting, visitor, expected) in [
        ("full", "203.0.113.77", "203.0.113.77, 127.0.0.1"),
        ("truncated", "203.0.113.77", "203.0.113.0"),
        ("truncated", "6.6.6.6, 2001:db8:1:2::3", "2001:db8:1::"),
        ("none", "203.0.113.77", ""),
    ] {
        let origin = Origin::with_headers(&[]);
        let app = TestApp::start_with(trusted, &site(origin.address, &format!("forward_client_ip = \"{setting}\"")));
        let forwarded = [("X-Real-IP", visitor), ("Forwarded", "for=203.0.113.77"), ("CF-Connecting-IP", visitor)];
        get(app.address, "/", &[&forwarded[..], &[("X-Forwarded-For", visitor)]].concat());
        let request = origin.last();
        assert_eq!(request.all("x-forwarded-for").join("|"), expected, "{setting}");
        assert_eq!(request.header("x-forwarded-proto"), Some("http"));
        for (name, _) in forwarded {
            assert_eq!(request.header(name).is_some(), setting == "full", "{setting} {name}");
        }
    }
}

#[test]
fn advertising_fields_are_not_passed_on() {
    let fields = [("Sec-Browsing-Topics", "(1);v=chrome.1"), ("Attribution-Reporting-Eligible", "event-source")];
    let refused = received("/", &fields, "");
    assert_eq!((refused.header("sec-browsing-topics"), refused.header("attribution-reporting-eligible")), (None, None));
    let cookie = everything();
    let granted = received("/", &[fields[0], fields[1], ("Cookie", &cookie)], "");
    assert!(
        granted.header("sec-browsing-topics").is_some() && granted.header("attribution-reporting-eligible").is_some()
    );
}
