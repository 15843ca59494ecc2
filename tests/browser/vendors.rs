//! Vendors as they are met: their snippets in a page, their scripts at their hosts.

use std::time::Instant;

use super::mechanism::{Purpose, sections};
use super::shop::Shop;
use super::visit::{PATIENCE, Visitor, nothing, when};
use crate::support::world::{Hit, VendorScript, World};

/// A vendor's snippet, and what comes of it when nothing hinders it.
pub struct Vendor {
    name: &'static str,
    /// What its loader is for, then what else it needs to do all that it does.
    purposes: Vec<Purpose>,
    /// Whether it takes another page to make up for what was refused.
    lost: bool,
    markup: &'static str,
    /// Beginnings of addresses, or of paths at the shop itself, that are asked for.
    requests: Vec<&'static str>,
    collected: Vec<&'static str>,
    cookies: Vec<&'static str>,
    keys: Vec<&'static str>,
}

fn all() -> Vec<Vendor> {
    let read = |section: super::mechanism::Section| {
        let purpose = |word: &&str| match *word {
            "necessary" => Some(Purpose::Necessary),
            "preferences" => Some(Purpose::Preferences),
            "analytics" => Some(Purpose::Analytics),
            "marketing" => Some(Purpose::Marketing),
            _ => None,
        };
        let purposes = section.words.iter().filter_map(purpose).collect();
        let (name, lost) = (section.words[0], section.words.contains(&"lost"));
        let those =
            |kind: &str| section.fields.iter().filter(|(name, _)| *name == kind).map(|(_, text)| *text).collect();
        let (requests, collected, cookies, keys) =
            (those("Request"), those("Collected"), those("Cookie"), those("Key"));
        Vendor { name, purposes, lost, markup: section.markup, requests, collected, cookies, keys }
    };
    sections(include_str!("pages/vendors.html")).map(read).collect()
}

/// What the vendors serve.
fn scripts() -> Vec<VendorScript> {
    let parts = include_str!("pages/vendors.js").split("//= ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap()).collect()
}

/// The markup of the vendor called `name`.
pub fn snippet(name: &str) -> Option<&'static str> {
    all().into_iter().find(|vendor| vendor.name == name).map(|vendor| vendor.markup)
}

impl Vendor {
    /// What is wrong if these purposes are granted and no others.
    fn wrong(&self, visitor: &mut Visitor<'_>, shop: &Shop, granted: &[Purpose]) -> Vec<String> {
        if self.purposes.iter().all(|purpose| granted.contains(purpose)) {
            self.missing(visitor, shop)
        } else if granted.contains(&self.purposes[0]) {
            // A part of what it does.
            Vec::new()
        } else {
            self.leaks(visitor, shop)
        }
    }

