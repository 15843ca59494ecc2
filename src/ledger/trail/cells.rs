//! What may be told of attributes (country, referrer) without telling them of a few visitors.
//!
//! A rule that looks at one answer alone is not enough: whoever may shift `to` until one more visitor is in, or ask for
//! a link and then for all, subtracts one answer from the other. So what is told does not depend on the question. The
//! accesses are parted once and for all into blocks: a site, a link, a calendar month (in which a visitor has one
//! pseudonym), and whether people or programs made them. Within a block each value with [`K`] visitors or more is a cell
//! of its own; the others are one cell together, which has [`K`] or more, too, or takes the smallest of the others in. A
//! block of fewer than [`K`] visitors tells nothing of itself; such blocks of one site and month are parted together in the same
//! way, for who asks about the whole site. Every answer is a sum of whole cells. So whatever is added or taken away, what
//! is left is cells, and in each of them are [`K`] visitors or more.
//!
//! Fixed tables with complementary suppression are how statistical offices do it. Rounding instead does not help where
//! one may ask again and again: the moment at which a rounded count moves tells who moved it. For the same reason nothing
//! is told of a month that is not over: its cells grow.
//!
//! Limits: an erasure, a purge, or a replica that ships a month late changes cells that were told. Attributes are
//! looked at one by one, so that a country and a referrer together may be of fewer than [`K`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::behaviour::Bursts;
use super::source::{GO_ON, Order, Question, Row, Source};
use super::{Dimension, Filter, TrailError};
use crate::ledger::agent::AgentClass;
use crate::ledger::keys::Epoch;

/// Fewer visitors are not told of.
pub const K: u64 = 5;

pub(super) const HOUR_MS: u64 = 3_600_000;

/// No time zone is further from UTC.
const ZONES_MS: u64 = 14 * HOUR_MS;

/// Accesses with one value, and the pseudonyms of who made them.
#[derive(Clone, Default)]
pub(super) struct Cell {
    pub accesses: u64,
    visitors: BTreeSet<Vec<u8>>,
}

impl Cell {
    pub fn visitors(&self) -> u64 {
        u64::try_from(self.visitors.len()).unwrap_or(u64::MAX)
    }

    pub fn add(&mut self, visitor: Option<Vec<u8>>) {
        self.accesses += 1;
        self.visitors.extend(visitor);
    }

    pub fn join(&mut self, other: Cell) {
        self.accesses += other.accesses;
        self.visitors.extend(other.visitors);
    }
}

pub(super) type Cells = BTreeMap<String, Cell>;

/// Cells that may be told.
#[derive(Default)]
pub(super) struct Told {
    pub shown: Cells,
    /// Values with few visitors, together.
    pub rest: Option<Cell>,
    /// All there is, if it is of too few visitors.
    pub untold: Cells,
}

impl Told {
    /// Each cell of `k` visitors or more, and the others together. If those are fewer than `k`, the smallest cell joins
    /// them: else they could be found by taking all cells from the sum.
    pub fn of(cells: Cells, k: u64) -> Told {
        let mut sorted: Vec<_> = cells.into_iter().collect();
        sorted.sort_by(|a, b| b.1.visitors().cmp(&a.1.visitors()).then_with(|| a.0.cmp(&b.0)));
        let (mut rest, mut hidden) = (Cell::default(), Cells::new());
        while sorted.last().is_some_and(|(_, cell)| cell.visitors() < k)
            || (!hidden.is_empty() && rest.visitors() < k && !sorted.is_empty())
        {
            let Some((value, cell)) = sorted.pop() else { break };
            rest.join(cell.clone());
            hidden.insert(value, cell);
        }
        let shown = sorted.into_iter().collect();
        match (hidden.is_empty(), rest.visitors() >= k) {
            (true, _) => Told { shown, ..Told::default() },
            (false, true) => Told { shown, rest: Some(rest), untold: Cells::new() },
            // Then there is nothing that it could have been joined with.
            (false, false) => Told { shown, rest: None, untold: hidden },
        }
    }
}

