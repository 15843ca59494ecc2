//! The formats in which a request can say what its visitor agreed to.
//!
//! A format is one file with one pure function, listed in [`FORMATS`]. To add one, write its file and add its line.

mod gpc;
mod own;

use http::HeaderMap;

use crate::policy::PurposeSet;

pub use gpc::global_privacy_control;

use super::own::OwnCookie;

/// How much a signal says about the visitor's own will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The visitor chose.
    Explicit,
    /// A default that a banner wrote for the visitor's region.
    Implied,
    /// A choice was recorded, but in a form only the page can read.
    Opaque,
}

/// One source's reading of a request. A purpose in neither set is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    pub granted: PurposeSet,
    pub denied: PurposeSet,
    pub strength: Strength,
    /// Unix time in seconds, if the format tells.
    pub decided_at: Option<u64>,
    /// The version of the policy that was agreed to, if the format tells.
    pub policy_version: Option<&'a str>,
}

/// What a format may look at.
#[derive(Clone, Copy)]
pub struct SignalInput<'a> {
    pub headers: &'a HeaderMap,
    pub own: &'a OwnCookie,
    /// Finds a purpose by its name.
    pub purposes: &'a crate::policy::Purposes,
    /// Every purpose of the site.
    pub site_purposes: PurposeSet,
}

/// A signal format.
pub struct Format {
    /// Its name in `signals = […]`, in metrics and in `explain`.
    pub name: &'static str,
    pub read: for<'a> fn(&SignalInput<'a>) -> Option<Signal<'a>>,
}

/// Every format that is known, in the order in which detected ones are asked. `consentry` is always first.
pub static FORMATS: &[Format] = &[Format { name: "consentry", read: own::read }];
