//! Consent managers that keep the choice in a cookie: the real libraries, and their real buttons.

use std::collections::BTreeSet;
use std::path::Path;

use super::mechanism::{Section, sections};
use super::shop::url;
use super::visit::nothing;
use crate::support::browser::Browser;
use crate::support::{Origin, TestApp, eventually, respond_with, site};

/// What visitors can choose, and what of ours is granted then.
const CHOICES: [(&str, &[&str]); 3] =
    [("all", &["analytics", "marketing"]), ("none", &[]), ("analytics", &["analytics"])];

/// Cookies that a shop's pages set, and what they are for.
const TRACKING: [(&str, &str); 2] = [("_ga", "analytics"), ("_fbp", "marketing")];

/// The words of a section are the banner's name and that of the format of its cookie; its field `ids` says what the banner's
/// own names stand for.
fn banners() -> Vec<Section> {
    sections(include_str!("pages/banners.html")).collect()
}

fn field(banner: &Section, name: &str) -> Option<&'static str> {
    banner.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
}

/// Pages with a banner at `/banner/…`, a page that counts and advertises at `/tracking`, and the managers' files.
fn shop() -> Origin {
    Origin::start(|request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let html = |fields: &[(&str, &str)], body: &str| {
            let fields = [&[("Content-Type", "text/html; charset=utf-8")], fields].concat();
            respond_with(200, &fields, &format!("<!doctype html><html lang=\"en\"><head>{body}</head><body>Lamps"))
        };
        if let Some(file) = path.strip_prefix("/package/") {
            return package(file);
        }
        if path == "/tracking" {
            return html(&[("Set-Cookie", "_ga=GA1.1.1.1; Path=/"), ("Set-Cookie", "_fbp=fb.1.1.1; Path=/")], "");
        }
        let named = path.strip_prefix("/banner/");
        let banner = banners().into_iter().find(|banner| Some(banner.words[0]) == named);
        banner.map_or_else(|| respond_with(404, &[], ""), |banner| html(&[], banner.markup))
    })
}

/// A file of an installed package.
fn package(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm/node_modules").join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make packages` installs it", path.display()));
    let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
    respond_with(200, &[("Content-Type", &format!("{kind}; charset=utf-8"))], &text)
}

/// Whether a visitor sees what is at this selector.
fn seen(selector: &str) -> String {
    format!("!!document.querySelector({selector:?})?.checkVisibility({{ visibilityProperty: true }})")
}

/// A visitor who presses buttons.
struct Visitor {
    page: Browser,
    app: TestApp,
}

impl Visitor {
    fn new(origin: &Origin, banner: &Section) -> Self {
        let page = Browser::start_with("EXCLUDE 127.0.0.1, MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND");
        let signal = format!("[site.signal.{}]\npurposes = {}", banner.words[1], field(banner, "ids").unwrap());
        Visitor { page, app: TestApp::start(&site(origin.address, &signal)) }
    }

    fn go(&mut self, path: &str) {
        self.page.go(&url(self.app.address, path));
        eventually("the page is loaded", || self.page.is_loaded());
    }

    /// Presses these buttons, each until the next one can be seen, and the last one until it is gone.
    fn press(&mut self, buttons: &str) {
        let buttons: Vec<&str> = buttons.split(" > ").collect();
        for (at, button) in buttons.iter().enumerate() {
            self.wait(button, &seen(button));
            let done = buttons.get(at + 1).map_or_else(|| format!("!{}", seen(button)), |next| seen(next));
            self.wait(
                &format!("{button} does something"),
                &format!("document.querySelector({button:?})?.click(), {done}"),
            );
        }
    }

    fn wait(&mut self, what: &str, condition: &str) {
        eventually(what, || self.page.try_evaluate(condition).is_ok_and(|holds| holds == true));
    }

