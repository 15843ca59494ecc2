//! What an access counts as, by what its visitor did besides.
//!
//! Scanners of mail open all links of a message at once, and call themselves browsers. Whoever opens [`SEVERAL`]
//! different links within [`AT_ONCE_MS`] is taken for one, and those opens for its own. All who come from one address
//! (behind one NAT) have one pseudonym: when several of them open different links in the same seconds, they are taken for
//! a scanner, too. So nothing is left out for it; it is only counted apart, and says that it was told by behaviour.
//!
//! What else would tell a scanner is not known here: when a link was made, who owns the address, and whether `HEAD` came
//! before, since nothing is recorded of that.

use std::collections::HashMap;

use super::source::{Core, GO_ON, Question, Row, Source};
use super::{Filter, TrailError};
use crate::ledger::agent::AgentClass;

/// So many different links no person opens at once.
const SEVERAL: usize = 5;

/// In milliseconds.
const AT_ONCE_MS: u64 = 10_000;

type Visitor = (Option<String>, Vec<u8>);

/// When visitors opened many links at once: from the first to the last such open, each included.
#[derive(Default)]
pub(super) struct Bursts(HashMap<Visitor, Vec<(u64, u64)>>);

impl Bursts {
    /// Those with an open that `filter` wants. They do not depend on what else it wants.
    pub fn of(source: &mut dyn Source, filter: &Filter) -> Result<Bursts, TrailError> {
        let mut bursts = Bursts::default();
        let mut now: Option<(Visitor, Window)> = None;
        let question = Question::hasty(&source.dialect(), filter, SEVERAL, AT_ONCE_MS);
        source.rows(&question, &mut |row| {
            let (Some(visitor), Some(link)) = (row.visitor, row.link) else { return GO_ON };
            let visitor = (row.epoch, visitor);
            let (visitor, window) = match &mut now {
                Some((known, window)) if *known == visitor => (known, window),
                other => {
                    let (known, window) = other.insert((visitor, Window::default()));
                    (known, window)
                }
            };
            if let Some(burst) = window.open(row.at, link) {
                bursts.add(visitor, burst);
            }
            GO_ON
        })?;
        Ok(bursts)
    }

    fn add(&mut self, visitor: &Visitor, (from, to): (u64, u64)) {
        let all = self.0.entry(visitor.clone()).or_default();
        match all.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => all.push((from, to)),
        }
    }

    /// What `row`, with the core `core`, counts as, and whether its visitor's behaviour tells so.
    pub fn class(&self, row: &Row, core: &Core) -> (AgentClass, bool) {
        let class = core.class();
        let hasty = row.event == "open" && !class.is_program() && self.hold(row);
        if hasty { (AgentClass::Scanner, true) } else { (class, false) }
    }

    fn hold(&self, row: &Row) -> bool {
        let Some(visitor) = row.visitor.as_ref().filter(|_| !self.0.is_empty()) else { return false };
        let bursts = self.0.get(&(row.epoch.clone(), visitor.clone()));
        bursts.is_some_and(|bursts| bursts.iter().any(|(from, to)| (*from..=*to).contains(&row.at)))
    }
}

/// The opens of one visitor in the last [`AT_ONCE_MS`].
#[derive(Default)]
struct Window {
    opens: std::collections::VecDeque<(u64, Vec<u8>)>,
    links: HashMap<Vec<u8>, usize>,
}

impl Window {
    /// Takes the next open, and returns the burst that it belongs to so far.
    fn open(&mut self, at: u64, link: Vec<u8>) -> Option<(u64, u64)> {
        while self.opens.front().is_some_and(|(first, _)| at.saturating_sub(*first) > AT_ONCE_MS) {
            let (_, gone) = self.opens.pop_front()?;
            if let Some(count) = self.links.get_mut(&gone) {
                *count -= 1;
                if *count == 0 {
                    self.links.remove(&gone);
                }
            }
        }
        *self.links.entry(link.clone()).or_default() += 1;
        self.opens.push_back((at, link));
        let (first, _) = self.opens.front()?;
        (self.links.len() >= SEVERAL).then_some((*first, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the opens, each a time and a link, are in a burst.
    fn burst(opens: &[(u64, u8)]) -> Vec<bool> {
        let (mut bursts, mut window, visitor) = (Bursts::default(), Window::default(), (None, vec![0]));
        for (at, link) in opens {
            if let Some(burst) = window.open(*at, vec![*link]) {
                bursts.add(&visitor, burst);
            }
        }
        let all = bursts.0.remove(&visitor).unwrap_or_default();
        opens.iter().map(|(at, _)| all.iter().any(|(from, to)| (from..=to).contains(&at))).collect()
    }

    proptest::proptest! {
        /// As the definition has it, over all windows.
        #[test]
        fn a_burst_is_five_links_within_ten_seconds(opens in proptest::collection::vec((0_u64..60, 0_u8..9), 0..30)) {
            let mut opens: Vec<_> = opens.into_iter().map(|(second, link)| (second * 1000, link)).collect();
            opens.sort_unstable();
            let expected = opens.iter().map(|(at, _)| {
                opens.iter().map(|(start, _)| *start).filter(|start| (*start..=start + 10_000).contains(at)).any(|start| {
                    let links = opens.iter().filter(|(at, _)| (start..=start + 10_000).contains(at)).map(|(_, link)| link);
                    links.collect::<std::collections::BTreeSet<_>>().len() >= 5
                })
            });
            proptest::prop_assert_eq!(burst(&opens), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_link_five_times_is_a_person_in_a_hurry() {
        assert_eq!(burst(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]), [false; 5]);
        assert_eq!(
            burst(&[(0, 1), (1, 2), (2, 3), (3, 4), (10_000, 5), (20_001, 6)]),
            [true, true, true, true, true, false]
        );
        assert_eq!(burst(&[(0, 1), (1, 2), (2, 3), (3, 4), (10_001, 5)]), [false; 5]);
    }
}
