//! Finding the tags that matter, without parsing the others.
//!
//! Nine tags in ten cannot make a browser contact anybody. This scanner steps over them, and over text, comments and
//! end tags, as the tokenizer of the HTML Standard does (section 13.2.5): it knows where each ends, and nothing else.
//! What it stops at goes to the parser. A property test holds that a page comes out the same when everything goes
//! there.

use std::ops::Range;

/// Longest name of an element or attribute that is told apart.
pub(super) const MAX_NAME: usize = 24;

/// Where the scanner is between two pieces of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Comment,
    /// `<!…>`, `<?…>` and `</ …>`, which browsers take for comments.
    Bogus,
    /// XML only.
    CharacterData,
}

/// What the scanner came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A start tag that may matter, from `<` to behind `>`.
    Tag { start: usize, end: usize },
    /// Everything before this is settled; what follows is the beginning of something that has not ended yet.
    Settled(usize),
}

/// Steps from one tag that may matter to the next.
pub(super) struct Scanner {
    state: State,
    xml: bool,
}

impl Scanner {
    pub(super) fn new(xml: bool) -> Self {
        Scanner { state: State::Data, xml }
    }

    /// The next tag of `text` at or after `position` that may matter; `every`: any start tag does.
    pub(super) fn next(&mut self, text: &[u8], mut position: usize, every: bool) -> Found {
        loop {
            let rest = text.get(position..).unwrap_or_default();
            match self.state {
                State::Data => {}
                State::Comment => match comment_end(rest, self.xml) {
                    Some(length) => position += length,
                    None => return Found::Settled(text.len() - rest.len().min(3)),
                },
                State::Bogus => match memchr::memchr(b'>', rest) {
                    Some(end) => position += end + 1,
                    None => return Found::Settled(text.len()),
                },
                State::CharacterData => match memchr::memmem::find(rest, b"]]>") {
                    Some(end) => position += end + 3,
                    None => return Found::Settled(text.len() - rest.len().min(2)),
                },
            }
            self.state = State::Data;
            let rest = text.get(position..).unwrap_or_default();
            let Some(open) = memchr::memchr(b'<', rest) else { return Found::Settled(text.len()) };
            let start = position + open;
            match text.get(start + 1) {
                None => return Found::Settled(start),
                Some(b'!') => match self.enter_declaration(text, start) {
                    Some(inside) => position = inside,
                    None => return Found::Settled(start),
                },
                Some(b'?') => (self.state, position) = (State::Bogus, start + 2),
                Some(b'/') => match text.get(start + 2) {
                    None => return Found::Settled(start),
                    Some(b'>') => position = start + 3,
                    Some(letter) if letter.is_ascii_alphabetic() => match tag_shape(text, start + 2) {
                        Some(shape) => position = shape.end,
                        None => return Found::Settled(start),
                    },
                    Some(_) => (self.state, position) = (State::Bogus, start + 2),
                },
                Some(letter) if letter.is_ascii_alphabetic() => match may_matter(text, start + 1) {
                    None => return Found::Settled(start),
                    Some((shape, matters)) if every || matters => return Found::Tag { start, end: shape.end },
                    Some((shape, _)) => position = shape.end,
                },
                Some(_) => position = start + 1,
            }
        }
    }

    /// What `<!` at `start` begins, and where its inside is; `None` if that cannot be told yet.
    fn enter_declaration(&mut self, text: &[u8], start: usize) -> Option<usize> {
        let rest = text.get(start..).unwrap_or_default();
        if begins(rest, b"<!--")? {
            // `<!-->` and `<!--->` are whole comments in HTML.
            if !self.xml {
                for whole in [&b"<!-->"[..], b"<!--->"] {
                    if begins(rest, whole)? {
                        return Some(start + whole.len());
                    }
                }
            }
            self.state = State::Comment;
            return Some(start + 4);
        }
        if self.xml && begins(rest, b"<![CDATA[")? {
            self.state = State::CharacterData;
            return Some(start + 9);
        }
        self.state = State::Bogus;
        Some(start + 2)
    }
}

/// Whether `text` begins with `prefix`; `None` if it is too short to tell.
fn begins(text: &[u8], prefix: &[u8]) -> Option<bool> {
    if text.len() >= prefix.len() {
        Some(text.starts_with(prefix))
    } else {
        (!prefix.starts_with(text)).then_some(false)
    }
}

/// How many bytes there are until behind the comment's end.
fn comment_end(text: &[u8], xml: bool) -> Option<usize> {
    let mut from = 0;
    loop {
        let dashes = from + memchr::memmem::find(text.get(from..)?, b"--")?;
        match (text.get(dashes + 2)?, text.get(dashes + 3)) {
            (b'>', _) => return Some(dashes + 3),
            (b'!', Some(b'>')) if !xml => return Some(dashes + 4),
            (b'!', None) if !xml => return None,
            _ => from = dashes + 1,
        }
    }
}

