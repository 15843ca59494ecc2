//! What a rewriter of pages needs to know besides HTML: how bodies are coded.

mod codec;

pub use codec::{
    Coding, DecodeError, Decoder, EncodeError, Encoder, MAX_DECODED, UPSTREAM_ACCEPT_ENCODING, Unsupported,
    content_coding, negotiate,
};
