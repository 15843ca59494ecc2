//! What comes from outside cannot take the proxy down, hold it up, or make two servers read one request differently.

use std::time::{Duration, Instant};

use crate::support::client::request;
use crate::support::{Client, Origin, TestApp, eventually, get, send, site};

fn shop(limits: &str) -> (Origin, TestApp) {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start_with(&format!("[limits]\n{limits}"), &site(origin.address, ""));
    (origin, app)
}

#[test]
fn http11_without_host_is_400() {
    let (origin, app) = shop("");
    assert_eq!(send(app.address, "GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(send(app.address, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n").status, 400);
    assert_eq!(origin.count(), 0);
}

#[test]
fn cl_and_te_is_400_in_strict() {
    let (origin, app) = shop("");
    let smuggle = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(send(app.address, smuggle).status, 400);
    let bare = "GET / HTTP/1.1\nHost: a\n\n";
    assert_eq!(send(app.address, bare).status, 400);
    for odd in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    ] {
        let mut client = Client::connect(app.address);
        client.write(odd);
        let status = client.response(false).map_or(0, |response| response.status);
        assert!(matches!(status, 0 | 400..500), "{odd:?} got {status}");
    }
    assert_eq!(origin.count(), 0);
    app.expect_metric("consentry_rejected_total{reason=\"malformed\"}", 3.0);
}

#[test]
fn header_section_over_limit_is_431() {
    let (origin, app) = shop("header_bytes = 4096");
    let fits = "x".repeat(3000);
    assert_eq!(get(app.address, "/", &[("X-Large", &fits)]).status, 200);
    let large = "x".repeat(10_000);
    assert_eq!(get(app.address, "/", &[("X-Large", &large)]).status, 431);
    assert_eq!(origin.count(), 1);
    app.expect_metric("consentry_rejected_total{reason=\"header_too_large\"}", 1.0);
}

#[test]
fn chunked_body_over_limit_is_413() {
    let origin = Origin::start(|request| crate::support::respond(200, &request.body.len().to_string()));
    let app = TestApp::start_with("[limits]\nbody_bytes = 10000\n", &site(origin.address, ""));
    let announced = request("POST", "/", &[("Content-Length", "10001")]);
    assert_eq!(send(app.address, announced).status, 413);
    let mut client = Client::connect(app.address);
    client.write(request("POST", "/", &[("Transfer-Encoding", "chunked")]));
    for _ in 0..20 {
        client.try_write(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    }
    client.try_write("0\r\n\r\n");
    assert_eq!(client.response(false).map(|response| response.status), Some(413));
    assert_eq!(
        send(app.address, request("POST", "/", &[("Content-Length", "9000")]) + &"x".repeat(9000)).text(),
        "9000"
    );
}

#[test]
fn slow_drip_headers_hit_total_deadline() {
    let (_origin, app) = shop("header_seconds = 1");
    let mut client = Client::connect(app.address);
    let begin = Instant::now();
    client.write("GET / HTTP/1.1\r\nHost: shop.example\r\n");
    while begin.elapsed() < Duration::from_secs(5)
        && client.try_write("X-A: b\r\n")
        && begin.elapsed() < Duration::from_millis(1300)
    {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.response(false).map(|response| response.status), Some(408));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn idle_keepalive_connection_is_closed() {
    let (_origin, app) = shop("idle_seconds = 1");
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[]));
    assert_eq!(client.response(false).unwrap().status, 200);
    let begin = Instant::now();
    assert!(client.is_closed());
    assert!((Duration::from_millis(500)..Duration::from_secs(4)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    let mut silent = Client::connect(app.address);
    assert!(silent.is_closed(), "also one that never says anything");
}

#[test]
fn connections_are_bounded() {
    let (_origin, app) = shop("connections = 3");
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Client::connect(app.address);
            client.write(request("GET", "/", &[]));
            client.response(false).unwrap();
            client
        })
        .collect();
    assert!(Client::connect(app.address).is_closed());
    assert!(app.metric("consentry_rejected_total{reason=\"too_many_connections\"}") >= 1.0);
    drop(held);
    eventually("there is room again", || {
        let mut client = Client::connect(app.address);
        client.try_write(request("GET", "/", &[])) && client.response(false).is_some()
    });
}

#[test]
fn requests_of_one_connection_follow_each_other() {
    let (origin, app) = shop("requests_per_connection = 5");
    let mut client = Client::connect(app.address);
    let mut served = 0;
    while served < 20 && client.try_write(request("GET", "/", &[])) && client.response(false).is_some() {
        served += 1;
    }
    assert!((5..=6).contains(&served), "{served}");
    assert_eq!(origin.count(), served);
}

#[test]
fn unknown_hosts_are_refused() {
    let origin = Origin::with_headers(&[]);
    let sites = format!(
        "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\", \"*.shop.example\"]\nupstream = [\"http://{}\"]\n",
        origin.address
    );
    let app = TestApp::start(&sites);
    for (host, status) in [
        ("shop.example", 200),
        ("a.b.shop.example", 200),
        ("myshop.example", 421),
        ("example", 421),
        ("127.0.0.1", 421),
    ] {
        assert_eq!(get(app.address, "/", &[("Host", host)]).status, status, "{host}");
    }
}

#[test]
fn odd_header_bytes_pass_or_are_refused_but_never_grant_or_crash() {
    let (origin, app) = shop("");
    for cookie in [
        &b"\xff\xfe_ga=\x80; PHPSESSID=\xc3\xa9"[..],
        b";;;===;",
        b"_ga=\"a;b\"; \tPHPSESSID=1",
        b"consentry=1~\xff~~1~r; _ga=1",
    ] {
        let request = [b"GET / HTTP/1.1\r\nHost: a\r\nCookie: ".as_slice(), cookie, b"\r\n\r\n"].concat();
        assert_eq!(send(app.address, request).status, 200);
        let seen = origin.last().header("cookie").unwrap_or_default().to_owned();
        assert!(!seen.contains("_ga"), "{seen}");
    }
    app.expect_metric("consentry_panics_total", 0.0);
    app.expect_metric("consentry_requests_in_flight", 0.0);
}
