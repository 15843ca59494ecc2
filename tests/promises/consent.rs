//! Choosing, and what a choice does from the next request on.

use crate::support::client::request;
use crate::support::{Origin, Response, TestApp, consent, everything, get, send, site};

fn shop(extra: &str) -> (Origin, TestApp) {
    let origin =
        Origin::with_headers(&[("Set-Cookie", "_ga=1"), ("Set-Cookie", "_fbp=2"), ("Set-Cookie", "PHPSESSID=3")]);
    let app = TestApp::start(&site(origin.address, extra));
    (origin, app)
}

fn post(app: &TestApp, target: &str, fields: &[(&str, &str)], body: &str) -> Response {
    let length = body.len().to_string();
    let fields: Vec<_> = fields.iter().copied().chain([("Content-Length", length.as_str())]).collect();
    send(app.address, request("POST", target, &fields) + body)
}

/// The own cookie that a response sets, as the browser will send it.
fn own_cookie(response: &Response) -> String {
    let line =
        response.all("set-cookie").into_iter().find(|line| line.starts_with("consentry=")).expect("the own cookie");
    line.split(';').next().unwrap().to_owned()
}

#[test]
fn a_choice_may_be_about_some_purposes_only() {
    let origin = Origin::with_headers(&[]);
    let app =
        TestApp::start(&site(origin.address, "jurisdiction = \"opt-out\"\n[[site.purpose]]\nname = \"community\"\n"));
    for (cookie, body, granted) in [
        ("", r#"{"purposes":[],"of":["marketing"]}"#, "preferences.analytics.community"),
        ("analytics", r#"{"purposes":["marketing"],"of":["marketing"]}"#, "analytics.marketing"),
        (
            "analytics.community",
            r#"{"purposes":["preferences"],"of":["preferences","analytics"]}"#,
            "preferences.community",
        ),
        ("analytics", r#"{"purposes":["preferences"],"of":[]}"#, "preferences.analytics"),
        ("analytics", r#"{"purposes":["preferences"]}"#, "preferences"),
    ] {
        let cookie = if cookie.is_empty() { String::new() } else { consent(cookie) };
        let response = post(&app, "/.consentry/consent", &[("Cookie", &cookie)], body);
        let expected = format!("consentry=1~{granted}~");
        assert!(own_cookie(&response).starts_with(&expected), "{body}: {} is not {expected}", own_cookie(&response));
    }
    let unknown = post(&app, "/.consentry/consent", &[], r#"{"purposes":[],"of":["marketting"]}"#);
    assert_eq!(unknown.status, 400);
}

#[test]
fn before_consent_nothing_after_it_what_was_granted_after_withdrawal_nothing_again() {
    let (origin, app) = shop("");
    assert_eq!(get(app.address, "/", &[]).sets(), ["PHPSESSID"]);

    let chosen =
        post(&app, "/.consentry/consent", &[("Content-Type", "application/json")], r#"{"purposes":["analytics"]}"#);
    assert_eq!(chosen.status, 200);
    assert_eq!(chosen.json()["purposes"], serde_json::json!(["necessary", "analytics"]));
    let cookie = own_cookie(&chosen);
    let attributes = chosen.all("set-cookie")[0];
    assert!(attributes.ends_with("; Path=/; Max-Age=15552000; SameSite=Lax"), "{attributes}");

    let after = get(app.address, "/", &[("Cookie", &format!("{cookie}; _ga=1"))]);
    assert_eq!(after.sets(), ["_ga", "PHPSESSID"]);
    assert_eq!(origin.last().header("cookie"), Some(format!("{cookie}; _ga=1").as_str()));

    let withdrawn = post(&app, "/.consentry/withdraw", &[("Cookie", &format!("{cookie}; _ga=1; PHPSESSID=3"))], "");
    assert!(!withdrawn.deletions("_ga").is_empty() && withdrawn.deletions("PHPSESSID").is_empty());
    let refusal = own_cookie(&withdrawn);
    let last = get(app.address, "/", &[("Cookie", &format!("{refusal}; _ga=1"))]);
    assert_eq!(last.sets(), ["PHPSESSID"]);
    assert_eq!(origin.last().header("cookie"), Some(refusal.as_str()));
}

#[test]
fn the_preference_page_works_as_a_form() {
    let (_origin, app) = shop("");
    let page =
        get(app.address, "/.consentry/", &[("Referer", "https://shop.example/cart?a=1"), ("Accept", "text/html")]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let html = page.text();
    for part in [
        "name=\"purposes\" value=\"analytics\"",
        "value=\"marketing\"",
        "value=\"preferences\"",
        "name=\"return\" value=\"/cart?a=1\"",
        "You have not chosen yet.",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "text/html"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let chosen = post(&app, "/.consentry/consent", &form, "return=%2Fcart%3Fa%3D1&purposes=analytics&choice=selected");
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/cart?a=1")));
    let cookie = own_cookie(&chosen);
    assert!(get(app.address, "/.consentry/", &[("Cookie", &cookie)]).text().contains("value=\"analytics\" checked"));
    assert_eq!(
        own_cookie(&post(&app, "/.consentry/consent", &form, "purposes=analytics&choice=none")).split('~').nth(1),
        Some("")
    );
    let all = post(&app, "/.consentry/consent", &form, "choice=all");
    assert_eq!(own_cookie(&all).split('~').nth(1), Some("preferences.analytics.marketing"));
}

#[test]
fn returning_stays_on_the_site() {
    let (_origin, app) = shop("");
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "text/html")];
    for target in ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/.consentry/"]
    {
        let body = format!("choice=all&return={}", target.replace('/', "%2F").replace('\\', "%5C").replace(':', "%3A"));
        assert_eq!(post(&app, "/.consentry/consent", &form, &body).header("location"), Some("/"), "{target}");
    }
}

#[test]
fn nobody_else_can_consent_for_a_visitor() {
    let (_origin, app) = shop("");
    for field in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ] {
        let response = post(&app, "/.consentry/consent", &[field], r#"{"purposes":["marketing"]}"#);
        assert_eq!((response.status, response.all("set-cookie").len()), (403, 0), "{field:?}");
    }
    assert_eq!(
        post(&app, "/.consentry/consent", &[("Origin", "https://shop.example")], r#"{"purposes":[]}"#).status,
        200
    );
}

#[test]
fn wrong_choices_are_refused_with_a_reason() {
    let (_origin, app) = shop("");
    for (body, status, word) in [
        (r#"{"purposes":["telepathy"]}"#, 400, "telepathy"),
        ("nonsense", 400, "purposes"),
        (&"x".repeat(40_000), 413, "long"),
    ] {
        let response = post(&app, "/.consentry/consent", &[], body);
        assert_eq!(response.status, status);
        assert!(response.text().contains(word), "{}", response.text());
        assert!(response.all("set-cookie").is_empty());
    }
    assert_eq!(get(app.address, "/.consentry/withdraw", &[]).status, 405);
    assert_eq!(get(app.address, "/.consentry/nothing", &[]).status, 404);
}

#[test]
fn consent_in_force_is_shown_as_json() {
    let (_origin, app) = shop("");
    let shown = |fields: &[(&str, &str)]| get(app.address, "/.consentry/consent", fields).json();
    let undecided = shown(&[]);
    assert_eq!((&undecided["decided"], &undecided["source"]), (&false.into(), &"default".into()));
    let cookie = everything();
    let capped = shown(&[("Cookie", &cookie), ("Sec-GPC", "1")]);
    assert_eq!(capped["purposes"], serde_json::json!(["necessary", "preferences", "analytics"]));
    assert_eq!((&capped["decided"], &capped["capped_by_gpc"]), (&true.into(), &true.into()));
    let support = get(app.address, "/.well-known/gpc.json", &[]);
    assert_eq!((support.header("content-type"), &support.json()["gpc"]), (Some("application/json"), &true.into()));
}

#[test]
fn malformed_expired_and_future_consent_grants_nothing() {
    let (_origin, app) = shop("validity_days = 10");
    let now = consentry::reload::unix_time();
    let at = |time: u64| format!("consentry=1~analytics~~{time}~r");
    for (cookie, granted) in [
        (at(now), true),
        (at(now - 9 * 86_400), true),
        (at(now - 11 * 86_400), false),
        (at(now + 86_400), false),
        ("consentry=1~analytics~~x~r".into(), false),
        ("consentry=true".into(), false),
        ("Consentry=1~analytics~~1772442930~r".into(), false),
        (format!("{}; consentry=1~~~{now}~r", at(now)), false),
    ] {
        let sets = get(app.address, "/", &[("Cookie", &cookie)]).sets().contains(&"_ga");
        assert_eq!(sets, granted, "{cookie}");
    }
}

#[test]
fn global_privacy_control_is_a_cap_and_never_a_grant() {
    let (_origin, app) =
        shop("[[site.purpose]]\nname = \"resale\"\nsale = true\n[[site.cookie]]\nname = \"_ga\"\npurpose = \"resale\"");
    let cookie = consent("analytics.marketing.preferences.resale");
    assert_eq!(get(app.address, "/", &[("Cookie", &cookie)]).sets(), ["_ga", "_fbp", "PHPSESSID"]);
    assert_eq!(get(app.address, "/", &[("Cookie", &cookie), ("Sec-GPC", "1")]).sets(), ["PHPSESSID"]);
    assert_eq!(get(app.address, "/", &[("Sec-GPC", "1")]).sets(), ["PHPSESSID"]);
    assert_eq!(get(app.address, "/", &[("Cookie", &cookie), ("Sec-GPC", "0")]).sets(), ["_ga", "_fbp", "PHPSESSID"]);
}

#[test]
fn accepting_all_under_global_privacy_control_says_what_holds() {
    let (_origin, app) = shop("");
    let fields = [("Sec-GPC", "1"), ("Cookie", "_fbp=1; _ga=2")];
    let chosen = post(&app, "/.consentry/consent", &fields, r#"{"purposes":["analytics","marketing"]}"#);
    assert_eq!(chosen.json()["purposes"], serde_json::json!(["necessary", "analytics"]));
    assert_eq!(chosen.json()["capped_by_gpc"], true);
    assert!(!chosen.deletions("_fbp").is_empty() && chosen.deletions("_ga").is_empty());
}

#[test]
fn jurisdictions_differ_in_what_silence_means() {
    for (jurisdiction, silent, refused, gpc) in [("opt-in", 1, 1, 1), ("opt-out", 3, 1, 2), ("notice", 3, 1, 2)] {
        let (_origin, app) = shop(&format!("jurisdiction = \"{jurisdiction}\""));
        let count = |fields: &[(&str, &str)]| get(app.address, "/", fields).sets().len();
        let refusal = consent("");
        assert_eq!(
            (count(&[]), count(&[("Cookie", &refusal)]), count(&[("Sec-GPC", "1")])),
            (silent, refused, gpc),
            "{jurisdiction}"
        );
    }
}

#[test]
fn with_a_signing_key_only_what_was_issued_here_counts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), "0123456789abcdef0123456789abcdef").unwrap();
    let origin = Origin::with_headers(&[("Set-Cookie", "_ga=1")]);
    let text = TestApp::configuration("[consent]\nsigning_key = \"key\"\n", &site(origin.address, ""));
    let app = TestApp::start_in(directory, &text);
    assert!(get(app.address, "/", &[("Cookie", &everything())]).sets().is_empty(), "anybody could have written it");
    let cookie = own_cookie(&post(&app, "/.consentry/consent", &[], r#"{"purposes":["analytics"]}"#));
    assert_eq!(get(app.address, "/", &[("Cookie", &cookie)]).sets(), ["_ga"]);
    let altered = cookie.replace("analytics", "analytics.marketing");
    assert!(get(app.address, "/", &[("Cookie", &altered)]).sets().is_empty());
}

#[test]
fn cookie_is_secure_for_visitors_by_https() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start_with(
        "[server]\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.1\"]",
        &site(origin.address, ""),
    );
    let chosen = post(&app, "/.consentry/consent", &[("X-Forwarded-Proto", "https")], r#"{"purposes":[]}"#);
    assert!(chosen.all("set-cookie")[0].ends_with("; SameSite=Lax; Secure"));
}
