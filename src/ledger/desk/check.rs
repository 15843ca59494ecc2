//! Whether an address was here: the custodian's question, for a reason that is kept.

use std::io::Write;

use serde_json::{Value, json};

use super::audit::Audit;
use super::{Answered, Asker, Desk, Refused, Verb, line};
use crate::ledger::keys::{Epoch, KeyRing, NoPseudonym};
use crate::ledger::pseudonym::{ClientAddress, Pseudonym};
use crate::ledger::record::hex;

/// At most so many addresses can be asked about within [`WINDOW_MS`], by all that ask together: it is a question for
/// single cases, not a way to try out networks.
const CHECKS: u64 = 10;
const WINDOW_MS: u64 = 60_000;

/// An address, and why it is asked about. It cannot be shown.
pub struct Check {
    pub site: String,
    pub address: ClientAddress,
    /// Unix time in milliseconds, included.
    pub from: u64,
    /// Unix time in milliseconds, excluded.
    pub to: u64,
    /// Why; kept with the question.
    pub reason: String,
    /// The case that it belongs to; kept with the question.
    pub ticket: String,
}

/// One line for each month: what was found, or why nothing can be. The question is recorded before anything is looked
/// up, and how much was found before it is told.
pub(super) fn check(
    desk: &Desk,
    audit: &Audit,
    asker: &Asker,
    ring: &KeyRing,
    question: &Check,
    out: &mut dyn Write,
) -> Result<Answered, Refused> {
    let Check { site, address, from, to, reason, ticket } = question;
    if reason.trim().is_empty() || ticket.trim().is_empty() {
        return Err(Refused::Incomplete("say why you ask, and for which ticket"));
    }
    // Nothing is recorded in the future.
    let to = (*to).min(audit.now_ms().saturating_add(1));
    if *from >= to {
        return Err(Refused::Incomplete("the time ends before it begins"));
    }
    let months = ring.check(site, address, *from, to - 1);
    if months.is_empty() {
        return Err(Refused::Incomplete("there is no site of this name"));
    }
    let asked = json!({
        "asked": asked(ring, site, address, audit.now_ms(), &months),
        "from": from,
        "to": to,
        "reason": reason.trim(),
        "ticket": ticket.trim(),
    });
    let seq = audit.write(asker, Verb::Check, site, asked)?;
    if audit.asked(Verb::Check, audit.now_ms().saturating_sub(WINDOW_MS), seq)? > CHECKS {
        return Err(Refused::TooMany);
    }
    let mut trail = desk.trail(audit.source())?;
    let mut found = 0;
    let mut answer = Vec::new();
    for (epoch, visitor) in months {
        let epoch = epoch.to_string();
        let key = match visitor {
            Ok(_) => "there",
            Err(NoPseudonym::Destroyed) => "destroyed",
            Err(NoPseudonym::NoKey) => "none",
        };
        let records = match visitor {
            Ok(visitor) => trail.visits(site, &epoch, &visitor, *from, to)?,
            Err(_) => Vec::new(),
        };
        found += records.len();
        answer.push(json!({ "epoch": epoch, "key": key, "records": records }));
    }
    audit.write(asker, Verb::Check, site, json!({ "of": seq, "found": found }))?;
    answer.iter().try_for_each(|month| line(out, month))?;
    Ok(Answered::default())
}

/// A digest of the address that tells whether the same was asked about before, and no more: under the key of the present
/// month, or of the last one there is, so that it goes when that key goes. Without any key nothing can be found, either.
fn asked(
    ring: &KeyRing,
    site: &str,
    address: &ClientAddress,
    now_ms: u64,
    months: &[(Epoch, Result<Pseudonym, NoPseudonym>)],
) -> Option<Value> {
    let present = ring.epoch(site, now_ms);
    let mut epochs = present.into_iter().chain(months.iter().rev().map(|(epoch, _)| *epoch));
    let digest = epochs.find_map(|epoch| ring.asked(site, epoch, address));
    digest.map(|digest| hex(&digest).into())
}
