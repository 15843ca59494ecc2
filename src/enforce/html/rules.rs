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

/// A language tag that may stand in an address (RFC 5646, section 2.1); `None` if `value` is none.
pub(super) fn language_tag(value: &[u8]) -> Option<String> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let tag = value.trim_ascii();
    let fits = !tag.is_empty() && tag.len() <= 35 && tag.iter().all(plain);
    fits.then(|| String::from_utf8_lossy(tag).into_owned())
}

impl GateRules<'_> {
    /// Where the page is.
    pub(super) fn address(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }
}
