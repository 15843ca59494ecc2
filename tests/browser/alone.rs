//! Each mechanism on a page of its own.

use super::mechanism::{self, Mechanism};
use super::shop::Shop;
use super::visit::{Visitor, nothing};
use crate::support::world::World;

/// Opens the page of every mechanism that is `wanted`, and collects what `wrong` says of each.
fn each(
    visitor: &mut Visitor<'_>,
    wanted: fn(&Mechanism) -> bool,
    wrong: impl Fn(&mut Visitor<'_>, &Mechanism) -> Vec<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    let mut mechanisms = mechanism::all(0);
    mechanisms.retain(wanted);
    // These depend on what the browser has seen before.
    mechanisms.sort_by_key(|mechanism| !mechanism.is("alone"));
    for mechanism in &mechanisms {
        visitor.world.forget();
        visitor.open(&format!("/alone/{}", mechanism.name));
        let mut found = wrong(visitor, mechanism);
        found.extend(visitor.broken().into_iter().map(|part| format!("{}: {part}", mechanism.name)));
        if !found.is_empty() {
            visitor.leave();
        }
        all.extend(found);
    }
    all
}

#[test]
fn without_the_proxy_every_mechanism_reaches_its_tracker() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let mut visitor = Visitor::new(&world, shop.address);
    let wrong = each(&mut visitor, |_| true, |visitor, mechanism| visitor.missing(&[mechanism]));
    nothing("without the proxy this did not work", &wrong);
}

#[test]
fn before_consent_no_mechanism_reaches_its_tracker() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    let wrong = each(
        &mut visitor,
        |mechanism| !mechanism.is("csp"),
        |visitor, mechanism| visitor.leaks(&[mechanism], |_| false),
    );
    nothing("before consent", &wrong);
}

#[test]
fn with_all_granted_every_mechanism_reaches_its_tracker() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address).agreed("preferences.analytics.marketing");
    let wrong = each(&mut visitor, |_| true, |visitor, mechanism| visitor.missing(&[mechanism]));
    nothing("with everything granted this did not work", &wrong);
}

#[test]
fn what_only_a_policy_can_stop_is_stopped_by_it() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("csp = \"enforce\"");
    let mut visitor = Visitor::new(&world, app.address);
    let wrong = each(
        &mut visitor,
        |mechanism| mechanism.is("csp"),
        |visitor, mechanism| visitor.leaks(&[mechanism], |_| false),
    );
    nothing("before consent", &wrong);
}
