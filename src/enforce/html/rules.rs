//! What the gate goes by in one page.

use crate::enforce::judge::Judge;
use crate::policy::Purposes;

/// Verdicts, and how to speak of them in the page.
#[derive(Clone, Copy)]
pub struct GateRules<'r> {
    pub judge: Judge<'r>,
    pub purposes: &'r Purposes,
    /// Path prefix of the own pages, without a slash at the end.
    pub prefix: &'r str,
    /// Whether the visitor came by https.
    pub secure: bool,
    /// The authority that the visitor addressed, port included.
    pub authority: &'r str,
    /// The page's path, without query.
    pub path: &'r str,
    /// The tags that load the guard. `None` where the gate has to do alone: in what is not a whole page.
    pub guard: Option<&'r str>,
    /// Language of the placeholders where the page names none.
    pub language: &'r str,
}

impl GateRules<'_> {
    /// Where the page is.
    pub(super) fn address(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}
