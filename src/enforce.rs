//! From verdicts to bytes: which header values go on, which are changed, and what is answered instead.
//!
//! Pure functions over header maps and bytes: they return what is to be changed and change nothing themselves, so that
//! `proxy` applies it on every attempt and `explain` can show it. Where nothing changes nothing is allocated.

mod block;
mod cache;
mod change;
mod cookie;
pub mod csp;
mod date;
mod expire;
pub mod html;
mod https;
mod judge;
mod link;
mod list;
mod query;
mod request;
mod response;
mod set_cookie;

pub use block::{BlockAnswer, block_answer};
pub use change::HeaderChange;
pub use cookie::edit_cookie;
pub use date::parse_cookie_date;
pub use expire::{ExpiryScope, expiries};
pub use https::secure_response;
pub use judge::{Action, Direction, Judge, Tally};
pub use list::Edit;
pub use query::{is_signed, strip_parameters};
pub use request::{RequestEdits, edit_request};
pub use response::{ResponseFacts, edit_response, edit_trailers};
pub use set_cookie::{SetCookie, cap_lifetime};
