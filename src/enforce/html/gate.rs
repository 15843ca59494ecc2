//! The gate: a page goes through in pieces of any size, and what would contact a denied tracker is parked on the way.
//!
//! The scanner steps over what cannot matter and reads the tags that can; lol_html reads what depends on more than a tag:
//! SVG, MathML, scripts with comments in them. The edits that follow are made on the page's own bytes, so everything else
//! leaves as it came, in any encoding that writes ASCII as ASCII.

use std::ops::Range;

use super::address::Addresses;
use super::css::NEUTRAL;
use super::element::{Element, ScriptKind};
use super::inspector::{Denied, Inspector};
use super::rules::{GateRules, language_tag};
use super::scan::{Found, MAX_NAME, Scanner, lower, tag_shape};
use super::script::{disarm_import_map, names_denied_rules};
use super::tags::{Event, ParserFailed, Tag, TagParser, is_text, nests};
use super::window::Window;
use crate::enforce::judge::Tally;

/// Documents within documents are looked into so deep.
pub(super) const MAX_DEPTH: usize = 4;

/// The content of one script or style is judged as a whole up to this size, in bytes.
const MAX_CONTENT: usize = 1 << 20;

/// The longest tag, in bytes; images are sometimes written into one.
const MAX_TAG: usize = 8 << 20;

/// From this size on, a tag that has not ended is not looked at again for each piece.
const LONG_TAG: usize = 64 << 10;

/// Why a page cannot be rewritten any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateError {
    /// A tag is longer than 8 MiB.
    TagTooLong,
}

/// How the page is being read.
enum Mode {
    /// From one tag that matters to the next.
    Tags,
    /// Inside an element whose content is text, up to the end tag of this name.
    Text { name: Vec<u8>, of: usize },
    /// Inside SVG or MathML.
    Foreign { name: Vec<u8>, of: usize, order: Order },
    /// Everything goes to the parser.
    All,
}

/// Whether the end of SVG or MathML is where its end tag is. That is only sure as long as nothing in it could hold HTML,
/// but for titles and descriptions that hold text.
#[derive(Clone, Copy, Default)]
struct Order {
    /// The title or description that is open.
    label: Option<usize>,
    unsure: bool,
}

impl Order {
    fn start(&mut self, tag: &Tag, name: &[u8]) {
        let nests = nests(name, tag.foreign);
        self.unsure |= self.label.is_some() || !tag.foreign || (nests && !matches!(name, b"title" | b"desc"));
        if nests && !tag.self_closing {
            self.label = Some(tag.start);
        }
    }

    fn end(&mut self, of: usize) {
        self.label = self.label.filter(|label| *label != of);
    }

    fn is_kept(self) -> bool {
        self.label.is_none() && !self.unsure
    }
}

/// An element whose content is judged as a whole.
struct Held {
    tag: Tag,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Script(ScriptKind),
    Style,
    /// Markup that a browser parses only under some condition.
    Markup,
}

/// One page on its way through.
pub struct Gate {
    window: Window,
    scanner: Scanner,
    /// Made when there is something that only it can read.
    parser: Option<TagParser>,
    mode: Mode,
    /// Up to where the page is read.
    position: usize,
    /// Nothing is read before so many bytes wait.
    patience: usize,
    /// From the outside inwards: in SVG, scripts may stand in scripts.
    held: Vec<Held>,
    addresses: Addresses,
    /// What the page says it is written in.
    language: Option<String>,
    guard_due: bool,
    xml: bool,
    depth: usize,
    denied: Denied,
    events: Vec<Event>,
}

impl Gate {
    /// For a page that is written in HTML, or in XML.
    pub fn new(xml: bool) -> Self {
        Gate {
            window: Window::default(),
            scanner: Scanner::new(xml),
            parser: None,
            mode: Mode::Tags,
            position: 0,
            patience: 0,
            held: Vec::new(),
            addresses: Addresses::default(),
            language: None,
            guard_due: true,
            xml,
            depth: 0,
            denied: Denied::default(),
            events: Vec::new(),
        }
    }

