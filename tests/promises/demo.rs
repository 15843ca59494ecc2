//! The demo, as a person sees it: in a real browser, and with what the start text says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::browser::{Browser, JarCookie};
use crate::support::{eventually, get};

struct Demo {
    process: Child,
    traffic: SocketAddr,
    admin: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("listens")).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let message = serde_json::from_str::<serde_json::Value>(&line).unwrap()["message"].as_str().unwrap().to_owned();
        let after = |word: &str| message.split(word).nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        let demo = Demo { traffic: after("traffic on "), admin: after("admin on "), process };
        eventually("the demo is ready", || get(demo.admin, "/readyz", &[]).status == 200);
        demo
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.traffic)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The demo names hosts below `localhost`, which are this machine; nothing else exists.
fn browser() -> Browser {
    Browser::start_with("EXCLUDE 127.0.0.1, MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND")
}

const STATISTICS: &str = "tags.lantern-metrics.localhost";
const TAG_MANAGER: &str = "manager.lantern-tags.localhost";
const ADVERTISING: &str = "pixel.lantern-ads.localhost";
const VIDEO: &str = "video.lantern-tube.localhost";
const CHAT: &str = "chat.lantern-help.localhost";
const STYLES: &str = "cdn.lantern-type.localhost";

/// Requests that a third party has counted. The page stays as it is.
fn received(browser: &mut Browser, host: &str) -> i64 {
    let counts = browser.evaluate("fetch('/third-parties.json').then((answer) => answer.json())");
    counts[host].as_i64().unwrap()
}

/// Keys that scripts have stored for the page.
fn keys(browser: &mut Browser) -> Vec<String> {
    let keys = browser.evaluate("Object.keys(localStorage).sort()");
    serde_json::from_value(keys).unwrap()
}

/// Presses a button in the page's own box.
fn press(browser: &mut Browser, button: &str) {
    browser.evaluate(&format!("document.querySelector('#banner {button}').click()"));
}

/// All hits that the shop's trackers have counted.
fn hits(browser: &mut Browser, demo: &Demo) -> i64 {
    browser.open(&demo.url("/tracker-log"));
    let total = browser.evaluate("document.querySelector('tfoot .number').innerText").as_str().unwrap().to_owned();
    total.trim().parse().unwrap()
}

/// Presses a button of the preference page.
fn choose(browser: &mut Browser, demo: &Demo, choice: &str) {
    browser.open(&demo.url("/.consentry/"));
    browser.evaluate(&format!("document.querySelector('button[value={choice}]').click()"));
    browser.settle();
}

/// Cookies of the shop that need consent. What a host has set for itself, in a frame that was let in, only that host can
/// take back.
fn optional(jar: &BTreeSet<String>) -> Vec<&str> {
    let trackers =
        ["_ga", "_gid", "_fbp", "_gcl_au", "_pk", "theme", "mystery", "_uet", "lantern_", "lmetrics", "lads"];
    jar.iter().map(String::as_str).filter(|name| trackers.iter().any(|tracker| name.starts_with(tracker))).collect()
}

#[test]
fn nothing_before_consent_exactly_what_was_granted_after_it_and_nothing_again() {
    let demo = Demo::start();
    let mut browser = browser();
    // What an earlier visit without the proxy has left behind.
    browser.put(&demo.url("/"), "_gid", "/");
    browser.open(&demo.url("/"));
    assert!(browser.text().contains("Lantern"), "the page works");
    browser.open(&demo.url("/product/lantern"));
    assert_eq!(optional(&browser.jar()), [] as [&str; 0], "no cookie that was not agreed to");
    assert_eq!(hits(&mut browser, &demo), 0, "no request at any tracker");

    browser.open(&demo.url("/.consentry/"));
    browser.evaluate("document.querySelector('input[value=analytics]').checked = true");
    browser.evaluate("document.querySelector('button[value=selected]').click()");
    browser.settle();
    browser.open(&demo.url("/"));
    let jar = browser.jar();
    assert!(jar.contains("_ga") && !jar.contains("_fbp") && !jar.contains("_gcl_au"), "{jar:?}");
    assert!(hits(&mut browser, &demo) > 0);

    choose(&mut browser, &demo, "all");
    browser.open(&demo.url("/"));
    let jar = browser.jar();
    assert!(["_ga", "_fbp", "_gcl_au", "theme", "lantern_mystery"].iter().all(|name| jar.contains(*name)), "{jar:?}");

    choose(&mut browser, &demo, "none");
    assert_eq!(optional(&browser.jar()), [] as [&str; 0], "erased at once");
    let before = hits(&mut browser, &demo);
    browser.open(&demo.url("/"));
    assert_eq!(optional(&browser.jar()), [] as [&str; 0]);
    assert_eq!(hits(&mut browser, &demo), before, "no further hit");
}

