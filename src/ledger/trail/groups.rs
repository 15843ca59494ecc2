//! Counts by a coarse attribute, such that no group stands for a handful of people.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Filter, Role, Trail, TrailError};

/// By what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Country,
    Referrer,
    Agent,
}

impl Dimension {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Country => "country",
            Dimension::Referrer => "referrer",
            Dimension::Agent => "agent",
        }
    }
}

/// A group of visitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// `None`: what is left of all groups that are too small.
    pub value: Option<String>,
    pub accesses: u64,
    pub visitors: u64,
}

/// Groups of at least `k` visitors, the largest first, and one of the rest. If the rest is itself smaller than `k`, the
/// smallest shown group joins it: else the rest could be found by taking all groups from the sum.
pub fn groups(trail: &Trail, filter: &Filter, by: Dimension, k: u64) -> Result<Vec<Group>, TrailError> {
    let mut all: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    trail.accesses(filter, Role::Custodian, |access| {
        let value = match by {
            Dimension::Country => access.country,
            Dimension::Referrer => access.referrer,
            Dimension::Agent => access.agent,
        };
        let group = all.entry(value.unwrap_or_else(|| "unknown".to_owned())).or_default();
        group.0 += 1;
        group.1.extend(access.visitor);
        Ok(())
    })?;
    let counted = all.into_iter().map(|(value, (accesses, visitors))| (value, accesses, visitors)).collect();
    Ok(suppress(counted, k))
}

fn suppress(mut groups: Vec<(String, u64, BTreeSet<String>)>, k: u64) -> Vec<Group> {
    let size = |visitors: &BTreeSet<String>| u64::try_from(visitors.len()).unwrap_or(u64::MAX);
    groups.sort_by(|a, b| b.2.len().cmp(&a.2.len()).then_with(|| a.0.cmp(&b.0)));
    let mut rest: (u64, BTreeSet<String>) = Default::default();
    let mut is_any_suppressed = false;
    while groups.last().is_some_and(|(.., visitors)| size(visitors) < k)
        || (is_any_suppressed && size(&rest.1) < k && !groups.is_empty())
    {
        let Some((_, accesses, visitors)) = groups.pop() else { break };
        is_any_suppressed = true;
        rest.0 += accesses;
        rest.1.extend(visitors);
    }
    let shown = groups.into_iter().map(|(value, accesses, visitors)| Group {
        value: Some(value),
        accesses,
        visitors: size(&visitors),
    });
    // A rest that is too small, and the only group there is, is no more than its existence.
    let rest = is_any_suppressed.then(|| match size(&rest.1) {
        visitors if visitors >= k => Group { value: None, accesses: rest.0, visitors },
        _ => Group { value: None, accesses: 0, visitors: 0 },
    });
    shown.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(value: &str, visitors: std::ops::Range<u32>) -> (String, u64, BTreeSet<String>) {
        let visitors: BTreeSet<_> = visitors.map(|number| format!("{value}{number}")).collect();
        (value.to_owned(), visitors.len() as u64 * 2, visitors)
    }

    fn shown(groups: Vec<(String, u64, BTreeSet<String>)>) -> Vec<(Option<String>, u64)> {
        suppress(groups, 5).into_iter().map(|group| (group.value, group.visitors)).collect()
    }

    #[test]
    fn a_group_of_k_is_shown_and_one_of_fewer_is_not() {
        let groups = vec![group("DE", 0..9), group("FR", 0..5), group("CN", 0..4), group("US", 0..3)];
        assert_eq!(shown(groups), [(Some("DE".into()), 9), (Some("FR".into()), 5), (None, 7)]);
    }

    #[test]
    fn what_is_left_over_cannot_be_found_by_subtraction() {
        let groups = vec![group("DE", 0..9), group("FR", 0..6), group("CN", 0..2)];
        assert_eq!(shown(groups), [(Some("DE".into()), 9), (None, 8)], "the smallest shown group joins it");
        assert_eq!(shown(vec![group("CN", 0..4)]), [(None, 0)], "nothing but that there is something");
        assert_eq!(shown(vec![group("CN", 0..5)]), [(Some("CN".into()), 5)]);
        assert_eq!(shown(vec![]), []);
    }
}
