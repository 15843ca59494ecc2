//! Denied cookies never reach the upstream; all others do, byte for byte.

use crate::support::client::request;
use crate::support::http2::{self, Http2Origin};
use crate::support::{Client, Origin, TestApp, consent, everything, get, respond, send, site};

/// The Cookie field that the origin sees when a visitor sends `cookies`.
fn seen(cookies: &[&str], extra: &str) -> Option<String> {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, extra));
    let fields: Vec<_> = cookies.iter().map(|line| ("Cookie", *line)).collect();
    assert_eq!(get(app.address, "/", &fields).status, 200);
    let last = origin.last();
    assert!(last.all("cookie").len() <= 1, "one field at most: {:?}", last.all("cookie"));
    last.header("cookie").map(str::to_owned)
}

#[test]
fn denied_cookies_are_stripped_and_the_rest_is_identical() {
    for (cookies, left) in [
        ("_ga=GA1.1.1.2; PHPSESSID=abc; _fbp=fb.1.2", Some("PHPSESSID=abc")),
        ("PHPSESSID=a=b==; csrftoken=\"q r\"", Some("PHPSESSID=a=b==; csrftoken=\"q r\"")),
        ("PHPSESSID=1;_ga=2;csrftoken=3", Some("PHPSESSID=1;csrftoken=3")),
        ("_GA=1; _Ga_X=2; PHPSESSID=1", Some("PHPSESSID=1")),
        (" _ga = 1 ; PHPSESSID = 1", Some("PHPSESSID = 1")),
        ("_ga=1; _ga=2; PHPSESSID=1; _ga=3", Some("PHPSESSID=1")),
        ("\"_ga\"=1; =_ga=2; PHPSESSID=1", Some("PHPSESSID=1")),
        ("_ga=1; _gid=2", None),
        ("Hm_lvt_abc=1; JSESSIONID=2; li_fat_id=3; acw_tc=4", Some("JSESSIONID=2; acw_tc=4")),
    ] {
        assert_eq!(seen(&[cookies], "").as_deref(), left, "{cookies}");
    }
}

#[test]
fn two_cookie_lines_on_h1_are_merged_and_filtered() {
    assert_eq!(seen(&["_ga=1; PHPSESSID=1", "_fbp=2; csrftoken=3"], "").as_deref(), Some("PHPSESSID=1; csrftoken=3"));
    assert_eq!(seen(&["PHPSESSID=1", "csrftoken=3"], "mode = \"off\"").as_deref(), Some("PHPSESSID=1; csrftoken=3"));
}

#[test]
fn h2_cookie_crumbs_are_merged_and_filtered() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    let crumbs = ["PHPSESSID=1", "_ga=2", "csrftoken=3", "_fbp=4"];
    let request = crumbs.iter().fold(http::Request::get(format!("http://{}/", app.address)), |request, crumb| {
        request.header("cookie", *crumb)
    });
    assert_eq!(http2::send(app.address, request.body(()).unwrap(), None).unwrap().status, 200);
    assert_eq!(origin.last().all("cookie"), ["PHPSESSID=1; csrftoken=3"]);
}

#[test]
fn cookies_are_filtered_towards_an_h2c_upstream() {
    let origin = Http2Origin::start(vec![("set-cookie", "_ga=1"), ("set-cookie", "PHPSESSID=2")], vec![]);
    let sites = site(origin.address, "").replace("http://", "h2c://");
    let app = TestApp::start(&sites);
    let response = get(app.address, "/", &[("Cookie", "_ga=1; PHPSESSID=2")]);
    assert_eq!(response.sets(), ["PHPSESSID"]);
    let received = origin.received();
    let cookies: Vec<_> = received[0].headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["PHPSESSID=2"]);
}

#[test]
fn four_thousand_cookies_are_filtered() {
    let names = |i: usize| if i.is_multiple_of(2) { format!("_ga_{i}=1") } else { format!("c_{i}=1") };
    let all: Vec<_> = (0..4000).map(names).collect();
    let kept: Vec<_> = all.iter().skip(1).step_by(2).cloned().collect();
    let extra = "[[site.cookie]]\nname = \"c_*\"\npurpose = \"necessary\"";
    assert_eq!(seen(&[&all.join("; ")], extra), Some(kept.join("; ")));
}

#[test]
fn with_consent_exactly_what_was_granted_passes() {
    let line = |consent: &str| format!("_ga=1; {consent}; _fbp=2; pll_language=de; PHPSESSID=3");
    let analytics = consent("analytics");
    assert_eq!(seen(&[&line(&analytics)], ""), Some(format!("_ga=1; {analytics}; PHPSESSID=3")));
    let all = everything();
    assert_eq!(seen(&[&line(&all)], ""), Some(line(&all)));
}

