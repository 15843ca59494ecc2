//! Tracker endpoints on the site's own host are answered here unless they are allowed.

use crate::support::client::request;
use crate::support::{Client, Origin, TestApp, consent, everything, get, send, site};

fn post(app: &TestApp, target: &str, fields: &[(&str, &str)], body: &str) -> crate::support::Response {
    let length = body.len().to_string();
    let fields: Vec<_> = fields.iter().copied().chain([("Content-Length", length.as_str())]).collect();
    send(app.address, request("POST", target, &fields) + body)
}

#[test]
fn tracker_requests_are_answered_in_the_kind_the_browser_expects() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    for (target, destination, status, content_type) in [
        ("/g/collect?v=2&tid=G-1", "empty", 204, None),
        ("/metrics/g/collect?v=2&tid=G-1", "image", 200, Some("image/gif")),
        ("/any/path?v=2&tid=G-ABCDEF&cid=1.2", "empty", 204, None),
        ("/gtm.js?id=GTM-ABC", "script", 200, Some("text/javascript")),
        ("/gtag/js?id=G-ABC", "script", 200, Some("text/javascript")),
        ("/matomo.php?idsite=1&rec=1", "image", 200, Some("image/gif")),
        ("/matomo.js", "script", 200, Some("text/javascript")),
        ("/ingest/e/?ip=1", "empty", 204, None),
        ("/b/ss/suite/1/JS-2.0/s1", "image", 200, Some("image/gif")),
        ("/cdn-cgi/rum", "empty", 204, None),
        ("/matomo.php?idsite=1&rec=1", "iframe", 200, Some("text/html; charset=utf-8")),
    ] {
        let response = get(app.address, target, &[("Sec-Fetch-Dest", destination)]);
        assert_eq!((response.status, response.header("content-type")), (status, content_type), "{target}");
        assert!(response.header("x-consentry").unwrap().starts_with("blocked; purpose="), "{target}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert_eq!(origin.count(), 0);
    let cookie = everything();
    assert_eq!(get(app.address, "/g/collect?v=2&tid=G-1", &[("Cookie", &cookie)]).text(), "hello");
    assert_eq!(origin.count(), 1);
}

#[test]
fn percent_encoded_and_dot_segment_tracker_path_is_blocked() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    for target in [
        "/%67/collect",
        "/g//collect",
        "/x/../g/./collect",
        "/g%2Fcollect",
        "/g/collect/../collect",
        "/p?v=2&t%69d=%47-ABCDEF&cid=1",
    ] {
        assert!(get(app.address, target, &[]).header("x-consentry").is_some(), "{target}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn payloads_tell_trackers_from_the_sites_own_interfaces() {
    let origin = Origin::start(|request| crate::support::respond(200, &String::from_utf8_lossy(&request.body)));
    let app = TestApp::start(&site(origin.address, ""));
    let plausible = r#"{"n":"pageview","u":"https://shop.example/","d":"shop.example","r":null}"#;
    assert_eq!(post(&app, "/api/event", &[], plausible).status, 204);
    let umami = r#"{"type":"event","payload":{"website":"0b1c","hostname":"shop.example","url":"/"}}"#;
    assert_eq!(post(&app, "/api/send", &[], umami).status, 204);
    assert_eq!(origin.count(), 0);
    let order = r#"{"order":17,"items":["lantern"]}"#;
    assert_eq!(post(&app, "/api/event", &[], order).text(), order, "what was read is handed on");
    for size in [60_000, 66_000, 140_000, 3_000_000] {
        let large: String = (0..size).map(|i| char::from(b'a' + u8::try_from(i % 23).unwrap())).collect();
        assert!(post(&app, "/api/event", &[], &large).text() == large, "{size}");
    }
    assert_eq!(post(&app, "/api/event", &[("Cookie", &everything())], plausible).text(), plausible);
}

#[test]
fn what_cannot_be_judged_is_denied() {
    let origin = Origin::start(|request| crate::support::respond(200, &String::from_utf8_lossy(&request.body)));
    let app = TestApp::start(&site(origin.address, ""));
    let plausible = r#"{"n":"pageview","u":"https://shop.example/","d":"shop.example"}"#;
    let spaced = "{ \"n\" : \"pageview\",\n \"u\" : \"https://shop.example/\", \"d\" : \"shop.example\" }";
    assert_eq!(post(&app, "/api/event", &[], spaced).status, 204, "white space in JSON");
    assert_eq!(post(&app, "/api/event", &[("Content-Encoding", "gzip")], "\x1f").status, 204, "compressed");
    let padded = format!("{plausible}{}", " ".repeat(90_000));
    assert_eq!(post(&app, "/api/event", &[], &padded).status, 204, "padded");
    let mut slow = Client::connect(app.address);
    slow.write(request("POST", "/api/event", &[("Content-Length", "65600")]) + &" ".repeat(100));
    std::thread::sleep(std::time::Duration::from_millis(200));
    slow.write(format!("{plausible}{}", " ".repeat(65_500 - plausible.len())));
    assert_eq!(slow.response(false).map(|response| response.status), Some(204), "so little came that it tells nothing");
    let chunked = |body: &str| {
        let head = request("POST", "/api/event", &[("Transfer-Encoding", "chunked")]);
        send(app.address, format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    };
    assert_eq!(chunked(plausible).status, 204);
    assert_eq!(origin.count(), 0);
    let order = r#"{"order":17}"#;
    assert_eq!(chunked(order).text(), order);
    let request = http::Request::post(format!("http://{}/api/event", app.address)).body(()).unwrap();
    let response = crate::support::http2::send(app.address, request, Some(plausible.into())).unwrap();
    assert_eq!((response.status, origin.count()), (204, 1), "of unknown length over HTTP/2");
}

#[test]
fn what_a_tracker_answers_is_not_shared() {
    let origin = Origin::with_headers(&[("Cache-Control", "public, max-age=28800")]);
    let app = TestApp::start(&site(origin.address, ""));
    let granted = get(app.address, "/matomo.js", &[("Cookie", &consent("analytics"))]);
    assert_eq!((granted.status, granted.header("cache-control")), (200, Some("private, max-age=28800")));
    assert_eq!(granted.header("vary"), Some("Cookie, Sec-GPC"), "the browser asks again after withdrawal");
}

#[test]
fn early_block_of_post_beacon_keeps_connection() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    for _ in 0..3 {
        client.write(
            request("POST", "/g/collect?v=2&tid=G-1", &[("Content-Length", "5"), ("Origin", "https://shop.example")])
                + "en=pv",
        );
        let blocked = client.response(false).unwrap();
        assert_eq!(blocked.status, 204);
        assert_eq!(blocked.header("access-control-allow-origin"), Some("https://shop.example"), "no console error");
        client.write(request("GET", "/", &[]));
        assert_eq!(client.response(false).unwrap().text(), "hello");
    }
}

#[test]
fn a_rule_that_depends_on_the_payload_hides_no_other() {
    let origin = Origin::start(|request| crate::support::respond(200, &String::from_utf8_lossy(&request.body)));
    let own = "[[site.tracker]]\npath = \"/api/event\"\nbody = [\"heartbeat\"]\npurpose = \"necessary\"";
    let app = TestApp::start(&site(origin.address, own));
    assert_eq!(post(&app, "/api/event", &[], "{\"heartbeat\":1}").status, 200);
    let plausible = r#"{"n":"pageview","u":"https://shop.example/","d":"shop.example"}"#;
    assert_eq!(post(&app, "/api/event", &[], plausible).status, 204);
}

#[test]
fn a_blocked_upload_that_waits_is_not_kept_waiting() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("POST", "/g/collect?v=2", &[("Content-Length", "9"), ("Expect", "100-continue")]));
    client.stream().set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    assert_eq!(client.response(false).map(|response| response.status), Some(204));
}

