//! The demo, as a person sees it: in a real browser, and with what the start text says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::browser::Browser;
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

fn optional(jar: &BTreeSet<String>) -> Vec<&str> {
    let trackers = ["_ga", "_gid", "_fbp", "_gcl_au", "_pk", "theme", "mystery", "_uet", "lantern_"];
    jar.iter().map(String::as_str).filter(|name| trackers.iter().any(|tracker| name.starts_with(tracker))).collect()
}

#[test]
fn nothing_before_consent_exactly_what_was_granted_after_it_and_nothing_again() {
    let demo = Demo::start();
    let mut browser = Browser::start();
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
