//! What banners wrote is understood, whoever wrote it, and one documented answer comes out.

use crate::support::client::request;
use crate::support::country_file::country_file;
use crate::support::origin::respond_with;
use crate::support::{Origin, TestApp, consent, eventually, get, send, site};

const CLOSED: &str = "OptanonAlertBoxClosed=2026-11-02T09:15:30.120Z";

fn onetrust(groups: &str) -> String {
    let now = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
    format!("OptanonConsent=version=202501.1.0&groups={groups}&AwaitingReconsent=false; OptanonAlertBoxClosed={now}")
}

fn cookiebot(statistics: bool, marketing: bool, method: &str) -> String {
    let now = consentry::reload::unix_time() * 1000;
    format!(
        "CookieConsent={{stamp:%27abc%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:{statistics}%2Cmarketing:{marketing}%2Cmethod:%27{method}%27%2Cver:1%2Cutc:{now}%2Cregion:%27de%27}}"
    )
}

fn shop(extra: &str) -> (Origin, TestApp) {
    let origin =
        Origin::with_headers(&[("Set-Cookie", "_ga=1"), ("Set-Cookie", "_fbp=2"), ("Set-Cookie", "PHPSESSID=3")]);
    let app = TestApp::start(&site(origin.address, extra));
    (origin, app)
}