#[test]
fn other_hosts_get_nothing_until_the_page_that_is_open_is_told_that_they_may() {
    let demo = Demo::start();
    let mut browser = browser();
    browser.open(&demo.url("/"));
    for host in [STATISTICS, TAG_MANAGER, ADVERTISING, VIDEO, CHAT] {
        assert_eq!(received(&mut browser, host), 0, "{host}");
    }
    assert!(received(&mut browser, STYLES) > 0, "what is necessary is loaded");
    assert_eq!(optional(&browser.jar()), [] as [&str; 0]);
    assert_eq!(keys(&mut browser), [] as [&str; 0]);
    let cookies = browser.cookies();
    assert!(cookies.iter().all(|cookie| cookie.domain == "127.0.0.1"), "none at any other host: {cookies:?}");
    let placeholder = browser.evaluate("document.querySelector('iframe').contentDocument.body.innerText");
    let placeholder = placeholder.as_str().unwrap();
    assert!(placeholder.contains(VIDEO) && placeholder.contains("preferences"), "{placeholder}");
    let parked = browser.text();
    for part in [format!("<img> {ADVERTISING}"), format!("<script, inline> {TAG_MANAGER}")] {
        assert!(parked.contains(&part), "the page shows that {part} is parked:\n{parked}");
    }

    browser.evaluate("window.sinceTheBeginning = true");
    press(&mut browser, "[value=analytics]");
    eventually("statistics and the tag manager are loaded", || {
        received(&mut browser, STATISTICS) > 0 && received(&mut browser, TAG_MANAGER) > 0
    });
    let before = received(&mut browser, STATISTICS);
    browser.evaluate("lanternMetrics('seen')");
    eventually("an event arrives", || received(&mut browser, STATISTICS) > before);
    browser.settle();
    for host in [ADVERTISING, VIDEO, CHAT] {
        assert_eq!(received(&mut browser, host), 0, "{host}");
    }
    let jar = browser.jar();
    assert!(jar.contains("lmetrics_visitor") && !jar.contains("lads_visitor"), "{jar:?}");
    assert_eq!(keys(&mut browser), ["lmetrics.pages"]);

    press(&mut browser, "[formaction]");
    eventually("the key is gone", || keys(&mut browser).is_empty());
    browser.settle();
    assert_eq!(optional(&browser.jar()), [] as [&str; 0]);
    let before = received(&mut browser, STATISTICS);
    browser.evaluate("lanternMetrics('unseen')");
    browser.settle();
    assert_eq!(received(&mut browser, STATISTICS), before, "no further hit");

    press(&mut browser, "[value=all]");
    for host in [ADVERTISING, VIDEO, CHAT] {
        eventually(host, || received(&mut browser, host) > 0);
    }
    let at_video = |cookies: BTreeSet<JarCookie>| cookies.iter().any(|cookie| cookie.domain == VIDEO);
    eventually("the video's host has set its cookie", || at_video(browser.cookies()));
    eventually("the page says so", || browser.text().contains("everything has been loaded"));
    assert_eq!(browser.evaluate("window.sinceTheBeginning"), true, "the page was never loaded again");
}

#[test]
fn the_start_text_tells_where_to_look() {
    let mut demo = Demo::start();
    let lines = BufReader::new(demo.process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (traffic, admin) = (demo.traffic.to_string(), demo.admin.to_string());
    let mut missing =
        vec![traffic.as_str(), admin.as_str(), "/.consentry/", "/tracker-log", "curl", "/status", "/metrics", "Ctrl"];
    for line in lines {
        missing.retain(|part| !line.contains(part));
        if missing.is_empty() {
            return;
        }
    }
    panic!("the text ended without {missing:?}");
}
