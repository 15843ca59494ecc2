//! Whichever store is asked, the answer is the same.

use proptest::test_runner::{Config, TestRunner};

use super::postgres::{Postgres, WRITER, fill, prepare};
use super::store::{MONTH, START, Sample, filters, journal, samples};
use super::*;
use crate::ledger::pseudonym::Pseudonym;

#[test]
fn both_stores_answer_alike() {
    let server = Postgres::start();
    prepare(&mut server.client());
    let mut filling = server.client();
    let now = START + 2 * MONTH + MONTH / 4;
    let central = std::cell::RefCell::new(Trail::connect(server.client()).asked_at(now));
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let filling = std::cell::RefCell::new(&mut filling);
    let outcome = runner.run(&(samples(), filters()), |(samples, filter)| {
        fill(&mut filling.borrow_mut(), &samples);
        let (mut journal, mut central) = (journal(samples).asked_at(now), central.borrow_mut());
        assert_eq!(journal.links(&filter).unwrap(), central.links(&filter).unwrap());
        assert_eq!(journal.heads().unwrap(), central.heads().unwrap());
        for role in [Role::Owner, Role::Auditor, Role::Custodian] {
            let mut shipped = all(&mut central, &filter, role);
            assert_eq!(in_pages(&mut central, &filter, role), shipped, "{role:?}");
            let times: Vec<_> = shipped.iter().map(|access| access.at).collect();
            assert!(times.is_sorted());
            let writer = shipped.iter_mut().map(|access| access.writer.take());
            assert!(writer.into_iter().all(|writer| writer == Some(hex(&WRITER))));
            shipped.sort_by_key(|access| access.seq);
            assert_eq!(all(&mut journal, &filter, role), shipped, "{role:?}");
        }
        assert_eq!(journal.visitors(&filter).unwrap(), central.visitors(&filter).unwrap());
        let (from, to) = (filter.from.unwrap_or(0), filter.to.unwrap_or(now));
        assert_eq!(journal.gaps(from, to).unwrap(), central.gaps(from, to).unwrap());
        let one = Sample { visitor: 3, ..Sample::default() }.visitor().unwrap().try_into().unwrap();
        let visits = |trail: &mut Trail| trail.visits("site0", "2026-01", &Pseudonym(one), from, to).unwrap();
        let mut shipped = visits(&mut central);
        assert!(shipped.iter_mut().all(|visit| visit.writer.take() == Some(hex(&WRITER))));
        shipped.sort_by_key(|visit| visit.seq);
        assert_eq!(visits(&mut journal), shipped);
        for (by, k) in
            [(Dimension::Country, 1), (Dimension::Country, K), (Dimension::Referrer, K), (Dimension::Agent, 2)]
        {
            let ask = |trail: &mut Trail| groups(trail, &filter, by, k).map_err(|error| error.to_string());
            assert_eq!(ask(&mut journal), ask(&mut central), "{by:?} {k}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// All accesses, a few at a time.
fn in_pages(trail: &mut Trail, filter: &Filter, role: Role) -> Vec<Access> {
    let (mut accesses, mut after) = (Vec::new(), None);
    loop {
        let page = all(trail, &Filter { limit: Some(3), after, ..filter.clone() }, role);
        let Some(last) = page.last() else { return accesses };
        after = Some(last.next());
        accesses.extend(page);
    }
}
