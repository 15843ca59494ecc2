//! Telling cheaply that no rule of a filter list can match.
//!
//! A rule that blocks is either about whole host names, or needs some literal to be in the URL, or (rarely) neither.
//! So a URL whose host no rule names, in which no literal occurs, and whose kind no other rule is about, is not
//! blocked. Each look-up costs one hash per label of the host and one step per byte of the URL, however many rules
//! there are.

use std::collections::HashSet;

use adblock::filters::network::{FilterPart, NetworkFilter, NetworkFilterMask, NetworkFilterMaskHelper};
use adblock::request::RequestType;
use aho_corasick::AhoCorasick;

use crate::policy::hosts::Host;

/// What the rules that block have in common with all URLs that they match.
pub(super) struct Candidates {
    hosts: HashSet<Box<str>>,
    literals: Option<AhoCorasick>,
    /// The kinds of resources that rules without host and literal are about.
    anywhere: NetworkFilterMask,
}

/// Collects rules.
pub(super) struct CandidatesBuilder {
    hosts: HashSet<Box<str>>,
    literals: HashSet<Box<str>>,
    anywhere: NetworkFilterMask,
}

impl Candidates {
    pub(super) fn builder() -> CandidatesBuilder {
        let anywhere = NetworkFilterMask::NONE;
        CandidatesBuilder { hosts: HashSet::new(), literals: HashSet::new(), anywhere }
    }

    /// Whether a rule may match: `false` is certain. `text` is the whole URL in lower case, `host` its host.
    pub(super) fn hold(&self, host: &Host, text: &str, kind: &RequestType) -> bool {
        self.names(host)
            || self.anywhere.check_cpt_allowed(kind)
            || self.literals.as_ref().is_some_and(|literals| literals.is_match(text))
    }

    fn names(&self, host: &Host) -> bool {
        let host = host.as_str();
        let mut parents = memchr::memchr_iter(b'.', host.as_bytes()).filter_map(|dot| host.get(dot + 1..));
        self.hosts.contains(host) || parents.any(|parent| self.hosts.contains(parent))
    }
}

impl CandidatesBuilder {
    /// Adds a rule that blocks.
    pub(super) fn add(&mut self, rule: &NetworkFilter<'_>) {
        match whole_host(rule) {
            Some((host, "" | "/")) => _ = self.hosts.insert(host.into()),
            // Popular hosts have many rules for single files, and most of their files have none.
            Some((host, path)) => _ = self.literals.insert(format!("{host}{path}").into()),
            None => match longest_literal(rule) {
                Some(literal) => _ = self.literals.insert(literal.into()),
                None => self.anywhere |= rule.mask,
            },
        }
    }

    pub(super) fn build(mut self) -> Candidates {
        let mut literals: Vec<_> = std::mem::take(&mut self.literals).into_iter().collect();
        literals.sort_unstable();
        // Building fails only past 2^31 states. Then the engine is asked about everything.
        let automaton = (!literals.is_empty()).then(|| AhoCorasick::new(literals.iter().map(|text| &**text)));
        if matches!(automaton, Some(Err(_))) {
            self.anywhere = NetworkFilterMask::FROM_ALL_TYPES;
        }
        self.hosts.shrink_to_fit();
        Candidates { hosts: self.hosts, literals: automaton.and_then(Result::ok), anywhere: self.anywhere }
    }
}

/// The host whose own URLs, and those of hosts below, are all that `rule` can match: `||host^`, `||host/path`; and how
/// the path begins. A name without a dot is not taken for one, nor what may end within a name (`||ads.`, `||track*`).
fn whole_host<'r>(rule: &'r NetworkFilter<'_>) -> Option<(&'r str, &'r str)> {
    let host = rule.hostname.as_deref()?;
    let mask = rule.mask;
    let path = match &rule.filter {
        FilterPart::Empty => Some("").filter(|_| mask.is_right_anchor()),
        FilterPart::Simple(rest) => Some(&**rest).filter(|rest| mask.is_left_anchor() && rest.starts_with(['/', '^'])),
        FilterPart::AnyOf(_) => None,
    };
    let anchored = mask.is_hostname_anchor() && !mask.contains(NetworkFilterMask::IS_HOSTNAME_REGEX);
    let is_name = !host.starts_with('.') && !host.ends_with('.') && host.contains('.');
    let path = path.filter(|_| anchored && is_name)?;
    // A backslash is no literal in the regular expressions that patterns become.
    Some((host, path.split(['*', '^', '\\']).next().unwrap_or_default()))
}

/// The longest text that is in every URL that `rule` matches.
fn longest_literal<'r>(rule: &'r NetworkFilter<'_>) -> Option<&'r str> {
    let pattern = match &rule.filter {
        FilterPart::Simple(text) if !text.contains('\\') => text,
        _ => "",
    };
    let runs = pattern.split(['*', '^']).chain(rule.hostname.as_deref());
    runs.max_by_key(|run| run.len()).filter(|run| !run.is_empty())
}
