//! What a rewriter of pages needs to know besides HTML: how bodies are coded, how bytes are characters, where style
//! sheets and `srcset` name URLs.

mod charset;
mod codec;
mod css;
mod srcset;

pub use charset::{Charset, CharsetCheck};
pub use codec::{
    Coding, DecodeError, Decoder, EncodeError, Encoder, MAX_DECODED, UPSTREAM_ACCEPT_ENCODING, Unsupported,
    content_coding, negotiate,
};
pub use css::{NEUTRAL, neutralise};
pub use srcset::without_denied;
