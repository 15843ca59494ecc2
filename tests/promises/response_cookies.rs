//! Denied cookies never reach the browser; deletions always do; what the browser held already is erased.

use crate::support::client::request;
use crate::support::{Client, Origin, TestApp, consent, everything, get, respond_with, send, site};

const COOKIES: [(&str, &str); 5] = [
    ("Set-Cookie", "_ga=1; Path=/; Max-Age=63072000"),
    ("Set-Cookie", "PHPSESSID=2; HttpOnly"),
    ("set-cookie", "_fbp=3; Domain=shop.example"),
    ("SET-COOKIE", "csrftoken=4"),
    ("Set-Cookie", "mystery=5"),
];

#[test]
fn set_cookie_on_every_status_is_filtered() {
    for status in [200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 429, 500, 502, 503] {
        let fields: Vec<_> = COOKIES.into_iter().chain([("Location", "/next")]).collect();
        let origin = Origin::start(move |_| respond_with(status, &fields, "body"));
        let app = TestApp::start(&site(origin.address, ""));
        let response = get(app.address, "/", &[]);
        assert_eq!(response.status, status);
        assert_eq!(response.sets(), ["PHPSESSID", "csrftoken"], "{status}");
    }
}

#[test]
fn set_cookie_on_103_is_filtered() {
    let origin = Origin::start(|_| {
        let early = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: _ga=1\r\nSet-Cookie: PHPSESSID=2\r\nLink: <https://www.googletagmanager.com/gtm.js>; rel=preload, </a.css>; rel=preload\r\n\r\n";
        [early.as_bytes(), &respond_with(200, &COOKIES, "late")].concat()
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[]));
    let early = client.head().unwrap();
    assert_eq!(
        (early.status, early.sets(), early.header("link")),
        (103, vec!["PHPSESSID"], Some("</a.css>; rel=preload"))
    );
    let late = client.response(false).unwrap();
    assert_eq!((late.status, late.sets(), late.text()), (200, vec!["PHPSESSID", "csrftoken"], "late".to_owned()));
}

#[test]
fn set_cookie_order_and_case_survive_partial_removal() {
    let origin = Origin::with_headers(&COOKIES);
    let app = TestApp::start(&site(origin.address, ""));
    let response = get(app.address, "/", &[("Cookie", &consent("analytics"))]);
    assert_eq!(response.all("set-cookie"), ["_ga=1; Path=/; Max-Age=63072000", "PHPSESSID=2; HttpOnly", "csrftoken=4"]);
}

#[test]
fn with_everything_granted_the_bytes_are_the_upstreams() {
    let fields: Vec<_> = COOKIES
        .into_iter()
        .chain([
            ("Link", "<https://www.googletagmanager.com>; rel=preconnect"),
            ("Accept-CH", "DPR"),
            ("X-odd-Case", "1"),
        ])
        .collect();
    let origin = Origin::with_headers(&fields);
    let app = TestApp::start(&site(origin.address, ""));
    let direct = get(origin.address, "/", &[]);
    let through = get(app.address, "/", &[("Cookie", &everything())]);
    let comparable = |response: &crate::support::Response| -> Vec<_> {
        let own = |name: &str| ["date", "connection"].contains(&name.to_lowercase().as_str());
        response.headers.iter().filter(|(name, _)| !own(name)).cloned().collect()
    };
    let (mut direct_fields, mut through_fields) = (comparable(&direct), comparable(&through));
    direct_fields.sort();
    through_fields.sort();
    assert_eq!(through_fields, direct_fields);
    assert_eq!(through.all("set-cookie"), direct.all("set-cookie"));
    assert_eq!(through.body, direct.body);
}