/// What can be said of a tag without parsing it.
#[derive(Clone, Copy)]
pub(super) struct TagShape {
    pub name_end: usize,
    /// Behind `>`.
    pub end: usize,
    pub self_closing: bool,
}

/// The shape of the tag whose name begins at `name`; `None` if it has not ended yet.
pub(super) fn tag_shape(text: &[u8], name: usize) -> Option<TagShape> {
    walk(text, name, |_, _| {})
}

/// The shape of a start tag, and whether the element or one of its attributes could make a browser contact somebody, or
/// changes how what follows is read.
fn may_matter(text: &[u8], name: usize) -> Option<(TagShape, bool)> {
    let mut matters = false;
    let shape = walk(text, name, |attribute, value| {
        let bytes = |place: Range<usize>| text.get(place).unwrap_or_default();
        matters |= attribute_matters(bytes(attribute), || bytes(value.unwrap_or_default()));
    })?;
    Some((shape, matters || element_matters(text.get(name..shape.name_end)?)))
}

/// Goes through the tag whose name begins at `name`, and calls `attribute` with the places of each name and value;
/// `None` if the tag has not ended yet (HTML Standard, sections 13.2.5.8 and 13.2.5.32 to 40).
pub(super) fn walk(
    text: &[u8],
    name: usize,
    mut attribute: impl FnMut(Range<usize>, Option<Range<usize>>),
) -> Option<TagShape> {
    let ends_name = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>');
    let name_end = name + text.get(name..)?.iter().position(ends_name)?;
    let mut at = name_end;
    loop {
        let skipped = text.get(at..)?.iter().position(|b| !b.is_ascii_whitespace() && *b != b'/')?;
        at += skipped;
        if text.get(at) == Some(&b'>') {
            let self_closing = skipped > 0 && text.get(at - 1) == Some(&b'/');
            return Some(TagShape { name_end, end: at + 1, self_closing });
        }
        // A `=` where a name begins belongs to the name.
        let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'=');
        let own_name = at..at + 1 + text.get(at + 1..)?.iter().position(ends)?;
        at = own_name.end + text.get(own_name.end..)?.iter().position(|b| !b.is_ascii_whitespace())?;
        if text.get(at) != Some(&b'=') {
            attribute(own_name, None);
            continue;
        }
        at += 1 + text.get(at + 1..)?.iter().position(|b| !b.is_ascii_whitespace())?;
        let (start, end) = match text.get(at)? {
            b'>' => (at, at),
            quote @ (b'"' | b'\'') => (at + 1, at + 1 + memchr::memchr(*quote, text.get(at + 1..)?)?),
            _ => (at, at + text.get(at..)?.iter().position(|b| b.is_ascii_whitespace() || *b == b'>')?),
        };
        attribute(own_name, Some(start..end));
        at = end + usize::from(start > at);
    }
}

/// `name` in small letters; empty if it is longer than any that matters.
pub(super) fn lower<'b>(name: &[u8], buffer: &'b mut [u8; MAX_NAME]) -> &'b [u8] {
    let Some(buffer) = buffer.get_mut(..name.len()) else { return b"" };
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    buffer
}

fn element_matters(name: &[u8]) -> bool {
    let mut buffer = [0; MAX_NAME];
    let mut name = lower(name, &mut buffer);
    // XML may call them by a prefix.
    if let Some(colon) = memchr::memrchr(b':', name) {
        name = name.get(colon + 1..).unwrap_or_default();
    }
    matches!(
        name,
        // Changes how what follows is read.
        b"script" | b"style" | b"title" | b"textarea" | b"iframe" | b"xmp" | b"noembed" | b"noframes" | b"noscript"
            | b"plaintext" | b"svg" | b"math"
            // Says how addresses are read, or in which language.
            | b"base" | b"html" | b"meta"
            // Names an address.
            | b"link" | b"img" | b"image" | b"source" | b"video" | b"audio" | b"track" | b"frame" | b"object"
            | b"embed" | b"form" | b"input" | b"bgsound" | b"portal" | b"use" | b"feimage" | b"animate" | b"set"
    )
}

fn attribute_matters<'t>(name: &[u8], value: impl FnOnce() -> &'t [u8]) -> bool {
    match name.len() {
        // Without one of these, CSS names no address.
        5 => name.eq_ignore_ascii_case(b"style") && value().iter().any(|b| matches!(b, b'(' | b'\\' | b'&')),
        4 => name.eq_ignore_ascii_case(b"ping"),
        10 => name.eq_ignore_ascii_case(b"background") || name.eq_ignore_ascii_case(b"formaction"),
        _ => false,
    }
}
