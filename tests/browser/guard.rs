//! When the guard begins, and when it begins anew.

use std::collections::BTreeSet;

use super::mechanism;
use super::shop::Shop;
use super::visit::{Evidence, Visitor, nothing};
use crate::support::world::World;
use crate::support::{Origin, TestApp, respond_with, site};

#[test]
fn a_second_copy_of_the_own_tags_does_nothing() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    visitor.open("/alone/net-fetch-a");
    let copies = "(async () => {
        const before = [fetch, XMLHttpRequest.prototype.open, Node.prototype.appendChild];
        const tags = [...document.querySelectorAll('script[src*=\"/.consentry/\"]')];
        for (const tag of tags) await new Promise((loaded) => {
            const copy = document.createElement('script');
            for (const { name, value } of tag.attributes) copy.setAttribute(name, value);
            copy.onload = loaded;
            document.body.append(copy);
        });
        const after = [fetch, XMLHttpRequest.prototype.open, Node.prototype.appendChild];
        return tags.length === 2 && before.every((part, at) => part === after[at]) && !('__consentry' in self);
    })()";
    assert_eq!(visitor.page.evaluate(copies), true);
}

/// The browser goes on holding the page to the policy that it came with.
#[test]
fn with_a_policy_by_consent_the_page_is_loaded_anew_for_what_is_granted() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("csp = \"enforce\"");
    let mut visitor = Visitor::new(&world, app.address);
    visitor.open("/all/0");
    visitor.page.evaluate("globalThis.notReloaded = true");
    // The answer to this is not waited for: the page that asked is gone then.
    visitor.page.evaluate(
        "void fetch('/.consentry/consent', { method: 'POST', body: '{\"purposes\":[\"preferences\",\"analytics\",\"marketing\"]}' })",
    );
    visitor.wait_for_reload();
    let all = mechanism::all(0);
    let held = all.iter().filter(|mechanism| !mechanism.is("alone") && !mechanism.is("csp")).collect::<Vec<_>>();
    let mut wrong = visitor.missing(&held);
    wrong.extend(visitor.broken());
    nothing("after consent", &wrong);
}

/// No signal says so yet, so the page itself has the tags of a visitor who granted everything, but not to two vendors.
#[test]
fn what_refused_vendors_have_is_parked_although_its_purpose_is_granted() {
    let world = World::start(vec![]);
    let number = |id: &str| consentry::config::built_in_catalog().vendor_by_id(id).unwrap().number();
    let head = format!(
        "<script src=\"/.consentry/rules-x.js\"></script><script src=\"/.consentry/guard-x.js\" data-capped=\"\" \
         data-granted=\"necessary preferences analytics marketing\" data-refused=\"{} {}\"></script>",
        number("criteo"),
        number("outbrain"),
    );
    let page = format!("<!doctype html><html lang=en><head>{head}</head><body>{REFUSED}</body></html>");
    let origin = Origin::start(move |_| respond_with(200, &[("Content-Type", "text/html")], &page));
    let app = TestApp::start(&site(origin.address, ""));
    let mut visitor = Visitor::new(&world, app.address).agreed("preferences.analytics.marketing");
    visitor.open("/");
    visitor.quiet();
    let seen = |evidence: &Evidence| {
        let hosts: BTreeSet<String> = evidence.requested.iter().map(|hit| hit.address()).collect();
        let cookies: BTreeSet<String> = evidence.cookies.iter().map(|cookie| cookie.name.clone()).collect();
        (hosts, cookies, evidence.keys.clone())
    };
    let (requested, cookies, keys) = seen(&visitor.evidence());
    for file in ["fetched.gif", "image.gif", "loaded.js"] {
        assert!(requested.contains(&format!("cdn.taboola.com/{file}")), "{file} of who was not refused: {requested:?}");
    }
    assert!(cookies.contains("trc_cookie_storage") && keys.contains("taboola x"), "{cookies:?} {keys:?}");
    // The page goes on with another choice: what a purpose holds back comes, and what is refused does not.
    visitor.post("consent", "{\"purposes\":[\"preferences\",\"marketing\"]}");
    visitor.wait("what is granted is loaded", |visitor| {
        visitor.world.hits().iter().any(|hit| hit.address() == "cdn.taboola.com/parked.gif")
    });
    visitor.quiet();
    let (requested, cookies, keys) = seen(&visitor.evidence());
    let refused = |name: &str| ["criteo", "outbrain", "cto_"].iter().any(|word| name.contains(word));
    for name in requested.iter().chain(&cookies).chain(&keys) {
        assert!(!refused(name), "{name} is a refused vendor's");
    }
    let stub = visitor.page.evaluate("obApi('track', 'PAGE_VIEW') === undefined && document.images.length");
    assert_eq!(stub, 4, "calls of a vendor whose script did not come fail nothing");
}

const REFUSED: &str = r#"<img data-consentry="!vendor" data-consentry-src="https://static.criteo.net/parked.gif">
<img data-consentry="marketing" data-consentry-src="https://cdn.taboola.com/parked.gif">
<script>
globalThis.own = {}, globalThis.ownErrors = [];
for (const host of ["static.criteo.net", "cdn.taboola.com"]) {
  fetch(`https://${host}/fetched.gif`, { mode: "no-cors" }).catch(() => 0);
  document.body.append(Object.assign(new Image(), { src: `https://${host}/image.gif` }));
  document.body.append(Object.assign(document.createElement("script"), { src: `https://${host}/loaded.js` }));
}
document.cookie = "cto_bundle=1";
document.cookie = "trc_cookie_storage=1";
localStorage.setItem("criteo_x", "1");
sessionStorage.setItem("cto_x", "1");
localStorage.setItem("taboola x", "1");
obApi("track", "PAGE_VIEW");
globalThis.ownDone = true;
</script>"#;
