//! Sets of vendors as TC strings spell them: one bit for each, or ranges.

use super::bits::{Bits, Cursor};
use super::tcf::TcError;

/// A set of the ids of the Global Vendor List. Ids start at 1.
///
/// Ids above [`VendorIds::max_id`] are not in it, whatever a range says: such a string contradicts itself, and what it
/// can only have meant by mistake grants nothing.
#[derive(Clone, Copy)]
pub struct VendorIds<'a> {
    bits: Bits<'a>,
    /// Where the bits, or the first range, stand.
    at: usize,
    max_id: u16,
    /// How many ranges follow; `None` if there is one bit for each id.
    ranges: Option<u16>,
}

impl<'a> VendorIds<'a> {
    /// Reads `MaxVendorId`, `IsRangeEncoding` and what follows, and moves behind it.
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Result<VendorIds<'a>, TcError> {
        let max_id = cursor.take(16).ok_or(TcError::Truncated)? as u16;
        if cursor.take(1).ok_or(TcError::Truncated)? == 1 {
            return Ok(VendorIds { max_id, ..VendorIds::parse_ranges(cursor)? });
        }
        let at = cursor.at;
        cursor.skip(usize::from(max_id)).ok_or(TcError::Truncated)?;
        Ok(VendorIds { bits: cursor.bits, at, max_id, ranges: None })
    }

    /// Reads `NumEntries` and as many ranges, and moves behind them. No id is too large.
    pub(super) fn parse_ranges(cursor: &mut Cursor<'a>) -> Result<VendorIds<'a>, TcError> {
        let count = cursor.take(12).ok_or(TcError::Truncated)? as u16;
        let ids = VendorIds { bits: cursor.bits, at: cursor.at, max_id: u16::MAX, ranges: Some(count) };
        let mut entries = ids.entries();
        while let Some((start, end)) = entries.next() {
            // Bits that are not there were read as zero.
            if entries.at > cursor.bits.len() {
                return Err(TcError::Truncated);
            }
            if start == 0 {
                return Err(TcError::VendorZero);
            }
            if end < start {
                return Err(TcError::Backwards);
            }
        }
        cursor.at = entries.at;
        Ok(ids)
    }

    /// The highest id that the string speaks of; for the vendors of a restriction, the highest there can be.
    #[must_use]
    pub fn max_id(&self) -> u16 {
        self.max_id
    }

    /// Whether the vendor is in the set. For more than a few vendors of a set that may be spelled as ranges,
    /// [`VendorIds::for_each_of`] looks at each range once only.
    #[must_use]
    pub fn contains(&self, id: u16) -> bool {
        if id == 0 || id > self.max_id {
            return false;
        }
        match self.ranges {
            None => self.bits.is_set(self.at + usize::from(id) - 1),
            Some(_) => self.entries().any(|(start, end)| (start..=end).contains(&id)),
        }
    }

    /// Calls `found` with the position of each of these ids that is in the set, in ascending order. Each range is looked at once for 64 ids where they are sorted. The ranges may come in any order and overlap.
    pub fn for_each_of(&self, ids: &[u16], mut found: impl FnMut(usize)) {
        const CHUNK: usize = u64::BITS as usize;
        for (chunk, ids) in ids.chunks(CHUNK).enumerate() {
            let by_range = self.ranges.is_some() && ids.is_sorted();
            let mut members = if by_range { self.members_by_range(ids) } else { self.members_by_id(ids) };
            while members != 0 {
                found(chunk * CHUNK + members.trailing_zeros() as usize);
                members &= members - 1;
            }
        }
    }

    /// Which of at most 64 ids are in the set.
    fn members_by_id(&self, ids: &[u16]) -> u64 {
        ids.iter().enumerate().fold(0, |members, (index, id)| members | u64::from(self.contains(*id)) << index)
    }

    /// The same for ids that are sorted.
    fn members_by_range(&self, ids: &[u16]) -> u64 {
        let mut members = 0_u64;
        // All ids before this one are below the range before.
        let mut first = 0;
        let mut last_start = 0;
        for (start, end) in self.entries() {
            let end = end.min(self.max_id);
            if start < last_start {
                first = 0;
            }
            last_start = start;
            while ids.get(first).is_some_and(|id| *id < start) {
                first += 1;
            }
            let rest = ids.get(first..).unwrap_or_default();
            if rest.first().is_some_and(|id| *id <= end) {
                let count = rest.partition_point(|id| *id <= end);
                members |= (u64::MAX >> (64 - count)) << first;
            }
        }
        members
    }

    /// The ids as ranges, both ends included: those of the string as they stand there, or the runs of its bits.
    #[must_use]
    pub fn ranges(&self) -> Ranges<'a> {
        Ranges { ids: *self, entries: self.entries(), at: self.at }
    }

    fn entries(&self) -> Entries<'a> {
        Entries { bits: self.bits, at: self.at, left: self.ranges.unwrap_or(0) }
    }
}

