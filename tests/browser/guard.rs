//! When the guard begins, and when it begins anew.

use super::mechanism;
use super::shop::Shop;
use super::visit::{Visitor, nothing};
use crate::support::world::World;

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
