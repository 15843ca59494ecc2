//! Rules, and the verdicts they lead to.

use std::fmt;
use std::sync::Arc;

use super::purpose::Purpose;
use super::vendors::VendorId;

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

/// The vendor whose rule it is.
#[derive(Clone, Debug)]
pub struct RuleVendor {
    pub id: VendorId,
    pub name: Arc<str>,
}

/// One statement of a purpose: "this cookie, this request is for that".
#[derive(Clone, Debug)]
pub struct Rule {
    pub purpose: Purpose,
    /// The pattern, path or host as it was written.
    pub text: Box<str>,
    /// For a rule of the catalog.
    pub vendor: Option<RuleVendor>,
    pub origin: Origin,
    /// Overrides the site's mode.
    pub mode: Option<Mode>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        if let Some(vendor) = &self.vendor {
            write!(f, " of {}", vendor.name)?;
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
    /// Whether it is denied to this vendor, whatever purposes are granted.
    pub refused: bool,
    /// Whether a denial is acted upon, or only counted.
    pub enforced: bool,
}

impl Verdict<'_> {
    /// Denied, and to be acted upon.
    pub fn blocks(&self) -> bool {
        !self.allowed && self.enforced
    }
}
