//! Each mechanism on a page of its own.

use super::mechanism::{self, Mechanism};
use super::shop::Shop;
use super::visit::{Visitor, nothing};
use crate::support::world::World;

/// Opens the page of every mechanism that is `wanted`, and collects what `wrong` says of each.
fn each(
    visitor: &mut Visitor<'_>,
    wanted: impl Fn(&Mechanism) -> bool,
    wrong: impl Fn(&mut Visitor<'_>, &Mechanism) -> Vec<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for mechanism in mechanism::all(0).iter().filter(|mechanism| {
        wanted(mechanism)
            && std::env::var("ONLY").map_or(true, |only| only.split(',').any(|part| mechanism.name.starts_with(part)))
    }) {
        visitor.world.forget();
        visitor.open(&format!("/alone/{}", mechanism.name));
        all.extend(visitor.broken().into_iter().map(|part| format!("{}: {part}", mechanism.name)));
        all.extend(wrong(visitor, mechanism));
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