#[test]
fn unknown_cookies_follow_the_configuration() {
    assert_eq!(seen(&["mystery=1; PHPSESSID=2"], "").as_deref(), Some("PHPSESSID=2"));
    for setting in ["report", "allow"] {
        let extra = format!("unknown_cookies = \"{setting}\"");
        assert_eq!(seen(&["mystery=1; PHPSESSID=2"], &extra).as_deref(), Some("mystery=1; PHPSESSID=2"), "{setting}");
    }
    let known = "[[site.cookie]]\nname = \"myst*\"\npurpose = \"necessary\"";
    assert_eq!(seen(&["mystery=1"], known).as_deref(), Some("mystery=1"));
}

#[test]
fn operators_word_comes_before_the_catalogs() {
    let extra = "[[site.cookie]]\nname = \"_ga\"\npurpose = \"necessary\"\n[[site.cookie]]\nname = \"PHPSESSID\"\npurpose = \"marketing\"";
    assert_eq!(seen(&["_ga=1; PHPSESSID=2; _gid=3"], extra).as_deref(), Some("_ga=1"));
}

#[test]
fn retry_applies_cookie_policy_again() {
    // The first connection of a pooled pair dies after one answer; the request is sent again on another.
    let origin = Origin::start(|request| {
        if request.target == "/first" { [respond(200, "1").as_slice(), b""].concat() } else { respond(200, "2") }
    });
    let flaky = Origin::scripted({
        let upstream = origin.address;
        move |mut reader| {
            let Some(request) = crate::support::origin::read_request(&mut reader) else { return };
            // Answers once, then closes at the next request.
            let mut pass = Client::connect(upstream);
            let fields: Vec<_> = request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            pass.write(crate::support::client::request(&request.method, &request.target, &fields));
            pass.response(false);
            std::io::Write::write_all(reader.get_mut(), &respond(200, "ok")).unwrap();
            crate::support::origin::read_request(&mut reader);
        }
    });
    let app = TestApp::start_with("[server]\nthreads = 1\nlame_duck_seconds = 0", &site(flaky.address, ""));
    for target in ["/first", "/again", "/again", "/again"] {
        assert_eq!(get(app.address, target, &[("Cookie", "_ga=1; PHPSESSID=2")]).status, 200, "{target}");
    }
    assert!(origin.count() >= 4);
    assert!(origin.received().iter().all(|request| request.all("cookie") == ["PHPSESSID=2"]));
}

#[test]
fn upgrade_request_cannot_skip_cookie_policy() {
    let origin = Origin::scripted(|mut reader| {
        let request = crate::support::origin::read_request(&mut reader).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Seen: {}\r\nSet-Cookie: _ga=1\r\nSet-Cookie: PHPSESSID=2\r\n\r\n",
            request.header("cookie").unwrap_or("none")
        );
        std::io::Write::write_all(reader.get_mut(), answer.as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Cookie", "_ga=1; PHPSESSID=2")];
    client.write(request("GET", "/chat", &fields));
    let response = client.head().unwrap();
    assert_eq!((response.status, response.header("x-seen")), (101, Some("PHPSESSID=2")));
    assert_eq!(response.sets(), ["PHPSESSID"]);
}

#[test]
fn absolute_form_and_mixed_case_host_reach_same_verdict() {
    let origin = Origin::with_headers(&[]);
    let sites =
        format!("[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\nupstream = [\"http://{}\"]\n", origin.address);
    let app = TestApp::start(&sites);
    for head in [
        "GET / HTTP/1.1\r\nHost: shop.example\r\n",
        "GET / HTTP/1.1\r\nHost: SHOP.Example:8080\r\n",
        "GET / HTTP/1.1\r\nHost: shop.example.\r\n",
        "GET http://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n",
        "GET http://SHOP.example/ HTTP/1.1\r\nHost: SHOP.example\r\n",
    ] {
        let response = send(app.address, format!("{head}Cookie: _ga=1; PHPSESSID=2\r\n\r\n"));
        assert_eq!(response.status, 200, "{head}");
        assert_eq!(origin.last().all("cookie"), ["PHPSESSID=2"], "{head}");
    }
    let before = origin.count();
    for target in ["http://other.example/", "http://SHOP.example/"] {
        let refused = send(app.address, format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
        assert_eq!(refused.status, 400, "two spellings of the host in one request: {target}");
    }
    assert_eq!(get(app.address, "/", &[("Host", "other.example")]).status, 421);
    assert_eq!(origin.count(), before);
}
