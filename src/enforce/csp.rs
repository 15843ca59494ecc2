//! Content Security Policy (CSP Level 3): what an upstream's policies must admit for the own script to work, and the
//! additional policy that depends on consent.
//!
//! Browsers obey every policy they are given, so an additional one can only narrow. An upstream's own policies keep
//! every byte, but for sources of exactly the own resources that are added where they would stand in their own way.

mod admit;
mod by_consent;
mod source;
mod syntax;

pub use admit::{Admission, OwnResources, OwnScript, admit, guard_admission, nonce_of};
pub(super) use by_consent::{add_policy, filter_report_uri};
