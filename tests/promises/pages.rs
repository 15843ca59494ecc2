//! Pages on the wire: framing, codings, validators, charsets, and what cannot be rewritten.

use std::io::{Read, Write};
use std::time::Duration;

use crate::support::client::request;
use crate::support::http2::{self, Http2Origin};
use crate::support::origin::read_request;
use crate::support::{Client, Origin, Response, TestApp, consent, everything, get, respond_with, send, site};

const PAGE: &str = "<!doctype html><html lang=en><head><title>x</title></head><body><img src=https://www.google-analytics.com/collect?v=1><p>end</p></body></html>";

/// What a browser sends when a visitor opens a page.
const OPEN: (&str, &str) = ("Accept", "text/html,*/*");

const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

fn serve(fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> (Origin, TestApp) {
    serve_at("", fields, body)
}

/// A site with more settings, whose origin always answers with this.
fn serve_at(extra: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> (Origin, TestApp) {
    let response = bytes(200, fields, body.as_ref());
    let origin = Origin::start(move |_| response.clone());
    let app = TestApp::start(&site(origin.address, extra));
    (origin, app)
}

fn bytes(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Reason\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn is_gated(text: &str) -> bool {
    text.contains("data-consentry-src=https://www.google-analytics.com") && text.ends_with("<p>end</p></body></html>")
}

fn rewrites(app: &TestApp, outcome: &str, count: f64) {
    app.expect_metric(&format!("consentry_rewrites_total{{outcome=\"{outcome}\",site=\"shop\"}}"), count);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn rewritten_response_is_chunked_and_connection_reusable() {
    let fields = [
        HTML,
        ("Accept-Ranges", "bytes"),
        ("Content-MD5", "x"),
        ("Digest", "sha-256=x"),
        ("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT"),
    ];
    let (origin, app) = serve(&fields, PAGE);
    let mut client = Client::connect(app.address);
    for _ in 0..3 {
        client.write(request("GET", "/", &[OPEN]));
        let response = client.response(false).unwrap();
        assert!(is_gated(&response.text()), "{}", response.text());
        assert!(response.text().contains("<head><script src=\"/.consentry/rules-"), "the guard comes first");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        for gone in ["content-length", "accept-ranges", "content-md5", "digest", "last-modified"] {
            assert_eq!(response.header(gone), None, "{gone}");
        }
        assert_eq!(response.header("cache-control"), Some("private"));
        assert_eq!(response.header("vary"), Some("Accept-Encoding, Cookie, Sec-GPC"));
    }
    assert_eq!(origin.count(), 3);
    rewrites(&app, "rewritten", 3.0);
}

#[test]
fn http10_client_gets_close_delimited_body() {
    let (_origin, app) = serve(&[HTML], PAGE);
    let mut client = Client::connect(app.address);
    client.write("GET / HTTP/1.0\r\nHost: shop.example\r\nAccept: text/html\r\n\r\n");
    let response = client.response(false).unwrap();
    assert!(response.closed && response.header("transfer-encoding").is_none());
    assert!(is_gated(&response.text()));
}

#[test]
fn a_page_in_which_everything_is_granted_is_untouched() {
    let (origin, app) = serve(&[HTML, ("ETag", "\"abc\"")], PAGE);
    let response = get(app.address, "/", &[OPEN, ("Cookie", &everything()), ("Accept-Encoding", "gzip, x-odd")]);
    assert_eq!(response.text(), PAGE);
    assert_eq!(response.header("content-length"), Some(PAGE.len().to_string().as_str()));
    assert_eq!(response.header("etag"), Some("\"abc\""));
    assert_eq!(origin.last().header("accept-encoding"), Some("gzip, x-odd"));
    let some = get(app.address, "/", &[OPEN, ("Cookie", &consent("analytics"))]);
    assert!(
        !some.text().contains("data-consentry-src") && some.text().contains("data-granted=\"necessary analytics\"")
    );
}

#[test]
fn with_the_bridge_a_page_in_which_everything_is_granted_gets_its_tag_and_nothing_else() {
    let odd = "<!DOCTYPE html><HTML><HEAD data-a='1'\t><title>x</title></HEAD ><body><img src=https://www.google-analytics.com/collect?v=1><script>x='https://connect.facebook.net/'</script></body>";
    for (fields, before, integrity) in [
        (&[HTML][..], odd, ""),
        (&[HTML, ("Content-Security-Policy", "script-src 'nonce-n'")], odd, " nonce=\"n\""),
        (&[HTML], "<p>a page without a head", ""),
    ] {
        let (origin, app) = serve_at("bridge = true", fields, before);
        let page = get(app.address, "/", &[OPEN, ("Cookie", &everything())]);
        let tag = page
            .text()
            .split_once("<script src=\"/.consentry/bridge-")
            .unwrap()
            .1
            .split_once("</script>")
            .unwrap()
            .0
            .to_owned();
        let tag = format!("<script src=\"/.consentry/bridge-{tag}</script>");
        assert!(tag.ends_with(&format!(".js\" async{integrity}></script>")), "{tag}");
        assert_eq!(page.text().replacen(&tag, "", 1), before);
        assert_eq!(page.header("cache-control"), Some("private"));
        assert_eq!(page.header("content-security-policy"), fields.get(1).map(|(_, policy)| *policy));
        assert_eq!(origin.last().header("accept-encoding"), None);
        let script = get(app.address, tag.split('"').nth(1).unwrap(), &[]);
        assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let short = get(app.address, "/.consentry/bridge.js", &[]);
        assert_eq!((&short.body, short.header("cache-control")), (&script.body, Some("public, max-age=300")));
        let some = get(app.address, "/", &[OPEN]).text();
        assert!(some.find("/guard-").unwrap() < some.find("/bridge-").unwrap(), "{some}");
    }
}

#[test]
fn with_the_bridge_a_page_in_which_everything_is_granted_is_never_refused() {
    let strict = "bridge = true\non_unrewritable = \"refuse\"";
    for fields in [
        &[HTML, ("Cache-Control", "no-transform")][..],
        &[HTML, ("Content-Encoding", "gzip, br")],
        &[("Content-Type", "text/html; charset=utf-16")],
    ] {
        let (_origin, app) = serve_at(strict, fields, PAGE);
        let granted = get(app.address, "/", &[OPEN, ("Cookie", &everything())]);
        assert_eq!((granted.status, granted.text()), (200, PAGE.to_owned()), "{fields:?}");
        let denied = get(app.address, "/", &[OPEN]);
        assert_ne!(denied.text(), PAGE, "{fields:?}");
    }
    let (_origin, app) = serve_at("bridge = true\nmode = \"observe\"", &[HTML, ("ETag", "\"abc\"")], PAGE);
    let observed = get(app.address, "/", &[OPEN, ("Cookie", &everything())]);
    assert_eq!((observed.text(), observed.header("etag")), (PAGE.to_owned(), Some("\"abc\"")));
}

#[test]
fn tail_flushed_once_when_h2_origin_ends_with_empty_frame_or_trailers() {
    for trailers in [vec![], vec![("x-trailer", "1")]] {
        let origin = Http2Origin::start(vec![("content-type", "text/html")], trailers);
        let app = TestApp::start(&site(origin.address, "").replace("http://", "h2c://"));
        // The page ends inside a script that is held, so there is a tail.
        let page = "<p>begin</p><script>x='www.google-analytics.com'</script";
        let post =
            http::Request::post(format!("http://{}/", app.address)).header("accept", "text/html").body(()).unwrap();
        let response = http2::send(app.address, post, Some(page.into())).unwrap();
        let text = String::from_utf8(response.body).unwrap();
        assert_eq!(text.matches("</script").count(), 3, "two of the guard, and the tail once: {text}");
        assert!(text.contains("type=\"text/plain\">x='www"), "{text}");
        let fields = [OPEN, ("Content-Length", "3")];
        let short = send(app.address, format!("{}abc", request("POST", "/", &fields)));
        assert_eq!(short.text(), "abc", "and to visitors by HTTP/1.1");
    }
}

#[test]
fn codings_are_read_and_written() {
    for (coding, body) in [
        ("gzip", gzip(PAGE.as_bytes())),
        ("x-gzip", gzip(PAGE.as_bytes())),
        ("zstd", zstd::encode_all(PAGE.as_bytes(), 1).unwrap()),
        ("br", {
            let mut coded = Vec::new();
            brotli::CompressorWriter::new(&mut coded, 4096, 5, 20).write_all(PAGE.as_bytes()).unwrap();
            coded
        }),
    ] {
        let (origin, app) = serve(&[HTML, ("Content-Encoding", coding), ("ETag", "\"e\"")], &body);
        let plain = get(app.address, "/", &[OPEN]);
        assert!(is_gated(&plain.text()), "{coding}: {}", plain.text());
        assert_eq!(plain.header("content-encoding"), None, "{coding}");
        let coded = get(app.address, "/", &[OPEN, ("Accept-Encoding", "gzip;q=0.5, br;q=0")]);
        assert_eq!(coded.header("content-encoding"), Some("gzip"), "{coding}");
        assert!(is_gated(&gunzip(&coded.body)), "{coding}");
        assert_eq!(
            origin.last().header("accept-encoding"),
            Some("identity"),
            "what is not compressed need not be read"
        );
        let passed = get(app.address, "/", &[OPEN, ("Cookie", &everything()), ("Accept-Encoding", coding)]);
        assert_eq!((passed.body, passed.headers.len() > 3), (body, true), "{coding}: granted, it passes as it came");
    }
    let (_origin, app) = serve(&[HTML, ("Content-Encoding", "x-odd")], PAGE);
    assert!(is_gated(&get(app.address, "/", &[OPEN]).text()), "browsers show what they cannot decode");
    let (_origin, app) = serve(&[HTML], PAGE);
    let script = [("Sec-Fetch-Dest", "empty"), ("Accept-Encoding", "gzip, dcb, zstd;q=0.1, dcz")];
    assert!(is_gated(&gunzip(&get(app.address, "/", &script).body)));
    assert_eq!(_origin.last().header("accept-encoding"), Some("gzip, zstd;q=0.1"), "others could not be read");
}

#[test]
fn corrupt_gzip_never_yields_raw_bytes_under_changed_headers() {
    let mut coded = gzip(PAGE.repeat(2000).as_bytes());
    let middle = coded.len() / 2;
    coded[middle..middle + 64].fill(0xff);
    let (_origin, app) = serve(&[HTML, ("Content-Encoding", "gzip")], &coded);
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[OPEN]));
    let mut received = Vec::new();
    client.stream().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    while let Some(line) = client.line() {
        received.push(line);
    }
    let text = received.join("\n");
    assert!(!text.contains('\u{fffd}'), "no coded bytes");
    assert!(!text.ends_with("\n0\n"), "and no end, so that nobody takes it for whole");
    rewrites(&app, "corrupt", 1.0);
}

#[test]
fn decompression_bomb_is_capped() {
    let coded = zstd::encode_all(&vec![b' '; 300 << 20][..], 1).unwrap();
    let (_origin, app) = serve(&[HTML, ("Content-Encoding", "zstd")], &coded);
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[OPEN]));
    client.head().unwrap();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut stream = client.stream();
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => size += count,
        }
    }
    assert!(size < 100 << 20, "{size} bytes came out");
    rewrites(&app, "bomb", 1.0);
}