#[test]
fn deletions_pass() {
    let lines = [
        ("Set-Cookie", "_ga=; Max-Age=0; Path=/"),
        ("Set-Cookie", "_fbp=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Set-Cookie", "_gid=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    let origin = Origin::with_headers(&lines);
    let app = TestApp::start(&site(origin.address, ""));
    assert_eq!(get(app.address, "/", &[]).all("set-cookie"), [lines[0].1, lines[1].1]);
}

#[test]
fn lifetimes_are_capped() {
    let origin = Origin::with_headers(&COOKIES);
    let app = TestApp::start(&site(origin.address, "max_age_days = { analytics = 30 }"));
    let response = get(app.address, "/", &[("Cookie", &consent("analytics"))]);
    assert_eq!(response.all("set-cookie")[0], "_ga=1; Path=/; Max-Age=2592000");
}

#[test]
fn unknown_cookies_live_no_longer_than_any() {
    let origin = Origin::with_headers(&[("Set-Cookie", "mystery=1; Max-Age=63072000")]);
    let app = TestApp::start(&site(origin.address, "max_age_days = { analytics = 30, marketing = 7 }"));
    assert_eq!(get(app.address, "/", &[("Cookie", &everything())]).all("set-cookie"), ["mystery=1; Max-Age=604800"]);
}

#[test]
fn cookies_the_browser_sent_are_erased_wherever_they_may_be() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start_with(
        "[server]\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.1\"]",
        &site(origin.address, ""),
    );
    let fields = [("Host", "www.shop.example"), ("X-Forwarded-Proto", "https"), ("Cookie", "_ga=1; PHPSESSID=2")];
    let response = get(app.address, "/a/b?c=d", &fields);
    let deletions = response.deletions("_ga").join("\n");
    for place in [
        "Path=/; Secure; SameSite=None",
        "Path=/; Domain=shop.example; Secure; SameSite=None",
        "Path=/; Domain=www.shop.example; Secure; SameSite=None",
        "Path=/; Secure; SameSite=None; Partitioned",
        "Path=/a; Domain=shop.example; Secure; SameSite=None",
        "Path=/a/b; Secure; SameSite=None",
    ] {
        assert!(deletions.lines().any(|line| line.ends_with(place)), "{place} in\n{deletions}");
    }
    assert!(response.deletions("PHPSESSID").is_empty());
    assert!(
        get(app.address, "/a.png", &[("Sec-Fetch-Dest", "image"), ("Cookie", "_ga=1")]).all("set-cookie").is_empty()
    );
    assert!(get(app.address, "/", &[("Cookie", "PHPSESSID=2")]).all("set-cookie").is_empty());
}

#[test]
fn nameless_cookies_do_not_smuggle_a_name() {
    let origin =
        Origin::with_headers(&[("Set-Cookie", "=_ga=1"), ("Set-Cookie", "_fbp; Path=/"), ("Set-Cookie", " _gid =2")]);
    let app = TestApp::start(&site(origin.address, ""));
    assert!(get(app.address, "/", &[]).all("set-cookie").is_empty());
}

#[test]
fn set_cookie_in_trailers_is_dropped() {
    let origin = crate::support::http2::Http2Origin::start(vec![], vec![("set-cookie", "_ga=1"), ("grpc-status", "0")]);
    let app = TestApp::start(&site(origin.address, "").replace("http://", "h2c://"));
    let request = http::Request::post(format!("http://{}/", app.address)).body(()).unwrap();
    let response = crate::support::http2::send(app.address, request, Some(b"ping".to_vec())).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"ping"[..]));
    let trailers = response.trailers.expect("trailers arrive");
    assert!(trailers.get("grpc-status").is_some_and(|status| status == "0") && trailers.get("set-cookie").is_none());
}

#[test]
fn what_depends_on_consent_is_not_shared() {
    for (cache_control, expected) in [
        ("public, max-age=600, s-maxage=900", "private, max-age=600"),
        ("no-store", "no-store"),
        ("private, max-age=5", "private, max-age=5"),
    ] {
        let fields = [("Cache-Control", cache_control), ("Set-Cookie", "_ga=1"), ("Surrogate-Control", "max-age=9")];
        let origin = Origin::with_headers(&fields);
        let app = TestApp::start(&site(origin.address, ""));
        let refused = get(app.address, "/", &[]);
        assert_eq!(refused.all("cache-control"), [expected]);
        assert_eq!(refused.header("surrogate-control"), None);
        let granted = get(app.address, "/", &[("Cookie", &everything())]);
        assert_eq!(granted.all("cache-control"), [expected], "a cache would hand the cookie to others");
    }
    let origin = Origin::with_headers(&[("Cache-Control", "public, max-age=600"), ("Vary", "X-Consent-Purposes")]);
    let app = TestApp::start(&site(origin.address, ""));
    let response = get(app.address, "/", &[]);
    assert_eq!(
        (response.header("cache-control"), response.header("vary")),
        (Some("private, max-age=600"), Some("X-Consent-Purposes, Cookie, Sec-GPC"))
    );
    let origin = Origin::with_headers(&[("Cache-Control", "public, max-age=600"), ("Set-Cookie", "PHPSESSID=1")]);
    let app = TestApp::start(&site(origin.address, ""));
    assert_eq!(
        get(app.address, "/", &[]).header("cache-control"),
        Some("public, max-age=600"),
        "nothing depends on consent"
    );
}

#[test]
fn head_has_the_same_cookies_as_get() {
    let origin = Origin::start(|request| {
        let response = respond_with(200, &COOKIES, "body");
        if request.method == "HEAD" { response[..response.len() - 4].to_vec() } else { response }
    });
    let app = TestApp::start(&site(origin.address, ""));
    let (head, get) = (send(app.address, request("HEAD", "/", &[])), get(app.address, "/", &[]));
    assert_eq!(head.all("set-cookie"), get.all("set-cookie"));
    assert_eq!(head.header("content-length"), get.header("content-length"));
}
