//! Rules, and the verdicts they lead to.

use std::fmt;
use std::sync::Arc;

use super::purpose::Purpose;

/// What a site, or one of its rules, does about a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Decide, count, record; change nothing.
    Observe,
    /// Decide and act.
    #[default]
    Enforce,
    /// Neither: the site is proxied as it is.
    Off,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Enforce => "enforce",
            Mode::Off => "off",
        }
    }
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Path of the file, or `built-in catalog/…`.
    pub file: Arc<str>,
    /// Line, from 1. 0 is the whole file.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One statement of a purpose: "this cookie, this request is for that".
#[derive(Clone, Debug)]
pub struct Rule {
    pub purpose: Purpose,
    /// The pattern, path or host as it was written.
    pub text: Box<str>,
    /// The vendor's name, for a rule of the catalog.
    pub vendor: Option<Arc<str>>,
    pub origin: Origin,
    /// Overrides the site's mode.
    pub mode: Option<Mode>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        if let Some(vendor) = &self.vendor {
            write!(f, " of {vendor}")?;
        }
        write!(f, " ({})", self.origin)
    }
}

/// The answer for one cookie, request, element or header.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'r> {
    pub allowed: bool,
    /// `None` if nothing is known about it.
    pub purpose: Option<Purpose>,
    /// The rule that says why. `None` for what is unknown or inherent (the own consent cookie).
    pub rule: Option<&'r Rule>,
    /// Whether a denial is acted upon, or only counted.
    pub enforced: bool,
}

impl Verdict<'_> {
    /// Denied, and to be acted upon.
    pub fn blocks(&self) -> bool {
        !self.allowed && self.enforced
    }
}