#[test]
fn what_cannot_be_rewritten_is_passed_or_refused_and_counted() {
    let wide: Vec<u8> = PAGE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&b"\xff\xfe"[..], &wide].concat();
    let japanese = PAGE.replace("<title>", "<meta charset=iso-2022-jp><title>").into_bytes();
    let page = PAGE.as_bytes().to_vec();
    for (outcome, fields, body, before_header) in [
        ("coding", vec![HTML, ("Content-Encoding", "gzip, br")], page.clone(), true),
        ("no_transform", vec![HTML, ("Cache-Control", "no-transform")], page.clone(), true),
        ("charset", vec![("Content-Type", "text/html; charset=utf-16le")], wide, false),
        ("charset", vec![("Content-Type", "text/html")], marked, false),
        ("charset", vec![("Content-Type", "text/html")], japanese, false),
    ] {
        let (_origin, app) = serve(&[&fields[..], &[("Set-Cookie", "_ga=1")]].concat(), &body);
        let passed = get(app.address, "/", &[OPEN]);
        assert_eq!(passed.body, body, "{outcome}: it passes as it is");
        assert_eq!(passed.sets(), [] as [&str; 0], "{outcome}: cookies are for the header");
        rewrites(&app, outcome, 1.0);
        let (_origin, app) = serve_at("on_unrewritable = \"refuse\"", &fields, &body);
        let refused = get(app.address, "/", &[OPEN]);
        assert_eq!(refused.status == 502, before_header, "{outcome}");
        assert!(!refused.body.windows(6).any(|part| part == b"google"), "{outcome}: {}", refused.text());
        rewrites(&app, outcome, 1.0);
    }
}

