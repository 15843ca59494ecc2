//! The page: what it would make a browser fetch is judged before the browser sees it.
//!
//! ```text
//! body ──► decoder ──► charset? ──► gate: scanner ──► parser ──► element ──► window ──► encoder ──► visitor
//! ```
//!
//! [`page_plan`] decides by the header whether a response is such a page; [`PageStream`] takes its body through.

mod address;
mod charset;
mod codec;
mod css;
mod element;
mod gate;
mod guard;
mod header;
mod inspector;
mod marks;
mod rules;
mod scan;
mod script;
mod srcset;
mod stream;
mod tags;
mod validator;
mod window;

pub use charset::{Charset, CharsetCheck};
pub use codec::{
    Coding, DecodeError, Decoder, EncodeError, Encoder, MAX_DECODED, UPSTREAM_ACCEPT_ENCODING, Unsupported,
    accepts_gzip, content_coding, negotiate,
};
pub use css::{NEUTRAL, neutralise};
pub use gate::{Gate, GateError};
pub use guard::{GuardFiles, OwnFile};
pub use header::{PageFacts, PagePlan, Treatment, edit_page_request, page_plan, preferred_language, variant};
pub use rules::GateRules;
pub use srcset::without_denied;
pub use stream::{Outcome, PageError, PageStream};
