//! Taking members out of a list in a header value, with every other byte where it was.

use std::fmt;

/// What becomes of a header value. Its `Debug` output tells nothing of the value.
#[derive(Clone, PartialEq, Eq)]
pub enum Edit {
    Unchanged,
    /// No member is left: the field goes.
    Removed,
    Replaced(Vec<u8>),
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edit::Unchanged => f.write_str("Unchanged"),
            Edit::Removed => f.write_str("Removed"),
            Edit::Replaced(bytes) => write!(f, "Replaced({} bytes)", bytes.len()),
        }
    }
}

/// Keeps the `members` that `keep` agrees to, joined by `separator`. `members` are the consecutive parts of `line`
/// between separators, as they stand. Allocates once, at the first member that goes.
pub(super) fn retain<'a>(
    line: &'a [u8],
    separator: u8,
    members: impl Iterator<Item = &'a [u8]>,
    mut keep: impl FnMut(&'a [u8]) -> bool,
) -> Edit {
    let mut kept: Option<Kept> = None;
    let mut read = 0;
    for member in members {
        let stays = member.trim_ascii().is_empty() || keep(member);
        match &mut kept {
            None if stays => {}
            None => {
                let mut fresh = Kept { bytes: Vec::with_capacity(line.len()), any: false };
                let before = line.get(..read).unwrap_or_default();
                fresh.bytes.extend_from_slice(before.strip_suffix(&[separator]).unwrap_or(before));
                fresh.any = read > 0;
                kept = Some(fresh);
            }
            Some(kept) if stays => kept.push(separator, member),
            Some(_) => {}
        }
        read += member.len() + 1;
    }
    match kept {
        None => Edit::Unchanged,
        Some(kept) if kept.bytes.iter().all(|b| *b == separator || b.is_ascii_whitespace()) => Edit::Removed,
        Some(kept) => Edit::Replaced(kept.bytes),
    }
}

struct Kept {
    bytes: Vec<u8>,
    any: bool,
}

impl Kept {
    fn push(&mut self, separator: u8, member: &[u8]) {
        if self.any {
            self.bytes.push(separator);
            self.bytes.extend_from_slice(member);
        } else {
            // What leads now must not begin with the space that followed a separator.
            self.bytes.extend_from_slice(member.trim_ascii_start());
        }
        self.any = true;
    }
}

/// The parts of `line` between separators.
pub(super) fn split(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(separator, line).chain(std::iter::once(line.len()));
    ends.map(move |end| {
        let part = line.get(start..end).unwrap_or_default();
        start = end + 1;
        part
    })
}

/// The members of a comma-separated list (RFC 9110, section 5.6.1); commas in `<…>` and in quotes do not separate.
pub(super) fn comma_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped, mut angle) = (false, false, false);
        let comma = text.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if !angle => quoted = !quoted,
                b'<' if !quoted => angle = true,
                b'>' if !quoted => angle = false,
                b',' if !quoted && !angle => return true,
                _ => {}
            }
            false
        });
        rest = comma.and_then(|at| text.get(at + 1..));
        comma.map_or(Some(text), |at| text.get(..at))
    })
}
