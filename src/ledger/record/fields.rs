//! The canonical form of a record, written as it is read: one pass, one buffer. Each access is written that way.

use serde_json::Value;

use super::Sorted;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A JSON object without spaces. Whoever writes it puts the fields in the order of their names.
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub fn with_capacity(bytes: usize) -> Self {
        Fields(Vec::with_capacity(bytes))
    }

    fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        &mut self.0
    }

    /// `value`, if there is one.
    pub fn text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            json(self.name(name), value);
        }
    }

    /// `value` in lower-case digits, if there is one.
    pub fn hex(&mut self, name: &'static str, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let text = self.name(name);
        text.push(b'"');
        for byte in value {
            let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or_default();
            text.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        text.push(b'"');
    }

    pub fn number(&mut self, name: &'static str, value: u64) {
        json(self.name(name), &value);
    }

    pub fn flag(&mut self, name: &'static str, value: bool) {
        json(self.name(name), &value);
    }

    /// Anything, sorted within, if there is something.
    pub fn value(&mut self, name: &'static str, value: Option<&Value>) {
        if let Some(value) = value {
            json(self.name(name), &Sorted::from(value.clone()));
        }
    }

    /// The object; `None` without any field.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(b'}');
        Some(self.0)
    }
}

fn json<T: serde::Serialize + ?Sized>(text: &mut Vec<u8>, value: &T) {
    // Strings, whole numbers and maps with string keys always serialize, and a vector takes all.
    let _ = serde_json::to_writer(text, value);
}
