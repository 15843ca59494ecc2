//! Reading policies (CSP3, section 2.2), and writing into them with every other byte where it was.

use super::super::list::{Edit, split};

/// A directive of a policy.
pub(super) struct Directive<'a> {
    pub name: &'a [u8],
    /// Without space around it; may be empty.
    pub value: &'a [u8],
    /// Where the value begins in the policy.
    pub start: usize,
}

impl<'a> Directive<'a> {
    /// `None` for what browsers skip: nothing, and what is not ASCII.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() || !trimmed.is_ascii() {
            return None;
        }
        let leading = text.len() - text.trim_ascii_start().len();
        let end = trimmed.iter().position(u8::is_ascii_whitespace).unwrap_or(trimmed.len());
        let (name, rest) = trimmed.split_at_checked(end)?;
        let value = rest.trim_ascii_start();
        Some(Directive { name, value, start: leading + trimmed.len() - value.len() })
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &'a [u8]> {
        tokens(self.value)
    }

    /// Where the value ends in the policy.
    pub(super) fn end(&self) -> usize {
        self.start + self.value.len()
    }
}

/// The tokens of a directive's value.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty())
}

/// The directive called `name` that counts: the first.
pub(super) fn find<'a>(policy: &'a [u8], name: &str) -> Option<Directive<'a>> {
    let mut offset = 0;
    split(policy, b';').find_map(|text| {
        let start = offset;
        offset += text.len() + 1;
        let directive = Directive::parse(text).filter(|directive| directive.is(name))?;
        Some(Directive { start: directive.start + start, ..directive })
    })
}

/// The directive that governs where `names` is the order in which one stands in for the other (CSP3, section 6.8.3).
pub(super) fn governing<'a>(policy: &'a [u8], names: &[&str]) -> Option<Directive<'a>> {
    names.iter().find_map(|name| find(policy, name))
}

/// Changes members of a list. `change` returns what a member is to become, with nothing meaning that it goes, or `None`
/// if it stays as it is. Allocates at the first member that changes.
pub(super) fn change_members<'a>(
    line: &'a [u8],
    separator: u8,
    mut change: impl FnMut(&'a [u8]) -> Option<Vec<u8>>,
) -> Edit {
    let mut edited: Option<Vec<u8>> = None;
    let mut read = 0;
    for member in split(line, separator) {
        let replacement = change(member);
        if replacement.is_some() && edited.is_none() {
            edited = Some(line.get(..read).unwrap_or_default().to_vec());
        }
        read += member.len() + 1;
        let Some(edited) = &mut edited else { continue };
        let member = replacement.as_deref().unwrap_or(member);
        // What was removed leaves the separator before it to the next.
        if replacement.as_ref().is_none_or(|bytes| !bytes.is_empty()) {
            edited.extend_from_slice(if edited.is_empty() { member.trim_ascii_start() } else { member });
            edited.push(separator);
        }
    }
    match edited {
        None => Edit::Unchanged,
        Some(edited) if edited.iter().all(|b| *b == separator || b.is_ascii_whitespace()) => Edit::Removed,
        Some(mut edited) => {
            edited.pop();
            Edit::Replaced(edited)
        }
    }
}

/// Bytes that take the place of others.
pub(super) struct Splice {
    pub at: usize,
    /// So many bytes go.
    pub removed: usize,
    pub inserted: Vec<u8>,
}

/// `text` with `splices` done, which do not overlap.
pub(super) fn splice(text: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    splices.sort_by_key(|splice| splice.at);
    let mut out = Vec::with_capacity(text.len() + splices.iter().map(|splice| splice.inserted.len()).sum::<usize>());
    let mut read = 0;
    for Splice { at, removed, inserted } in splices {
        out.extend_from_slice(text.get(read..at).unwrap_or_default());
        out.extend_from_slice(&inserted);
        read = at + removed;
    }
    out.extend_from_slice(text.get(read..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_of_several_counts() {
        let policy = b" Script-Src\t'self'  ; img-src; script-src *;; \xc3\xa9 x; script-src-elem a";
        let directive = find(policy, "script-src").unwrap();
        assert_eq!(directive.value, b"'self'");
        assert_eq!(&policy[directive.start..directive.end()], b"'self'");
        let empty = find(policy, "img-src").unwrap();
        assert_eq!((empty.value, &policy[..empty.start]), (&b""[..], &b" Script-Src\t'self'  ; img-src"[..]));
        assert!(find(policy, "style-src").is_none());
        assert_eq!(governing(policy, &["frame-src", "script-src-elem"]).unwrap().value, b"a");
        assert!(find("é script-src a".as_bytes(), "script-src").is_none(), "what is not ASCII is skipped");
    }

    #[test]
    fn members_change_in_place() {
        for (line, edited) in [
            ("a; x; b", "a; b"),
            ("x; b", "b"),
            ("a; x", "a"),
            ("a; x;", "a;"),
            ("a ;y ; b", "a ; Y; b"),
            ("x ; x", "removed"),
            ("a;b", "unchanged"),
            ("", "unchanged"),
        ] {
            let edit = change_members(line.as_bytes(), b';', |member| match member.trim_ascii() {
                b"x" => Some(Vec::new()),
                b"y" => Some(b" Y".to_vec()),
                _ => None,
            });
            let text = match edit {
                Edit::Unchanged => "unchanged".to_owned(),
                Edit::Removed => "removed".to_owned(),
                Edit::Replaced(bytes) => String::from_utf8(bytes).unwrap(),
            };
            assert_eq!(text, edited, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_changes_where_nothing_is_to_change(line in "[ a-c;,]{0,40}") {
            prop_assert!(change_members(line.as_bytes(), b';', |_| None) == Edit::Unchanged);
            prop_assert_eq!(splice(line.as_bytes(), Vec::new()), line.as_bytes());
            for member in split(line.as_bytes(), b';').filter_map(Directive::parse) {
                prop_assert!(member.tokens().all(|token| !token.is_empty()));
            }
        }
    }
}
