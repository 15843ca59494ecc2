//! Links, summed up.

use std::cmp::Reverse;
use std::collections::HashSet;

use serde::Serialize;

use super::behaviour::Bursts;
use super::source::{GO_ON, Order, Question, Row, Source};
use super::{Filter, TrailError, wants};
use crate::ledger::agent::AgentClass;
use crate::ledger::record::hex;

/// A link, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkSummary {
    pub site: String,
    /// Digest of its token, in hexadecimal.
    pub link: String,
    /// By people, or by the classes that were asked for.
    pub opens: u64,
    /// By the same.
    pub downloads: u64,
    /// Opens and downloads by programs.
    pub automated: u64,
    /// By anybody.
    pub denied: u64,
    /// Distinct pseudonyms of those who count in `opens`, `downloads`, or were denied; visitors with a session leave none.
    pub visitors: u64,
    /// Opens by members.
    pub members: u64,
    /// Unix time in milliseconds, of any access.
    pub first: u64,
    pub last: u64,
}

/// Links with accesses, those used last first.
pub(super) fn links(source: &mut dyn Source, filter: &Filter) -> Result<Vec<LinkSummary>, TrailError> {
    let classes = filter.classes.as_deref().unwrap_or(&AgentClass::PEOPLE);
    let bursts = Bursts::of(source, filter)?;
    let mut links: Vec<LinkSummary> = Vec::new();
    // Of the last link.
    let mut visitors = HashSet::new();
    let question = Question::accesses(&source.dialect(), filter, Order::Link);
    source.rows(&question, &mut |row| {
        let Some(link) = row.link.as_deref().map(hex) else { return GO_ON };
        let summary = match links.pop() {
            Some(last) if (&last.link, &last.site) == (&link, &row.site) => last,
            other => {
                links.extend(other);
                visitors.clear();
                LinkSummary { site: row.site.clone(), link, first: row.at, ..LinkSummary::default() }
            }
        };
        links.push(summary.with(row, classes, &bursts, &mut visitors));
        GO_ON
    })?;
    links.sort_by(|a, b| (Reverse(a.last), &a.site, &a.link).cmp(&(Reverse(b.last), &b.site, &b.link)));
    Ok(links)
}

impl LinkSummary {
    fn with(
        mut self,
        row: Row,
        classes: &[AgentClass],
        bursts: &Bursts,
        visitors: &mut HashSet<(Option<String>, Vec<u8>)>,
    ) -> Self {
        let core = row.core();
        let (class, _) = bursts.class(&row, &core);
        let counts = wants(classes, class);
        let is_start = !core.is_sequel();
        match row.event.as_str() {
            "open" => {
                self.opens += u64::from(counts);
                self.members += u64::from(counts && core.actor.as_deref() == Some("member"));
            }
            "download" => self.downloads += u64::from(counts && is_start),
            _ => self.denied += 1,
        }
        self.automated += u64::from(class.is_program() && is_start && row.event != "denied");
        let visitor = row.visitor.filter(|_| counts);
        self.visitors += u64::from(visitor.is_some_and(|visitor| visitors.insert((row.epoch, visitor))));
        self.last = row.at;
        self
    }
}
