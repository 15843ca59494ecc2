//! Vendors as they are met: their snippets in a page, their scripts at their hosts.

use std::time::Instant;

use super::mechanism::{Purpose, sections};
use super::shop::Shop;
use super::visit::{PATIENCE, Visitor, nothing};
use crate::support::world::{VendorScript, World};

/// A vendor's snippet, and what comes of it when nothing hinders it.
pub struct Vendor {
    name: &'static str,
    purpose: Purpose,
    markup: &'static str,
    /// Beginnings of addresses, or of paths at the shop itself, that are asked for.
    requests: Vec<&'static str>,
    collected: Vec<&'static str>,
    cookies: Vec<&'static str>,
    keys: Vec<&'static str>,
}

fn all() -> Vec<Vendor> {
    let read = |section: super::mechanism::Section| {
        let [name, purpose] = section.words[..] else { panic!("{:?}: name and purpose", section.words) };
        let purpose = match purpose {
            "necessary" => Purpose::Necessary,
            "preferences" => Purpose::Preferences,
            "analytics" => Purpose::Analytics,
            _ => Purpose::Marketing,
        };
        let those =
            |kind: &str| section.fields.iter().filter(|(name, _)| *name == kind).map(|(_, text)| *text).collect();
        let (requests, collected, cookies, keys) =
            (those("Request"), those("Collected"), those("Cookie"), those("Key"));
        Vendor { name, purpose, markup: section.markup, requests, collected, cookies, keys }
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
    /// Waits for all that has to come of the snippet; what does not is said.
    fn missing(&self, visitor: &mut Visitor<'_>, shop: &Shop) -> Vec<String> {
        let start = Instant::now();
        loop {
            let (evidence, collected) = (visitor.evidence(), shop.collected());
            let begins = |all: &[String], begin: &str| all.iter().any(|address| address.starts_with(begin));
            let mut missing = Vec::<&str>::new();
            missing.extend(self.requests.iter().filter(|begin| !begins(&evidence.requested, begin)));
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
        visitor.clear();
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
        let labelled = |when: &str, wrong: Vec<String>| {
            wrong.into_iter().map(move |what| format!("{when}, {what}")).collect::<Vec<_>>()
        };
        if vendor.purpose == Purpose::Necessary {
            return vendor.missing(visitor, &shop);
        }
        let mut wrong = labelled("before consent", vendor.leaks(visitor, &shop));
        visitor.post("consent", r#"{"purposes":["preferences","analytics","marketing"]}"#);
        wrong.extend(labelled("after consent", vendor.missing(visitor, &shop)));
        visitor.post("withdraw", "{}");
        visitor.quiet();
        visitor.forget_third_parties();
        visitor.world.forget();
        shop.forget();
        visitor.open(&format!("/vendor/{}", vendor.name));
        wrong.extend(labelled("after withdrawal", vendor.leaks(visitor, &shop)));
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
        each(&mut visitor, &shop, Some(purposes), |visitor, vendor| {
            if granted.contains(&vendor.purpose) {
                vendor.missing(visitor, &shop)
            } else {
                vendor.leaks(visitor, &shop)
            }
        })
    };
    nothing("with analytics", &with("analytics", &[Purpose::Necessary, Purpose::Analytics]));
    nothing("with marketing", &with("marketing", &[Purpose::Necessary, Purpose::Marketing]));
}

#[test]
fn with_a_global_privacy_signal_no_vendor_of_advertising() {
    let (world, shop) = (World::start(scripts()), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    visitor.page.send_header("Sec-GPC", "1");
    let wrong = each(&mut visitor, &shop, Some("preferences.analytics.marketing"), |visitor, vendor| {
        if vendor.purpose == Purpose::Marketing { vendor.leaks(visitor, &shop) } else { vendor.missing(visitor, &shop) }
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
