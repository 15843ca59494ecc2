//! Content Security Policy: what is added, what an upstream's own keeps, and what browsers report.

use consentry::enforce::csp::{Admission, OwnResources, OwnScript, guard_admission};
use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::client::request;
use crate::support::{Origin, Response, TestApp, consent, eventually, everything, get, respond_with, send, site};

const POLICY: &str = "content-security-policy";
const REPORT_ONLY: &str = "content-security-policy-report-only";

const LISTED: &str = r#"csp_hosts = ["cdn.example", "*.img.example", "api.example:8443", "t.example"]
csp_vendors = ["stripe", "google_analytics", "youtube"]
[[site.tracker]]
host = "t.example"
purpose = "analytics"
"#;

fn page(extra: &str, fields: &'static [(&'static str, &'static str)], cookie: &str) -> Response {
    let origin = Origin::start(move |_| respond_with(200, fields, "<p>page"));
    let app = TestApp::start(&site(origin.address, extra));
    get(app.address, "/page", &[("Cookie", cookie), ("Accept", "text/html")])
}

const HTML: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8")];

fn has(policy: &str, source: &str) -> bool {
    policy.split([' ', ';']).any(|word| word == source)
}

#[test]
fn the_policy_follows_consent() {
    let extra = format!("mode = \"enforce\"\ncsp = \"enforce\"\n{LISTED}");
    let policy = |cookie: &str| page(&extra, HTML, cookie).header(POLICY).unwrap().to_owned();
    let (nothing, analytics, preferences) =
        (policy("a=1"), policy(&consent("analytics")), policy(&consent("preferences")));
    for (source, in_nothing, in_analytics, in_preferences) in [
        ("'self'", true, true, true),
        ("cdn.example", true, true, true),
        ("ws://cdn.example", true, true, true),
        ("*.img.example", true, true, true),
        ("api.example:8443", true, true, true),
        ("js.stripe.com", true, true, true),
        ("t.example", false, true, false),
        ("google-analytics.com", false, true, false),
        ("*.google-analytics.com", false, true, false),
        ("www.youtube.com", false, false, false),
        ("*.youtube.com", false, false, true),
        ("paypal.com", false, false, false),
        ("*", false, false, false),
    ] {
        assert_eq!(has(&nothing, source), in_nothing, "{source} in {nothing}");
        assert_eq!(has(&analytics, source), in_analytics, "{source} in {analytics}");
        assert_eq!(has(&preferences, source), in_preferences, "{source} in {preferences}");
    }
    assert!(nothing.contains("; form-action 'self' cdn.example"), "{nothing}");
    assert_eq!(page(&extra, HTML, &everything()).header(POLICY), None, "there is nothing to restrict");
}

#[test]
fn the_policy_is_for_pages() {
    let extra = "mode = \"enforce\"\ncsp = \"enforce\"\ncsp_vendors = []";
    let given = |fields| page(extra, fields, "a=1").header(POLICY).is_some();
    assert!(given(HTML) && given(&[("Content-Type", "application/xhtml+xml")]) && given(&[]));
    assert!(!given(&[("Content-Type", "application/json")]) && !given(&[("Content-Type", "image/svg+xml")]));
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, extra));
    let image = get(app.address, "/x", &[("Sec-Fetch-Dest", "image"), ("Accept", "image/webp,*/*")]);
    assert_eq!(image.header(POLICY), None);
    let off = page("mode = \"enforce\"", HTML, "a=1");
    assert_eq!((off.header(POLICY), off.header(REPORT_ONLY)), (None, None));
}

#[test]
fn an_upstreams_policy_keeps_every_byte_beside_it() {
    const OWN: &str = "default-src 'self' ; script-src 'nonce-a'  'strict-dynamic',img-src *";
    let response = page(
        "mode = \"enforce\"\ncsp = \"enforce\"\ncsp_vendors = []",
        &[
            ("Content-Type", "text/html"),
            ("Content-Security-Policy", OWN),
            ("Content-Security-Policy", "style-src 'self'"),
        ],
        "a=1",
    );
    let policies = response.all(POLICY);
    assert_eq!(policies[..2], [OWN, "style-src 'self'"]);
    assert_eq!(policies.len(), 3);
}