/// Purposes and source that hold for a `Cookie` line.
fn answer(app: &TestApp, fields: &[(&str, &str)]) -> (String, String) {
    let shown = get(app.address, "/.consentry/consent", fields).json();
    let purposes: Vec<_> = shown["purposes"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    (purposes[1..].join(" "), shown["source"].as_str().unwrap().to_owned())
}

fn of(purposes: &str, source: &str) -> (String, String) {
    (purposes.to_owned(), source.to_owned())
}

#[test]
fn what_a_banner_wrote_decides_what_gets_through() {
    let (origin, app) = shop("");
    let cookie = format!("{}; _ga=1; _fbp=2", onetrust("C0001%3A1%2CC0002%3A1%2CC0004%3A0"));
    assert_eq!(get(app.address, "/", &[("Cookie", &cookie)]).sets(), ["_ga", "PHPSESSID"]);
    assert_eq!(origin.last().header("x-consent-purposes"), Some("necessary,analytics"));
    assert!(origin.last().header("cookie").unwrap().ends_with("; _ga=1"));
    let refused = onetrust("C0001%3A1%2CC0002%3A0%2CC0004%3A0");
    assert_eq!(get(app.address, "/", &[("Cookie", &refused)]).sets(), ["PHPSESSID"]);
}

/// The table in `consent/resolve.rs`, row by row.
#[test]
fn each_source_decides_what_none_before_it_has() {
    let (_origin, app) = shop("");
    let (own, both) =
        (consent("preferences"), format!("{}; {}", onetrust("C0002:1,C0004:0"), cookiebot(true, true, "explicit")));
    for (cookies, expected) in [
        (format!("{own}; {both}"), of("preferences", "consentry")),
        (both, of("analytics", "cookiebot")),
        (onetrust("C0002:1"), of("analytics", "onetrust")),
        (String::new(), of("", "default")),
    ] {
        assert_eq!(answer(&app, &[("Cookie", &cookies)]), expected, "{cookies}");
    }
    let gpc = [("Cookie", onetrust("C0002:1,C0004:1")), ("Sec-GPC", "1".to_owned())];
    let gpc: Vec<_> = gpc.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(answer(&app, &gpc), of("analytics", "onetrust"));
}

#[test]
fn a_site_believes_only_what_it_lists_in_its_order() {
    let (_origin, app) = shop("signals = [\"onetrust\", \"cookiebot\"]");
    let cookies = format!("{}; {}", cookiebot(true, true, "explicit"), onetrust("C0002:0"));
    assert_eq!(
        answer(&app, &[("Cookie", &cookies)]),
        of("marketing", "onetrust"),
        "the second fills in what the first leaves open"
    );
    let (_origin, app) = shop("signals = [\"cookiebot\"]");
    assert_eq!(answer(&app, &[("Cookie", &onetrust("C0002:1"))]), of("", "default"));
    assert_eq!(answer(&app, &[("Cookie", &consent("analytics"))]), of("analytics", "consentry"), "the own one always");
}

#[test]
fn what_a_banner_set_by_itself_is_no_consent_where_silence_is_none() {
    let implied = cookiebot(true, true, "implied");
    let default = "OptanonConsent=groups=C0002:1,C0004:1&interactionCount=0";
    for (jurisdiction, expected) in [("opt-in", ""), ("opt-out", "preferences analytics marketing")] {
        let (_origin, app) = shop(&format!("jurisdiction = \"{jurisdiction}\""));
        for cookie in [&implied, default] {
            let (purposes, _) = answer(&app, &[("Cookie", cookie)]);
            let expected =
                expected.split(' ').filter(|name| *name != "preferences" || !cookie.contains("preferences:false"));
            assert_eq!(purposes, expected.collect::<Vec<_>>().join(" "), "{jurisdiction} {cookie}");
        }
    }
}

#[test]
fn conflicts_and_unmapped_ids_are_counted_and_shown_never_granted() {
    let (_origin, app) = shop("");
    let metric = |name: &str| {
        let text = get(app.admin, "/metrics", &[]).text();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap()
    };
    let conflict = format!("{}; {}", onetrust("C0002:1"), cookiebot(false, false, "explicit"));
    assert_eq!(answer(&app, &[("Cookie", &conflict)]).0, "");
    assert_eq!(metric("consentry_consent_conflicts_total{site=\"shop\"}"), 1);
    let twice = format!("{}; OptanonConsent=groups=C0002:0", onetrust("C0002:1"));
    assert_eq!(answer(&app, &[("Cookie", &twice)]).0, "");
    assert_eq!(metric("consentry_consent_conflicts_total{site=\"shop\"}"), 2);
    let unmapped = onetrust("C0002:1,GP7:1,GP8:0");
    (0..3).for_each(|_| assert_eq!(answer(&app, &[("Cookie", &unmapped)]).0, "analytics"));
    assert_eq!(metric("consentry_consent_unmapped_ids_total{site=\"shop\",source=\"onetrust\"}"), 6);
    let status = get(app.admin, "/status", &[]).json();
    let shown = serde_json::json!([{ "source": "onetrust", "id": "GP7" }, { "source": "onetrust", "id": "GP8" }]);
    assert_eq!(status["sites"][0]["unmapped_ids"], shown);
}

#[test]
fn a_site_says_what_its_ids_mean_and_how_its_cookies_are_called() {
    let mapped = "[site.signal.onetrust]\npurposes = { GP7 = \"marketing\", C0002 = \"preferences\" }\n[site.signal.cookiebot]\ncookies = [\"MyConsent\"]";
    let (origin, app) = shop(mapped);
    assert_eq!(answer(&app, &[("Cookie", &onetrust("C0002:1,GP7:1"))]), of("preferences marketing", "onetrust"));
    let renamed = cookiebot(true, false, "explicit").replace("CookieConsent=", "MyConsent=");
    assert_eq!(answer(&app, &[("Cookie", &renamed)]), of("analytics", "cookiebot"));
    get(app.address, "/", &[("Cookie", &renamed)]);
    assert_eq!(origin.last().header("cookie"), Some(renamed.as_str()), "a banner's record is necessary");
    assert_eq!(answer(&app, &[("Cookie", &cookiebot(true, false, "explicit"))]), of("", "default"));
}

#[test]
fn choices_age_whoever_recorded_them() {
    let (_origin, app) = shop("validity_days = 10");
    assert_eq!(answer(&app, &[("Cookie", &onetrust("C0002:1"))]), of("analytics", "onetrust"));
    let old = format!("OptanonConsent=groups=C0002:1; {}", CLOSED.replace("2026", "2025"));
    assert_eq!(answer(&app, &[("Cookie", &old)]), of("", "default"));
    let future = format!("OptanonConsent=groups=C0002:1; {}", CLOSED.replace("2026", "2126"));
    assert_eq!(answer(&app, &[("Cookie", &future)]), of("", "default"));
}

#[test]
fn silence_means_what_the_visitors_country_says() {
    let countries = "[site.jurisdictions]\nopt-out = [\"US\", \"ca\"]\nnotice = [\"BR\"]";
    let origin = Origin::with_headers(&[]);
    let start = |networks: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = country_file(&[([198, 51, 100, 0].into(), 24, "US"), ([203, 0, 113, 0].into(), 24, "DE")]);
        std::fs::write(directory.path().join("countries.mmdb"), file).unwrap();
        let sections = format!(
            "[consent]\ncountry_header = \"CF-IPCountry\"\ncountry_file = \"countries.mmdb\"\n[server]\nlame_duck_seconds = 0\ntrusted_proxies = [{networks}]\n"
        );
        TestApp::start_in(directory, &TestApp::configuration(&sections, &site(origin.address, countries)))
    };
    let everything = of("preferences analytics marketing", "default");
    let app = start("\"127.0.0.1\", \"10.0.0.0/8\"");
    for (fields, expected) in [
        (&[("CF-IPCountry", "US")][..], &everything),
        (&[("CF-IPCountry", "CA")], &everything),
        (&[("CF-IPCountry", "BR")], &everything),
        (&[("CF-IPCountry", "DE")], &of("", "default")),
        (&[("CF-IPCountry", "T1")], &of("", "default")),
        (&[("X-Forwarded-For", "198.51.100.7")], &everything),
        (&[("X-Forwarded-For", "198.51.100.7, 203.0.113.9, 10.0.0.1")], &of("", "default")),
        (&[("X-Forwarded-For", "203.0.113.9, 198.51.100.7"), ("X-Forwarded-For", "10.0.0.1")], &everything),
        (&[("CF-IPCountry", "DE"), ("X-Forwarded-For", "198.51.100.7")], &of("", "default")),
        (&[], &of("", "default")),
    ] {
        assert_eq!(answer(&app, fields), *expected, "{fields:?}");
    }
    let app = start("\"10.0.0.0/8\"");
    for field in [("CF-IPCountry", "US"), ("X-Forwarded-For", "198.51.100.7")] {
        assert_eq!(answer(&app, &[field]), of("", "default"), "anybody can write that");
    }
}