#[test]
fn range_request_on_document_returns_200_and_full_rewrite() {
    let (origin, app) = serve(&[HTML], PAGE);
    let range = [("Range", "bytes=10-20"), ("If-Range", "\"x\"")];
    let response = get(app.address, "/", &[&range[..], &[("Sec-Fetch-Dest", "document")]].concat());
    assert!(response.status == 200 && is_gated(&response.text()));
    assert_eq!((origin.last().header("range"), origin.last().header("if-range")), (None, None));
    get(app.address, "/film", &[&range[..], &[("Sec-Fetch-Dest", "video")]].concat());
    assert_eq!(origin.last().header("range"), Some("bytes=10-20"), "what is no page may come in parts");
    let part = bytes(206, &[HTML, ("Content-Range", "bytes 0-5/100")], b"<img s");
    let origin = Origin::start(move |_| part.clone());
    let app = TestApp::start(&site(origin.address, ""));
    assert_eq!(get(app.address, "/", &[OPEN]).text(), "<img s");
    rewrites(&app, "partial", 1.0);
}

#[test]
fn etag_weakened_consistently_on_200_304_head() {
    let origin = Origin::start(|request| {
        let fields = [HTML, ("ETag", "\"abc\""), ("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT")];
        match request.header("if-none-match") {
            Some("W/\"abc\"" | "\"abc\"") => respond_with(304, &fields, ""),
            _ if request.method == "HEAD" => {
                let mut head = bytes(200, &fields, PAGE.as_bytes());
                head.truncate(head.len() - PAGE.len());
                head
            }
            _ => bytes(200, &fields, PAGE.as_bytes()),
        }
    });
    let app = TestApp::start(&site(origin.address, ""));
    let tag = |response: &Response| response.header("etag").unwrap().to_owned();
    let page = get(app.address, "/", &[OPEN]);
    let denied = tag(&page);
    assert!(denied.starts_with("W/\"abc-consentry-"), "{denied}");
    let head = send(app.address, request("HEAD", "/", &[OPEN]));
    let fields = |response: &Response| {
        let mut fields = response.headers.clone();
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
        fields.sort();
        fields
    };
    assert_eq!(fields(&head), fields(&page), "HEAD says what GET would");
    let again = get(
        app.address,
        "/",
        &[OPEN, ("If-None-Match", &denied), ("If-Modified-Since", "Tue, 24 Nov 2026 00:00:00 GMT")],
    );
    assert_eq!((again.status, tag(&again)), (304, denied.clone()), "the same choice: the browser's copy holds");
    assert_eq!(origin.last().header("if-modified-since"), None);
    let granted = everything();
    let all = get(app.address, "/", &[OPEN, ("If-None-Match", &denied), ("Cookie", &granted)]);
    assert_eq!((all.status, tag(&all)), (200, "\"abc\"".to_owned()), "another choice: another page");
    let some = get(
        app.address,
        "/",
        &[OPEN, ("If-None-Match", &format!("\"abc\", {denied}")), ("Cookie", &consent("analytics"))],
    );
    assert_eq!(some.status, 200);
    assert_ne!(tag(&some), denied);
    let withdrawn = get(app.address, "/", &[OPEN, ("If-None-Match", "\"abc\""), ("Cookie", &consent(""))]);
    assert_eq!(withdrawn.status, 200, "what was granted once does not come back");
    let same = get(app.address, "/", &[OPEN, ("If-None-Match", "\"abc\""), ("Cookie", &granted)]);
    assert_eq!(same.status, 304);
    app.reconfigure("", &site(origin.address, "[[site.tracker]]\nhost = \"t.example\"\npurpose = \"analytics\""));
    assert_eq!(get(app.address, "/", &[OPEN, ("If-None-Match", &denied)]).status, 200, "other rules: another page");
}

