//! The body of a page on its way: decoded, gated, encoded again, piece by piece.

use super::charset::{Charset, CharsetCheck};
use super::codec::{Coding, DecodeError, Decoder, Encoder, MAX_DECODED};
use super::gate::Gate;
use super::header::{PagePlan, Treatment};
use super::rules::GateRules;
use crate::enforce::judge::Tally;

/// What visitors see instead of a page that cannot be checked, where the site wants that.
const REFUSAL: &[u8] = b"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Page withheld</title>\
    <p>This page cannot be checked for trackers, so it is not shown before you have agreed to all of them.</p></html>";

/// Tags by which browsers recognise HTML (MIME Sniffing Standard, section 7.1).
const BEGINNINGS: [&[u8]; 17] = [
    b"!doctype html",
    b"html",
    b"head",
    b"script",
    b"iframe",
    b"h1",
    b"div",
    b"font",
    b"table",
    b"a",
    b"style",
    b"title",
    b"b",
    b"body",
    b"br",
    b"p",
    b"!--",
];

/// What became of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Rewritten,
    /// Only counted.
    Observed,
    /// Coded in a way that is not read here.
    Coding,
    /// Its bytes are not those of ASCII where they look like it.
    Charset,
    /// A part of a page (206).
    Partial,
    /// The upstream forbids it (`no-transform`).
    NoTransform,
    /// A tag is too long.
    TagTooLong,
    /// The coding is broken.
    Corrupt,
    /// The coding would unfold to something enormous.
    Bomb,
}

impl Outcome {
    pub const ALL: [Outcome; 9] = [
        Outcome::Rewritten,
        Outcome::Observed,
        Outcome::Coding,
        Outcome::Charset,
        Outcome::Partial,
        Outcome::NoTransform,
        Outcome::TagTooLong,
        Outcome::Corrupt,
        Outcome::Bomb,
    ];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Rewritten => "rewritten",
            Outcome::Observed => "observed",
            Outcome::Coding => "coding",
            Outcome::Charset => "charset",
            Outcome::Partial => "partial",
            Outcome::NoTransform => "no_transform",
            Outcome::TagTooLong => "tag_too_long",
            Outcome::Corrupt => "corrupt",
            Outcome::Bomb => "bomb",
        }
    }
}

/// The page cannot go on: what has been sent stays incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("the upstream's page cannot be decoded")]
    Decode(#[from] DecodeError),
    #[error("the page cannot be encoded")]
    Encode,
    #[error("the page cannot be rewritten")]
    Unrewritable,
}

/// What happens to what comes.
enum State {
    /// The beginning waits until it is known what it is.
    Beginning(Vec<u8>),
    Gated,
    Passed,
    /// Something else was sent instead.
    Withheld,
}

/// One page.
pub struct PageStream {
    charset: CharsetCheck,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    gate: Gate,
    state: State,
    treatment: Treatment,
    /// Whether a page that cannot be rewritten is withheld.
    refuse: bool,
    sniff: bool,
    whole: bool,
    outcome: Outcome,
    tally: Tally,
    page: Vec<u8>,
}

impl PageStream {
    /// For a response that is to be taken by `plan`. `None` if there is nothing to do, or no memory for it.
    pub fn new(plan: &PagePlan, content_type: Option<&[u8]>, refuse: bool) -> Option<Self> {
        let treatment = plan.treatment?;
        let (from, to) = plan.codings;
        let decoder = match from {
            Coding::Identity => None,
            coding => Some(Decoder::new(coding, MAX_DECODED)?),
        };
        let encoder = match to {
            Coding::Identity => None,
            coding if treatment == Treatment::Rewrite => Some(Encoder::new(coding)?),
            _ => None,
        };
        Some(PageStream {
            charset: CharsetCheck::new(content_type),
            decoder,
            encoder,
            gate: Gate::new(plan.xml),
            state: State::Beginning(Vec::new()),
            treatment,
            refuse,
            sniff: plan.sniff,
            whole: plan.whole,
            outcome: if treatment == Treatment::Rewrite { Outcome::Rewritten } else { Outcome::Observed },
            tally: Tally::default(),
            page: Vec::new(),
        })
    }

    /// What was judged so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Takes the next piece of the body, and appends to `output` all that can be sent.
    pub fn write(&mut self, rules: &GateRules<'_>, body: &[u8], output: &mut Vec<u8>) -> Result<(), PageError> {
        if self.treatment == Treatment::Observe {
            output.extend_from_slice(body);
            if self.take(rules, body).is_err() {
                self.state = State::Passed;
            }
            self.page.clear();
            return Ok(());
        }
        self.take(rules, body)?;
        self.send(output, false)
    }

    /// Takes the end of the body.
    pub fn finish(&mut self, rules: &GateRules<'_>, output: &mut Vec<u8>) -> Result<(), PageError> {
        let complete = self.decoder.as_mut().map_or(Ok(()), Decoder::finish);
        self.begin(rules);
        if matches!(self.state, State::Gated) {
            self.gate.finish(rules, &mut self.tally, &mut self.page);
        }
        if self.treatment == Treatment::Observe {
            return Ok(());
        }
        if let Err(error) = complete {
            self.outcome = Outcome::Corrupt;
            return Err(error.into());
        }
        self.send(output, true)
    }