#[test]
fn a_page_with_a_policy_is_for_one_visitor() {
    const SHARED: &[(&str, &str)] = &[("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60")];
    let caching = |csp: &str, cookie: &str| {
        let extra = format!("mode = \"enforce\"\ncsp = \"{csp}\"\ncsp_vendors = []");
        page(&extra, SHARED, cookie).header("cache-control").unwrap().to_owned()
    };
    assert_eq!(caching("enforce", "a=1"), "private, max-age=60");
    assert_eq!(caching("enforce", &everything()), "private, max-age=60", "it has no policy because of consent");
    assert_eq!(caching("report", "PHPSESSID=1"), "private, max-age=60", "it is gated");
}

#[test]
fn reporting_and_observing_stop_nothing() {
    for extra in [
        "mode = \"enforce\"\ncsp = \"report\"",
        "mode = \"observe\"\ncsp = \"enforce\"",
        "mode = \"observe\"\ncsp = \"report\"",
    ] {
        let response = page(extra, HTML, "a=1");
        assert_eq!(response.header(POLICY), None, "{extra}");
        let policy = response.header(REPORT_ONLY).unwrap();
        assert!(policy.ends_with("; report-uri /.consentry/csp"), "{policy}");
        assert!(!has(policy, "js.stripe.com"), "a proposal that is complete needs reports of vendors, too");
    }
}

#[test]
fn reports_to_others_need_consent() {
    const FIELDS: &[(&str, &str)] = &[
        ("Content-Security-Policy", "default-src 'self'; report-uri https://o1.ingest.sentry.io/api/1/security/ /own"),
        ("Content-Security-Policy-Report-Only", "img-src 'self'; report-uri https://x.report-uri.com/r"),
    ];
    let refused = page("mode = \"enforce\"", FIELDS, "a=1");
    assert_eq!(refused.header(POLICY), Some("default-src 'self'; report-uri /own"));
    assert_eq!(refused.header(REPORT_ONLY), Some("img-src 'self'"));
    let granted = page("mode = \"enforce\"", FIELDS, &everything());
    assert_eq!(granted.header(POLICY), Some(FIELDS[0].1));
    let observed = page("mode = \"observe\"", FIELDS, "a=1");
    assert_eq!(observed.header(POLICY), Some(FIELDS[0].1));
}

fn report(app: &TestApp, content_type: &str, fields: &[(&str, &str)], body: &str) -> u16 {
    let length = body.len().to_string();
    let all = [&[("Content-Type", content_type), ("Content-Length", &length)], fields].concat();
    send(app.address, format!("{}{body}", request("POST", "/.consentry/csp", &all))).status
}

fn blocked(url: &str) -> String {
    format!(
        r#"{{"csp-report":{{"document-uri":"http://shop.example/secret","blocked-uri":"{url}","effective-directive":"img-src"}}}}"#
    )
}

fn inventory(app: &TestApp) -> Value {
    get(app.admin, "/inventory", &[]).json()["sites"][0].clone()
}

