//! Counts by a coarse attribute, such that no group stands for a handful of people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::behaviour::Bursts;
use super::cells::{Block, Cell, Cells, HOUR_MS, Told, blocks, is_over, wants_all_of, wants_some_of};
use super::source::{GO_ON, Order, Question, Row, Source};
use super::{Filter, Trail, TrailError, wants};
use crate::ledger::agent::AgentClass;

/// By what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    pub(super) fn value(self, row: &Row, class: AgentClass) -> String {
        let value = match self {
            Dimension::Country => row.country.as_deref(),
            Dimension::Referrer => row.referrer.as_deref(),
            Dimension::Agent => Some(class.as_str()),
        };
        value.unwrap_or("unknown").to_owned()
    }

    /// Whose accesses count if nothing is said about it.
    fn classes(self, filter: &Filter) -> &[AgentClass] {
        match (&filter.classes, self) {
            (Some(classes), _) => classes,
            (None, Dimension::Agent) => &AgentClass::ALL,
            (None, _) => &AgentClass::PEOPLE,
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

/// Groups, the largest first. With a `k` of 1 or less, which is for the custodian, all are told as they are.
///
/// Else only groups of at least `k` visitors are, and of whole calendar months that `filter` wants and that are over, so
/// that no smaller one can be found by subtracting answers from each other (see [`super::cells`]). A visitor of two links
/// then counts twice. One group without a value stands for all that is too small; if there is too little even of that,
/// it has no counts. A `filter` with some classes of people (`human`, `unknown`) or of programs must have all of them.
///
/// # Errors
/// The classes of `filter` are too fine, or the store cannot be read.
pub fn groups(trail: &mut Trail, filter: &Filter, by: Dimension, k: u64) -> Result<Vec<Group>, TrailError> {
    let now_ms = trail.now_ms;
    let kinds = [&AgentClass::PEOPLE[..], &AgentClass::PROGRAMS[..]].map(|kind| {
        let wanted = kind.iter().filter(|class| by.classes(filter).contains(class)).count();
        (wanted > 0, wanted == kind.len())
    });
    let [(people, _), (programs, _)] = kinds;
    trail.at_once(|source| match k {
        0 | 1 => exact(source, filter, by),
        _ if kinds.iter().any(|(some, all)| some != all) => Err(TrailError::TooFine),
        _ => safe(source, filter, by, k, |block| match if block.programs { programs } else { people } {
            true if wants_all_of(filter, block.month) && is_over(block.month, now_ms) => Telling::Told,
            true if wants_some_of(filter, block.month) => Telling::Held,
            _ => Telling::NotAsked,
        }),
    })
}

/// Whether an answer is about a block.
enum Telling {
    Told,
    /// It is, but as a whole the block may not be told.
    Held,
    NotAsked,
}

fn exact(source: &mut dyn Source, filter: &Filter, by: Dimension) -> Result<Vec<Group>, TrailError> {
    let bursts = Bursts::of(source, filter)?;
    let mut all = Cells::new();
    let question = Question::accesses(&source.dialect(), filter, Order::Arrival);
    source.rows(&question, &mut |row| {
        let (class, _) = bursts.class(&row, &row.core());
        if wants(by.classes(filter), class) {
            let visitor = row.visitor.as_ref().map(|visitor| {
                let epoch = row.epoch.as_deref().unwrap_or_default();
                [epoch.as_bytes(), visitor].concat()
            });
            all.entry(by.value(&row, class)).or_default().add(visitor);
        }
        GO_ON
    })?;
    let mut sum = Sum::default();
    all.into_iter().for_each(|(value, cell)| sum.add(Some(value), &cell));
    Ok(sum.groups())
}

fn safe(
    source: &mut dyn Source,
    filter: &Filter,
    by: Dimension,
    k: u64,
    telling: impl Fn(&Block) -> Telling,
) -> Result<Vec<Group>, TrailError> {
    // A month begins and ends elsewhere in every time zone.
    const ROOM_MS: u64 = 48 * HOUR_MS;
    let wide = Filter {
        from: filter.from.map(|from| from.saturating_sub(ROOM_MS)),
        to: filter.to.map(|to| to.saturating_add(ROOM_MS)),
        classes: None,
        ..filter.clone()
    };
    let bursts = Bursts::of(source, &wide)?;
    let (mut sum, mut small) = (Sum::default(), BTreeMap::<_, Cells>::new());
    blocks(source, &wide, &bursts, [by], |block, _, cells| {
        match telling(&block) {
            Telling::Told => {}
            Telling::Held => return sum.is_more = true,
            Telling::NotAsked => return,
        }
        let Told { shown, rest, untold } = Told::of(cells, k);
        sum.take(shown, rest);
        let of_site = small.entry((block.site, block.month, block.programs)).or_default();
        untold.into_iter().for_each(|(value, cell)| of_site.entry(value).or_default().join(cell));
    })?;
    // What is too little on one link may be told of all links together. Of one link, it is too little again.
    for cells in small.into_values() {
        let Told { shown, rest, untold } = Told::of(cells, k);
        sum.take(shown, rest);
        sum.is_more |= !untold.is_empty();
    }
    Ok(sum.groups())
}

/// Cells, added up.
#[derive(Default)]
struct Sum {
    by_value: BTreeMap<Option<String>, (u64, u64)>,
    /// Whether there is something that is not told of.
    is_more: bool,
}

impl Sum {
    fn add(&mut self, value: Option<String>, cell: &Cell) {
        let (accesses, visitors) = self.by_value.entry(value).or_default();
        *accesses += cell.accesses;
        *visitors += cell.visitors();
    }

    fn take(&mut self, shown: Cells, rest: Option<Cell>) {
        shown.into_iter().for_each(|(value, cell)| self.add(Some(value), &cell));
        rest.iter().for_each(|cell| self.add(None, cell));
    }

    fn groups(mut self) -> Vec<Group> {
        if self.is_more {
            self.by_value.entry(None).or_default();
        }
        let mut groups: Vec<_> = self
            .by_value
            .into_iter()
            .map(|(value, (accesses, visitors))| Group { value, accesses, visitors })
            .collect();
        // The one without a value comes last.
        groups.sort_by(|a, b| {
            let rank = |group: &Group| (group.value.is_none(), std::cmp::Reverse(group.visitors));
            rank(a).cmp(&rank(b)).then_with(|| a.value.cmp(&b.value))
        });
        groups
    }
}
