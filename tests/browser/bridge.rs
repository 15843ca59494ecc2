//! Banners whose choice no server sees: the bridge hands on what was chosen, and pages follow without a reload.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::shop::url;
use super::visit::PATIENCE;
use crate::support::browser::Browser;
use crate::support::world::World;
use crate::support::{Origin, TestApp, get, respond_with, site};

const PAGE: &str = "<!doctype html><html lang=en><head><title>Lamps</title>$BANNER</head><body>\
    <img src=https://www.google-analytics.com/collect?v=1><img src=https://www.facebook.com/tr?id=1>\
    <script>for (const name of ['_ga', '_fbp']) document.cookie = name + '=1; path=/'</script></body></html>";

/// Loads a banner some time after everything else.
const LATE: &str = "<script>setTimeout(() => document.head.append(Object.assign(document.createElement('script'), \
    { src: '/banner/$NAME.js', type: 'module' })), 400)</script>";

/// What a banner of the TCF leaves in its place until it comes.
const QUEUE: &str =
    "<script>{ const calls = []; self.__tcfapi = (...call) => call.length ? calls.push(call) : calls; }</script>";

/// All that speak of choices, and what is granted when only analytics is chosen in it, and only preferences: Usercentrics
/// has one category for both. (`gpp` speaks of opt-outs only.)
const BANNERS: [(&str, &[&str], &[&str]); 5] = [
    ("usercentrics-3", &[], &[]),
    ("usercentrics-2", &[], &[]),
    ("osano", &["analytics"], &["preferences"]),
    ("termly", &["analytics"], &["preferences"]),
    ("tcf", &["analytics"], &["preferences"]),
];

/// Pages with a banner at `/with/…`, and the banners.
fn shop() -> Origin {
    Origin::start(|request| {
        let scripts =
            || include_str!("pages/bridge.js").split("//= ").skip(1).map(|part| part.split_once('\n').unwrap());
        if let Some(name) = request.target.strip_prefix("/banner/") {
            let script = scripts().find(|(banner, _)| name.strip_suffix(".js") == Some(banner));
            return respond_with(200, &[("Content-Type", "text/javascript")], script.map_or("", |(_, script)| script));
        }
        let name = request.target.strip_prefix("/with/").unwrap_or_default();
        let queue = if name == "tcf" { QUEUE } else { "" };
        let banners: String = name.split('+').map(|name| LATE.replace("$NAME", name)).collect();
        let fields = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")];
        respond_with(200, &fields, &PAGE.replace("$BANNER", &format!("{queue}{banners}")))
    })
}

struct Visitor<'a> {
    page: Browser,
    world: &'a World,
    app: TestApp,
}

impl<'a> Visitor<'a> {
    fn new(world: &'a World, extra: &str) -> Self {
        let app = TestApp::start(&site(shop().address, extra));
        Visitor { page: Browser::in_world(world.address), world, app }
    }

    /// Opens a page and waits until its banners have come and what they say has been heard.
    fn open(&mut self, path: &str) {
        self.world.forget();
        self.page.go(&url(self.app.address, path));
        let there = if path.contains("gpp") { "'optOut' in self" } else { "'choose' in self" };
        self.wait("the banner is there", |visitor| visitor.page.try_evaluate(there).is_ok_and(|there| there == true));
        std::thread::sleep(Duration::from_millis(800));
        self.page.evaluate("globalThis.notReloaded = true");
    }

    fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "this did not come about in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a choice in the banner, and waits until it is in force.
    fn choose(&mut self, choice: &str, purposes: &[&str]) {
        self.page.evaluate(choice);
        self.expect(choice, purposes);
        assert_eq!(self.page.evaluate("notReloaded"), true, "without a reload");
    }

