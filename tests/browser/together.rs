//! All mechanisms on one page, in every state of consent.

use super::mechanism::{self, Mechanism, Purpose};
use super::shop::Shop;
use super::visit::{Visitor, nothing, when};
use crate::support::world::World;
use crate::support::{consent, everything, get};

/// The mechanisms of one turn that are on the page, and that `wanted` says yes to.
fn those(turn: &[Mechanism], wanted: impl Fn(&Mechanism) -> bool) -> Vec<&Mechanism> {
    turn.iter().filter(|mechanism| !mechanism.is("alone") && wanted(mechanism)).collect()
}

/// Those that no policy by consent is needed for.
fn is_seen(mechanism: &Mechanism) -> bool {
    !mechanism.is("csp")
}

#[test]
fn without_the_proxy_the_page_tracks_all_it_can() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let mut wrong = Vec::new();
    for turn in 0..2 {
        let mut visitor = Visitor::new(&world, shop.address);
        visitor.open(&format!("/every/{turn}"));
        wrong.extend(visitor.missing(&those(&mechanism::all(turn), |_| true)));
        wrong.extend(visitor.broken());
    }
    nothing("without the proxy this did not work", &wrong);
}

#[test]
fn before_consent_nothing_and_after_it_what_was_held_without_a_reload() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut wrong = Vec::new();
    for turn in 0..2 {
        let all = mechanism::all(turn);
        let mut visitor = Visitor::new(&world, app.address);
        visitor.open(&format!("/all/{turn}"));
        wrong.extend(when("before consent", visitor.leaks(&those(&all, is_seen), |_| false)));
        visitor.page.evaluate("globalThis.notReloaded = true");
        visitor.post("consent", r#"{"purposes":["preferences","analytics","marketing"]}"#);
        let held = those(&all, |mechanism| is_seen(mechanism) && !mechanism.is("lost"));
        wrong.extend(when("after consent", visitor.missing(&held)));
        wrong.extend(visitor.broken());
        assert_eq!(visitor.page.evaluate("globalThis.notReloaded"), true, "without a reload");
    }
    nothing("on one page", &wrong);
}

#[test]
fn with_a_policy_by_consent_nothing_at_all() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("csp = \"enforce\"");
    let mut wrong = Vec::new();
    for turn in 0..2 {
        let mut visitor = Visitor::new(&world, app.address);
        visitor.open(&format!("/every/{turn}"));
        wrong.extend(visitor.leaks(&those(&mechanism::all(turn), |_| true), |_| false));
        wrong.extend(visitor.broken());
    }
    nothing("before consent", &wrong);
}

#[test]
fn with_one_purpose_granted_just_what_is_of_it() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut wrong = Vec::new();
    for (purpose, turn) in [("analytics", 0), ("analytics", 1), ("marketing", 0)] {
        let granted = |of: Purpose| of == if purpose == "analytics" { Purpose::Analytics } else { Purpose::Marketing };
        let all = mechanism::all(turn);
        let mut visitor = Visitor::new(&world, app.address).agreed(purpose);
        visitor.open(&format!("/all/{turn}"));
        let of_it = those(&all, |mechanism| is_seen(mechanism) && granted(mechanism.purpose));
        let label = format!("with {purpose}");
        wrong.extend(when(&label, visitor.missing(&of_it)));
        wrong.extend(when(&label, visitor.leaks(&those(&all, is_seen), granted)));
        wrong.extend(when(&label, visitor.broken()));
    }
    nothing("on one page", &wrong);
}

#[test]
fn with_all_granted_everything_and_after_withdrawal_nothing_again() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut wrong = Vec::new();
    for turn in 0..2 {
        let all = mechanism::all(turn);
        let path = format!("/all/{turn}");
        let mut visitor = Visitor::new(&world, app.address).agreed("preferences.analytics.marketing");
        visitor.open(&path);
        wrong.extend(when("with everything granted", visitor.missing(&those(&all, is_seen))));
        wrong.extend(when("with everything granted", visitor.broken()));
        visitor.quiet();
        visitor.post("withdraw", "{}");
        visitor.quiet();
        // No site can erase what a tracker keeps at its own host; what comes anew is seen.
        visitor.forget_third_parties();
        world.forget();
        visitor.open(&path);
        wrong.extend(when("after withdrawal", visitor.leaks(&those(&all, is_seen), |_| false)));
        wrong.extend(when("after withdrawal", visitor.broken()));
    }
    nothing("on one page", &wrong);
}

#[test]
fn with_a_global_privacy_signal_no_marketing() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut wrong = Vec::new();
    for turn in 0..2 {
        let all = mechanism::all(turn);
        let mut visitor = Visitor::new(&world, app.address).agreed("preferences.analytics.marketing");
        visitor.page.send_header("Sec-GPC", "1");
        visitor.open(&format!("/all/{turn}"));
        let granted = |purpose| purpose != Purpose::Marketing;
        wrong.extend(visitor.missing(&those(&all, |mechanism| is_seen(mechanism) && granted(mechanism.purpose))));
        wrong.extend(visitor.leaks(&those(&all, is_seen), granted));
        wrong.extend(visitor.broken());
    }
    nothing("with a global privacy signal", &wrong);
}

#[test]
fn who_observes_changes_nothing() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("mode = \"observe\"");
    let mut visitor = Visitor::new(&world, app.address);
    visitor.open("/every/0");
    let mut wrong = visitor.missing(&those(&mechanism::all(0), |_| true));
    wrong.extend(visitor.broken());
    nothing("while observing this did not work", &wrong);
}

#[test]
fn a_page_in_which_nothing_is_denied_is_passed_byte_for_byte() {
    let shop = Shop::open();
    let observing = shop.behind_proxy("mode = \"observe\"");
    let enforcing = shop.behind_proxy("");
    for path in ["/every/0", "/every/1", "/vendor/ga4", "/bare/frameset-a", "/bare/frameset-m", "/nowhere"] {
        let original = get(shop.address, path, &[]).body;
        assert_eq!(get(observing.address, path, &[]).body, original, "{path} while observing");
        assert_eq!(get(observing.address, path, &[("Cookie", &consent(""))]).body, original, "{path} while observing");
        assert_eq!(
            get(enforcing.address, path, &[("Cookie", &everything())]).body,
            original,
            "{path} with all granted"
        );
    }
}

#[test]
fn without_scripts_the_page_is_safe_too() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let all = mechanism::all(0);
    let plain = those(&all, |mechanism| mechanism.is("plain"));

    let mut visitor = Visitor::new(&world, shop.address);
    visitor.page.disable_scripts();
    visitor.open_without_scripts("/every/0");
    nothing("without the proxy this did not work", &visitor.missing(&plain));

    let mut visitor = Visitor::new(&world, app.address);
    visitor.page.disable_scripts();
    visitor.open_without_scripts("/all/0");
    nothing("before consent", &visitor.leaks(&those(&all, is_seen), |_| false));
    visitor.agree("preferences.analytics.marketing");
    visitor.open_without_scripts("/all/0");
    nothing(
        "with everything granted this did not work",
        &visitor.missing(&those(&all, |mechanism| mechanism.is("plain") && is_seen(mechanism))),
    );
}
