//! Lists that the operator supplies know hosts that the catalog does not.

use std::sync::Arc;

use consentry::config;
use consentry::policy::{Filters, Host, ResourceKind, Url};

use crate::support::{Origin, Response, TestApp, consent, eventually, get, respond_with, send, site};

const LIST: &str =
    "! A list\n||listed.example^\n@@||listed.example/ok/$script\n||pixels.example^$image\n/measure.js?\n##.ad\n";
const SECTION: &str = "[[filter_list]]\npath = \"list.txt\"\npurpose = \"analytics\"\n";

fn app(fields: &'static [(&'static str, &'static str)], list: &str, rules: &str) -> (Origin, TestApp) {
    let status = if fields.iter().any(|(name, _)| *name == "Location") { 302 } else { 200 };
    let origin = Origin::start(move |_| respond_with(status, fields, "body"));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("list.txt"), list).unwrap();
    let text = TestApp::configuration(SECTION, &site(origin.address, rules));
    let app = TestApp::start_in(directory, &text);
    (origin, app)
}

fn asked(app: &TestApp, cookie: &str) -> Response {
    get(app.address, "/page", &[("Cookie", cookie)])
}

const LINKS: &[(&str, &str)] = &[
    ("Link", "<https://listed.example/a.js>; rel=preload; as=script, </own.css>; rel=preload; as=style"),
    ("Link", "<https://listed.example/ok/a.js>; rel=preload; as=script"),
    ("Link", "<https://listed.example/ok/a.png>; rel=preload; as=image"),
    ("Link", "<https://pixels.example/a>; rel=preload; as=image, <https://pixels.example/a>; rel=preload; as=script"),
    ("Link", "<https://cdn.example/measure.js?1>; rel=modulepreload, <https://cdn.example/x.js>; rel=modulepreload"),
    ("Link", "<https://a.listed.example>; rel=preconnect"),
];

#[test]
fn links_to_hosts_that_only_a_list_knows_are_taken_out() {
    let (_origin, app) = app(LINKS, LIST, "");
    assert_eq!(
        asked(&app, "a=1").all("link"),
        [
            "</own.css>; rel=preload; as=style",
            "<https://listed.example/ok/a.js>; rel=preload; as=script",
            "<https://pixels.example/a>; rel=preload; as=script",
            "<https://cdn.example/x.js>; rel=modulepreload",
        ]
    );
    let granted = asked(&app, &consent("analytics"));
    assert_eq!(granted.all("link"), LINKS.iter().map(|(_, value)| *value).collect::<Vec<_>>());
}

#[test]
fn redirects_to_what_a_list_blocks_end_here() {
    let location = |list: &str| {
        let (_origin, app) = app(&[("Location", "https://listed.example/out")], list, "");
        asked(&app, "a=1").header("location").map(str::to_owned)
    };
    assert_eq!(location("||listed.example^").as_deref(), Some("/.consentry/blocked"));
    assert_eq!(location("||listed.example^$script").as_deref(), Some("https://listed.example/out"));
}

#[test]
fn rules_and_catalog_come_before_lists() {
    const FIELDS: &[(&str, &str)] = &[
        ("Link", "<https://listed.example/a.js>; rel=preload; as=script"),
        ("Link", "<https://static.hotjar.com/a.js>; rel=preload; as=script"),
        ("Link", "<https://connect.facebook.net/a.js>; rel=preload; as=script"),
    ];
    let list = "||listed.example^\n||facebook.net^\n@@||hotjar.com^";
    let rule = "[[site.tracker]]\nhost = \"listed.example\"\npurpose = \"necessary\"\n";
    let (_origin, app) = app(FIELDS, list, rule);
    assert_eq!(asked(&app, "a=1").all("link"), [FIELDS[0].1]);
    assert_eq!(asked(&app, &consent("analytics")).all("link"), [FIELDS[0].1, FIELDS[1].1], "the Pixel is marketing");
}