#[test]
fn reports_become_an_inventory_of_hosts() {
    let origin = Origin::with_headers(&[]);
    let sites = |csp: &str| {
        site(origin.address, &format!("mode = \"enforce\"\ncsp = \"{csp}\"\ncsp_hosts = [\"cdn.example\"]"))
    };
    let app = TestApp::start(&sites("report"));
    let kind = "application/csp-report";
    for url in ["https://img.example/1?visitor=secret", "https://img.example/2", "https://js.stripe.com/v3", "inline"] {
        assert_eq!(report(&app, kind, &[], &blocked(url)), 204, "{url}");
    }
    let list = r#"[{"type":"csp-violation","body":{"blockedURL":"https://www.google-analytics.com/g/collect?cid=secret","effectiveDirective":"connect-src"}}]"#;
    assert_eq!(report(&app, "application/reports+json", &[], list), 204);
    for (content_type, fields, body, status) in [
        (kind, &[][..], "{", 400),
        (kind, &[], &*blocked(&"x".repeat(16 << 10)), 413),
        ("application/json", &[], "{}", 415),
        (kind, &[("Sec-Fetch-Site", "cross-site")], &*blocked("https://noise.example"), 403),
        (kind, &[("Origin", "https://elsewhere.example")], &*blocked("https://noise.example"), 403),
    ] {
        assert_eq!(report(&app, content_type, fields, body), status, "{content_type} {fields:?}");
    }
    for (outcome, count) in
        [("recorded", 4.0), ("ignored", 1.0), ("malformed", 2.0), ("too_long", 1.0), ("refused", 2.0)]
    {
        app.expect_metric(&format!("consentry_csp_reports_total{{outcome=\"{outcome}\",site=\"shop\"}}"), count);
    }
    let check = |listing: &Value| {
        let seen: Vec<_> = listing["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| (host["host"].as_str().unwrap(), host["count"].as_u64().unwrap(), host["purpose"].as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("img.example", 2, None),
                ("js.stripe.com", 1, Some("necessary")),
                ("www.google-analytics.com", 1, Some("analytics")),
            ]
        );
        assert_eq!(listing["hosts"][0]["directives"]["img-src"], 2);
        assert_eq!(
            listing["proposal"],
            "csp_hosts = [\"cdn.example\", \"img.example\"]\ncsp_vendors = [\"stripe\", \"google_analytics\"]\n"
        );
        assert!(!listing.to_string().contains("secret"), "{listing}");
    };
    check(&inventory(&app));
    app.reconfigure("", &sites("enforce"));
    check(&inventory(&app));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["inventory", "--admin", &app.admin.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("site shop\n"), "{said}");
    assert!(
        said.contains("js.stripe.com") && said.contains("csp_vendors = [\"stripe\", \"google_analytics\"]"),
        "{said}"
    );
    app.reconfigure("", &sites("off"));
    assert_eq!(report(&app, kind, &[], &blocked("https://img.example/1")), 404);
}

#[test]
fn withdrawal_erases_storage_where_the_site_asks_for_it() {
    let origin = Origin::with_headers(&[]);
    let cleared = |extra: &str, path: &str, accept: &str, proto: &str| {
        let sections = "[server]\nthreads = 2\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.1\"]\n";
        let app = TestApp::start_with(sections, &site(origin.address, extra));
        let fields =
            [("Content-Length", "0"), ("Accept", accept), ("X-Forwarded-Proto", proto), ("Host", "shop.example")];
        let request: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let response = send(app.address, format!("POST /.consentry/{path} HTTP/1.1\r\n{request}\r\n"));
        response.header("clear-site-data").map(str::to_owned)
    };
    let asked = "mode = \"enforce\"\nclear_site_data = true";
    let storage = Some("\"storage\"".to_owned());
    assert_eq!(cleared(asked, "withdraw", "application/json", "https"), storage);
    assert_eq!(cleared(asked, "withdraw", "text/html", "https"), storage);
    assert_eq!(cleared(asked, "withdraw", "text/html", "http"), None, "browsers would ignore it");
    assert_eq!(cleared("mode = \"enforce\"", "withdraw", "text/html", "https"), None);
    assert_eq!(cleared("mode = \"observe\"\nclear_site_data = true", "withdraw", "text/html", "https"), None);
}

/// A page that builds requests at run time, in ways that no header names.
const BUILT: &str = "<!doctype html><script>
const load = (tag, url) => document.head.appendChild(Object.assign(document.createElement(tag), {src: url}));
load('script', 'http://' + 't.example/built.js'); load('script', 'http://cdn.example/built.js');
new Image().src = 'http://t.example/pixel.gif'; fetch('http://t.example/fetched').catch(() => 0);
new Function('return 1')(); document.documentElement.dataset.page = 'works';
</script>";