#[test]
fn a_country_file_that_is_none_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("c.mmdb"), "no").unwrap();
    let path = directory.path().join("consentry.toml");
    let text = TestApp::configuration("[consent]\ncountry_file = \"c.mmdb\"\n", &site(([127, 0, 0, 1], 1).into(), ""));
    std::fs::write(&path, text).unwrap();
    let loaded = consentry::config::load(&path);
    let problems: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(problems.iter().any(|problem| problem.contains("the file of countries cannot be used")), "{problems:#?}");
}

const VERSIONS: &str = r#"
on_refusal = "ORIGINAL"
always_paths = ["/rights/*"]

[[site.purpose]]
name = "research"

[[site.cookie]]
name = "study"
purpose = "research"

[[site.version]]
id = "2020-01-01"

[[site.version]]
id = "2024-06-01"
adds = { purposes = ["research"], paths = ["/new/*"] }

[[site.version]]
id = "2099-01-01"
adds = { purposes = ["preferences"] }
"#;

/// Somebody who agreed to everything when the first version was in force, and somebody who did so under the second.
fn of_version(version: &str) -> String {
    let now = consentry::reload::unix_time();
    format!("consentry=1~preferences.analytics.marketing.research~{version}~{now}~r")
}

#[test]
fn consent_to_an_older_policy_covers_what_that_one_knew() {
    let (_origin, app) = shop(&VERSIONS.replace("ORIGINAL", "original_scope"));
    let status =
        |path: &str, cookie: &str| get(app.address, path, &[("Cookie", cookie), ("Sec-Fetch-Dest", "document")]).status;
    let (older, present) = (of_version("2020-01-01"), of_version("2024-06-01"));
    assert_eq!(
        answer(&app, &[("Cookie", &older)]).0,
        "analytics marketing",
        "nobody can have agreed to what is to come"
    );
    assert_eq!(answer(&app, &[("Cookie", &present)]).0, "analytics marketing research");
    let paths = |cookie: &str| ["/", "/old", "/new/report", "/rights/export"].map(|path| status(path, cookie));
    assert_eq!(paths(&older), [200, 200, 403, 200]);
    assert_eq!(paths(&present), [200; 4]);
    assert_eq!(paths(""), [200; 4], "who has not chosen has refused nothing");
    let refused =
        get(app.address, "/new/x", &[("Cookie", &older), ("Accept", "text/html"), ("Sec-Fetch-Dest", "document")]);
    assert!(refused.text().contains("href=\"/.consentry/\""), "{}", refused.text());
    let shown = get(app.address, "/.consentry/consent", &[("Cookie", &older)]).json();
    assert_eq!((&shown["policy_version"], &shown["outdated"]), (&"2020-01-01".into(), &true.into()));
}

