//! The part of a page that is still open, and the edits that wait for it.

use std::ops::Range;

/// Bytes of a page that have not been written yet. Places count from the beginning of the page.
#[derive(Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Place of the first of `bytes`.
    base: usize,
    edits: Vec<Edit>,
    /// What the edits put in, one after the other.
    texts: Vec<u8>,
    changed: bool,
}

/// Some bytes of the page, and where in the texts is what stands there instead.
struct Edit {
    place: Range<usize>,
    text: Range<usize>,
}

impl Window {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The place behind the last byte.
    pub(super) fn end(&self) -> usize {
        self.base + self.bytes.len()
    }

    /// Number of bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn base(&self) -> usize {
        self.base
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes at `place`, as far as they wait.
    pub(super) fn get(&self, place: Range<usize>) -> &[u8] {
        let start = place.start.saturating_sub(self.base);
        self.bytes.get(start..place.end.saturating_sub(self.base)).unwrap_or_default()
    }

    pub(super) fn byte(&self, place: usize) -> Option<u8> {
        self.bytes.get(place.checked_sub(self.base)?).copied()
    }

    /// Writes `text` in place of the bytes at `place`.
    pub(super) fn replace(&mut self, place: Range<usize>, text: impl AsRef<[u8]>) {
        self.changed = true;
        let start = self.texts.len();
        self.texts.extend_from_slice(text.as_ref());
        self.edits.push(Edit { place, text: start..self.texts.len() });
    }

    pub(super) fn insert(&mut self, place: usize, text: impl AsRef<[u8]>) {
        self.replace(place..place, text);
    }

    /// Whether anything was ever edited.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Writes everything before `place`, edited, to `output`; what is inserted at `place` itself waits.
    pub(super) fn write(&mut self, place: usize, output: &mut Vec<u8>) {
        let length = place.min(self.end()).saturating_sub(self.base);
        // What was decided late may stand early. At one place, the order is that of the decisions.
        self.edits.sort_by_key(|edit| (edit.place.start, edit.place.end));
        let due = self.edits.iter().take_while(|edit| edit.place.start < place).count();
        let mut written = self.base;
        for Edit { place, text } in self.edits.drain(..due) {
            let start = written.saturating_sub(self.base);
            output.extend_from_slice(self.bytes.get(start..place.start.saturating_sub(self.base)).unwrap_or_default());
            output.extend_from_slice(self.texts.get(text).unwrap_or_default());
            written = place.end.max(written);
        }
        output.extend_from_slice(self.bytes.get(written.saturating_sub(self.base)..length).unwrap_or_default());
        if self.edits.is_empty() {
            self.texts.clear();
        }
        self.bytes.drain(..length);
        self.base += length;
    }
}