    /// Waits for all that has to come of the snippet; what does not is said.
    fn missing(&self, visitor: &mut Visitor<'_>, shop: &Shop) -> Vec<String> {
        let start = Instant::now();
        loop {
            let (evidence, collected) = (visitor.evidence(), shop.collected());
            let requested: Vec<String> = evidence.requested.iter().map(Hit::address).collect();
            let begins = |all: &[String], begin: &str| all.iter().any(|address| address.starts_with(begin));
            let mut missing = Vec::<&str>::new();
            missing.extend(self.requests.iter().filter(|begin| !begins(&requested, begin)));
            missing.extend(self.collected.iter().filter(|begin| !begins(&collected, begin)));
            missing.extend(
                self.cookies.iter().filter(|name| !evidence.cookies.iter().any(|cookie| cookie.name == **name)),
            );
            missing.extend(self.keys.iter().filter(|key| !evidence.keys.contains(**key)));
            if missing.is_empty() || start.elapsed() > PATIENCE {
                return missing.into_iter().map(|what| format!("{}: no {what}", self.name)).collect();
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// All that came to a tracker or was left behind.
    fn leaks(&self, visitor: &mut Visitor<'_>, shop: &Shop) -> Vec<String> {
        let leaks = visitor.leaks(&[], |_| false).into_iter();
        let collected = shop.collected().into_iter().map(|path| format!("request of the shop's own {path}"));
        leaks
            .chain(collected)
            .map(|leak| format!("{}: {}", self.name, leak.trim_start_matches("of no mechanism: ")))
            .collect()
    }
}

/// Opens the page of every vendor with a browser that has nothing left of the one before, and collects what `wrong` says.
fn each(
    visitor: &mut Visitor<'_>,
    shop: &Shop,
    purposes: Option<&str>,
    wrong: impl Fn(&mut Visitor<'_>, &Vendor) -> Vec<String>,
) -> Vec<String> {
    let mut all_wrong = Vec::new();
    for vendor in all() {
        visitor.world.forget();
        shop.forget();
        if let Some(purposes) = purposes {
            visitor.agree(purposes);
        }
        visitor.open(&format!("/vendor/{}", vendor.name));
        let found = wrong(visitor, &vendor);
        all_wrong.extend(visitor.broken().into_iter().map(|part| format!("{}: {part}", vendor.name)));
        all_wrong.extend(found);
        visitor.leave();
    }
    all_wrong
}

#[test]
fn without_the_proxy_every_vendor_does_what_it_does() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let mut visitor = Visitor::new(&world, shop.address);
    let wrong = each(&mut visitor, &shop, None, |visitor, vendor| vendor.missing(visitor, &shop));
    nothing("without the proxy this did not work", &wrong);
}

#[test]
fn no_vendor_before_consent_each_after_it_without_reload_none_after_withdrawal() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    let wrong = each(&mut visitor, &shop, None, |visitor, vendor| {
        if vendor.purposes == [Purpose::Necessary] {
            return vendor.missing(visitor, &shop);
        }
        let path = format!("/vendor/{}", vendor.name);
        let mut wrong = Vec::from_iter(when("before consent", vendor.leaks(visitor, &shop)));
        visitor.post("consent", r#"{"purposes":["preferences","analytics","marketing"]}"#);
        if vendor.lost {
            visitor.open(&path);
        }
        wrong.extend(when("after consent", vendor.missing(visitor, &shop)));
        visitor.quiet();
        visitor.post("withdraw", "{}");
        visitor.forget_third_parties();
        visitor.world.forget();
        shop.forget();
        if !vendor.lost {
            wrong.extend(when("at once after withdrawal", vendor.leaks(visitor, &shop)));
        }
        visitor.open(&path);
        wrong.extend(when("after withdrawal", vendor.leaks(visitor, &shop)));
        wrong
    });
    nothing("of the vendors", &wrong);
}

#[test]
fn with_some_purposes_granted_just_their_vendors() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let app = shop.behind_proxy("");
    let with = |purposes: &'static str, granted: &'static [Purpose]| {
        let mut visitor = Visitor::new(&world, app.address);
        each(&mut visitor, &shop, Some(purposes), |visitor, vendor| vendor.wrong(visitor, &shop, granted))
    };
    let analytics = with("analytics", &[Purpose::Necessary, Purpose::Analytics]);
    let marketing = with("marketing", &[Purpose::Necessary, Purpose::Marketing]);
    nothing(
        "of the vendors",
        &Vec::from_iter(when("with analytics", analytics).chain(when("with marketing", marketing))),
    );
}

#[test]
fn with_a_global_privacy_signal_no_vendor_of_advertising() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    visitor.page.send_header("Sec-GPC", "1");
    let wrong = each(&mut visitor, &shop, Some("preferences.analytics.marketing"), |visitor, vendor| {
        vendor.wrong(visitor, &shop, &[Purpose::Necessary, Purpose::Preferences, Purpose::Analytics])
    });
    nothing("with a global privacy signal", &wrong);
}

#[test]
fn whether_recaptcha_is_necessary_is_for_the_operator_to_say() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let rule =
        |host: &str| format!("[[site.tracker]]\nhost = \"{host}\"\npath = \"/recaptcha/*\"\npurpose = \"marketing\"\n");
    let app = shop.behind_proxy(&(rule("www.google.com") + &rule("www.gstatic.com")));
    let mut visitor = Visitor::new(&world, app.address);
    let vendor = all().into_iter().find(|vendor| vendor.name == "recaptcha").unwrap();
    visitor.open("/vendor/recaptcha");
    nothing("before consent", &vendor.leaks(&mut visitor, &shop));
    visitor.post("consent", r#"{"purposes":["marketing"]}"#);
    nothing("after consent", &vendor.missing(&mut visitor, &shop));
}