#[test]
fn a_banners_choice_belongs_to_the_version_of_its_day() {
    let (_origin, app) = shop(&VERSIONS.replace("ORIGINAL", "original_scope").replace("2024-06-01", "2026-11-10"));
    let ids = "[site.signal.onetrust]\npurposes = { C9 = \"research\" }";
    app.reconfigure(
        "",
        &site(
            _origin.address,
            &format!("{}\n{ids}", VERSIONS.replace("ORIGINAL", "original_scope").replace("2024-06-01", "2026-11-10")),
        ),
    );
    let at = |day: &str| format!("OptanonConsent=groups=C0002:1,C9:1; OptanonAlertBoxClosed=2026-11-{day}T09:15:30Z");
    assert_eq!(answer(&app, &[("Cookie", &at("09"))]).0, "analytics");
    assert_eq!(answer(&app, &[("Cookie", &at("11"))]).0, "analytics research");
}

#[test]
fn a_site_can_ask_again_or_stop() {
    let (_origin, app) = shop(&VERSIONS.replace("ORIGINAL", "ask_again"));
    let older = of_version("2020-01-01");
    assert_eq!(answer(&app, &[("Cookie", &older)]), of("", "default"));
    let (_origin, app) = shop(&VERSIONS.replace("ORIGINAL", "stop"));
    let status = |path: &str, cookie: &str| get(app.address, path, &[("Cookie", cookie)]).status;
    for (path, expected) in [("/", 403), ("/new/x", 403), ("/rights/export", 200), ("/.consentry/", 200)] {
        assert_eq!(status(path, &older), expected, "{path}");
    }
    assert_eq!(status("/", &of_version("2024-06-01")), 200);
    let body = r#"{"purposes":["analytics"]}"#;
    let chosen = send(
        app.address,
        request("POST", "/.consentry/consent", &[("Cookie", &older), ("Content-Length", &body.len().to_string())])
            + body,
    );
    let cookie = chosen.all("set-cookie")[0].split(';').next().unwrap().to_owned();
    assert!(cookie.contains("~2024-06-01~"), "{cookie}");
    assert_eq!(status("/", &cookie), 200);
}

#[test]
fn observing_stops_nobody() {
    let (_origin, app) = shop(&format!("mode = \"observe\"\n{}", VERSIONS.replace("ORIGINAL", "stop")));
    assert_eq!(get(app.address, "/new/x", &[("Cookie", &of_version("2020-01-01"))]).status, 200);
}

#[test]
fn sixty_four_kibibytes_of_cookies_are_no_burden() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start_with("[limits]\nheader_bytes = 262144\n", &site(origin.address, ""));
    let many: Vec<_> = (0..4000).map(|number| format!("c{number}=1")).collect();
    let cookies = format!("{}; {}", many.join("; "), onetrust("C0002:1"));
    assert_eq!(answer(&app, &[("Cookie", &cookies)]), of("analytics", "onetrust"));
    let claims: Vec<_> = (0..4000).map(|number| format!("OptanonConsent=groups=C0002:{number}")).collect();
    assert_eq!(answer(&app, &[("Cookie", &claims.join("; "))]), of("", "default"));
    eventually("it is still ready", || get(app.admin, "/readyz", &[]).status == 200);
}