#[test]
fn a_changed_list_is_noticed_and_a_broken_one_is_not_used() {
    let (_origin, app) = app(&[("Link", "<https://listed.example/a.js>; rel=preload")], "||other.example^\n", "");
    let dropped = || asked(&app, "a=1").header("link").is_none();
    assert!(!dropped());
    let path = app.directory.path().join("list.txt");
    std::fs::write(&path, LIST).unwrap();
    eventually("the list is noticed", dropped);
    let lists = &app.status()["filter_lists"];
    assert_eq!(
        lists,
        &serde_json::json!([{ "path": "list.txt", "purpose": "analytics", "rules": 4, "unusable_lines": 1 }])
    );
    let version = app.version();
    std::fs::write(&path, b"||listed.example^\n\xff").unwrap();
    let answer = send(app.admin, "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.status == 422 && answer.text().contains("`list.txt` cannot be read: it is not UTF-8"));
    assert!(dropped() && app.version() == version);
}

#[test]
fn a_list_is_compiled_once_as_long_as_it_stays_the_same() {
    let load = |list: &'static str, mode: &str| {
        let text = TestApp::configuration(SECTION, &site(([127, 0, 0, 1], 1).into(), mode));
        let loaded = config::parse("c.toml".as_ref(), text.as_bytes(), &|_| Ok(list.as_bytes().to_vec()));
        loaded.config.unwrap().filter_lists[0].filters.clone()
    };
    let first = load("||once.example^", "");
    assert!(Arc::ptr_eq(&first, &load("||once.example^", "mode = \"observe\"")));
    assert!(!Arc::ptr_eq(&first, &load("||twice.example^", "")));
}

#[test]
fn long_lists_block_what_they_name_and_nothing_else() {
    let mut list = String::new();
    for n in 0..500 {
        list += &format!(
            "||host{n}.tracker.example^\n||third{n}.example^$third-party\n||site{n}.example/c/*/px.gif$image\n"
        );
        list += &format!("/metric{n}/beacon.\n-track{n}.js$script\n@@||host{n}.tracker.example/allowed/\n");
    }
    let filters = Filters::new(list);
    assert_eq!((filters.rules(), filters.unusable()), (3000, 0));
    let own = Host::parse(b"shop.example").unwrap();
    let blocked = |address: &str, kind| filters.matches(&Url::parse(address.as_bytes()).unwrap(), &own, kind);
    for n in (0..500).step_by(37) {
        assert!(blocked(&format!("https://a.host{n}.tracker.example/x"), ResourceKind::Other));
        assert!(!blocked(&format!("https://host{n}.tracker.example/allowed/x"), ResourceKind::Other));
        assert!(blocked(&format!("https://third{n}.example/"), ResourceKind::Fetch));
        assert!(blocked(&format!("https://site{n}.example/c/1/px.gif"), ResourceKind::Image));
        assert!(!blocked(&format!("https://site{n}.example/c/1/px.gif"), ResourceKind::Script));
        assert!(blocked(&format!("https://cdn.example/metric{n}/beacon.gif"), ResourceKind::Image));
        assert!(blocked(&format!("https://cdn.example/a-track{n}.js"), ResourceKind::Script));
        assert!(!blocked(&format!("https://cdn.example/a-track{n}.js"), ResourceKind::Image));
        assert!(!blocked(&format!("https://host{n}.example/lantern{n}.js"), ResourceKind::Script));
    }
}

#[test]
fn pages_are_judged_by_lists_too() {
    let page = "<!doctype html><script src=\"https://listed.example/a.js\"></script><img src=\"https://pixels.example/a\"><script src=\"https://pixels.example/a\"></script>";
    let origin = Origin::start(move |_| respond_with(200, &[("Content-Type", "text/html")], page));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("list.txt"), LIST).unwrap();
    let app = TestApp::start_in(directory, &TestApp::configuration(SECTION, &site(origin.address, "")));
    let refused = asked(&app, "a=1").text();
    assert!(!refused.contains(" src=\"https://listed.example"), "{refused}");
    assert!(refused.contains("data-consentry-src=\"https://pixels.example/a\""), "{refused}");
    assert!(refused.contains("<script src=\"https://pixels.example/a\">"), "the list says only images: {refused}");
}