    /// Waits until just these purposes are granted by the own cookie.
    fn expect(&mut self, what: &str, purposes: &[&str]) {
        let expected: BTreeSet<String> = purposes.iter().chain(&["necessary"]).map(|name| (*name).to_owned()).collect();
        self.wait(&format!("{what}: {expected:?}"), |visitor| {
            let consent = visitor.consent();
            let names = consent["purposes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            consent["source"] == "consentry" && names.collect::<BTreeSet<_>>() == expected
        });
    }

    fn consent(&mut self) -> serde_json::Value {
        self.page.evaluate("XMLHttpRequest ? fetch('/.consentry/consent').then((answer) => answer.json()) : 0")
    }

    /// The own cookie, which is another one after each choice that was stored.
    fn record(&mut self) -> String {
        let record =
            self.page.evaluate("document.cookie.split('; ').find((pair) => pair.startsWith('consentry=')) || ''");
        record.as_str().unwrap().to_owned()
    }

    /// Waits until just these trackers have been asked for something, by the ends of their hosts.
    fn expect_requests(&mut self, hosts: &[&str]) {
        let asked = |visitor: &mut Self| -> BTreeSet<String> {
            visitor.world.hits().into_iter().map(|hit| hit.host).filter(|host| !host.contains("localhost")).collect()
        };
        let expected: BTreeSet<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.wait(&format!("requests to {hosts:?}"), |visitor| asked(visitor) == expected);
    }
}

const COUNTER: &str = "www.google-analytics.com";
const ADVERTISER: &str = "www.facebook.com";

#[test]
fn what_is_chosen_in_a_banner_that_no_server_sees_holds_at_once() {
    let world = World::start(vec![]);
    for (banner, counted, remembered) in BANNERS {
        let mut visitor = Visitor::new(&world, "bridge = true");
        let page = format!("/with/{banner}");
        visitor.open(&page);
        assert_eq!(visitor.consent()["decided"], false, "{banner}: nothing has been chosen yet");
        visitor.expect_requests(&[]);
        visitor.choose("choose(false, true, false)", counted);
        visitor.expect_requests(if counted.is_empty() { &[] } else { &[COUNTER] });
        visitor.choose("choose(true, true, false)", &["preferences", "analytics"]);
        visitor.expect_requests(&[COUNTER]);
        visitor.choose("choose(true, true, true)", &["preferences", "analytics", "marketing"]);
        visitor.expect_requests(&[COUNTER, ADVERTISER]);
        visitor.open(&page);
        visitor.expect_requests(&[COUNTER, ADVERTISER]);
        assert!(visitor.page.jar().is_superset(&["_ga".to_owned(), "_fbp".to_owned()].into()), "{banner}");
        // In this page everything was granted, so there is no guard in it.
        visitor.choose("choose(true, false, false)", remembered);
        let jar = visitor.page.jar();
        assert!(!jar.contains("_ga") && !jar.contains("_fbp"), "{banner}: {jar:?}");
        visitor.open(&page);
        visitor.expect_requests(&[]);
        visitor.choose("choose(false, false, false)", &[]);
    }
}

#[test]
fn a_choice_is_handed_on_once_and_does_not_undo_what_was_chosen_elsewhere() {
    let world = World::start(vec![]);
    for banner in ["usercentrics-3", "usercentrics-2", "tcf"] {
        let mut visitor = Visitor::new(&world, "bridge = true");
        let page = format!("/with/{banner}");
        visitor.open(&page);
        visitor.choose("choose(false, false, false)", &[]);
        let record = visitor.record();
        visitor.open(&page);
        assert_eq!(visitor.record(), record, "{banner}: what was said before is not stored again");
        visitor
            .page
            .evaluate("fetch('/.consentry/consent', { method: 'POST', body: '{\"purposes\":[\"marketing\"]}' })");
        visitor.expect("chosen elsewhere", &["marketing"]);
        visitor.open(&page);
        visitor.expect_requests(&[ADVERTISER]);
        let shown =
            "dispatchEvent(new CustomEvent('UC_UI_CMP_EVENT', { detail: { source: 'button', type: 'CMP_SHOWN' } }))";
        visitor.page.evaluate(&format!("{shown}, new Promise((done) => setTimeout(done, 400))"));
        visitor.expect("a banner was only looked at", &["marketing"]);
        visitor.choose("choose(false, false, false)", &[]);
    }
}

#[test]
fn of_several_banners_the_most_restrictive_holds() {
    let world = World::start(vec![]);
    let mut visitor = Visitor::new(&world, "bridge = true");
    visitor.open("/with/osano");
    visitor.page.evaluate(
        "self.second = []; self.Termly = { on: (name, listener) => second.push(listener) }; new Promise((done) => setTimeout(done, 4000))",
    );
    visitor.choose("choose(true, true, false)", &["preferences", "analytics"]);
    let termly = "second[0]({ consentState: { performance: false, analytics: true, advertising: true, social_networking: true } })";
    visitor.choose(termly, &["analytics"]);
}

#[test]
fn an_opt_out_takes_marketing_away_and_grants_nothing() {
    let world = World::start(vec![]);
    let declared = "bridge = true\n[[site.purpose]]\nname = \"community\"\n";
    let mut visitor = Visitor::new(&world, &format!("jurisdiction = \"opt-out\"\n{declared}"));
    visitor.open("/with/gpp");
    assert_eq!((visitor.consent()["decided"].clone(), visitor.record()), (false.into(), String::new()));
    visitor.choose("optOut(true)", &["preferences", "analytics", "community"]);
    visitor.open("/with/gpp");
    visitor.expect_requests(&[COUNTER]);
    let record = visitor.record();
    visitor.page.evaluate("optOut(false), new Promise((done) => setTimeout(done, 500))");
    assert_eq!(visitor.record(), record, "the end of an opt-out is no consent");
    visitor.page.evaluate("fetch('/.consentry/consent', { method: 'POST', body: '{\"purposes\":[\"marketing\"]}' })");
    visitor.expect("chosen elsewhere", &["marketing"]);
    visitor.choose("optOut(true)", &[]);
    let mut visitor = Visitor::new(&world, declared);
    visitor.open("/with/gpp+tcf");
    visitor.wait("both banners", |visitor| visitor.page.evaluate("'choose' in self") == true);
    visitor.page.evaluate("optOut(true)");
    visitor.choose("choose(true, true, true)", &["preferences", "analytics"]);
}

#[test]
fn without_the_bridge_nothing_is_heard() {
    let world = World::start(vec![]);
    for extra in ["", "bridge = true\nmode = \"observe\""] {
        let mut visitor = Visitor::new(&world, extra);
        visitor.open("/with/osano");
        assert_eq!(visitor.page.evaluate("document.querySelectorAll('script[src*=bridge]').length"), 0);
        visitor.page.evaluate("choose(true, true, true), new Promise((done) => setTimeout(done, 500))");
        assert_eq!(visitor.record(), "");
        let page = get(visitor.app.address, "/with/osano", &[("Accept", "text/html")]).text();
        assert!(!page.contains("/bridge"), "{page}");
    }
}

/// Where the site loads it itself.
#[test]
fn the_bridge_can_be_loaded_under_a_short_name() {
    let world = World::start(vec![]);
    let mut visitor = Visitor::new(&world, "");
    visitor.open("/with/termly");
    visitor.page.evaluate(
        "new Promise((done) => document.head.append(Object.assign(document.createElement('script'), \
         { src: '/.consentry/bridge.js', onload: done })))",
    );
    visitor.choose("choose(true, true, true)", &["preferences", "analytics", "marketing"]);
    visitor.expect_requests(&[COUNTER, ADVERTISER]);
}
