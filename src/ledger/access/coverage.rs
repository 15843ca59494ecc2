//! Which bytes of a file a visitor has received, over several responses.

/// Stretches are kept apart up to this number; further ones count, but never make the file complete.
const MOST_STRETCHES: usize = 64;

/// Bytes received, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Half-open, in order, never touching.
    stretches: Vec<(u64, u64)>,
}

impl Coverage {
    /// Adds the `length` bytes at `start`.
    pub fn add(&mut self, start: u64, length: u64) {
        let (mut from, mut to) = (start, start.saturating_add(length));
        if from == to {
            return;
        }
        self.stretches.retain(|&(start, end)| {
            let apart = end < from || to < start;
            if !apart {
                (from, to) = (from.min(start), to.max(end));
            }
            apart
        });
        if self.stretches.len() < MOST_STRETCHES {
            let place = self.stretches.partition_point(|&(start, _)| start < from);
            self.stretches.insert(place, (from, to));
        }
    }

    /// Number of different bytes.
    pub fn bytes(&self) -> u64 {
        self.stretches.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether the first `total` bytes are all there.
    pub fn is_whole(&self, total: u64) -> bool {
        total == 0 || self.stretches.first().is_some_and(|&(start, end)| start == 0 && end >= total)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_byte_counts_once(parts in proptest::collection::vec((0_u64..200, 0_u64..40), 0..40)) {
            let mut coverage = Coverage::default();
            let mut model = [false; 256];
            for (start, length) in parts {
                coverage.add(start, length);
                (start..start + length).for_each(|at| model[usize::try_from(at).unwrap()] = true);
            }
            prop_assert_eq!(coverage.bytes(), model.iter().filter(|byte| **byte).count() as u64);
            for total in 0..256 {
                prop_assert_eq!(coverage.is_whole(total), model.iter().take(total as usize).all(|byte| *byte));
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut coverage = Coverage::default();
        (0..10_000).for_each(|at| coverage.add(at * 2, 1));
        assert_eq!(coverage.stretches.len(), MOST_STRETCHES);
        coverage.add(u64::MAX, u64::MAX);
        coverage.add(0, 20_000);
        assert!(coverage.is_whole(20_000));
    }
}