    /// The consent in force: by whose word, and for what beside what is necessary. After a choice, some banners load the
    /// page anew.
    fn consent(&mut self) -> (String, BTreeSet<String>) {
        let ask = "fetch('/.consentry/consent').then((answer) => answer.json())";
        let mut consent = serde_json::Value::Null;
        eventually("the proxy answers", || {
            self.page.try_evaluate(ask).is_ok_and(|answer| {
                consent = answer;
                consent.is_object()
            })
        });
        let names = consent["purposes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        (consent["source"].as_str().unwrap().to_owned(), names.filter(|name| name != "necessary").collect())
    }

    /// Which of the tracking cookies are in the jar.
    fn kept(&mut self) -> BTreeSet<String> {
        self.page.jar().into_iter().filter(|name| is_tracking(name)).collect()
    }
}

fn is_tracking(name: &str) -> bool {
    TRACKING.iter().any(|(tracking, _)| *tracking == name)
}

/// The tracking cookies that came with the last request for the page that counts and advertises.
fn sent(origin: &Origin) -> BTreeSet<String> {
    let requests = origin.received();
    let last = requests.iter().rev().find(|request| request.target == "/tracking").unwrap();
    let pairs = last.header("cookie").unwrap_or_default().split("; ");
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_tracking(name))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is wrong after a visitor has pressed `buttons` in the banner, which grants just `granted`.
fn wrong(visitor: &mut Visitor, origin: &Origin, banner: &Section, (buttons, granted): (&str, &[&str])) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: BTreeSet<String>, expected: BTreeSet<String>| {
        if found != expected {
            wrong.push(format!("{} after {buttons}: {what} {found:?} instead of {expected:?}", banner.words[0]));
        }
    };
    visitor.page.clear_cookies();
    visitor.go(&format!("/banner/{}", banner.words[0]));
    visitor.wait("the banner shows", &seen(buttons.split(" > ").next().unwrap()));
    let (source, before) = visitor.consent();
    expect("before anything is chosen", before, set(&[]));
    expect("the word for that is", set(&[&source]), set(&["default"]));
    visitor.press(buttons);
    let (source, purposes) = visitor.consent();
    expect("granted is", purposes, set(granted));
    expect("the word for that is", set(&[&source]), set(&[banner.words[1]]));
    let allowed = TRACKING.iter().filter(|(_, purpose)| granted.contains(purpose));
    let allowed: BTreeSet<String> = allowed.map(|(name, _)| (*name).to_owned()).collect();
    for (name, _) in TRACKING {
        visitor.page.put(&url(visitor.app.address, "/"), name, "/");
    }
    visitor.go("/tracking");
    expect("the origin gets", sent(origin), allowed.clone());
    expect("the browser keeps", visitor.kept(), allowed);
    wrong
}

/// All that can be chosen in the banner called `name`.
fn check(name: &str) {
    let origin = shop();
    let banner = banners().into_iter().find(|banner| banner.words[0] == name).unwrap();
    let mut visitor = Visitor::new(&origin, &banner);
    let chosen = CHOICES.iter().filter_map(|(choice, granted)| Some((field(&banner, choice)?, *granted)));
    let all_wrong: Vec<String> = chosen.flat_map(|choice| wrong(&mut visitor, &origin, &banner, choice)).collect();
    nothing("of what was chosen in a banner", &all_wrong);
}

#[test]
fn what_is_chosen_in_klaro_holds() {
    check("klaro");
}

#[test]
fn what_is_chosen_in_cookieconsent_3_holds() {
    check("cookieconsent-3");
}

/// It writes JSON as it is, quotes, commas and all, unless it is told not to.
#[test]
fn what_is_chosen_in_cookieconsent_2_holds() {
    check("cookieconsent-2");
    check("cookieconsent-2-escaped");
}

/// It writes its cookie before anything is chosen, and then some services have `true` in it already.
#[test]
fn what_is_chosen_in_tarteaucitron_holds() {
    check("tarteaucitron");
}