#[test]
fn a_browser_keeps_a_granted_page_only_as_long_as_the_choice() {
    let (_origin, app) = serve(&[HTML, ("Cache-Control", "private, max-age=600")], PAGE);
    let granted = get(app.address, "/", &[OPEN, ("Cookie", &everything())]);
    assert_eq!(granted.header("vary"), Some("Cookie, Sec-GPC"));
    assert_eq!(granted.text(), PAGE);
}

#[test]
fn a_page_that_comes_slowly_is_shown_as_it_comes() {
    for (coding, kind) in [("", "text/html; charset=utf-8"), ("", "text/html"), ("gzip", "text/html")] {
        let origin = Origin::scripted(move |mut reader| {
            while read_request(&mut reader).is_some() {
                let stream = reader.get_mut();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .unwrap();
                for part in ["<p>first</p><img src=//www.google-analytics.com/c>", "<p>second</p>", "<script>1"] {
                    write!(stream, "{:x}\r\n{part}\r\n", part.len()).unwrap();
                    std::thread::sleep(Duration::from_millis(400));
                }
                write!(stream, "9\r\n</script>\r\n0\r\n\r\n").unwrap();
            }
        });
        let app = TestApp::start(&site(origin.address, ""));
        let mut client = Client::connect(app.address);
        client.write(request("GET", "/", &[OPEN, ("Accept-Encoding", coding)]));
        client.head().unwrap();
        let begin = std::time::Instant::now();
        let first = client.chunk().unwrap();
        assert!(begin.elapsed() < Duration::from_millis(300), "the first part did not wait for the second");
        if coding.is_empty() {
            assert!(String::from_utf8_lossy(&first).contains("<p>first</p><img data-consentry"), "{coding} {kind}");
            assert_eq!(client.chunk().unwrap(), b"<p>second</p>");
            assert_eq!(client.chunk().unwrap(), b"<script>1</script>", "a script is judged whole");
        }
    }
}