#[test]
fn operators_rules_for_hosts_and_paths() {
    let origin = Origin::with_headers(&[]);
    let rules = r#"
        [[site.tracker]]
        path = "/stats/*"
        purpose = "analytics"
        [[site.tracker]]
        host = "metrics.shop.example"
        purpose = "marketing"
        [[site.tracker]]
        path = "/matomo.js"
        purpose = "necessary"
    "#;
    let app = TestApp::start(&site(origin.address, rules));
    let blocked = |target: &str, host: &str, cookie: &str| {
        get(app.address, target, &[("Host", host), ("Cookie", cookie)]).header("x-consentry").map(str::to_owned)
    };
    assert_eq!(blocked("/stats/a", "shop.example", "a=1").as_deref(), Some("blocked; purpose=analytics"));
    assert_eq!(blocked("/stats/a", "shop.example", &consent("analytics")), None);
    assert_eq!(
        blocked("/x", "metrics.shop.example", &consent("analytics")).as_deref(),
        Some("blocked; purpose=marketing")
    );
    assert_eq!(blocked("/matomo.js", "shop.example", "a=1"), None, "the operator's word comes first");
}

#[test]
fn a_websocket_to_a_tracker_does_not_open() {
    let origin = Origin::with_headers(&[]);
    let app =
        TestApp::start(&site(origin.address, "[[site.tracker]]\npath = \"/live-stats\"\npurpose = \"analytics\""));
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    assert_eq!(get(app.address, "/live-stats", &fields).status, 403);
    assert_eq!(origin.count(), 0);
}