/// A part of the accesses, the same for every question.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Block {
    pub site: String,
    pub link: Option<Vec<u8>>,
    pub month: Epoch,
    /// Whether programs made them, and not people.
    pub programs: bool,
}

impl Block {
    pub fn of(row: &Row, class: AgentClass) -> Option<Block> {
        let month = match row.epoch.as_deref().map(str::parse) {
            Some(Ok(month)) => month,
            _ => Epoch::of(Timestamp::from_millisecond(i64::try_from(row.at).ok()?).ok()?, &TimeZone::UTC),
        };
        Some(Block { site: row.site.clone(), link: row.link.clone(), month, programs: class.is_program() })
    }
}

/// Calls `each` with the cells of each block of accesses that `filter` wants, which must be wide enough for whole blocks.
pub(super) fn blocks<const N: usize>(
    source: &mut dyn Source,
    filter: &Filter,
    bursts: &Bursts,
    dimensions: [Dimension; N],
    mut each: impl FnMut(Block, Dimension, Cells),
) -> Result<(), TrailError> {
    // Of one site and link at a time.
    let mut open: BTreeMap<Block, [Cells; N]> = BTreeMap::new();
    let mut flush = |open: &mut BTreeMap<Block, [Cells; N]>| {
        for (block, cells) in std::mem::take(open) {
            for (dimension, cells) in dimensions.into_iter().zip(cells) {
                each(block.clone(), dimension, cells);
            }
        }
    };
    let question = Question::accesses(&source.dialect(), filter, Order::Link);
    source.rows(&question, &mut |row| {
        let (class, _) = bursts.class(&row, &row.core());
        let Some(block) = Block::of(&row, class) else { return GO_ON };
        if open.keys().next().is_some_and(|known| (&known.site, &known.link) != (&block.site, &block.link)) {
            flush(&mut open);
        }
        let cells = open.entry(block).or_insert_with(|| [(); N].map(|()| Cells::new()));
        for (dimension, cells) in dimensions.into_iter().zip(cells) {
            cells.entry(dimension.value(&row, class)).or_default().add(row.visitor.clone());
        }
        GO_ON
    })?;
    flush(&mut open);
    Ok(())
}

/// A filter for all accesses of all months that accesses of `filter` may be of.
pub(super) fn whole_months_around(filter: &Filter) -> Filter {
    const ROOM_MS: u64 = 33 * 24 * HOUR_MS;
    Filter {
        from: filter.from.map(|from| from.saturating_sub(ROOM_MS)),
        to: filter.to.map(|to| to.saturating_add(ROOM_MS)),
        classes: None,
        ..filter.clone()
    }
}

/// Whether `month` is over in every time zone, with a day for replicas that ship late.
pub(super) fn is_over(month: Epoch, now_ms: u64) -> bool {
    bounds(month).is_some_and(|(_, end)| now_ms >= end.saturating_add(36 * HOUR_MS))
}

/// Whether `filter` wants all of `month`, in whatever time zone it was meant.
pub(super) fn wants_all_of(filter: &Filter, month: Epoch) -> bool {
    bounds(month).is_some_and(|(start, end)| {
        filter.from.is_none_or(|from| from <= start.saturating_add(ZONES_MS))
            && filter.to.is_none_or(|to| to.saturating_add(ZONES_MS) >= end)
    })
}

/// Whether `filter` wants something of `month`.
pub(super) fn wants_some_of(filter: &Filter, month: Epoch) -> bool {
    bounds(month)
        .is_some_and(|(start, end)| filter.from.is_none_or(|from| from < end) && filter.to.is_none_or(|to| to > start))
}

/// In UTC.
fn bounds(month: Epoch) -> Option<(u64, u64)> {
    let start = |month: Epoch| {
        let start = month.start_after(0, &TimeZone::UTC)?;
        u64::try_from(start.as_millisecond()).ok()
    };
    Some((start(month)?, start(month.next())?))
}