#[test]
fn pages_of_every_status_and_method_count() {
    for status in [200, 201, 401, 403, 404, 500, 503] {
        let response = bytes(status, &[HTML], PAGE.as_bytes());
        let origin = Origin::start(move |_| response.clone());
        let app = TestApp::start(&site(origin.address, ""));
        assert!(is_gated(&get(app.address, "/", &[OPEN]).text()), "{status}");
        let post = send(app.address, format!("{}a=b", request("POST", "/", &[OPEN, ("Content-Length", "3")])));
        assert!(is_gated(&post.text()), "POST, {status}");
    }
    let (_origin, app) = serve(&[], PAGE);
    assert!(is_gated(&get(app.address, "/", &[OPEN]).text()), "without a Content-Type, as browsers look into it");
    let (_origin, app) = serve(&[], "{\"u\":\"<img src=https://www.google-analytics.com>\"}");
    assert_eq!(get(app.address, "/", &[OPEN]).text(), "{\"u\":\"<img src=https://www.google-analytics.com>\"}");
    for kind in ["application/json", "text/plain", "image/svg+xml", "text/event-stream"] {
        let (_origin, app) = serve(&[("Content-Type", kind)], PAGE);
        assert_eq!(get(app.address, "/", &[OPEN]).text(), PAGE, "{kind}");
    }
    let (_origin, app) = serve(&[HTML, ("Content-Disposition", "attachment; filename=page.html")], PAGE);
    assert_eq!(get(app.address, "/", &[OPEN]).text(), PAGE, "a file is not shown");
}

