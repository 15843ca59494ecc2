//! The bytes that decide where a tag begins and ends, found 64 at a time.

const BLOCK: usize = 64;

/// Goes from one `<`, `>`, `"` or `'` to the next. To compare a whole block takes about as long as to look at a few bytes
/// one by one, so what is between the marks costs next to nothing.
pub(super) struct Marks<'t> {
    text: &'t [u8],
    /// Where the block begins.
    base: usize,
    /// One bit for each mark of the block that is still to come.
    ahead: u64,
}

impl<'t> Marks<'t> {
    /// The marks at or after `position`.
    pub(super) fn new(text: &'t [u8], position: usize) -> Self {
        Marks { text, base: position, ahead: block(text, position) }
    }
}

impl Iterator for Marks<'_> {
    /// Place and byte.
    type Item = (usize, u8);

    #[inline]
    fn next(&mut self) -> Option<(usize, u8)> {
        while self.ahead == 0 {
            if self.base >= self.text.len() {
                return None;
            }
            self.base += BLOCK;
            self.ahead = block(self.text, self.base);
        }
        let place = self.base + self.ahead.trailing_zeros() as usize;
        self.ahead &= self.ahead - 1;
        Some((place, *self.text.get(place)?))
    }
}

/// A bit for each mark in the block at `base`, the lowest for the first byte.
#[inline]
fn block(text: &[u8], base: usize) -> u64 {
    let rest = text.get(base..).unwrap_or_default();
    match rest.first_chunk() {
        Some(whole) => bits(whole),
        None => {
            let mut padded = [0; BLOCK];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            bits(&padded)
        }
    }
}

#[inline]
fn bits(block: &[u8; BLOCK]) -> u64 {
    let mut marks = [0; BLOCK];
    for (mark, b) in marks.iter_mut().zip(block) {
        *mark = u8::from((*b == b'<') | (*b == b'>') | (*b == b'"') | (*b == b'\''));
    }
    let (words, _) = marks.as_chunks::<8>();
    // The product has the lowest bits of eight bytes in its highest byte.
    let gathered = words.iter().map(|word| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    gathered.rev().fold(0, |bits, byte| bits << 8 | byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_mark_comes_once(text in "[<>\"'a-c\u{e9}]{0,300}", from in 0_usize..300) {
            let text = text.as_bytes();
            let from = from.min(text.len());
            let all = text.iter().copied().enumerate().skip(from).filter(|(_, b)| b"<>\"'".contains(b));
            prop_assert_eq!(Marks::new(text, from).collect::<Vec<_>>(), all.collect::<Vec<_>>());
        }
    }
}