    /// As [`Gate::new`], but the parser reads all of the page. The result is the same, and takes longer: this is what
    /// tests compare with.
    pub fn thorough() -> Self {
        Gate { mode: Mode::All, ..Gate::new(false) }
    }

    /// Takes the next piece of the page, and appends to `output` what is settled.
    pub fn write(
        &mut self,
        rules: &GateRules<'_>,
        tally: &mut Tally,
        piece: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), GateError> {
        self.window.push(piece);
        if self.window.len() < self.patience {
            return Ok(());
        }
        self.patience = 0;
        self.read(rules, tally).map_err(|ParserFailed| GateError::TagTooLong)?;
        self.release(rules, tally, output)
    }

    /// Appends the rest to `output`; the page has ended, or was cut off.
    pub fn finish(&mut self, rules: &GateRules<'_>, tally: &mut Tally, output: &mut Vec<u8>) {
        // What fails now is the beginning of a tag that never ended, which makes no element.
        self.read(rules, tally).ok();
        while let Some(held) = self.held.pop() {
            let end = self.window.end();
            self.settle(rules, tally, held, end);
        }
        self.window.write(usize::MAX, output);
    }

    /// What is left as it came, when the page cannot be rewritten any further.
    pub fn abandon(&mut self, output: &mut Vec<u8>) {
        self.window.write(usize::MAX, output);
    }

    /// Writes what no decision can change any more.
    fn release(&mut self, rules: &GateRules<'_>, tally: &mut Tally, output: &mut Vec<u8>) -> Result<(), GateError> {
        let read = match &self.parser {
            Some(parser) if !matches!(self.mode, Mode::Tags) => parser.position(),
            _ => self.position,
        };
        if self.held.first().is_some_and(|held| read.saturating_sub(held.tag.end) > MAX_CONTENT) {
            for held in std::mem::take(&mut self.held) {
                self.settle_beginning(rules, tally, held, read);
            }
        }
        if let Some(held) = self.held.first() {
            let waits = if held.tag.start >= self.window.base() { held.tag.start } else { held.tag.end };
            self.window.write(waits, output);
            return Ok(());
        }
        self.window.write(read, output);
        let open = self.window.len();
        if open > MAX_TAG {
            return Err(GateError::TagTooLong);
        }
        if open > LONG_TAG {
            self.patience = open + open / 4;
        }
        Ok(())
    }