#[test]
fn what_a_script_fetches_is_gated_and_gets_the_guard_only_if_it_is_a_page() {
    let by_script = [("Sec-Fetch-Dest", "empty")];
    let (_origin, app) = serve(&[HTML], "<li><img src=//www.google-analytics.com/c></li>");
    let piece = get(app.address, "/", &by_script).text();
    assert!(piece.starts_with("<li><img data-consentry=\"analytics\""), "{piece}");
    let (_origin, app) = serve(&[HTML], PAGE);
    assert!(get(app.address, "/", &by_script).text().contains("/guard-"), "it may be kept, and shown as a page");
}

#[test]
fn xhtml_is_gated() {
    let page = "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title/></head><body><script src=\"//www.google-analytics.com/a.js\"/><p>x</p></body></html>";
    let (_origin, app) = serve(&[("Content-Type", "application/xhtml+xml")], page);
    let text = get(app.address, "/", &[OPEN]).text();
    assert!(text.contains("data-consentry-src=\"//www.google-analytics.com/a.js\"/><p>x</p>"), "{text}");
}

#[test]
fn observing_counts_and_changes_nothing() {
    for (coding, body) in
        [("identity", PAGE.as_bytes().to_vec()), ("gzip", gzip(PAGE.as_bytes())), ("x-odd", b"??".to_vec())]
    {
        let fields = [
            HTML,
            ("Content-Encoding", coding),
            ("ETag", "\"abc\""),
            ("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT"),
        ];
        let (origin, app) = serve_at("mode = \"observe\"", &fields, &body);
        let response = get(
            app.address,
            "/",
            &[OPEN, ("Accept-Encoding", "gzip"), ("Range", "bytes=0-"), ("If-None-Match", "\"x\"")],
        );
        assert_eq!(response.body, body, "{coding}");
        let names: Vec<_> = response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(
            names,
            ["content-type", "content-encoding", "etag", "last-modified", "content-length", "date", "connection"]
        );
        assert_eq!(origin.last().header("range"), Some("bytes=0-"));
        assert_eq!(origin.last().header("if-none-match"), Some("\"x\""));
        if coding != "x-odd" {
            rewrites(&app, "observed", 1.0);
            app.expect_metric(
                "consentry_elements_total{action=\"would_block\",purpose=\"analytics\",site=\"shop\"}",
                1.0,
            );
        }
    }
}

#[test]
fn a_page_that_is_cut_off_stays_cut_off() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1000\r\n\r\n";
        write!(reader.get_mut(), "{head}<p>begin</p><img src=//www.goo").unwrap();
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[OPEN]));
    client.head().unwrap();
    let first = String::from_utf8(client.chunk().unwrap()).unwrap();
    assert!(first.ends_with("<p>begin</p>"), "{first}");
    assert!(client.is_closed(), "no end that would make it look whole");
}

#[test]
fn a_page_of_100_megabytes_and_one_that_never_ends_pass_in_little_memory() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let stream = reader.get_mut();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n").unwrap();
        let row =
            "<tr><td style=\"color:red\">text</td><td><img src=//www.google-analytics.com/c></td></tr>\n".repeat(700);
        // Until the visitor has had enough.
        while stream.write_all(row.as_bytes()).is_ok() {}
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[OPEN]));
    client.head().unwrap();
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() >> 10
    };
    let before = memory();
    let (mut size, mut leaked) = (0, 0);
    while size < 100 << 20 {
        let chunk = client.chunk().unwrap();
        leaked += memchr::memmem::find_iter(&chunk, b"<img src").count();
        size += chunk.len();
    }
    assert_eq!(leaked, 0);
    // Only nextest gives each test a process of its own; in one with others, their memory would count.
    let alone = std::env::var_os("NEXTEST").is_some();
    assert!(!alone || memory() < before + 64, "from {before} to {} MiB", memory());
}