#[test]
fn the_browser_itself_stops_what_scripts_build() {
    let third_party =
        Origin::with_headers(&[("Content-Type", "text/javascript"), ("Access-Control-Allow-Origin", "*")]);
    // The script comes from the site itself, where no gate looks into it; who knows no rule for a host has the policy only.
    let script = BUILT.split_once("<script>").unwrap().1.replace("</script>", "")
        + "load('script', 'http://stray.example/built.js'); fetch('http://stray.example/fetched').catch(() => 0);";
    let origin = Origin::start(move |request| match request.target.as_str() {
        "/" | "/again" => respond_with(200, HTML, "<!doctype html><body><script src=/page.js></script>"),
        "/page.js" => respond_with(200, &[("Content-Type", "text/javascript")], &script),
        _ => respond_with(404, &[], ""),
    });
    let app = TestApp::start(&site(origin.address, &format!("mode = \"enforce\"\ncsp = \"enforce\"\n{LISTED}")));
    let rules = format!(
        "MAP shop.example {}, MAP *.example {}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        app.address, third_party.address
    );
    let mut browser = Browser::start_with(&rules);
    let hosts = |path: &str| {
        let received = third_party.received();
        let of_path = received.into_iter().filter(|request| request.target == path);
        of_path.map(|request| request.header("host").unwrap().to_owned()).collect::<Vec<_>>()
    };
    browser.open("http://shop.example/");
    assert_eq!(browser.evaluate("document.documentElement.dataset.page"), "works");
    assert_eq!(hosts("/built.js"), ["cdn.example"]);
    assert!(hosts("/pixel.gif").is_empty() && hosts("/fetched").is_empty());
    browser.evaluate(&format!("document.cookie = '{}; path=/'", consent("analytics")));
    browser.open("http://shop.example/again");
    eventually("what was granted loads", || {
        hosts("/built.js").contains(&"t.example".to_owned())
            && hosts("/pixel.gif").len() == 1
            && hosts("/fetched").len() == 1
    });
}

#[test]
fn browsers_report_into_the_inventory() {
    let origin = Origin::start(|_| respond_with(200, HTML, BUILT));
    let app = TestApp::start(&site(origin.address, &format!("mode = \"observe\"\ncsp = \"report\"\n{LISTED}")));
    let rules = format!("MAP shop.example {}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", app.address);
    let mut browser = Browser::start_with(&rules);
    browser.open("http://shop.example/");
    eventually("the reports have come", || inventory(&app)["hosts"][0]["count"] == 3);
    let listing = inventory(&app);
    assert_eq!(listing["hosts"][0]["host"], "t.example");
    assert_eq!(listing["hosts"][0]["purpose"], "analytics");
    assert_eq!(listing["hosts"].as_array().unwrap().len(), 1, "cdn.example is listed: {listing}");
}

#[test]
fn an_upstreams_nonces_and_hashes_keep_working() {
    const PAGE: &str = "<!doctype html><script nonce=n>document.documentElement.dataset.nonce = 1</script><script>document.documentElement.dataset.hash = 1</script><script>document.documentElement.dataset.neither = 1</script>";
    const HASHED: &str = "script-src 'nonce-n' 'strict-dynamic' 'sha256-fvn/ddYZYr8Ww3ZIGY/muTg6Fw2VehK+aUpSnx3Mu98='";
    let origin = Origin::start(|_| {
        respond_with(200, &[("Content-Type", "text/html"), ("Content-Security-Policy", HASHED)], PAGE)
    });
    let app = TestApp::start(&site(origin.address, "mode = \"enforce\"\ncsp = \"enforce\""));
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", app.address));
    let ran = browser.evaluate("Object.keys(document.documentElement.dataset).join(' ')");
    assert_eq!(ran, "nonce hash", "each exactly as the upstream wants it");
}

