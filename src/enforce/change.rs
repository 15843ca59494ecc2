//! A change to one field of a header section.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// What a field is to become.
pub struct HeaderChange {
    pub name: HeaderName,
    /// All values, in order. None: the field goes.
    pub values: Vec<HeaderValue>,
}

impl HeaderChange {
    pub(super) fn set(name: HeaderName, value: Vec<u8>) -> Self {
        HeaderChange { name, values: header_value(value).into_iter().collect() }
    }

    pub(super) fn remove(name: HeaderName) -> Self {
        HeaderChange { name, values: Vec::new() }
    }
}

/// The field value with these bytes, if they can be one.
pub(super) fn header_value(bytes: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).ok()
}
