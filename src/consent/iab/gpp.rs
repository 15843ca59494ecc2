//! The string of the Global Privacy Platform ("GPP Consent String Specification", version 1): a header that says which
//! sections follow, and the sections, each a consent string of its own.

use super::MAX_LENGTH;
use super::bits::{Alphabet, Bits, Cursor};
use super::us::{UsError, UsSection};
use super::us_privacy::{UsPrivacy, UsPrivacyError};

/// The TC string for the European Union and its neighbours ([`super::tcf`]).
pub const TCF_EU: u16 = 2;
/// The US Privacy string ([`super::us_privacy`]).
pub const US_PRIVACY: u16 = 6;

/// Why something is no GPP string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GppError {
    #[error("longer than {MAX_LENGTH} characters")]
    TooLong,
    #[error("a header character that is no base64 digit")]
    Alphabet,
    #[error("it starts with no header")]
    NoHeader,
    #[error("not version 1")]
    Version,
    #[error("the header ends within a field, or names a section beyond 65535")]
    Header,
    #[error("other sections than the header says")]
    SectionCount,
    #[error("a section without a character")]
    EmptySection,
}

/// A GPP string whose header is sound and fits its sections. The sections themselves are not looked at.
#[derive(Clone, Copy)]
pub struct GppString<'a> {
    ids: SectionIds<'a>,
    /// What follows the header: empty, or each section behind a `~`.
    sections: &'a [u8],
}

impl<'a> GppString<'a> {
    /// Reads the header, and finds the sections.
    ///
    /// # Errors
    ///
    /// [`GppError`] says what makes it none.
    pub fn parse(text: &'a [u8]) -> Result<GppString<'a>, GppError> {
        if text.len() > MAX_LENGTH {
            return Err(GppError::TooLong);
        }
        let end = memchr::memchr(b'~', text).unwrap_or(text.len());
        let (header, sections) = text.split_at_checked(end).unwrap_or((text, b""));
        let ids = SectionIds::parse(header)?;
        let string = GppString { ids, sections };
        let mut ids = ids;
        for section in string.texts() {
            ids.take()?.ok_or(GppError::SectionCount)?;
            if section.is_empty() {
                return Err(GppError::EmptySection);
            }
        }
        if ids.take()?.is_some() { Err(GppError::SectionCount) } else { Ok(string) }
    }

    fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.sections.split(|character| *character == b'~').skip(1)
    }

    /// Each section: its id and its text, which has at least one character. Ids ascend.
    pub fn sections(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut ids = self.ids;
        self.texts().map_while(move |text| Some((ids.take().ok()??, text)))
    }

    /// The text of one section.
    #[must_use]
    pub fn section(&self, id: u16) -> Option<&'a [u8]> {
        self.sections().find(|(found, _)| *found == id).map(|(_, text)| text)
    }

    /// The TC string in it.
    #[must_use]
    pub fn tcf_eu(&self) -> Option<&'a [u8]> {
        self.section(TCF_EU)
    }

    /// The US Privacy string in it, as far as it is one.
    #[must_use]
    pub fn us_privacy(&self) -> Option<Result<UsPrivacy, UsPrivacyError>> {
        self.section(US_PRIVACY).map(UsPrivacy::parse)
    }

    /// The sections of the United States and of single states, each as far as it is one.
    pub fn us_sections(&self) -> impl Iterator<Item = (u16, Result<UsSection, UsError>)> + use<'a> {
        self.sections().filter(|(id, _)| UsSection::IDS.contains(id)).map(|(id, text)| (id, UsSection::parse(id, text)))
    }
}

/// The section ids of a header, in its order: groups of successive ids, each of them said by how far it is from the one
/// before.
#[derive(Clone, Copy)]
struct SectionIds<'a> {
    cursor: Cursor<'a>,
    /// How many groups follow.
    groups: u16,
    /// The id that came last.
    last: u16,
    /// The last id of the group that `last` is in.
    group_end: u16,
}