/// Which values may stand beside single accesses.
pub(super) struct Labels(HashSet<(Block, Dimension, String)>);

impl Labels {
    pub fn of(source: &mut dyn Source, filter: &Filter, bursts: &Bursts, now_ms: u64) -> Result<Labels, TrailError> {
        let mut labels = HashSet::new();
        let dimensions = [Dimension::Country, Dimension::Referrer];
        blocks(source, filter, bursts, dimensions, |block, dimension, cells| {
            if is_over(block.month, now_ms) {
                let shown = Told::of(cells, K).shown.into_keys();
                labels.extend(shown.map(|value| (block.clone(), dimension, value)));
            }
        })?;
        Ok(Labels(labels))
    }

    /// Takes from `row` what may not be told.
    pub fn blank(&self, row: &mut Row, class: AgentClass) {
        let Some(block) = Block::of(row, class) else { return };
        let known =
            |dimension: Dimension, row: &Row| self.0.contains(&(block.clone(), dimension, dimension.value(row, class)));
        if !known(Dimension::Country, row) {
            row.country = None;
        }
        if !known(Dimension::Referrer, row) {
            row.referrer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(sizes: &[(&str, u8)]) -> Cells {
        let cell = |value: &str, visitors: u8| {
            let visitors: BTreeSet<_> = (0..visitors).map(|n| format!("{value}{n}").into_bytes()).collect();
            Cell { accesses: visitors.len() as u64 * 2, visitors }
        };
        sizes.iter().map(|(value, visitors)| ((*value).to_owned(), cell(value, *visitors))).collect()
    }

    /// Cells that are shown, the rest, and how many values are not told of.
    fn told(sizes: &[(&str, u8)]) -> (Vec<(String, u64)>, Option<u64>, usize) {
        let Told { shown, rest, untold } = Told::of(cells(sizes), 5);
        let shown = shown.into_iter().map(|(value, cell)| (value, cell.visitors())).collect();
        (shown, rest.map(|cell| cell.visitors()), untold.len())
    }

    #[test]
    fn a_cell_of_k_is_told_and_one_of_fewer_is_not() {
        let found = told(&[("DE", 9), ("FR", 5), ("CN", 4), ("US", 3)]);
        assert_eq!(found, (vec![("DE".into(), 9), ("FR".into(), 5)], Some(7), 0));
    }

    #[test]
    fn what_is_left_over_cannot_be_found_by_subtraction() {
        let found = told(&[("DE", 9), ("FR", 6), ("CN", 2)]);
        assert_eq!(found, (vec![("DE".into(), 9)], Some(8), 0), "the smallest joins it");
        assert_eq!(told(&[("CN", 4)]), (vec![], None, 1));
        assert_eq!(told(&[("CN", 5)]), (vec![("CN".into(), 5)], None, 0));
        assert_eq!(told(&[("DE", 5), ("CN", 2)]), (vec![], Some(7), 0));
        assert_eq!(told(&[]), (vec![], None, 0));
    }

    #[test]
    fn a_month_is_told_of_when_it_is_over_everywhere() {
        let month: Epoch = "2026-03".parse().unwrap();
        let at = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        assert!(!is_over(month, at("2026-04-01T11:00:00Z")) && is_over(month, at("2026-04-02T12:00:00Z")));
        let wants = |from: &str, to: &str| {
            wants_all_of(&Filter { from: Some(at(from)), to: Some(at(to)), ..Filter::default() }, month)
        };
        assert!(wants("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"));
        assert!(wants("2026-02-28T16:00:00Z", "2026-03-31T16:00:00Z"), "a month in Taipei");
        assert!(!wants("2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z"));
        assert!(!wants("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z"));
        assert!(wants_all_of(&Filter::default(), month));
    }
}