    /// Reads on as far as what has come allows.
    fn read(&mut self, rules: &GateRules<'_>, tally: &mut Tally) -> Result<(), ParserFailed> {
        loop {
            let more = match &self.mode {
                Mode::Tags => self.read_tags(rules, tally)?,
                Mode::Text { .. } => self.read_text(rules, tally)?,
                Mode::Foreign { .. } => self.read_foreign(rules, tally)?,
                Mode::All => {
                    self.feed(self.window.end(), rules, tally)?;
                    false
                }
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// Goes to the next tag that matters; `false` when more of the page is needed.
    fn read_tags(&mut self, rules: &GateRules<'_>, tally: &mut Tally) -> Result<bool, ParserFailed> {
        let base = self.window.base();
        let every = self.guard_due && rules.guard.is_some();
        match self.scanner.next(self.window.bytes(), self.position - base, every) {
            Found::Settled(upto) => {
                self.position = base + upto;
                Ok(false)
            }
            Found::Tag { start, end } => {
                self.position = base + start;
                self.read_tag(base + end, rules, tally)?;
                Ok(true)
            }
        }
    }

    /// Reads the tag that begins here and ends at `end`. The parser is only shown what changes how it reads on.
    fn read_tag(&mut self, end: usize, rules: &GateRules<'_>, tally: &mut Tally) -> Result<(), ParserFailed> {
        let Some(tag) = Tag::read(self.window.get(self.position..end), self.position) else {
            return self.feed(end, rules, tally);
        };
        let (start, mut buffer) = (tag.start, [0; MAX_NAME]);
        let name = lower(self.window.get(start + 1..tag.name_end), &mut buffer);
        if self.xml || !(is_text(name) || matches!(name, b"svg" | b"math" | b"plaintext")) {
            self.position = end;
            self.start(rules, tally, tag);
            return Ok(());
        }
        match self.simple_text(name, end).filter(|_| is_text(name)) {
            Some(EndTag { place }) => {
                self.position = place.end;
                self.start(rules, tally, tag);
                self.end(rules, tally, start, place.start);
                self.mode = Mode::Tags;
                Ok(())
            }
            None => self.feed(end, rules, tally),
        }
    }

    /// The end tag of the element called `name` whose text begins at `from`, if all of it is there and needs no parser:
    /// only in scripts can there be an end tag that does not end them, after `<!--` (HTML Standard, section 13.2.5.15).
    fn simple_text(&self, name: &[u8], from: usize) -> Option<EndTag> {
        let end = self.next_end_tag(name, from).ok()?;
        let text = self.window.get(from..end.place.start);
        (name != b"script" || memchr::memmem::find(text, b"<!--").is_none()).then_some(end)
    }

    fn read_text(&mut self, rules: &GateRules<'_>, tally: &mut Tally) -> Result<bool, ParserFailed> {
        let Mode::Text { name, of } = &self.mode else { return Ok(false) };
        let (found, of) = (self.next_end_tag(name, self.position), *of);
        if !self.xml {
            let upto = found.as_ref().map_or_else(|Unfinished { upto }| *upto, |end| end.place.end);
            self.feed(upto, rules, tally)?;
        } else if let Ok(EndTag { place }) = &found {
            self.position = place.end;
            self.mode = Mode::Tags;
            self.end(rules, tally, of, place.start);
        }
        Ok(found.is_ok())
    }

    fn read_foreign(&mut self, rules: &GateRules<'_>, tally: &mut Tally) -> Result<bool, ParserFailed> {
        let Mode::Foreign { name, .. } = &self.mode else { return Ok(false) };
        let found = self.next_end_tag(name, self.position);
        let upto = found.as_ref().map_or_else(|Unfinished { upto }| *upto, |end| end.place.end);
        self.feed(upto, rules, tally)?;
        Ok(found.is_ok())
    }

    /// The next end tag called `name` at or after `from`.
    fn next_end_tag(&self, name: &[u8], from: usize) -> Result<EndTag, Unfinished> {
        let base = self.window.base();
        let text = self.window.bytes();
        let mut from = from - base;
        loop {
            let rest = text.get(from..).unwrap_or_default();
            let Some(at) = memchr::memmem::find(rest, b"</").map(|at| from + at) else {
                let partial = usize::from(rest.ends_with(b"<"));
                return Err(Unfinished { upto: base + text.len() - partial });
            };
            let after = text.get(at + 2..).unwrap_or_default();
            let named = after.len().min(name.len());
            let same =
                after.get(..named).unwrap_or_default().eq_ignore_ascii_case(name.get(..named).unwrap_or_default());
            match after.get(name.len()) {
                _ if !same => from = at + 2,
                None => return Err(Unfinished { upto: base + at }),
                Some(b) if b.is_ascii_whitespace() || matches!(b, b'/' | b'>') => {
                    return match tag_shape(text, at + 2) {
                        Some(shape) => Ok(EndTag { place: base + at..base + shape.end }),
                        None => Err(Unfinished { upto: base + at }),
                    };
                }
                Some(_) => from = at + 2,
            }
        }
    }

    /// Gives the parser everything up to `end`, and acts on what it finds.
    fn feed(&mut self, end: usize, rules: &GateRules<'_>, tally: &mut Tally) -> Result<(), ParserFailed> {
        if end <= self.position {
            return Ok(());
        }
        let parser = self.parser.get_or_insert_with(TagParser::new);
        parser.feed(self.window.get(self.position..end), self.position)?;
        self.position = end;
        let mut events = std::mem::take(&mut self.events);
        parser.take(&mut events);
        for event in events.drain(..) {
            match event {
                Event::Start(mut tag) => {
                    let shape = tag_shape(self.window.get(tag.start..tag.end), 1);
                    tag.name_end = shape.map_or(tag.end, |shape| tag.start + shape.name_end);
                    self.start(rules, tally, tag);
                }
                Event::End { of, start } => {
                    self.end(rules, tally, of, start);
                    self.leave(of);
                }
            }
        }
        self.events = events;
        Ok(())
    }

    fn start(&mut self, rules: &GateRules<'_>, tally: &mut Tally, tag: Tag) {
        let mut buffer = [0; MAX_NAME];
        let qualified = lower(self.window.get(tag.start + 1..tag.name_end), &mut buffer);
        let colon = memchr::memrchr(b':', qualified).filter(|_| self.xml).map_or(0, |colon| colon + 1);
        let name = qualified.get(colon..).unwrap_or_default();
        self.place_guard(rules, &tag, name);
        let foreign = tag.foreign || (self.xml && !matches!(name, b"script" | b"style"));
        let element = Element { tag: &tag, name, foreign, xml: self.xml };
        match name {
            b"html" => {
                let language = element.value(&self.window, "lang").or_else(|| element.value(&self.window, "xml:lang"));
                self.language = language.as_deref().and_then(language_tag);
            }
            b"base" => {
                if let Some(href) = element.value(&self.window, "href") {
                    self.addresses.set_base(rules, &href);
                }
            }
            _ => {}
        }
        let script = (name == b"script").then(|| element.script_kind(&self.window));
        let mut inspector = Inspector::new(rules, tally, &self.addresses, self.language.as_deref(), self.depth);
        element.inspect(&mut self.window, &mut inspector, script);
        let denied = inspector.denied;
        self.denied.add(&denied);
        let content = match (name, script) {
            (b"script", Some(kind @ (ScriptKind::Code | ScriptKind::ImportMap | ScriptKind::SpeculationRules))) => {
                Some(Content::Script(kind))
            }
            (b"style", _) => Some(Content::Style),
            (b"noscript" | b"noembed" | b"noframes" | b"xmp", _) if !tag.foreign && !self.xml => Some(Content::Markup),
            _ => None,
        };
        self.enter(&tag, name, qualified);
        let closed = self.xml && tag.self_closing;
        if let Some(content) = content.filter(|_| !closed) {
            self.held.push(Held { tag, content });
        }
    }

    /// How what follows the start tag is read.
    fn enter(&mut self, tag: &Tag, name: &[u8], qualified: &[u8]) {
        if let Mode::Foreign { order, .. } = &mut self.mode {
            order.start(tag, name);
        }
        if !matches!(self.mode, Mode::Tags) {
            return;
        }
        let foreign = matches!(name, b"svg" | b"math");
        if self.xml {
            // XML has no elements of a special kind; scripts and styles are only read as a whole.
            if matches!(name, b"script" | b"style") && !tag.self_closing {
                self.mode = Mode::Text { name: qualified.to_vec(), of: tag.start };
            }
        } else if foreign && tag.self_closing {
            // Nothing is inside, but lol_html reads on as if there were.
            self.parser = None;
        } else if foreign {
            self.mode = Mode::Foreign { name: qualified.to_vec(), of: tag.start, order: Order::default() };
        } else if is_text(name) {
            self.mode = Mode::Text { name: qualified.to_vec(), of: tag.start };
        } else if name == b"plaintext" {
            self.mode = Mode::All;
        }
    }

    fn end(&mut self, rules: &GateRules<'_>, tally: &mut Tally, of: usize, start: usize) {
        if let Some(open) = self.held.iter().position(|held| held.tag.start == of) {
            // What is still open inside ends here, too.
            for held in self.held.split_off(open).into_iter().rev() {
                self.settle(rules, tally, held, start);
            }
        }
    }

    /// How what follows the end tag is read.
    fn leave(&mut self, of: usize) {
        match &mut self.mode {
            Mode::Text { of: begun, .. } if *begun == of => self.mode = Mode::Tags,
            Mode::Foreign { of: begun, order, .. } if *begun == of => {
                // Markup that is out of order is left to the parser from here on.
                self.mode = if order.is_kept() { Mode::Tags } else { Mode::All };
            }
            Mode::Foreign { order, .. } => order.end(of),
            _ => {}
        }
    }

    /// Decides on an element whose content ends at `end`.
    fn settle(&mut self, rules: &GateRules<'_>, tally: &mut Tally, held: Held, end: usize) {
        let content = held.tag.end..end;
        let text = self.window.get(content.clone());
        let mut inspector = Inspector::new(rules, tally, &self.addresses, self.language.as_deref(), self.depth);
        let element = Element { tag: &held.tag, name: b"", foreign: held.tag.foreign, xml: self.xml };
        // Of a long content, the tag may be gone.
        let is_open = held.tag.start >= self.window.base();
        match held.content {
            Content::Script(ScriptKind::ImportMap) => {
                if let Some(map) = disarm_import_map(&mut inspector, text) {
                    if is_open {
                        element.mark(&mut self.window, &inspector);
                    }
                    self.window.replace(content, map);
                }
            }
            Content::Script(kind) => {
                let denied = match kind {
                    _ if text.len() > MAX_CONTENT => inspector.deny_all(),
                    ScriptKind::SpeculationRules => names_denied_rules(&mut inspector, text),
                    _ => inspector.script(text),
                };
                if denied {
                    element.park_script(&mut self.window, &inspector);
                }
            }
            Content::Style => {
                let css = inspector.css(text);
                let places = css.map(|css| insertions(text, &css, NEUTRAL.as_bytes())).unwrap_or_default();
                if !places.is_empty() && is_open {
                    element.mark(&mut self.window, &inspector);
                }
                // In SVG, a style may hold elements with edits of their own.
                places.into_iter().for_each(|place| self.window.insert(content.start + place, NEUTRAL));
            }
            Content::Markup => {
                if let Some(markup) = inspector.open_markup(text) {
                    self.window.replace(content, markup);
                }
            }
        }
        let denied = inspector.denied;
        self.denied.add(&denied);
    }

    /// Decides on the beginning of a content that is too long to wait for its end. A script is parked whatever it is,
    /// since the rest cannot be judged; of anything else the rest is judged by itself.
    fn settle_beginning(&mut self, rules: &GateRules<'_>, tally: &mut Tally, held: Held, read: usize) {
        let (tag, content) = (Tag { end: read, ..held.tag.place() }, held.content);
        self.settle(rules, tally, held, read);
        if !matches!(content, Content::Script(_)) {
            self.held.push(Held { tag, content });
        }
    }

    fn place_guard(&mut self, rules: &GateRules<'_>, tag: &Tag, name: &[u8]) {
        let Some(guard) = rules.guard.filter(|_| self.guard_due) else { return };
        match name {
            b"html" => return,
            b"head" => self.window.insert(tag.end, guard),
            _ => self.window.insert(tag.start, guard),
        }
        self.guard_due = false;
    }
}

/// Where `word` was put into `before` to make it `after`.
fn insertions(before: &[u8], after: &[u8], word: &[u8]) -> Vec<usize> {
    let (mut places, mut at, mut rest) = (Vec::new(), 0, after);
    while let Some((byte, next)) = rest.split_first() {
        match rest.strip_prefix(word) {
            Some(behind) if !before.get(at..).unwrap_or_default().starts_with(word) => {
                places.push(at);
                rest = behind;
            }
            _ => {
                at += usize::from(before.get(at) == Some(byte));
                rest = next;
            }
        }
    }
    places
}

/// The end tag of an element whose content is text.
struct EndTag {
    place: Range<usize>,
}

/// There is no such end tag yet: what may be the beginning of one is at `upto`.
struct Unfinished {
    upto: usize,
}

/// Gates a document that stands in another one; `None` if nothing in it changes.
pub(super) fn rewrite_fragment(
    rules: &GateRules<'_>,
    tally: &mut Tally,
    text: &[u8],
    addresses: &Addresses,
    depth: usize,
) -> Option<(Vec<u8>, Denied)> {
    let mut gate = Gate { addresses: addresses.clone(), depth, ..Gate::new(false) };
    let mut output = Vec::new();
    if gate.write(rules, tally, text, &mut output).is_err() {
        gate.abandon(&mut output);
    }
    gate.finish(rules, tally, &mut output);
    gate.window.changed().then_some((output, gate.denied))
}