impl<'a> SectionIds<'a> {
    fn parse(header: &'a [u8]) -> Result<SectionIds<'a>, GppError> {
        let bits = Bits::new(header, Alphabet::Either).ok_or(GppError::Alphabet)?;
        let mut cursor = Cursor { bits, at: 0 };
        if cursor.take(6) != Some(3) {
            return Err(GppError::NoHeader);
        }
        if cursor.take(6) != Some(1) {
            return Err(GppError::Version);
        }
        let groups = cursor.take(12).ok_or(GppError::Header)? as u16;
        Ok(SectionIds { cursor, groups, last: 0, group_end: 0 })
    }

    /// The next id; `None` behind the last.
    fn take(&mut self) -> Result<Option<u16>, GppError> {
        if self.last < self.group_end {
            self.last += 1;
            return Ok(Some(self.last));
        }
        let Some(left) = self.groups.checked_sub(1) else { return Ok(None) };
        self.groups = left;
        let is_group = self.cursor.take(1).ok_or(GppError::Header)? == 1;
        self.last = self.next_after(self.last)?;
        self.group_end = if is_group { self.next_after(self.last)? } else { self.last };
        Ok(Some(self.last))
    }

    fn next_after(&mut self, id: u16) -> Result<u16, GppError> {
        id.checked_add(fibonacci(&mut self.cursor).ok_or(GppError::Header)?).ok_or(GppError::Header)
    }
}

/// A number of at least 1 as a sum of Fibonacci numbers, lowest first, ended by a second 1. `None` if it does not end or
/// is above 65535.
fn fibonacci(cursor: &mut Cursor<'_>) -> Option<u16> {
    let (mut current, mut next) = (1_u32, 2_u32);
    let mut sum = 0_u32;
    let mut last = 0;
    loop {
        let bit = cursor.take(1)?;
        if bit == 1 && last == 1 {
            return u16::try_from(sum).ok();
        }
        if bit == 1 {
            sum = sum.checked_add(current)?;
        }
        last = bit;
        (current, next) = (next, current.saturating_add(next));
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::tests::spell;
    use super::super::us::Choice;
    use super::*;
    use proptest::prelude::*;

    fn ids(text: &str) -> Result<Vec<u16>, GppError> {
        GppString::parse(text.as_bytes()).map(|string| string.sections().map(|(id, _)| id).collect())
    }

    /// A header for these groups: first id and last id. Written from the specification.
    fn header(groups: &[(u32, u32)]) -> String {
        fn fibonacci(mut number: u32) -> String {
            let mut terms = vec![1, 2];
            while terms[terms.len() - 1] <= number {
                terms.push(terms[terms.len() - 1] + terms[terms.len() - 2]);
            }
            let mut digits: Vec<char> = Vec::new();
            for term in terms.into_iter().rev() {
                let fits = number >= term;
                number -= if fits { term } else { 0 };
                if fits || !digits.is_empty() {
                    digits.push(if fits { '1' } else { '0' });
                }
            }
            digits.into_iter().rev().chain(['1']).collect()
        }
        let mut bits = format!("000011 000001 {:012b}", groups.len());
        let mut last = 0;
        for (first, end) in groups {
            bits += if first == end { "0" } else { "1" };
            bits += &fibonacci(first - last);
            if first != end {
                bits += &fibonacci(end - first);
            }
            last = *end;
        }
        spell(&bits)
    }

    #[test]
    fn headers_are_read_in_either_padding() {
        for (header, expected) in [
            ("DBABM", &[2][..]),
            ("DBABMA", &[2]),
            ("DBACNY", &[2, 6]),
            ("DBACNYA", &[2, 6]),
            ("DBABjw", &[5, 6]),
            ("DBABL", &[7]),
            ("DBABLA", &[7]),
            ("DBABBg", &[8]),
            ("DBACMM", &[2, 7]),
            ("DBACMMA", &[2, 7]),
            ("DBAA", &[]),
        ] {
            let text = header.to_owned() + &"~x".repeat(expected.len());
            assert_eq!(ids(&text).as_deref(), Ok(expected), "{header}");
        }
    }

    #[test]
    fn sections_are_found() {
        let string = GppString::parse(b"DBACNYA~CP.x~1YNN").unwrap();
        assert!(string.tcf_eu() == Some(b"CP.x"));
        assert!(string.us_privacy() == Some(UsPrivacy::parse(b"1YNN")));
        assert!(string.section(7).is_none() && string.us_sections().next().is_none());

        let string = GppString::parse(b"DBABLA~BVQVAAAAAmA.YA").unwrap();
        assert!(string.tcf_eu().is_none() && string.us_privacy().is_none());
        let all: Vec<_> = string.us_sections().collect();
        assert!(matches!(&all[..], [(7, Ok(UsSection { sale_opt_out: Some(Choice::OptedOut), gpc: Some(true), .. }))]));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (text, error) in [
            ("", GppError::NoHeader),
            ("D", GppError::Version),
            ("DC", GppError::Version),
            ("CQSbk4AQ", GppError::NoHeader),
            ("1YNN", GppError::NoHeader),
            ("DBA", GppError::Header),
            ("DBAB", GppError::Header),
            ("DBABA~x", GppError::Header),
            ("DB=BM~x", GppError::Alphabet),
            ("DBABM", GppError::SectionCount),
            ("DBABM~x~x", GppError::SectionCount),
            ("DBACNY~x", GppError::SectionCount),
            ("DBAA~x", GppError::SectionCount),
            ("DBABM~", GppError::EmptySection),
            ("DBACNY~~x", GppError::EmptySection),
        ] {
            assert_eq!(ids(text), Err(error), "{text}");
        }
        assert_eq!(ids(&format!("DBABM~{}", "x".repeat(MAX_LENGTH))), Err(GppError::TooLong));
    }

    #[test]
    fn ids_end_where_numbers_do() {
        assert_eq!(ids(&(header(&[(65535, 65535)]) + "~x")), Ok(vec![65535]));
        assert_eq!(ids(&(header(&[(65536, 65536)]) + "~x")), Err(GppError::Header));
        assert_eq!(ids(&(header(&[(65535, 65536)]) + "~x~x")), Err(GppError::Header));
        // A group of 65,535 is not counted through.
        assert_eq!(ids(&(header(&[(1, 65535)]) + "~x")), Err(GppError::SectionCount));
        // A number that never ends.
        assert_eq!(ids(&spell(&format!("000011 000001 000000000001 0 {}", "10".repeat(60)))), Err(GppError::Header));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = GppString::parse(&text);
        }

        #[test]
        fn any_sections_are_found(gaps in proptest::collection::vec((2_u32..60, 0_u32..4), 0..20)) {
            let mut last = 0;
            let groups: Vec<_> = gaps.into_iter().map(|(gap, length)| {
                let first = last + gap;
                last = first + length;
                (first, last)
            }).collect();
            let expected: Vec<_> = groups.iter().flat_map(|(first, end)| *first..=*end).collect();
            let text = header(&groups) + &expected.iter().map(|id| format!("~s{id}")).collect::<String>();
            let string = GppString::parse(text.as_bytes()).ok().unwrap();
            for id in 0..200 {
                let found = string.section(id).map(<[u8]>::to_vec);
                prop_assert_eq!(found, expected.contains(&u32::from(id)).then(|| format!("s{id}").into_bytes()));
            }
            for cut in 0..text.len() {
                if let Ok(string) = GppString::parse(&text.as_bytes()[..cut]) {
                    let cut: Vec<_> = string.sections().map(|(id, _)| u32::from(id)).collect();
                    prop_assert_eq!(&cut, &expected);
                }
            }
        }
    }
}
