//! Opening pages, and saying what has come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::mechanism::{Mechanism, Purpose};
use super::shop::{self, OWN_COOKIES};
use crate::support::browser::{Browser, JarCookie};
use crate::support::consent;
use crate::support::world::{Hit, World};

/// How long nothing may be heard before nothing more is expected.
const QUIET: Duration = Duration::from_millis(200);

/// How long to wait for what has to happen; much more than it takes on a machine with nothing else to do.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What is seen of one browser in one world.
pub struct Evidence {
    pub requested: Vec<Hit>,
    greeted: Vec<String>,
    pub cookies: BTreeSet<JarCookie>,
    pub keys: BTreeSet<String>,
}

/// A visitor, with a browser that nobody has used before.
pub struct Visitor<'a> {
    pub page: Browser,
    pub world: &'a World,
    pub at: SocketAddr,
}

impl<'a> Visitor<'a> {
    /// Somebody who has never been here, and visits what is served at `at`.
    pub fn new(world: &'a World, at: SocketAddr) -> Self {
        world.forget();
        Visitor { page: Browser::in_world(world.address), world, at }
    }

    /// Has agreed to these purposes on another day.
    pub fn agreed(mut self, purposes: &str) -> Self {
        self.agree(purposes);
        self
    }

    /// Agrees to these purposes; the next page is the first to know.
    pub fn agree(&mut self, purposes: &str) {
        let cookie = consent(purposes);
        let (name, value) = cookie.split_once('=').unwrap();
        self.page.put_value(&shop::url(self.at, "/"), name, value, "/");
    }

    /// Leaves the page, and everything of it, behind.
    pub fn leave(&mut self) {
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()");
        self.page.go("about:blank");
        self.quiet();
        self.page.clear_cookies();
    }

    /// Takes the cookies of other sites out of the jar.
    pub fn forget_third_parties(&mut self) {
        for cookie in self.page.cookies().into_iter().filter(|cookie| !cookie.domain.ends_with("localhost")) {
            self.page.take(&cookie);
        }
    }

    /// Opens a page and waits until it, and what is the shop's own in it, has done all it does.
    pub fn open(&mut self, path: &str) {
        self.page.go(&shop::url(self.at, path));
        self.wait("the shop's own things have been tried", |visitor| {
            visitor.page.is_loaded() && visitor.page.try_evaluate("ownDone").is_ok_and(|done| done == true)
        });
    }

    /// Waits until the page has been loaded anew of its own accord, after `globalThis.notReloaded` was set in it.
    pub fn wait_for_reload(&mut self) {
        self.wait("the page is loaded anew", |visitor| {
            visitor.page.try_evaluate("globalThis.notReloaded === undefined && ownDone").is_ok_and(|done| done == true)
        });
    }

    /// As [`Visitor::open`] for a page in which no script runs.
    pub fn open_without_scripts(&mut self, path: &str) {
        self.page.go(&shop::url(self.at, path));
        self.wait("the page is loaded", |visitor| visitor.page.is_loaded());
    }

    /// What of the shop's own does not work, and errors that its scripts met.
    pub fn broken(&mut self) -> Vec<String> {
        let text = self.page.evaluate(
            "Object.entries(own).filter(([, result]) => result !== true).map((part) => 'own ' + part.join(': ')).concat(ownErrors).join('\\n')",
        );
        text.as_str().unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits until nothing has been heard for a while.
    pub fn quiet(&self) {
        let (start, mut last, mut count) = (Instant::now(), Instant::now(), self.world.count());
        while last.elapsed() < QUIET && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
            if self.world.count() != count {
                (last, count) = (Instant::now(), self.world.count());
            }
        }
    }

    pub fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "this did not come about in time: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks the own page of the proxy for something, as a consent dialog does, without leaving the page.
    pub fn post(&mut self, endpoint: &str, body: &str) {
        let request = format!(
            "fetch('/.consentry/{endpoint}', {{ method: 'POST', headers: {{ 'Content-Type': 'application/json', Accept: 'application/json' }}, \
             body: {body:?} }}).then((answer) => answer.json()).then((answer) => answer.decided)"
        );
        assert_eq!(self.page.evaluate(&request), true);
    }

