//! Tags with their attributes, as places in the page. A tag by itself is read here; where more has to be known, lol_html
//! reads, and nothing of what it could write is used.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use lol_html::send::{Element, HtmlRewriter, Settings};
use lol_html::{OutputSink, element};

use super::scan::{MAX_NAME, lower, walk};

const HTML_NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// A start tag. All places count bytes from the beginning of the page.
pub(super) struct Tag {
    pub start: usize,
    pub name_end: usize,
    /// Behind `>`.
    pub end: usize,
    pub attributes: Vec<Attribute>,
    /// Whether it is part of SVG or MathML.
    pub foreign: bool,
    pub self_closing: bool,
}

impl Tag {
    /// Reads `text`, a start tag of HTML that begins at `start` of the page; `None` if it is not whole.
    pub(super) fn read(text: &[u8], start: usize) -> Option<Tag> {
        let shift = |range: Range<usize>| range.start + start..range.end + start;
        let mut attributes = Vec::new();
        let shape = walk(text, 1, |name, value| {
            attributes.push(Attribute { name: shift(name), value: value.map(shift) });
        })?;
        let (name_end, end) = (start + shape.name_end, start + shape.end);
        Some(Tag { start, name_end, end, attributes, foreign: false, self_closing: shape.self_closing })
    }

    /// Where it is, without its attributes.
    pub(super) fn place(&self) -> Tag {
        Tag { attributes: Vec::new(), ..*self }
    }
}

/// An attribute of a tag. Of several with the same name, browsers take the first.
pub(super) struct Attribute {
    pub name: Range<usize>,
    /// Without quotes.
    pub value: Option<Range<usize>>,
}

/// What the parser came across.
pub(super) enum Event {
    Start(Tag),
    /// The end tag of an element whose end was asked for, by the place of the element's start.
    End {
        of: usize,
        start: usize,
    },
}

/// Elements of HTML whose content is text, in which nothing but their own end tag is read.
pub(super) fn is_text(name: &[u8]) -> bool {
    matches!(
        name,
        b"script" | b"style" | b"title" | b"textarea" | b"iframe" | b"xmp" | b"noembed" | b"noframes" | b"noscript"
    )
}

/// Elements whose end matters: their content is judged as a whole, or is read in another way.
fn has_end(name: &[u8], foreign: bool) -> bool {
    matches!(name, b"script" | b"style") || (!foreign && is_text(name)) || nests(name, foreign)
}

/// Foreign elements that may hold HTML (HTML Standard, section 13.2.6).
fn is_integration_point(name: &[u8]) -> bool {
    matches!(name, b"foreignobject" | b"desc" | b"title" | b"mi" | b"mo" | b"mn" | b"ms" | b"mtext" | b"annotation-xml")
}

/// Whether what is in the element may be of another kind than what is around it.
pub(super) fn nests(name: &[u8], foreign: bool) -> bool {
    matches!(name, b"svg" | b"math") || (foreign && is_integration_point(name))
}

/// The queue between lol_html's handlers, which have to own what they write to, and the gate. Only one thread ever has
/// both ends, so it is never waited for.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    events: Vec<Event>,
    /// Bytes that lol_html has finished with.
    consumed: usize,
    /// What has to be added to lol_html's places, since it is not shown everything.
    skipped: usize,
}

impl Events {
    fn with<T>(&self, action: impl FnOnce(&mut Queue) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts what would have been written: with nothing changed, that is what was read.
struct Consumed(Events);

impl OutputSink for Consumed {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.with(|queue| queue.consumed += chunk.len());
    }
}

/// The tag could not be parsed; lol_html names only its bounds as reasons.
pub(super) struct ParserFailed;

/// Reads tags from pieces of a page.
pub(super) struct TagParser {
    rewriter: HtmlRewriter<'static, Consumed>,
    events: Events,
    fed: usize,
}

impl TagParser {
    pub(super) fn new() -> Self {
        let events = Events::default();
        let queue = events.clone();
        let settings = Settings::new_send()
            .with_strict(false)
            .append_element_content_handler(element!("*", move |element| read_element(element, &queue)));
        TagParser { rewriter: HtmlRewriter::new(settings, Consumed(events.clone())), events, fed: 0 }
    }

    /// Reads the piece that begins at `place` of the page. Pieces that follow each other without a gap may end anywhere;
    /// before a gap, the last one ended outside of tags.
    pub(super) fn feed(&mut self, piece: &[u8], place: usize) -> Result<(), ParserFailed> {
        let skipped = place.saturating_sub(self.fed);
        self.events.with(|queue| queue.skipped = skipped);
        self.fed += piece.len();
        self.rewriter.write(piece).map_err(|_| ParserFailed)
    }

    /// What was found since this was last asked, in order.
    pub(super) fn take(&mut self, into: &mut Vec<Event>) {
        self.events.with(|queue| std::mem::swap(&mut queue.events, into));
    }

    /// Up to where the page is read.
    pub(super) fn position(&self) -> usize {
        self.events.with(|queue| queue.consumed + queue.skipped)
    }
}

fn read_element(element: &mut Element<'_, '_>, events: &Events) -> lol_html::HandlerResult {
    let skipped = events.with(|queue| queue.skipped);
    let shift = |range: Range<usize>| range.start + skipped..range.end + skipped;
    let foreign = element.namespace_uri() != HTML_NAMESPACE;
    let place = shift(element.source_location().bytes());
    let attributes = element.attributes().iter().filter_map(|attribute| {
        let name = shift(attribute.name_source_location()?.bytes());
        Some(Attribute { name, value: attribute.value_source_location().map(|value| shift(value.bytes())) })
    });
    let attributes = attributes.collect();
    let self_closing = element.is_self_closing();
    let mut buffer = [0; MAX_NAME];
    let text = element.tag_name();
    let name = lower(text.as_bytes(), &mut buffer);
    if has_end(name, foreign)
        && let Some(handlers) = element.end_tag_handlers()
    {
        let (queue, of) = (events.clone(), place.start);
        handlers.push(Box::new(move |end| {
            let start = end.source_location().bytes().start;
            queue.with(|queue| queue.events.push(Event::End { of, start: start + queue.skipped }));
            Ok(())
        }));
    }
    // Where the name ends, only the page's own bytes say: this one is decoded.
    let tag = Tag { start: place.start, name_end: place.start, end: place.end, attributes, foreign, self_closing };
    events.with(|queue| queue.events.push(Event::Start(tag)));
    Ok(())
}
