//! Patterns of names and paths: text in which `*` stands for any run of characters, also an empty one.

use std::fmt;

/// A compiled pattern. Nothing but `*` is special.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
}

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It is the empty text.
    Empty,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern must not be empty")
    }
}

/// How precise a pattern is. Where several match, the greatest wins: exact before inner `*` before prefix, then the
/// one with more literal characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precision {
    form: u8,
    literals: usize,
}

impl Precision {
    pub(super) fn is_exact(self) -> bool {
        self.form == 2
    }
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Pattern { text: text.into() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_exact(&self) -> bool {
        !self.text.contains('*')
    }

    /// The literal text if the only `*` is the last character.
    pub fn as_prefix(&self) -> Option<&str> {
        self.text.strip_suffix('*').filter(|literal| !literal.contains('*'))
    }

    /// The text before the first `*`.
    pub fn head(&self) -> &str {
        self.text.split('*').next().unwrap_or_default()
    }

    /// The longest run without a `*`.
    pub fn longest_literal(&self) -> &str {
        self.text.split('*').max_by_key(|run| run.len()).unwrap_or_default()
    }

    /// Number of characters that are not `*`.
    pub fn literals(&self) -> usize {
        self.text.bytes().filter(|b| *b != b'*').count()
    }

    pub(super) fn precision(&self) -> Precision {
        let form = if self.is_exact() {
            2
        } else if self.as_prefix().is_none() {
            1
        } else {
            0
        };
        Precision { form, literals: self.literals() }
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        glob(self.text.as_bytes(), text, |a, b| a == b)
    }

    /// As [`Pattern::matches`], with ASCII letters equal in either case.
    pub fn matches_ignoring_case(&self, text: &[u8]) -> bool {
        glob(self.text.as_bytes(), text, |a, b| a.eq_ignore_ascii_case(&b))
    }
}

/// Matches with one retry point, which suffices when `*` is the only wildcard: linear in practice, never recursive.
fn glob(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&expected) if same(expected, byte) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, start)) => {
                    retry = Some((after_star, start + 1));
                    p = after_star;
                    t = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn star_stands_for_any_run() {
        for (text, yes, no) in [
            ("_ga", &["_ga"][..], &["_gat", "_g", "", "_GA"][..]),
            ("_ga_*", &["_ga_", "_ga_X"], &["_ga", "x_ga_"]),
            ("mp_*_mixpanel", &["mp_1_mixpanel", "mp__mixpanel"], &["mp_mixpanel", "mp_1_mixpanelx"]),
            ("*/g/collect", &["/g/collect", "/x/g/collect"], &["/g/collect/", "g/collect"]),
            ("*a*a", &["aa", "baca", "aaa"], &["a", "ab"]),
            ("*", &["", "x"], &[]),
        ] {
            for name in yes {
                assert!(pattern(text).matches(name.as_bytes()), "{text} should match {name}");
            }
            for name in no {
                assert!(!pattern(text).matches(name.as_bytes()), "{text} should not match {name}");
            }
        }
    }

    #[test]
    fn exact_is_more_precise_than_inner_star_than_prefix() {
        assert!(pattern("AMP_TOKEN").precision() > pattern("AMP_*").precision());
        assert!(pattern("_g*d").precision() > pattern("_gibberish*").precision());
        assert!(pattern("_ga_*").precision() > pattern("_ga*").precision());
    }
}
