//! Countries, and what holds there for visitors who have not chosen.

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two letters, in either case.
    pub fn parse(code: &[u8]) -> Option<Self> {
        let [first, second] = code else { return None };
        let letters = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        letters.iter().all(u8::is_ascii_uppercase).then_some(Country(letters))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_two_letters() {
        assert_eq!(Country::parse(b"de").map(|country| country.as_str().to_owned()).as_deref(), Some("DE"));
        for code in ["", "D", "DEU", "T1", "d\u{e9}"] {
            assert_eq!(Country::parse(code.as_bytes()), None, "{code}");
        }
    }
}
