//! What a visitor has agreed to: every [`Signal`] that a request carries, and the [`Consent`] that follows from them.
//!
//! Pure: the time is an argument, nothing is read from outside, no input makes it fail. `proxy` resolves once per
//! request and keeps the result.

mod cookies;
pub mod iab;
mod own;
mod resolve;
pub mod signal;
mod site_signals;

pub use cookies::{CookiePair, cookie_pairs, merge_lines};
pub use own::{OwnConsent, OwnCookie};
pub use resolve::{Consent, Fate, Observer, Resolver, Source};
pub use site_signals::{ALIASES, FormatSettings, SiteSignals, format_named};
