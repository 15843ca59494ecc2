//! Asking for verdicts on behalf of one request, and keeping count of the answers.

use http::HeaderMap;

use crate::consent::cookie_pairs;
use crate::policy::{
    Catalog, Grant, Host, Mode, Purpose, PurposeSet, Purposes, RequestFacts, RequestRule, ResourceKind, Rule, Site,
    Url, Verdict,
};

/// All that a verdict depends on: one site of one ruleset, and what the visitor granted.
#[derive(Clone, Copy)]
pub struct Judge<'r> {
    pub catalog: &'r Catalog,
    pub site: &'r Site,
    /// The host that the visitor addressed.
    pub host: &'r Host,
    pub granted: Grant,
}

impl<'r> Judge<'r> {
    pub fn cookie(&self, name: &[u8]) -> Verdict<'r> {
        self.site.cookie(self.catalog, name, self.host, &self.granted)
    }

    /// Names of the cookies in a request that are denied, and not only observed.
    pub fn blocked_cookies<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
        let names = cookie_pairs(headers).map(|pair| pair.name).filter(|name| !name.is_empty());
        names.filter(|name| self.cookie(name).blocks())
    }

    /// The verdict on a request to the site itself.
    pub fn request(&self, request: &RequestFacts<'_>) -> RequestRule<Verdict<'r>> {
        self.site.request(self.catalog, self.host, request).map(|rule| self.verdict(rule))
    }

    /// The verdict on a URL that a response names, to be fetched as `kind`; `None` if no rule knows it.
    pub fn url(&self, text: &[u8], kind: ResourceKind) -> Option<Verdict<'r>> {
        self.parsed_url(&Url::parse(text)?, kind)
    }

    /// As [`Judge::url`].
    pub fn parsed_url(&self, url: &Url<'_>, kind: ResourceKind) -> Option<Verdict<'r>> {
        self.site.url(self.catalog, self.host, url, kind).map(|rule| self.verdict(rule))
    }

    /// Calls `consider` with the verdict on each address that `text`, a script, names, and on each vendor whose snippet
    /// it holds.
    pub fn verdicts_in(&self, text: &[u8], consider: &mut dyn FnMut(Verdict<'r>)) {
        self.catalog.snippets_in(text, &mut |rule| consider(self.verdict(rule)));
        self.site.addresses_in(self.catalog, text, &mut |address| {
            self.url(address, ResourceKind::Script).into_iter().for_each(&mut *consider);
        });
    }

    /// The verdict on a query parameter; `None` if it identifies nobody.
    pub fn parameter(&self, name: &[u8]) -> Option<Verdict<'r>> {
        self.catalog.click_id(name).map(|rule| self.verdict(rule))
    }

    /// Whether nothing could be denied.
    pub fn grants_everything(&self) -> bool {
        self.granted.refused.is_empty() && self.granted.purposes.covers(self.site.options.purposes)
    }

    /// Whether pages are read: something in them may be denied, or they lack the bridge.
    pub fn reads_pages(&self) -> bool {
        !self.grants_everything() || (self.site.options.bridge && self.enforces())
    }

    /// Whether denials are acted upon, but for rules that say otherwise.
    pub fn enforces(&self) -> bool {
        self.site.options.mode == Mode::Enforce
    }

    /// The verdict on something that is inherently for `purposes`: any of them being granted suffices.
    pub fn inherent(&self, purposes: PurposeSet) -> Verdict<'static> {
        Verdict {
            allowed: !self.granted.purposes.intersection(purposes).is_empty(),
            purpose: purposes.iter().next(),
            rule: None,
            refused: false,
            enforced: self.enforces(),
        }
    }

    fn verdict(&self, rule: &'r Rule) -> Verdict<'r> {
        self.site.verdict(rule, &self.granted)
    }
}

/// What was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    RequestCookie,
    ResponseCookie,
    Parameter,
    Header,
    /// Something that a page names.
    Element,
}

impl Direction {
    pub const ALL: [Direction; 5] = [
        Direction::RequestCookie,
        Direction::ResponseCookie,
        Direction::Parameter,
        Direction::Header,
        Direction::Element,
    ];
}

/// What followed from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Block,
    /// Denied, in a mode that only observes.
    WouldBlock,
}

impl Action {
    pub const ALL: [Action; 3] = [Action::Allow, Action::Block, Action::WouldBlock];

    pub fn of(verdict: &Verdict<'_>) -> Self {
        match (verdict.allowed, verdict.enforced) {
            (true, _) => Action::Allow,
            (false, true) => Action::Block,
            (false, false) => Action::WouldBlock,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Block => "block",
            Action::WouldBlock => "would_block",
        }
    }
}

/// Purposes, and one place for what is unknown.
const PURPOSES: usize = Purposes::MAX + 1;
const ACTIONS: usize = Action::ALL.len();
const CELLS: usize = Direction::ALL.len() * PURPOSES * ACTIONS;

/// Counts of verdicts for one request, kept on the stack until the request ends.
#[derive(Clone, Debug)]
pub struct Tally {
    counts: [u16; CELLS],
    /// One bit for each cell that is not zero, since few are.
    touched: [u64; CELLS.div_ceil(64)],
}

impl Default for Tally {
    fn default() -> Self {
        Tally { counts: [0; CELLS], touched: [0; CELLS.div_ceil(64)] }
    }
}

impl Tally {
    /// Counts `verdict` and says whether it blocks.
    pub fn count(&mut self, direction: Direction, verdict: &Verdict<'_>) -> bool {
        let purpose = verdict.purpose.map_or(PURPOSES - 1, Purpose::index);
        let cell = (direction as usize * PURPOSES + purpose) * ACTIONS + Action::of(verdict) as usize;
        if let (Some(count), Some(word)) = (self.counts.get_mut(cell), self.touched.get_mut(cell / 64)) {
            *count = count.saturating_add(1);
            *word |= 1 << (cell % 64);
        }
        verdict.blocks()
    }

    /// All counts that are not zero: what was judged, the index of its purpose (`None`: unknown), what followed.
    pub fn iter(&self) -> impl Iterator<Item = (Direction, Option<usize>, Action, u16)> {
        let words = self.touched.iter().enumerate().filter(|(_, word)| **word != 0);
        let cells = words
            .flat_map(|(at, word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit));
        cells.filter_map(|cell| {
            let direction = Direction::ALL.get(cell / (PURPOSES * ACTIONS))?;
            let purpose = Some(cell / ACTIONS % PURPOSES).filter(|purpose| *purpose < PURPOSES - 1);
            Some((*direction, purpose, *Action::ALL.get(cell % ACTIONS)?, *self.counts.get(cell)?))
        })
    }
}
