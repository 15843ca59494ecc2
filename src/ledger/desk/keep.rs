//! What is done to records: holding, erasing, purging.

use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::audit::Audit;
use super::erase::{Erase, erase_all};
use super::{Asker, Desk, Refused, Source, Verb, digest_of, line};
use crate::ledger::hold::{self, Request};
use crate::ledger::journal::{Guest, Hold};
use crate::ledger::keys::{KeyRing, SiteKeys};
use crate::ledger::record::hex;
use crate::ledger::retention::{self, RetentionError};
use crate::ledger::{Progress, central};

/// What is to be done. It may hold a token, so it cannot be shown.
pub enum Keep {
    Erase(Erase),
    PlaceHold {
        site: String,
        /// Only the link with this token.
        token: Option<Zeroizing<Vec<u8>>>,
        reason: String,
        ticket: String,
    },
    ListHolds,
    ReleaseHold {
        id: String,
        reason: String,
    },
    /// What would be purged.
    Plan,
    /// Purges what is due, or all before a time in milliseconds since 1970 (UTC).
    Run {
        before: Option<u64>,
    },
}

impl Keep {
    pub(super) fn verb(&self) -> Verb {
        match self {
            Keep::Erase(_) => Verb::Erase,
            Keep::PlaceHold { .. } => Verb::PlaceHold,
            Keep::ListHolds => Verb::ListHolds,
            Keep::ReleaseHold { .. } => Verb::ReleaseHold,
            Keep::Plan => Verb::Plan,
            Keep::Run { .. } => Verb::Run,
        }
    }
}

/// Does it, once it is recorded that it was asked for.
pub(super) fn keep(
    desk: &Desk,
    audit: &Audit,
    asker: &Asker,
    ring: &KeyRing,
    asked: &Keep,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<(), Refused> {
    let (path, guest) = (&desk.settings.path, desk.guest(ring)?);
    let of_all = || if audit.source() == Source::Central { desk.adopt_holds(&guest) } else { Ok(()) };
    let verb = asked.verb();
    let of = |site: &str| asker.sites.as_ref().is_none_or(|sites| sites.iter().any(|own| **own == *site));
    let sites = || -> Vec<SiteKeys> { desk.sites.iter().filter(|site| of(&site.site)).cloned().collect() };
    match asked {
        Keep::Erase(asked) => erase_all(desk, audit, asker, ring, asked, out)?,
        Keep::PlaceHold { site, token, reason, ticket } => {
            asker.for_site(Some(site))?;
            if !desk.sites.iter().any(|known| *known.site == **site) {
                return Err(Refused::Incomplete("there is no site of this name"));
            }
            reasoned(reason, ticket)?;
            let link = token.as_ref().map(|token| digest_of(ring, site, token)).transpose()?;
            let detail = json!({ "link": link.map(|link| hex(&link)), "reason": reason, "ticket": ticket });
            audit.write(asker, verb, site, detail)?;
            let id = hold::place(&guest, path, &Request { site, link, reason: reason.trim(), ticket: ticket.trim() })?;
            line(out, &json!({ "id": id }))?;
        }
        Keep::ListHolds => {
            audit.write(asker, verb, "", json!({}))?;
            of_all()?;
            hold::list(path)?.iter().filter(|hold| of(&hold.site)).try_for_each(|hold| line(out, &shown(hold)))?;
        }
        Keep::ReleaseHold { id, reason } => {
            reasoned(reason, "-")?;
            audit.write(asker, verb, "", json!({ "id": id, "reason": reason }))?;
            of_all()?;
            if hold::list(path)?.iter().any(|hold| *hold.id == **id && !of(&hold.site)) {
                return Err(Refused::Site);
            }
            hold::release(&guest, path, id, reason.trim())?;
            line(out, &json!({ "released": id }))?;
        }
        Keep::Plan => {
            audit.write(asker, verb, "", json!({}))?;
            of_all()?;
            let plans = retention::plan(path, &sites(), guest.now_ms)?;
            plans.iter().filter(|plan| of(&plan.site)).try_for_each(|plan| line(out, plan))?;
        }
        Keep::Run { before } => {
            audit.write(asker, verb, "", json!({ "before": before }))?;
            of_all()?;
            let mut on = |purged| {
                progress(purged);
                ControlFlow::Continue(())
            };
            let purged = retention::run(&guest, path, &sites(), *before, &mut on)?;
            line(out, &json!({ "purged": purged.records, "cut": purged.cut }))?;
        }
    }
    Ok(())
}

impl Desk {
    /// Who changes the journal.
    pub(super) fn guest(&self, ring: &KeyRing) -> Result<Guest, Refused> {
        let checkpoints = Some(self.settings.checkpoints.clone());
        Ok(Guest { checkpoints, signing_seed: ring.signing_seed()?, now_ms: (self.clock)() })
    }

    /// Takes what any replica holds into the journal.
    pub(super) fn adopt_holds(&self, guest: &Guest) -> Result<(), Refused> {
        let held = central::held(&mut self.client()?).map_err(|error| self.unanswered(error))?;
        Ok(hold::adopt(guest, &self.settings.path, &held)?)
    }

    /// What is said if the central store gives no answer, and all else as it is.
    pub(super) fn kept(&self, error: RetentionError) -> Refused {
        match error {
            RetentionError::Central(error) => self.unanswered(error),
            other => other.into(),
        }
    }
}

pub(super) fn reasoned(reason: &str, ticket: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() || ticket.trim().is_empty() {
        return Err(Refused::Incomplete("say why, and where it is asked for, under which ticket"));
    }
    Ok(())
}

fn shown(hold: &Hold) -> Value {
    json!({
        "id": hold.id,
        "site": hold.site,
        "link": hold.link.map(|link| hex(&link)),
        "reason": hold.reason,
        "ticket": hold.ticket,
        "at": hold.at_ms,
        "seq": hold.seq,
    })
}
