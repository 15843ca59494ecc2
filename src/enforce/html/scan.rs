//! Finding the tags that matter, without parsing the others.
//!
//! Nine tags in ten cannot make a browser contact anybody. This scanner steps over them, and over text, comments and
//! end tags, as the tokenizer of the HTML Standard does (section 13.2.5): it knows where each ends, and nothing else.
//! A property test holds that a page comes out the same when lol_html reads all of it.

use std::ops::Range;

use super::marks::Marks;

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
            let start = if every { next_open(text, position) } else { skip_plain(text, position) };
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

/// The next `<` at or after `position`, or the end of `text`.
fn next_open(text: &[u8], position: usize) -> usize {
    let open = memchr::memchr(b'<', text.get(position..).unwrap_or_default());
    open.map_or(text.len(), |open| position + open)
}

/// Steps over text, and over tags that do not matter and are spelled as nearly all are. Where it ends, [`walk`] has to
/// look closer.
fn skip_plain(text: &[u8], position: usize) -> usize {
    let mut marks = Marks::new(text, position);
    while let Some((start, mark)) = marks.next() {
        if mark == b'<' && skip_plain_tag(text, start, &mut marks).is_none() {
            return start;
        }
    }
    text.len()
}

/// Steps over the tag at `start`, if it is plain: quotes only around whole values, and every value in quotes.
#[inline]
fn skip_plain_tag(text: &[u8], start: usize, marks: &mut Marks<'_>) -> Option<()> {
    let (mut at, mut mark) = marks.next()?;
    let mut between = text.get(start + 1..at)?;
    if let [b'/', name @ ..] = between {
        return (mark == b'>' && name.first()?.is_ascii_alphabetic()).then_some(());
    }
    let length = between.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(between.len());
    let (name, rest) = between.split_at_checked(length)?;
    if !name.first()?.is_ascii_alphabetic() || element_matters(name) {
        return None;
    }
    between = rest;
    loop {
        match mark {
            b'>' => return matches!(between, b"" | b"/" | b" /").then_some(()),
            b'<' => return None,
            _ => {}
        }
        let [space, name @ .., b'='] = between else { return None };
        let name = if space.is_ascii_whitespace() { name.trim_ascii_start() } else { return None };
        let (end, _) = marks.find(|(_, closing)| *closing == mark)?;
        let odd = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'=');
        if name.is_empty()
            || name.iter().any(odd)
            || attribute_matters(name, || text.get(at + 1..end).unwrap_or_default())
        {
            return None;
        }
        (at, mark) = marks.next()?;
        between = text.get(end + 1..at)?;
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
    let qualified = text.get(name..shape.name_end)?;
    // XML may call elements by a prefix.
    let local =
        memchr::memrchr(b':', qualified).map_or(qualified, |colon| qualified.get(colon + 1..).unwrap_or_default());
    Some((shape, matters || element_matters(local)))
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

/// Elements that change how what follows is read, say how addresses are read or in which language, or name an address.
const ELEMENTS: [&[u8]; 33] = [
    b"script",
    b"style",
    b"title",
    b"textarea",
    b"iframe",
    b"xmp",
    b"noembed",
    b"noframes",
    b"noscript",
    b"plaintext",
    b"svg",
    b"math",
    b"base",
    b"html",
    b"meta",
    b"link",
    b"img",
    b"image",
    b"source",
    b"video",
    b"audio",
    b"track",
    b"frame",
    b"object",
    b"embed",
    b"form",
    b"input",
    b"bgsound",
    b"portal",
    b"use",
    b"feimage",
    b"animate",
    b"set",
];

/// By the length of a name: which letters those elements begin with.
#[expect(clippy::indexing_slicing, reason = "what could panic would do so in the compiler")]
const BEGINNINGS: [u32; MAX_NAME] = {
    let mut letters = [0; MAX_NAME];
    let mut at = 0;
    while at < ELEMENTS.len() {
        let name = ELEMENTS[at];
        letters[name.len()] |= 1 << (name[0] - b'a');
        at += 1;
    }
    letters
};

#[inline]
fn element_matters(name: &[u8]) -> bool {
    let first = name.first().map_or(0, |first| first.to_ascii_lowercase().wrapping_sub(b'a'));
    let letters = BEGINNINGS.get(name.len()).copied().unwrap_or(0);
    first < 26 && letters >> first & 1 == 1 && is_listed(name)
}

#[inline(never)]
fn is_listed(name: &[u8]) -> bool {
    ELEMENTS.iter().any(|element| element.len() == name.len() && element.eq_ignore_ascii_case(name))
}

#[inline]
fn attribute_matters<'t>(name: &[u8], value: impl FnOnce() -> &'t [u8]) -> bool {
    match name.len() {
        // Without one of these, CSS names no address.
        5 => name.eq_ignore_ascii_case(b"style") && value().iter().any(|b| matches!(b, b'(' | b'\\' | b'&')),
        4 => name.eq_ignore_ascii_case(b"ping"),
        10 => name.eq_ignore_ascii_case(b"background") || name.eq_ignore_ascii_case(b"formaction"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that the scanner comes to.
    fn found(text: &[u8], xml: bool, every: bool) -> Vec<Found> {
        let (mut scanner, mut position) = (Scanner::new(xml), 0);
        let step = || match scanner.next(text, position, every) {
            found @ Found::Tag { end, .. } => {
                position = end;
                Some(found)
            }
            Found::Settled(_) => None,
        };
        std::iter::from_fn(step).collect()
    }

    /// Spellings that are plain, nearly plain, and not at all.
    fn markup() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("<a class=\"b\" href='c'>".to_owned()),
            Just("<a  b=\">\">".to_owned()),
            Just("<p\n\tclass=\"x\"\n>".to_owned()),
            Just("<br />".to_owned()),
            Just("</a>".to_owned()),
            Just("<img ".to_owned()),
            Just("<x-img".to_owned()),
            Just("<Style".to_owned()),
            Just(" style=\"a(b\"".to_owned()),
            Just(" PING='".to_owned()),
            Just("ping=b".to_owned()),
            Just(" src=\"/x\"".to_owned()),
            Just("<!--".to_owned()),
            Just("-->".to_owned()),
            "[<>\"'=/ a!?-]{1,3}",
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_stepped_over_does_not_matter(text in markup(), xml: bool) {
            let text = text.as_bytes();
            let matters = |found: &Found| match found {
                Found::Tag { start, .. } => may_matter(text, start + 1).is_some_and(|(_, matters)| matters),
                Found::Settled(_) => false,
            };
            let all: Vec<_> = found(text, xml, true).into_iter().filter(matters).collect();
            prop_assert_eq!(found(text, xml, false), all);
        }
    }
}
