//! Numbers of any width, read from base64 text without decoding it: each character holds six bits, highest first.

/// Set in [`SEXTETS`] for what is a digit in the standard alphabet only (RFC 4648, section 4).
const STANDARD: u8 = 0x40;
/// Set in [`SEXTETS`] for what is no digit at all.
const OUTSIDE: u8 = 0x80;
/// The value of each byte as a base64 digit, and whether it is one.
const SEXTETS: [u8; 256] = sextets();

const fn sextets() -> [u8; 256] {
    let mut table = [OUTSIDE; 256];
    let mut slots: &mut [u8] = &mut table;
    let mut byte = 0_u8;
    while let Some((slot, rest)) = slots.split_first_mut() {
        *slot = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            b'+' => 62 | STANDARD,
            b'/' => 63 | STANDARD,
            _ => OUTSIDE,
        };
        slots = rest;
        byte = byte.wrapping_add(1);
    }
    table
}

fn entry(character: u8) -> u8 {
    SEXTETS.get(usize::from(character)).copied().unwrap_or(OUTSIDE)
}

/// Which digits a text may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// That of RFC 4648, section 5, which TCF demands.
    Websafe,
    /// That, and the digits of section 4, since the specification of the GPP shows both.
    Either,
}

/// Base64 text without padding, seen as bits. Bits beyond its end are zero: who reads asks [`Bits::len`] first.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
}

impl<'a> Bits<'a> {
    /// `None` if a character is not in the alphabet.
    pub(super) fn new(text: &'a [u8], alphabet: Alphabet) -> Option<Bits<'a>> {
        let foreign = match alphabet {
            Alphabet::Websafe => OUTSIDE | STANDARD,
            Alphabet::Either => OUTSIDE,
        };
        // Without a branch for each character: nearly all texts are right.
        let seen = text.iter().fold(0, |seen, character| seen | entry(*character));
        (seen & foreign == 0).then_some(Bits { text })
    }

    /// In bits.
    pub(super) fn len(self) -> usize {
        self.text.len() * 6
    }

    pub(super) fn is_set(self, at: usize) -> bool {
        self.number(at, 1) == 1
    }

    /// The `width` bits from bit `at`, highest first. At most 43, which eight characters always hold.
    pub(super) fn number(self, at: usize, width: usize) -> u64 {
        debug_assert!(width <= 43);
        let rest = self.text.get(at / 6..).unwrap_or_default();
        let eight = match rest.first_chunk::<8>() {
            Some(eight) => eight.iter().fold(0, |value, character| value << 6 | u64::from(entry(*character) & 63)),
            None => (0..8).fold(0, |value, index| {
                value << 6 | u64::from(rest.get(index).map_or(0, |character| entry(*character) & 63))
            }),
        };
        (eight >> (48 - at % 6 - width)) & ((1 << width) - 1)
    }

    /// The same as a set: bit 0 of the result is the first that was read.
    pub(super) fn set(self, at: usize, width: usize) -> u64 {
        self.number(at, width).reverse_bits().checked_shr(64 - width as u32).unwrap_or(0)
    }

    /// Where the first bit that is `wanted` stands, from `at` up to before `end`.
    pub(super) fn find(self, wanted: bool, at: usize, end: usize) -> Option<usize> {
        let mut at = at;
        while at < end {
            let width = (end - at).min(32);
            let word = self.number(at, width);
            let word = if wanted { word } else { !word & ((1 << width) - 1) };
            if word != 0 {
                return Some(at + width - 1 - word.ilog2() as usize);
            }
            at += width;
        }
        None
    }
}

/// Reads [`Bits`] one field after the other, and says so when they end.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) bits: Bits<'a>,
    pub(super) at: usize,
}

impl Cursor<'_> {
    /// The next `width` bits, at most 43. `None` if there are fewer.
    pub(super) fn take(&mut self, width: usize) -> Option<u64> {
        let at = self.at;
        self.skip(width)?;
        Some(self.bits.number(at, width))
    }

    /// `None` if there are fewer than `width` bits.
    pub(super) fn skip(&mut self, width: usize) -> Option<()> {
        let next = self.at + width;
        (next <= self.bits.len()).then(|| self.at = next)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /// Text for `0` and `1`, padded with zeros; spaces are for the reader.
    pub fn spell(bits: &str) -> String {
        let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').collect();
        let value = |six: &[u8]| (0..6).fold(0, |value, index| value << 1 | usize::from(six.get(index) == Some(&b'1')));
        bits.chunks(6).map(|six| char::from(DIGITS[value(six)])).collect()
    }

    /// One `0` or `1` for each bit, the slow way.
    fn spelled(text: &[u8]) -> String {
        let value = |character: &u8| DIGITS.iter().position(|digit| digit == character).unwrap();
        text.iter().map(|character| format!("{:06b}", value(character))).collect()
    }

    #[test]
    fn only_digits_of_the_alphabet_are_read() {
        for byte in 0..=255_u8 {
            let text = [b'A', byte, b'_'];
            assert_eq!(Bits::new(&text, Alphabet::Websafe).is_some(), DIGITS.contains(&byte), "{byte}");
            assert_eq!(
                Bits::new(&text, Alphabet::Either).is_some(),
                DIGITS.contains(&byte) || b"+/".contains(&byte),
                "{byte}"
            );
        }
        assert_eq!(Bits::new(b"+/", Alphabet::Either).unwrap().number(0, 12), 0b111110_111111);
    }

    proptest! {
        #[test]
        fn numbers_and_sets_are_what_the_digits_spell(
            text in proptest::collection::vec(proptest::sample::select(DIGITS), 0..20), at in 0_usize..130, width in 0_usize..=43,
        ) {
            let bits = Bits::new(&text, Alphabet::Websafe).unwrap();
            let all = spelled(&text) + &"0".repeat(200);
            let wanted = all.get(at..at + width).unwrap();
            let expected = u64::from_str_radix(&format!("0{wanted}"), 2).unwrap();
            prop_assert_eq!(bits.number(at, width), expected);
            let set = wanted.bytes().enumerate().filter(|(_, bit)| *bit == b'1').fold(0, |set, (index, _)| set | 1 << index);
            prop_assert_eq!(bits.set(at, width), set);
            let mut cursor = Cursor { bits, at };
            prop_assert_eq!(cursor.take(width), (at + width <= bits.len()).then_some(expected));
        }

        #[test]
        fn the_first_bit_is_found(
            text in proptest::collection::vec(proptest::sample::select(&b"AAAAAB___"[..]), 0..30), at in 0_usize..100, length in 0_usize..100, wanted: bool,
        ) {
            let bits = Bits::new(&text, Alphabet::Websafe).unwrap();
            let all = spelled(&text) + &"0".repeat(300);
            let digit = if wanted { '1' } else { '0' };
            prop_assert_eq!(bits.find(wanted, at, at + length), all.get(at..at + length).unwrap().find(digit).map(|index| at + index));
        }
    }
}
