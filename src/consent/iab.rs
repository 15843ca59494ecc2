//! The consent strings of the IAB: TCF 2.2 and 2.3, the Global Privacy Platform, and its predecessor US Privacy.
//!
//! They are read where they stand: bits come straight from the base64 characters, ranges of vendors stay ranges, nothing
//! is decoded into memory. `parse` looks at the whole string, so that what it returns can be asked without a second
//! thought; whether a sound string *counts* is decided by who reads it. No string is ever written: only a registered
//! consent manager may do that.

mod bits;
pub mod gpp;
pub mod tcf;
pub mod us;
pub mod us_privacy;
mod vendors;

pub use vendors::{Ranges, VendorIds};

/// What is longer than this many characters is no consent string: one with 2,000 vendors, all of them encoded as
/// ranges of one, has 6,000.
pub const MAX_LENGTH: usize = 8 * 1024;
