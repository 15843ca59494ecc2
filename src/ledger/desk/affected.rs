//! What an incident touched.

use serde::Serialize;

use super::{Refused, links};
use crate::ledger::keys::{KeyPurpose, KeyStatus};
use crate::ledger::trail::{Filter, Gap, LinkSummary, Role, Trail};

/// Links with accesses between two times, and what that rests on.
#[derive(Serialize)]
pub(super) struct Affected {
    /// Unix time in milliseconds.
    from: u64,
    to: u64,
    links: Vec<LinkSummary>,
    totals: Totals,
    /// Accesses that were not recorded in that time, of whichever site.
    gaps: Vec<Gap>,
    /// The keys under which visitors of that time have their pseudonyms.
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Totals {
    links: usize,
    opens: u64,
    downloads: u64,
    denied: u64,
    /// Visitors of each link, added up: who used two links counts twice.
    visitors_by_link: u64,
    /// Distinct visitors; only the custodian may know that one used two links.
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors: Option<u64>,
}

#[derive(Serialize)]
struct Key {
    site: Box<str>,
    epoch: String,
    /// `there`, `missing` or `destroyed`: while it is there, its holder can tell whether an address was here.
    key: &'static str,
}

pub(super) fn report(trail: &mut Trail, filter: &Filter, role: Role, keys: &[KeyStatus]) -> Result<Affected, Refused> {
    let (from, to) = (filter.from.unwrap_or_default(), filter.to.unwrap_or(u64::MAX));
    let links = links(trail, filter, role)?;
    let sum = |count: fn(&LinkSummary) -> u64| links.iter().map(count).sum();
    let totals = Totals {
        links: links.len(),
        opens: sum(|link| link.opens),
        downloads: sum(|link| link.downloads),
        denied: sum(|link| link.denied),
        visitors_by_link: sum(|link| link.visitors),
        visitors: if role == Role::Custodian { Some(trail.visitors(filter)?) } else { None },
    };
    let keys = keys.iter().filter(|status| is_of(status, filter.site.as_deref(), from, to)).map(|status| Key {
        site: status.key.site.clone(),
        epoch: status.key.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
        key: match (status.key.destroyed_at, status.loaded) {
            (Some(_), _) => "destroyed",
            (None, true) => "there",
            (None, false) => "missing",
        },
    });
    Ok(Affected { from, to, totals, gaps: trail.gaps(from, to)?, keys: keys.collect(), links })
}

/// Whether visitors of `site` between two times have pseudonyms under this key.
fn is_of(status: &KeyStatus, site: Option<&str>, from: u64, to: u64) -> bool {
    let ms = |at: jiff::Timestamp| u64::try_from(at.as_millisecond()).unwrap_or_default();
    status.key.purpose == KeyPurpose::Visitor
        && site.is_none_or(|site| *status.key.site == *site)
        && ms(status.key.not_before) < to
        && status.key.not_after.is_none_or(|end| ms(end) > from)
}