/// The own script under policies of all kinds, admitted as the gate does it, in a real browser.
#[test]
fn the_own_script_runs_under_every_policy_and_opens_no_door() {
    const SCRIPT: &str = "document.documentElement.dataset.guard='ran';\n";
    const SCRIPTS: &[OwnScript<'static>] = &[OwnScript {
        path: "/.consentry/guard-1.js",
        integrity: "sha256-D1413VMdxUGzBBX+GiN98SX19QE7JadRnA2kdpcWgWM=",
    }];
    // With each policy: whether the page's own inline script and its other file run.
    const POLICIES: [(&str, &str, bool, bool); 12] = [
        (POLICY, "script-src 'self'", false, true),
        (POLICY, "script-src 'none'", false, false),
        (POLICY, "default-src 'none'", false, false),
        (POLICY, "script-src 'unsafe-inline'", true, false),
        (POLICY, "default-src 'unsafe-inline'; img-src *", true, false),
        (POLICY, "script-src 'nonce-a'", false, false),
        (POLICY, "script-src 'nonce-a' 'strict-dynamic' 'unsafe-inline' https:", false, false),
        (POLICY, "script-src 'strict-dynamic' 'sha256-abc='", false, false),
        (POLICY, "script-src 'nonce-a', script-src 'nonce-b'", false, false),
        (POLICY, "script-src-elem cdn.example; script-src 'self'", false, false),
        ("integrity-policy", "blocked-destinations=(script)", true, false),
        (POLICY, "sandbox allow-scripts; script-src 'none'", false, false),
    ];
    let origin = Origin::start(|request| {
        let Some(number) = request.target.strip_prefix("/page/").and_then(|number| number.parse::<usize>().ok()) else {
            let frame = request.target.starts_with("/.consentry/held");
            let kind = if frame { "text/html" } else { "text/javascript" };
            let body = match &*request.target {
                "/.consentry/guard-1.js" => SCRIPT,
                "/other.js" => "document.documentElement.dataset.other='ran'",
                _ => "<p>held",
            };
            // A sandboxed page has an origin of its own, and asks with CORS for what it compares with a hash.
            return respond_with(200, &[("Content-Type", kind), ("Access-Control-Allow-Origin", "*")], body);
        };
        let (name, policy, ..) = POLICIES[number];
        let headers: HeaderMap = [(HeaderName::from_static(name), policy.parse().unwrap())].into_iter().collect();
        let own = OwnResources {
            secure: false,
            authority: request.header("host").unwrap(),
            scripts: SCRIPTS,
            frame: Some("/.consentry/held"),
            choice: "/.consentry/consent",
        };
        let Admission { nonce, integrity, changes } = guard_admission(&headers, &own);
        let nonce = nonce.map_or(String::new(), |nonce| format!(" nonce=\"{nonce}\""));
        let integrity = if integrity {
            format!(" integrity=\"{}\" crossorigin=\"anonymous\"", SCRIPTS[0].integrity)
        } else {
            String::new()
        };
        let body = format!(
            "<!doctype html><script src=\"{}\"{nonce}{integrity}></script><script>document.documentElement.dataset.inline='ran'</script><script src=/other.js></script><iframe src=\"/.consentry/held?u=x&l=en\"></iframe>",
            SCRIPTS[0].path
        );
        let changed = changes.iter().find(|change| change.name == name);
        let policy = changed.map_or(policy, |change| change.values[0].to_str().unwrap());
        respond_with(200, &[("Content-Type", "text/html"), (name, policy)], &body)
    });
    let mut browser = Browser::start();
    for (number, (_, policy, inline, other)) in POLICIES.iter().enumerate() {
        browser.open(&format!("http://{}/page/{number}", origin.address));
        let ran = browser.evaluate("Object.keys(document.documentElement.dataset).join(' ')");
        let expected: Vec<_> = [("guard", true), ("inline", *inline), ("other", *other)]
            .into_iter()
            .filter(|(_, ran)| *ran)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(ran, expected.join(" "), "{policy}");
        let framed = origin.received().iter().filter(|request| request.target.starts_with("/.consentry/held")).count();
        assert_eq!(framed, number + 1, "{policy}");
    }
}
