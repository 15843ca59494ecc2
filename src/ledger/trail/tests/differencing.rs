//! Two answers together tell no more of a few visitors than one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::store::{MONTH, START, Sample, filters, journal, samples};
use super::*;

/// When all months of the samples are over.
const LATER: u64 = START + 4 * MONTH;

type Answer = BTreeMap<Option<String>, (u64, u64)>;

fn ask(trail: &mut Trail, filter: &Filter, by: Dimension) -> Answer {
    let groups = groups(trail, filter, by, K).unwrap().into_iter();
    groups.map(|group| (group.value, (group.accesses, group.visitors))).collect()
}

/// What `narrow` asks, if it asks for no more than `wide` does.
fn within(narrow: &Filter, wide: &Filter, by: Dimension) -> Filter {
    let kinds = |filter: &Filter| match (&filter.classes, by) {
        (Some(classes), _) => classes.clone(),
        (None, Dimension::Agent) => AgentClass::ALL.to_vec(),
        (None, _) => AgentClass::PEOPLE.to_vec(),
    };
    let allowed = kinds(wide);
    Filter {
        site: wide.site.clone().or(narrow.site.clone()),
        link: wide.link.or(narrow.link),
        from: wide.from.max(narrow.from),
        to: [wide.to, narrow.to].into_iter().flatten().min(),
        classes: Some(kinds(narrow).into_iter().filter(|class| allowed.contains(class)).collect()),
        ..Filter::default()
    }
}

/// Takes `part` from `whole`, and looks at what is left.
fn left(whole: &mut Answer, part: Answer) {
    for (value, (accesses, visitors)) in part {
        let all = whole.entry(value).or_default();
        *all = (all.0.checked_sub(accesses).expect("a part"), all.1.checked_sub(visitors).expect("a part"));
    }
}

fn is_safe(answer: &Answer) -> bool {
    answer.values().all(|(accesses, visitors)| *visitors >= K || (*accesses, *visitors) == (0, 0))
}