/// Ranges as they are written, nothing checked.
struct Entries<'a> {
    bits: Bits<'a>,
    at: usize,
    left: u16,
}

impl Iterator for Entries<'_> {
    type Item = (u16, u16);

    #[inline]
    fn next(&mut self) -> Option<(u16, u16)> {
        self.left = self.left.checked_sub(1)?;
        // `IsARange`, `Start`, and `End` if it is one. The first alone says where the next one starts, which must not
        // wait for the others.
        let at = self.at;
        let is_range = self.bits.is_set(at);
        self.at += if is_range { 33 } else { 17 };
        let entry = self.bits.number(at, 33);
        let start = (entry >> 16) as u16;
        Some((start, if is_range { entry as u16 } else { start }))
    }
}

/// The ranges of [`VendorIds`].
pub struct Ranges<'a> {
    ids: VendorIds<'a>,
    entries: Entries<'a>,
    /// Where the next run of bits is looked for.
    at: usize,
}

impl Iterator for Ranges<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let max_id = self.ids.max_id;
        if self.ids.ranges.is_some() {
            return self.entries.find(|(start, _)| *start <= max_id).map(|(start, end)| (start, end.min(max_id)));
        }
        let end = self.ids.at + usize::from(max_id);
        let first = self.ids.bits.find(true, self.at, end)?;
        self.at = self.ids.bits.find(false, first, end).unwrap_or(end);
        // Bits stand from `ids.at` on, the first one for id 1.
        Some(((first - self.ids.at + 1) as u16, (self.at - self.ids.at) as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::Alphabet;
    use super::super::bits::tests::spell;
    use super::*;
    use proptest::prelude::*;

    fn field(max_id: u16, bits: &str) -> String {
        format!("{max_id:016b} 0 {bits}")
    }

    fn ranged(max_id: u16, ranges: &[(u16, u16)]) -> String {
        let ranges = ranges.iter().map(|(start, end)| match start == end {
            true => format!("0 {start:016b}"),
            false => format!("1 {start:016b} {end:016b}"),
        });
        let ranges: Vec<_> = ranges.collect();
        format!("{max_id:016b} 1 {:012b} {}", ranges.len(), ranges.concat())
    }

    /// Reads the set that these bits spell, and gives it away.
    fn with<T>(bits: &str, look: impl FnOnce(Result<VendorIds<'_>, TcError>) -> T) -> T {
        let text = spell(bits);
        let bits = Bits::new(text.as_bytes(), Alphabet::Websafe).unwrap();
        look(VendorIds::parse(&mut Cursor { bits, at: 0 }))
    }

    #[test]
    fn sets_are_read_in_both_spellings() {
        for (bits, max_id, ranges) in [
            (field(0, ""), 0, &[][..]),
            (field(4, "1111"), 4, &[(1, 4)]),
            (field(7, "0110001"), 7, &[(2, 3), (7, 7)]),
            (ranged(0, &[]), 0, &[]),
            (ranged(755, &[(2, 2), (10, 755)]), 755, &[(2, 2), (10, 755)]),
            (ranged(65535, &[(1, 65535)]), 65535, &[(1, 65535)]),
            // They stay as they are written.
            (ranged(9, &[(5, 9), (1, 6), (5, 9)]), 9, &[(5, 9), (1, 6), (5, 9)]),
            // Ids above the highest are not in the set.
            (ranged(6, &[(5, 9), (7, 8), (1, 1), (6, 65535)]), 6, &[(5, 6), (1, 1), (6, 6)]),
        ] {
            with(&bits, |ids| {
                let ids = ids.ok().unwrap();
                assert_eq!(ids.max_id(), max_id, "{bits}");
                assert_eq!(ids.ranges().collect::<Vec<_>>(), ranges, "{bits}");
            });
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (bits, error) in [
            (ranged(9, &[(0, 0)]), TcError::VendorZero),
            (ranged(9, &[(0, 5)]), TcError::VendorZero),
            (ranged(9, &[(3, 2)]), TcError::Backwards),
            (ranged(9, &[(3, 0)]), TcError::Backwards),
            (field(500, "1111"), TcError::Truncated),
            ("0000000000001".to_owned(), TcError::Truncated),
            (format!("{:016b} 1 {:012b} 1 {:016b}", 9, 1, 3), TcError::Truncated),
            // As many ranges as can be said, and none of them there.
            (format!("{:016b} 1 {:012b}", 9, 4095), TcError::Truncated),
        ] {
            with(&bits, |ids| assert_eq!(ids.err(), Some(error), "{bits}"));
        }
    }

    #[test]
    fn a_string_of_the_widest_ranges_stays_what_it_is() {
        let bits = ranged(65535, &[(1, 65535); 1480]);
        with(&bits, |ids| {
            let ids = ids.ok().unwrap();
            let mut found = Vec::new();
            ids.for_each_of(&[1, 700, 65535], |at| found.push(at));
            assert_eq!(found, [0, 1, 2]);
            assert_eq!(ids.ranges().count(), 1480);
        });
    }

    fn any_ids() -> impl Strategy<Value = Vec<u16>> {
        proptest::collection::btree_set(0_u16..400, 0..150).prop_map(|ids| ids.into_iter().collect())
    }

    fn agrees(ids: VendorIds<'_>, asked: &[u16], is_member: impl Fn(u16) -> bool) {
        let mut found = Vec::new();
        ids.for_each_of(asked, |at| found.push(asked[at]));
        assert_eq!(found, asked.iter().copied().filter(|id| is_member(*id)).collect::<Vec<_>>());
        let ranges: Vec<_> = ids.ranges().collect();
        for id in 0..450 {
            assert_eq!(ids.contains(id), is_member(id), "{id}");
            assert_eq!(ranges.iter().any(|(start, end)| (*start..=*end).contains(&id)), is_member(id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn ranges_in_any_order_are_one_set(
            max_id in 0_u16..400, ranges in proptest::collection::vec((1_u16..400, 0_u16..80), 0..40), sorted: bool, asked in any_ids(),
        ) {
            let mut ranges: Vec<_> = ranges.into_iter().map(|(start, length)| (start, start + length)).collect();
            if sorted {
                ranges.sort_unstable();
            }
            let is_member = |id| id <= max_id && ranges.iter().any(|(start, end)| (*start..=*end).contains(&id));
            with(&ranged(max_id, &ranges), |ids| agrees(ids.ok().unwrap(), &asked, is_member));
        }

        #[test]
        fn bits_are_a_set(bits in "[01]{0,400}", asked in any_ids()) {
            let is_member = |id: u16| id > 0 && bits.as_bytes().get(usize::from(id) - 1) == Some(&b'1');
            with(&field(bits.len() as u16, &bits), |ids| agrees(ids.ok().unwrap(), &asked, is_member));
        }

        #[test]
        fn ids_may_be_asked_in_any_order(
            ranges in proptest::collection::vec((1_u16..400, 0_u16..80), 0..10),
            asked in proptest::collection::vec(0_u16..500, 0..150),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, length)| (start, start + length)).collect();
            let is_member = |id| ranges.iter().any(|(start, end)| (*start..=*end).contains(&id));
            with(&ranged(480, &ranges), |ids| agrees(ids.ok().unwrap(), &asked, is_member));
        }
    }
}