    fn take(&mut self, rules: &GateRules<'_>, body: &[u8]) -> Result<(), PageError> {
        // For as long as the decoder calls back into the page.
        let decoder = self.decoder.take();
        let taken = match decoder {
            None => self.page(rules, body),
            Some(mut decoder) => {
                let taken = decoder.decode(body, |piece: &[u8]| self.page(rules, piece));
                self.decoder = Some(decoder);
                taken
            }
        };
        // No later piece is waited for: a page that comes slowly is shown as it comes.
        taken.map(|()| self.begin(rules)).inspect_err(|error| {
            self.outcome = match error {
                PageError::Decode(DecodeError::Bomb) => Outcome::Bomb,
                PageError::Decode(_) => Outcome::Corrupt,
                PageError::Encode | PageError::Unrewritable => self.outcome,
            }
        })
    }

    fn page(&mut self, rules: &GateRules<'_>, piece: &[u8]) -> Result<(), PageError> {
        match &mut self.state {
            State::Beginning(beginning) => {
                let charset = self.charset.feed(piece);
                let first = beginning.is_empty();
                if charset == Charset::Undecided || !first {
                    beginning.extend_from_slice(piece);
                }
                match charset {
                    Charset::Undecided => {}
                    // Mostly, the first piece is enough, and need not be kept.
                    decided if first => self.decide(rules, decided, piece),
                    decided => {
                        let beginning = std::mem::take(beginning);
                        self.decide(rules, decided, &beginning);
                    }
                }
                Ok(())
            }
            State::Gated => self.gate(rules, piece),
            State::Passed => {
                self.page.extend_from_slice(piece);
                Ok(())
            }
            State::Withheld => Ok(()),
        }
    }

    fn gate(&mut self, rules: &GateRules<'_>, piece: &[u8]) -> Result<(), PageError> {
        let rules = GateRules { guard: rules.guard.filter(|_| self.whole), ..*rules };
        if self.gate.write(&rules, &mut self.tally, piece, &mut self.page).is_ok() {
            return Ok(());
        }
        self.outcome = Outcome::TagTooLong;
        if self.refuse {
            return Err(PageError::Unrewritable);
        }
        self.gate.abandon(&mut self.page);
        self.state = State::Passed;
        Ok(())
    }

    /// Goes on with what is known of the beginning.
    fn begin(&mut self, rules: &GateRules<'_>) {
        let State::Beginning(beginning) = &mut self.state else { return };
        if !beginning.is_empty() {
            let beginning = std::mem::take(beginning);
            let charset = self.charset.finish();
            self.decide(rules, charset, &beginning);
        }
    }

    fn decide(&mut self, rules: &GateRules<'_>, charset: Charset, beginning: &[u8]) {
        self.state = State::Passed;
        if self.sniff && !looks_like_html(beginning) {
            self.page.extend_from_slice(beginning);
        } else if charset == Charset::NotRewritable {
            self.outcome = Outcome::Charset;
            if self.refuse && self.treatment == Treatment::Rewrite {
                self.state = State::Withheld;
                self.page.extend_from_slice(REFUSAL);
            } else {
                self.page.extend_from_slice(beginning);
            }
        } else {
            self.state = State::Gated;
            // What a script fetches is a page of its own if it begins like one: it may be kept, and shown as such.
            self.whole |= begins_page(beginning);
            // It is at most what the bound on tags allows.
            self.gate(rules, beginning).ok();
        }
    }

    /// Moves what is settled of the page to `output`.
    fn send(&mut self, output: &mut Vec<u8>, end: bool) -> Result<(), PageError> {
        let Some(encoder) = &mut self.encoder else {
            if output.is_empty() {
                std::mem::swap(output, &mut self.page);
            } else {
                output.append(&mut self.page);
            }
            return Ok(());
        };
        if !self.page.is_empty() {
            encoder.encode(&self.page, output).map_err(|_| PageError::Encode)?;
            self.page.clear();
            if !end {
                return encoder.flush(output).map_err(|_| PageError::Encode);
            }
        }
        if end { encoder.finish(output).map_err(|_| PageError::Encode) } else { Ok(()) }
    }
}

fn looks_like_html(beginning: &[u8]) -> bool {
    let Some(tag) = start(beginning).strip_prefix(b"<") else { return false };
    BEGINNINGS.iter().any(|name| {
        let same = tag.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        same && (name == b"!--" || matches!(tag.get(name.len()), Some(b' ' | b'>' | b'\t' | b'\n' | b'\r') | None))
    })
}

fn begins_page(beginning: &[u8]) -> bool {
    let start = start(beginning);
    [&b"<!doctype"[..], b"<html"]
        .iter()
        .any(|page| start.get(..page.len()).is_some_and(|s| s.eq_ignore_ascii_case(page)))
}

/// Without byte order mark and white space.
fn start(beginning: &[u8]) -> &[u8] {
    beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start()
}