fn dimensions() -> impl Strategy<Value = Dimension> {
    prop_oneof![Just(Dimension::Country), Just(Dimension::Referrer), Just(Dimension::Agent)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// AT-31: no group of fewer than [`K`] is in an answer, nor in what one answer leaves of another.
    #[test]
    fn subtraction_finds_no_small_group(samples in samples(), wide in filters(), narrow in filters(), by in dimensions()) {
        let mut trail = journal(samples).asked_at(LATER);
        let whole = ask(&mut trail, &wide, by);
        prop_assert!(is_safe(&whole), "{whole:?}");
        let narrow = within(&narrow, &wide, by);
        let part = ask(&mut trail, &narrow, by);
        let mut rest = whole.clone();
        left(&mut rest, part.clone());
        prop_assert!(is_safe(&rest), "{wide:?} {whole:?} without {narrow:?} {part:?}");
    }

    /// The same for a site without each of its links.
    #[test]
    fn a_site_without_its_links_is_no_small_group(samples in samples(), filter in filters(), by in dimensions()) {
        let mut trail = journal(samples).asked_at(LATER);
        let site = Filter { site: Some("site0".into()), link: None, ..filter };
        let mut whole = ask(&mut trail, &site, by);
        for link in 1..7 {
            left(&mut whole, ask(&mut trail, &Filter { link: Some([link; 16]), ..site.clone() }, by));
            prop_assert!(is_safe(&whole), "{whole:?}");
        }
    }

    /// So that taking all groups from the sum, which others tell, finds nothing.
    #[test]
    fn a_month_of_a_link_is_told_whole_or_not_at_all(samples in samples(), by in dimensions()) {
        let mut trail = journal(samples.clone()).asked_at(LATER);
        for (link, month) in (1..7).flat_map(|link| [(link, "2026-01"), (link, "2026-02")]) {
            let from = if month == "2026-01" { START } else { START + MONTH };
            let to = if month == "2026-01" { START + MONTH } else { START + 59 * 24 * 3_600_000 };
            let filter = Filter {
                site: Some("site0".into()),
                link: Some([link; 16]),
                from: Some(from),
                to: Some(to),
                classes: Some(AgentClass::ALL.to_vec()),
                ..Filter::default()
            };
            let answer = ask(&mut trail, &filter, by);
            let programs = Filter { classes: Some(AgentClass::PROGRAMS.to_vec()), ..filter.clone() };
            let answers = [ask(&mut trail, &programs, by), {
                let mut people = answer;
                left(&mut people, ask(&mut trail, &programs, by));
                people
            }];
            let mut sums = [0; 2];
            for access in all(&mut trail, &filter, Role::Custodian) {
                sums[usize::from(["human", "unknown"].contains(&&*access.agent))] += 1;
            }
            for (answer, sum) in answers.iter().zip(sums) {
                let told: u64 = answer.values().map(|(accesses, _)| accesses).sum();
                prop_assert!(told == 0 || told == sum, "{told} of {sum}");
            }
        }
    }

    /// Whoever asks again later learns nothing of what was there before.
    #[test]
    fn what_was_told_stays_as_it_is(samples in samples(), filter in filters(), then in START..LATER, by in dimensions()) {
        let before = samples.iter().filter(|sample| sample.at < then).cloned();
        let mut before = journal(before).asked_at(then);
        let mut later = journal(samples).asked_at(LATER);
        let month = |n: u64| [START, START + MONTH, START + 59 * 24 * 3_600_000][n as usize];
        for n in 0..2 {
            let filter = Filter { from: Some(month(n)), to: Some(month(n + 1)), ..filter.clone() };
            let (first, second) = (ask(&mut before, &filter, by), ask(&mut later, &filter, by));
            let is_told = then >= month(n + 1) + 36 * 3_600_000;
            let is_kept = if is_told { first == second } else { first.values().all(|counts| *counts == (0, 0)) };
            prop_assert!(is_kept, "{first:?} {second:?}");
        }
    }

    /// What stands beside an access does not depend on the question, and stands beside enough of them.
    #[test]
    fn attributes_of_single_accesses_are_of_many(samples in samples(), one in filters(), other in filters()) {
        let mut trail = journal(samples).asked_at(LATER);
        let mut told = |filter: &Filter| -> BTreeMap<_, _> {
            let list = all(&mut trail, filter, Role::Owner).into_iter();
            list.map(|access| (access.seq, access)).collect()
        };
        let (all, one, other) = (told(&Filter::default()), told(&one), told(&other));
        for (seq, access) in one.iter().chain(&other) {
            prop_assert_eq!(access, &all[seq]);
        }
        let values: [fn(&Access) -> &Option<String>; 2] = [|access| &access.country, |access| &access.referrer];
        for value in values {
            let mut visitors: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for access in all.values() {
                let value = value(access).as_ref();
                visitors.entry((&access.site, &access.link, value)).or_default().extend(&access.visitor);
            }
            let few = visitors.iter().find(|((.., value), visitors)| value.is_some() && visitors.len() < 5);
            prop_assert!(few.is_none(), "{few:?}");
        }
    }
}

/// The attack of AT-31: `to` is moved until one more visitor is in; and the one that the older rule did not see, a question
/// about a link, and then about all.
#[test]
fn one_visitor_more_or_less_is_not_seen() {
    let visit = |visitor: u8, country| Sample {
        at: START + u64::from(visitor) * 86_400_000,
        visitor,
        country: Some(country),
        ..Sample::default()
    };
    let rows = (1..=9).map(|n| visit(n, "DE")).chain((10..=15).map(|n| visit(n, "TW")));
    let mut trail = journal(rows).asked_at(LATER);
    let country = |trail: &mut Trail, to| ask(trail, &Filter { to: Some(to), ..Filter::default() }, Dimension::Country);
    let whole = country(&mut trail, START + MONTH);
    assert_eq!(whole, [(Some("DE".into()), (9, 9)), (Some("TW".into()), (6, 6))].into());
    for day in 1..31 {
        assert_eq!(country(&mut trail, START + day * 86_400_000), [(None, (0, 0))].into(), "no part of a month");
    }
    let some = Filter { classes: Some(vec![AgentClass::Human]), ..Filter::default() };
    assert!(matches!(groups(&mut trail, &some, Dimension::Country, K), Err(TrailError::TooFine)));
    assert_eq!(groups(&mut trail, &some, Dimension::Country, 1).unwrap().len(), 2, "the custodian may");
}

#[test]
fn what_enough_visitors_share_is_told() {
    let visit = |link: u8, visitor: u8, country| Sample {
        at: START,
        link,
        visitor,
        country: Some(country),
        ..Sample::default()
    };
    let one_link = (1..=9).map(|n| visit(1, n, "DE")).chain((10..=14).map(|n| visit(1, n, "TW")));
    // Too few on each link, but not on all of them.
    let small = (1..=3).flat_map(|n| [visit(2, n, "FR"), visit(3, n + 3, "FR")]);
    let mut trail = journal(one_link.chain(small).chain([visit(4, 1, "US")])).asked_at(LATER);
    let site = Filter { site: Some("site0".into()), ..Filter::default() };
    let of = |link: u8| Filter { link: Some([link; 16]), ..site.clone() };
    let told = |n: u64, value: &str| (Some(value.to_owned()), (n, n));
    let mut country = |filter: &Filter| ask(&mut trail, filter, Dimension::Country);
    assert_eq!(country(&of(1)), [told(9, "DE"), told(5, "TW")].into());
    assert_eq!(country(&of(2)), [(None, (0, 0))].into());
    // One from `US` would be found: it joins the smallest that only the site tells.
    assert_eq!(country(&site), [told(9, "DE"), told(5, "TW"), (None, (7, 6))].into());
    let seen = all(&mut trail, &site, Role::Owner);
    let labels: BTreeSet<_> = seen.iter().map(|access| access.country.as_deref()).collect();
    assert_eq!(labels, [Some("DE"), Some("TW"), None].into(), "beside single accesses, only what the link tells");
    assert!(all(&mut trail.asked_at(START + MONTH), &site, Role::Owner).iter().all(|access| access.country.is_none()));
}