    pub fn evidence(&mut self) -> Evidence {
        let keys = self.page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]");
        Evidence {
            requested: self.world.hits(),
            greeted: self.world.greeted(),
            cookies: self.page.cookies(),
            keys: keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect(),
        }
    }

    /// What is missing of what these mechanisms do when nothing hinders them, after waiting for it.
    pub fn missing(&mut self, mechanisms: &[&Mechanism]) -> Vec<String> {
        let start = Instant::now();
        loop {
            let evidence = self.evidence();
            let missing: Vec<String> = mechanisms.iter().filter_map(|mechanism| evidence.missing(mechanism)).collect();
            if missing.is_empty() || start.elapsed() > PATIENCE {
                return missing;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that has come to a tracker or was left behind, but for what is of a purpose that `granted` says yes to.
    pub fn leaks(&mut self, mechanisms: &[&Mechanism], granted: impl Fn(Purpose) -> bool) -> Vec<String> {
        self.quiet();
        self.evidence().leaks(mechanisms, granted)
    }
}

impl Evidence {
    fn missing(&self, mechanism: &Mechanism) -> Option<String> {
        let requested =
            |end: &str| self.requested.iter().any(|hit| hit.target.contains(&format!("/m/{}{end}", mechanism.name)));
        let at_site =
            |name: &str| self.cookies.iter().any(|cookie| cookie.name == name && cookie.domain.ends_with("localhost"));
        let mut missing = Vec::new();
        let mut expect = |what: &'static str, seen: bool| {
            if !seen {
                missing.push(what)
            }
        };
        if mechanism.is("connect") {
            let greeting = format!("{}.{}", mechanism.name, mechanism.host);
            expect("connection", self.greeted.contains(&greeting));
        } else if !mechanism.is("quiet") {
            expect("request", requested("."));
        }
        if mechanism.is("runs") {
            expect("report of the script", requested(".beacon"));
        }
        if mechanism.is("third") {
            let there = |cookie: &JarCookie| mechanism.host.ends_with(cookie.domain.trim_start_matches('.'));
            expect("cookie at the tracker", self.cookies.iter().any(there));
        }
        if mechanism.is("cookie") || mechanism.is("runs") {
            expect("cookie", at_site(&mechanism.cookie()));
        }
        if mechanism.is("key") || mechanism.is("runs") {
            expect("storage key", self.keys.contains(&mechanism.key()));
        }
        (!missing.is_empty()).then(|| format!("{}: no {}", mechanism.name, missing.join(", no ")))
    }

    fn leaks(&self, mechanisms: &[&Mechanism], granted: impl Fn(Purpose) -> bool) -> Vec<String> {
        let whose = |text: &str| {
            mechanisms.iter().find(|mechanism| {
                text.match_indices(&mechanism.name).any(|(at, name)| {
                    // `img-src` is not `noscript-img-src`: the name stands between other characters than those of names.
                    let outside =
                        |byte: Option<u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
                    let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at).copied());
                    outside(before) && outside(text.as_bytes().get(at + name.len()).copied())
                })
            })
        };
        let known_host = |host: &str| {
            let host = host.trim_matches('.');
            let mut hosts = mechanisms.iter().filter(|mechanism| host.ends_with(mechanism.host));
            hosts.next().map(|mechanism| mechanism.purpose)
        };
        let allowed = |text: &str| whose(text).map(|mechanism| mechanism.purpose).is_some_and(&granted);
        let name = |text: &str| match (whose(text), mechanisms) {
            (Some(mechanism), _) | (None, [mechanism]) => mechanism.name.clone(),
            _ => "of no mechanism".to_owned(),
        };
        let mut leaks: Vec<(String, String)> = Vec::new();
        // A connection, and a cookie at the tracker, that go with a request are not told again.
        let mut told = BTreeSet::new();
        for hit in self.requested.iter().filter(|hit| !allowed(&hit.address())) {
            let Hit { method, kind, .. } = hit;
            let address = hit.address();
            leaks.push((name(&address), format!("{method} of {address} as {kind:?}")));
            told.insert(hit.host.as_str());
        }
        let ahead = |host: &str| mechanisms.iter().any(|mechanism| mechanism.is("ahead") && mechanism.host == host);
        for host in self.greeted.iter().filter(|host| !allowed(host) && !known_host(host).is_some_and(&granted)) {
            if !told.contains(host.as_str()) && !ahead(host) {
                leaks.push((name(host), format!("connection to {host}")));
            }
        }
        for cookie in &self.cookies {
            let own = OWN_COOKIES.contains(&cookie.name.as_str());
            let trace = cookie.name.trim_start_matches("_ga_").trim_start_matches("_gcl_");
            let domain = cookie.domain.as_str();
            let at_granted = known_host(domain).is_some_and(&granted);
            if !own && !allowed(trace) && !at_granted && !told.contains(domain) {
                leaks.push((name(trace), format!("cookie {} of {}", cookie.name, cookie.domain)));
            }
        }
        for key in self.keys.iter().filter(|key| *key != "cart") {
            let trace = key.trim_start_matches("_hjSession_").trim_start_matches("_gcl_ls_");
            if !allowed(trace) {
                leaks.push((name(trace), format!("storage key {key}")));
            }
        }
        let mut by_name = BTreeMap::<String, BTreeSet<String>>::new();
        for (name, what) in leaks {
            by_name.entry(name).or_default().insert(what);
        }
        let line = |(name, what): (String, BTreeSet<String>)| format!("{name}: {}", Vec::from_iter(what).join("; "));
        by_name.into_iter().map(line).collect()
    }
}

/// The same with the word for when it was.
pub fn when(time: &str, wrong: Vec<String>) -> impl Iterator<Item = String> {
    wrong.into_iter().map(move |what| format!("{time}, {what}"))
}

/// Fails with one line for each thing that is wrong.
pub fn nothing(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what} ({} in all):\n  {}", wrong.len(), wrong.join("\n  "));
}
