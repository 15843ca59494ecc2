//! Whether what is empty was purged, and what was purged is empty.

use std::collections::BTreeMap;

use super::Problem;
use crate::ledger::chain::Hash;
use crate::ledger::journal::life::Life;
use crate::ledger::journal::purge::Hasher;
use crate::ledger::journal::stored::Stored;
use crate::ledger::record::Erasable;

/// Place-holders, by the record that they say emptied them.
#[derive(Default)]
pub(super) struct Husks(BTreeMap<u64, (u64, Hasher)>);

impl Husks {
    /// Records come in their order.
    pub fn add(&mut self, seq: u64, by: u64) {
        self.0.entry(by).or_insert_with(|| (seq, Hasher::default())).1.add(seq);
    }

    /// Compares with what the records of purges say. The central store may have dropped all up to `dropped`, and then
    /// nobody has counted what is left of a purge that reaches over it.
    pub fn judge(mut self, life: &Life, dropped: u64) -> Vec<Problem> {
        let mut problems = Vec::new();
        let cut = life.cut.as_ref().filter(|cut| cut.seq >= dropped);
        let cut_seq = cut.map_or(dropped, |cut| cut.seq);
        for (by, purge) in life.purges.range(cut_seq.saturating_add(1)..) {
            let found = self.0.remove(by).map(|(_, hasher)| hasher.finish());
            let expected = if purge.last <= cut_seq {
                None
            } else if purge.first > cut_seq {
                Some(purge.seqs)
            } else if let Some(cut) = cut {
                cut.rest.get(by).copied()
            } else {
                found
            };
            if found != expected || purge.last >= *by {
                problems.push(Problem::Purge { seq: *by });
            }
        }
        problems.extend(self.0.into_values().map(|(seq, _)| Problem::Emptied { seq }));
        problems
    }
}

/// What tells of purges, and that nobody has signed or that does not fit what was signed.
pub(super) fn unsigned(life: &Life, trusted: &BTreeMap<u64, Hash>) -> Vec<Problem> {
    let signed = trusted.last_key_value().map_or(0, |(seq, _)| *seq);
    let tell = life.purges.keys().copied().chain(life.cut.as_ref().map(|cut| cut.by));
    let mut problems: Vec<_> = tell.filter(|seq| *seq > signed).map(|seq| Problem::PurgeUnsigned { seq }).collect();
    if let Some(cut) = &life.cut
        && trusted.get(&cut.seq) != Some(&cut.hash)
    {
        problems.push(Problem::Cut { seq: cut.by });
    }
    problems
}

/// Whether nothing is left of `record` but its place. With anything else in it, it was changed.
pub(in crate::ledger) fn is_husk(record: &Stored) -> bool {
    record.event == "purged"
        && record.core.is_empty()
        && record.site.is_empty()
        && (record.link, &record.epoch, record.salt) == (None, &None, None)
        && record.erasable == Erasable::default()
}
