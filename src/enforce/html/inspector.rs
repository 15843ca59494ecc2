//! Judging what one element names, and remembering why it was denied.

use std::sync::Arc;

use super::address::{Addresses, DataUrl, javascript};
use super::css::neutralise;
use super::gate::{MAX_DEPTH, rewrite_fragment};
use super::rules::GateRules;
use super::srcset::without_denied;
use crate::enforce::judge::{Direction, Tally};
use crate::policy::{PurposeSet, Purposes, ResourceKind, Verdict};

/// Judges the addresses of one element.
pub(super) struct Inspector<'a, 'r> {
    pub rules: &'a GateRules<'r>,
    pub tally: &'a mut Tally,
    pub addresses: &'a Addresses,
    pub language: &'a str,
    /// How many documents this one stands in.
    pub depth: usize,
    pub denied: Denied,
}

/// What an element was denied for.
#[derive(Clone, Default)]
pub(super) struct Denied {
    pub purposes: PurposeSet,
    /// Whether to a vendor that is refused, whatever purposes are granted.
    pub refused: bool,
    /// The first of the vendors.
    pub vendor: Option<Arc<str>>,
}

impl<'a, 'r> Inspector<'a, 'r> {
    /// `language` is what the page says, `depth` how many documents it stands in.
    pub(super) fn new(
        rules: &'a GateRules<'r>,
        tally: &'a mut Tally,
        addresses: &'a Addresses,
        language: Option<&'a str>,
        depth: usize,
    ) -> Self {
        let language = language.unwrap_or(rules.language);
        Inspector { rules, tally, addresses, language, depth, denied: Denied::default() }
    }

    /// Whether the address `written` is denied to an element that fetches a `kind`.
    pub(super) fn url(&mut self, written: &[u8], kind: ResourceKind) -> bool {
        match written.first().map(u8::to_ascii_lowercase) {
            // `data:` and `javascript:`, or what browsers correct to them.
            Some(b'd' | b'j' | 0..=b' ') => self.inner(written, kind) || self.outer(written, kind),
            _ => self.outer(written, kind),
        }
    }

    fn outer(&mut self, written: &[u8], kind: ResourceKind) -> bool {
        let verdict = self.addresses.verdict(self.rules, written, kind);
        verdict.is_some_and(|verdict| self.note(&verdict))
    }

    /// What an address carries in itself is judged as if it stood in the page.
    fn inner(&mut self, written: &[u8], kind: ResourceKind) -> bool {
        if let Some(script) = javascript(written) {
            return self.script(&script);
        }
        let Some(DataUrl { kind: media, body }) = DataUrl::parse(written) else { return false };
        match (kind, media.as_str()) {
            (ResourceKind::Script, _) => self.script(&body),
            (ResourceKind::Stylesheet, _) => self.css(&body).is_some(),
            (ResourceKind::Frame | ResourceKind::Object | ResourceKind::Document, _) => {
                self.markup(&body, None).is_some()
            }
            _ => false,
        }
    }

    /// Whether a script names somebody who is denied.
    pub(super) fn script(&mut self, text: &[u8]) -> bool {
        let (judge, mut verdicts) = (self.rules.judge, Vec::new());
        judge.verdicts_in(text, &mut |verdict| verdicts.push(verdict));
        // Each of them is counted.
        verdicts.iter().filter(|verdict| self.note(verdict)).count() > 0
    }

    /// CSS in which nothing that is denied can be fetched; `None` if nothing is. What is not UTF-8 is read byte by byte,
    /// so that every byte comes out as it went in.
    pub(super) fn css(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        if let Ok(text) = std::str::from_utf8(text) {
            let changed = neutralise(text, &mut |url| self.url(url.as_bytes(), ResourceKind::Image));
            return changed.map(String::into_bytes);
        }
        let wide: String = text.iter().copied().map(char::from).collect();
        let changed = neutralise(&wide, &mut |url| self.url(&narrow(url), ResourceKind::Image))?;
        Some(narrow(&changed))
    }

    /// What remains of a `srcset`; `None` if all of it does.
    pub(super) fn srcset(&mut self, text: &str) -> Option<String> {
        without_denied(text, &mut |url| self.url(url.as_bytes(), ResourceKind::Image))
    }

    /// Markup of a document in this one, gated; `None` if nothing in it is denied. `guard`: the tags for its head.
    pub(super) fn markup(&mut self, text: &[u8], guard: Option<&str>) -> Option<Vec<u8>> {
        if self.depth >= MAX_DEPTH {
            // Nobody who means well nests so deeply; it is not looked into, and not let through.
            self.deny_all();
            return Some(Vec::new());
        }
        let rules = GateRules { guard, language: self.language, ..*self.rules };
        let (markup, denied) = rewrite_fragment(&rules, self.tally, text, self.addresses, self.depth + 1)?;
        self.denied.add(&denied);
        Some(markup)
    }

    /// As [`Inspector::markup`], for what a browser that reads it goes on reading behind its end: a tag that has not
    /// ended is judged as far as it goes.
    pub(super) fn open_markup(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let mut gated = self.markup(&[text, b">"].concat(), None)?;
        gated.pop();
        Some(gated)
    }

    /// Denies what cannot be judged, until everything is granted.
    pub(super) fn deny_all(&mut self) -> bool {
        let judge = &self.rules.judge;
        let purposes = judge.site.options.purposes.without(judge.granted.purposes);
        let refused = !judge.granted.refused.is_empty();
        self.denied.add(&Denied { purposes, refused, vendor: None });
        judge.enforces()
    }

    /// Counts a verdict, and keeps its reason if it blocks.
    fn note(&mut self, verdict: &Verdict<'_>) -> bool {
        let blocks = self.tally.count(Direction::Element, verdict);
        if blocks {
            let vendor = verdict.rule.and_then(|rule| rule.vendor.as_ref()).map(|vendor| vendor.name.clone());
            let purposes = verdict.purpose.filter(|_| !verdict.refused).into_iter().collect();
            self.denied.add(&Denied { purposes, refused: verdict.refused, vendor });
        }
        blocks
    }
}

/// Stands among purposes in a mark, and cannot name one.
pub(super) const REFUSED: &str = "!vendor";

impl Denied {
    pub(super) fn is_empty(&self) -> bool {
        self.purposes.is_empty() && !self.refused
    }

    /// What has to be granted, as words; [`REFUSED`] is what cannot be on this page.
    pub(super) fn words<'p>(&self, purposes: &'p Purposes) -> impl Iterator<Item = &'p str> {
        purposes.names(self.purposes).chain(self.refused.then_some(REFUSED))
    }

    pub(super) fn add(&mut self, other: &Denied) {
        self.purposes = self.purposes.union(other.purposes);
        self.refused |= other.refused;
        if self.vendor.is_none() {
            self.vendor.clone_from(&other.vendor);
        }
    }
}

/// The bytes that were read as characters of the same number; others as UTF-8.
fn narrow(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}
