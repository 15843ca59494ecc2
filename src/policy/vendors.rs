//! Sets of vendors.

use std::fmt;

/// A vendor of a catalog or of one that it falls back to: numbered through, the last fallback first, so that the number
/// is the same for all who ask. Entries with the same `id` are one vendor, in whichever catalog they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VendorId(u16);

/// A catalog has, with its fallbacks, at most [`VendorId::CAPACITY`] vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyVendors;

impl fmt::Display for TooManyVendors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} vendors in all, the built-in ones included", VendorId::CAPACITY)
    }
}

impl VendorId {
    /// How many vendors there can be.
    pub const CAPACITY: usize = 1024;

    /// The vendor with this number.
    pub(super) fn new(number: usize) -> Result<VendorId, TooManyVendors> {
        u16::try_from(number).ok().filter(|_| number < Self::CAPACITY).map(VendorId).ok_or(TooManyVendors)
    }

    /// The number, below [`VendorId::CAPACITY`].
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// Word of a set, and the bit in it.
    fn place(self) -> (usize, u64) {
        (self.number() / 64, 1 << (self.number() % 64))
    }
}

const WORDS: usize = VendorId::CAPACITY / 64;

/// A set of vendors, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VendorSet([u64; WORDS]);

impl VendorSet {
    /// Nobody.
    pub const EMPTY: VendorSet = VendorSet([0; WORDS]);

    pub fn contains(&self, vendor: VendorId) -> bool {
        let (word, bit) = vendor.place();
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    #[must_use]
    pub fn with(mut self, vendor: VendorId) -> Self {
        self.insert(vendor);
        self
    }

    pub fn insert(&mut self, vendor: VendorId) {
        let (word, bit) = vendor.place();
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[must_use]
    pub fn union(mut self, other: &VendorSet) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }

    #[must_use]
    pub fn without(mut self, other: &VendorSet) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
        self
    }

    pub fn is_empty(&self) -> bool {
        *self == VendorSet::EMPTY
    }

    /// Members in ascending order of their number.
    pub fn iter(&self) -> impl Iterator<Item = VendorId> {
        (0..WORDS * 64).filter_map(|number| VendorId::new(number).ok()).filter(|vendor| self.contains(*vendor))
    }

    /// The bits, the lowest numbers first: what tells one set from another.
    pub fn to_bytes(&self) -> [u8; WORDS * 8] {
        let mut bytes = [0; WORDS * 8];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }
}

impl FromIterator<VendorId> for VendorSet {
    fn from_iter<I: IntoIterator<Item = VendorId>>(vendors: I) -> Self {
        vendors.into_iter().fold(VendorSet::EMPTY, VendorSet::with)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<usize>) -> VendorSet {
        numbers.iter().map(|number| VendorId::new(*number).unwrap()).collect()
    }

    #[test]
    fn numbers_end_at_the_capacity() {
        assert_eq!(VendorId::new(1023).map(VendorId::number), Ok(1023));
        for number in [1024, 65_536, usize::MAX] {
            assert_eq!(VendorId::new(number), Err(TooManyVendors), "{number}");
        }
    }

    proptest! {
        #[test]
        fn a_set_is_what_was_put_into_it(
            a in proptest::collection::btree_set(0..VendorId::CAPACITY, 0..40),
            b in proptest::collection::btree_set(0..VendorId::CAPACITY, 0..40),
            probe in 0..VendorId::CAPACITY,
        ) {
            let both: BTreeSet<usize> = a.union(&b).copied().collect();
            prop_assert_eq!(set(&a).union(&set(&b)), set(&both));
            prop_assert_eq!(set(&both).iter().map(VendorId::number).collect::<BTreeSet<_>>(), both.clone());
            prop_assert_eq!(set(&a).contains(VendorId::new(probe).unwrap()), a.contains(&probe));
            prop_assert_eq!(set(&a).is_empty(), a.is_empty());
            prop_assert_eq!(set(&a).to_bytes() == set(&b).to_bytes(), a == b);
        }
    }
}
