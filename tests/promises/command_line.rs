//! `check`, `explain`, and what the program says when it is used wrongly.

use std::process::{Command, Output};

use crate::support::{TestApp, consent, site};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn written(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consentry.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    (directory, path)
}

fn valid() -> (tempfile::TempDir, String) {
    written(&TestApp::configuration("", &site(([127, 0, 0, 1], 3000).into(), "mode = \"enforce\"")))
}

#[test]
fn check_says_valid_and_exits_zero() {
    let (_directory, path) = valid();
    let output = run(&["check", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.contains("valid: 1 site,")
            && said.contains("shop (enforce): *")
            && said.contains("by a restart only: [listen]"),
        "{said}"
    );
}

#[test]
fn check_lists_all_errors_and_exits_78() {
    let (_directory, path) =
        written("[listen]\ntraffic = [\"nowhere\"]\n[[site]]\nname = \"a b\"\nhosts = []\nupstrem = 1\n");
    let output = run(&["check", &path]);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    for part in [
        ":2:12: error: `nowhere`",
        ":4:8: error: `a b`",
        ":6:1: error: unknown key `upstrem`",
        "did you mean `upstream`?",
        "has no hosts",
        "cannot be used",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    let output = run(&["check", "--format", "json", &path]);
    assert_eq!(output.status.code(), Some(78));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["valid"], false);
    let diagnostics = result["diagnostics"].as_array().unwrap();
    assert!(
        diagnostics.len() >= 4
            && diagnostics.iter().all(|d| d["file"].is_string() && d["line"].is_u64() && d["message"].is_string())
    );
}

#[test]
fn a_missing_file_and_wrong_usage_have_their_codes() {
    let output = run(&["check", "/no/such/file.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("cannot be read"));
    assert_eq!(run(&["run", "--config", "/no/such/file.toml"]).status.code(), Some(78));
    assert_eq!(run(&["fly"]).status.code(), Some(2));
    assert_eq!(run(&["run"]).status.code(), Some(2));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn explain_shows_each_step() {
    let (_directory, path) = valid();
    let cookie = format!("Cookie: _ga=1; PHPSESSID=2; mystery=3; {}", consent("analytics"));
    let output = run(&[
        "explain",
        "--config",
        &path,
        "--url",
        "https://shop.example/g/collect?v=2&tid=G-1&gclid=x",
        "--header",
        &cookie,
        "--header",
        "Sec-GPC: 1",
        "--set-cookie",
        "_fbp=1; Max-Age=60",
        "--set-cookie",
        "_ga=; Max-Age=0",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in [
        "signal    consentry (explicit): grants necessary, analytics; denies preferences, marketing; it counts",
        "consent   necessary, analytics (source: consentry)",
        "request https://shop.example/g/collect?v=2&tid=G-1&gclid=x: allowed; analytics; rule `",
        "cookie _ga: allowed; analytics; rule `_ga` of Google Analytics (built-in catalog/analytics.toml:",
        "cookie PHPSESSID: allowed; necessary; rule `PHPSESSID`",
        "cookie mystery: denied, stripped from the request; unknown purpose; no rule knows it",
        "cookie consentry: allowed; necessary; rule `consentry`",
        "click id gclid: denied, removed from the query; marketing",
        "set-cookie _fbp: denied, dropped from the response; marketing; rule `_fbp`",
        "set-cookie _ga: allowed, because it deletes",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[test]
fn explain_says_why_a_consent_does_not_count() {
    let (_directory, path) = valid();
    let explain = |cookie: &str| {
        text(&run(&["explain", "--config", &path, "--url", "https://shop.example/", "-H", cookie]).stdout)
    };
    assert!(explain("Cookie: consentry=1~analytics~~1000~r").contains("ignored: older than the site's validity"));
    assert!(explain("Cookie: consentry=true").contains("malformed"));
    let observe = written(&TestApp::configuration("", &site(([127, 0, 0, 1], 3000).into(), "mode = \"observe\"")));
    let said = text(
        &run(&["explain", "--config", &observe.1, "--url", "https://shop.example/", "-H", "Cookie: _ga=1"]).stdout,
    );
    assert!(said.contains("cookie _ga: would be denied, stripped from the request (only observed)"), "{said}");
    let output = run(&["explain", "--config", &path, "--url", "nonsense"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn health_asks_a_running_proxy() {
    let app = TestApp::start(&site(([127, 0, 0, 1], 3000).into(), ""));
    assert_eq!(run(&["health", "--admin", &app.admin.to_string()]).status.code(), Some(0));
    let _blocker = app.readiness().block("testing");
    let output = run(&["health", "--admin", &app.admin.to_string()]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "not ready: testing\n".to_owned()));
    assert_eq!(run(&["health", "--admin", "127.0.0.1:1"]).status.code(), Some(1));
}

#[test]
fn explain_names_the_filter_list() {
    let section = "[[filter_list]]\npath = \"list.txt\"\npurpose = \"analytics\"\n";
    let (directory, path) = written(&TestApp::configuration(section, &site(([127, 0, 0, 1], 3000).into(), "")));
    std::fs::write(directory.path().join("list.txt"), "||listed.example^$image\n").unwrap();
    let explain = |more: &[&str]| {
        let fixed = ["explain", "--config", &path, "--url", "https://listed.example/x", "-H", "Host: shop.example"];
        text(&run(&[&fixed[..], more].concat()).stdout)
    };
    let said = explain(&["--kind", "image"]);
    let expected =
        "request https://listed.example/x: denied, taken out of responses; analytics; rule `list.txt` (list.txt)";
    assert!(said.contains(expected), "{said}");
    let said = explain(&[]);
    assert!(said.contains("https://listed.example/x: allowed, no rule knows it"), "{said}");
}

/// A session as Chromium's developer tools export it: a page, a pixel of a tracker in it, a choice in the banner, and
/// the page again.
fn recording() -> serde_json::Value {
    let field = |name: &str, value: &str| serde_json::json!({ "name": name, "value": value });
    let entry = |second: u32, url: &str, kind: &str, request: Vec<serde_json::Value>, set: &str| {
        let response: Vec<_> =
            Some(set).filter(|set| !set.is_empty()).map(|set| field("set-cookie", set)).into_iter().collect();
        serde_json::json!({
            "startedDateTime": format!("2026-03-02T09:15:{second}.120Z"),
            "_resourceType": kind,
            "request": { "method": "GET", "url": url, "httpVersion": "http/2.0", "headers": request, "cookies": [], "queryString": [] },
            "response": { "status": 200, "headers": response, "cookies": [] },
            "time": 12.5,
        })
    };
    let own = |cookies: &str| {
        let site = field("sec-fetch-site", "none");
        let cookies = Some(cookies).filter(|cookies| !cookies.is_empty()).map(|cookies| field("cookie", cookies));
        [field(":authority", "shop.example"), site].into_iter().chain(cookies).collect::<Vec<_>>()
    };
    let foreign = || vec![field("Referer", "https://shop.example/"), field("sec-fetch-site", "cross-site")];
    let chosen =
        "OptanonConsent=groups=C0002%3A1%2CC0004%3A0; OptanonAlertBoxClosed=2026-03-02T09:15:20.120Z; _ga=1; _fbp=2";
    serde_json::json!({ "log": { "version": "1.2", "creator": { "name": "WebInspector", "version": "537.36" }, "entries": [
        entry(10, "https://shop.example/?q=secret&gclid=7", "document", own(""), "_ga=1; Path=/\n_fbp=2; Path=/\nPHPSESSID=3"),
        entry(11, "https://www.google-analytics.com/g/collect?v=2", "ping", foreign(), ""),
        entry(12, "https://cdn.nobody.example/a.css", "stylesheet", foreign(), ""),
        entry(30, "https://shop.example/cart#top", "document", own(chosen), ""),
        entry(31, "https://www.google-analytics.com/g/collect?v=2", "ping", foreign(), ""),
    ] } })
}

#[test]
fn explain_tells_a_recorded_session() {
    let (directory, path) = valid();
    let har = directory.path().join("session.har");
    std::fs::write(&har, recording().to_string()).unwrap();
    let output = run(&["explain", "--config", &path, "--har", har.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let mut rest = said.as_str();
    for part in [
        "GET https://shop.example/\n  site      shop",
        "  signal    none\n",
        "  consent   necessary (source: default)",
        "  click id gclid: denied, removed from the query; marketing",
        "  set-cookie _ga: denied, dropped from the response; analytics",
        "  set-cookie _fbp: denied, dropped from the response; marketing",
        "GET https://www.google-analytics.com/g/collect\n",
        "  request https://www.google-analytics.com/g/collect: denied, taken out of responses; analytics",
        "GET https://shop.example/cart\n",
        "  signal    onetrust (explicit): grants analytics; denies marketing; it counts",
        "  consent   necessary, analytics (source: onetrust)",
        "  cookie _fbp: denied, stripped from the request; marketing",
        "5 requests, 0 of them to hosts of no site; consent changed 1 times; denied:\n",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} in order in\n{said}"));
        rest = &rest[at..];
    }
    assert!(!said.contains("secret") && !said.contains("cookie _ga: denied, stripped"), "{said}");
    assert_eq!(said.matches("GET https://www.google-analytics.com").count(), 1, "the second was granted: {said}");
}

#[test]
fn explain_says_what_is_wrong_with_a_recording() {
    let (directory, path) = valid();
    let har = directory.path().join("session.har");
    for (content, word) in [("{", "no HTTP archive"), ("{\"log\":{}}", "no HTTP archive: missing field `entries`")] {
        std::fs::write(&har, content).unwrap();
        let output = run(&["explain", "--config", &path, "--har", har.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
    assert_eq!(run(&["explain", "--config", &path]).status.code(), Some(2));
    let both = run(&["explain", "--config", &path, "--har", "x", "--url", "https://shop.example/"]);
    assert_eq!(both.status.code(), Some(2));
}