/// Everything is consented to, and vendors 2, 10 and 755; 10 is restricted.
const SOME_VENDORS: &str =
    "CQgcD4AQgcD4AAcABBFRCyFgAP_gAAAAAAqIF5wAwABAAKAXmAAEAAAIIABAAUOgBQACAAQBeYA.IF5wA4ABAAIAAoBeYA";

#[test]
fn a_vendor_that_a_tc_string_refuses_is_refused_although_its_purpose_is_granted() {
    // Google (755) and Criteo (91) write for marketing, Matomo, which is not in the vendor list, for analytics.
    let origin = Origin::with_headers(&[
        ("Set-Cookie", "_gcl_au=1"),
        ("Set-Cookie", "cto_bundle=2"),
        ("Set-Cookie", "_pk_id.1.1fff=3"),
    ]);
    let app = TestApp::start(&site(origin.address, "validity_days = 3650"));
    let string = format!("euconsent-v2={SOME_VENDORS}");
    let sets = |cookie: &str| get(app.address, "/", &[("Cookie", cookie)]).sets().join(" ");
    assert_eq!(sets(&string), "_gcl_au _pk_id.1.1fff");
    assert_eq!(origin.last().header("cookie"), Some(string.as_str()), "no string is ever altered");
    let sent = format!("_gcl_au=1; cto_bundle=2; {string}");
    let response = get(app.address, "/", &[("Cookie", &sent)]);
    assert_eq!(origin.last().header("cookie"), Some(format!("_gcl_au=1; {string}").as_str()));
    assert!(!response.deletions("cto_bundle").is_empty() && response.deletions("_gcl_au").is_empty());
    let beside = format!("{}; {string}", onetrust("C0002:1,C0003:1,C0004:1"));
    assert_eq!(sets(&beside), "_gcl_au _pk_id.1.1fff", "it holds beside a banner's record");
    let own = format!("{}; {string}", consent("preferences.analytics.marketing"));
    assert_eq!(sets(&own), "_gcl_au cto_bundle _pk_id.1.1fff", "and not against what was chosen here");
}

#[test]
fn a_page_holds_what_a_refused_vendor_would_do_in_it() {
    let page = "<!doctype html><html><head></head><body><script src=\"https://static.criteo.net/js/ld/ld.js\"></script><script src=\"https://www.googletagmanager.com/gtag/js?id=AW-1\"></script></body></html>";
    let response = respond_with(200, &[("Content-Type", "text/html")], page);
    let origin = Origin::start(move |_| response.clone());
    let app = TestApp::start(&site(origin.address, "validity_days = 3650"));
    let string = format!("euconsent-v2={SOME_VENDORS}");
    let fields = [("Cookie", string.as_str()), ("Sec-Fetch-Dest", "document"), ("Accept", "text/html")];
    let html = get(app.address, "/", &fields).text();
    assert!(!html.contains("<script src=\"https://static.criteo.net"), "{html}");
    assert!(html.contains("<script src=\"https://www.googletagmanager.com/gtag/js?id=AW-1\">"), "{html}");
}

#[test]
fn american_strings_only_ever_opt_out() {
    for (jurisdiction, plain) in [("opt-out", "preferences analytics marketing"), ("opt-in", "")] {
        let (_origin, app) = shop(&format!("jurisdiction = \"{jurisdiction}\""));
        let opted_out = plain.replace(" marketing", "");
        for (cookie, expected) in [
            ("usprivacy=1YNN", plain),
            ("usprivacy=1YYN", &opted_out),
            ("IABGPP_HDR_GppString=DBABLA~BVQqAAAAAmA.QA", plain),
            ("IABGPP_HDR_GppString=DBABLA~BVQVAAAAAmA.YA", &opted_out),
        ] {
            assert_eq!(answer(&app, &[("Cookie", cookie)]).0, expected, "{jurisdiction} {cookie}");
        }
    }
}
