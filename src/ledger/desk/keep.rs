//! What is done to records: holding, erasing, purging.

use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::audit::Audit;
use super::{Asker, Desk, Refused, Role, Verb, digest_of, line};
use crate::ledger::erase::{Wanted, erase};
use crate::ledger::hold::{self, Request};
use crate::ledger::journal::{Guest, Hold};
use crate::ledger::keys::{KeyRing, SiteKeys};
use crate::ledger::record::hex;
use crate::ledger::retention;
use crate::ledger::trail::{Filter, Trail};

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

/// Records of which what tells about a person is to be erased: those to which all applies that is said.
#[derive(Default)]
pub struct Erase {
    pub site: String,
    pub seqs: Option<Vec<u64>>,
    pub token: Option<Zeroizing<Vec<u8>>>,
    /// A visitor, as whoever asks sees it in events; needs the token, but for a custodian.
    pub visitor: Option<String>,
    /// Why; it must not tell about the person.
    pub reason: String,
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
) -> Result<(), Refused> {
    let path = &desk.settings.path;
    let checkpoints = Some(desk.settings.checkpoints.clone());
    let guest = Guest { checkpoints, signing_seed: ring.signing_seed()?, now_ms: audit.now_ms() };
    let verb = asked.verb();
    let of = |site: &str| asker.sites.as_ref().is_none_or(|sites| sites.iter().any(|own| **own == *site));
    let sites = || -> Vec<SiteKeys> { desk.sites.iter().filter(|site| of(&site.site)).cloned().collect() };
    match asked {
        Keep::Erase(asked) => {
            asker.for_site(Some(&asked.site))?;
            let link = asked.token.as_ref().map(|token| digest_of(ring, &asked.site, token)).transpose()?;
            if asked.seqs.is_none() && link.is_none() && asked.visitor.is_none() {
                return Err(Refused::Incomplete("say which records: by number, link or visitor"));
            }
            if asked.visitor.is_some() && link.is_none() && asker.role != Role::Custodian {
                return Err(Refused::Incomplete("a visitor is known on one link only: say which"));
            }
            reasoned(&asked.reason, "-")?;
            let detail = json!({ "link": link.map(|link| hex(&link)), "seqs": asked.seqs, "visitor": asked.visitor.is_some(), "reason": asked.reason });
            audit.write(asker, verb, &asked.site, detail)?;
            let seqs = match &asked.visitor {
                Some(visitor) => Some(of_visitor(desk, asker.role, asked, link, visitor)?),
                None => asked.seqs.clone(),
            };
            let wanted = Wanted { site: asked.site.as_str().into(), seqs, link, ..Wanted::default() };
            let erased = erase(&guest, path, &wanted, asked.reason.trim())?;
            line(out, &json!({ "erased": erased }))?;
        }
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
            hold::list(path)?.iter().filter(|hold| of(&hold.site)).try_for_each(|hold| line(out, &shown(hold)))?;
        }
        Keep::ReleaseHold { id, reason } => {
            reasoned(reason, "-")?;
            audit.write(asker, verb, "", json!({ "id": id, "reason": reason }))?;
            if hold::list(path)?.iter().any(|hold| *hold.id == **id && !of(&hold.site)) {
                return Err(Refused::Site);
            }
            hold::release(&guest, path, id, reason.trim())?;
            line(out, &json!({ "released": id }))?;
        }
        Keep::Plan => {
            audit.write(asker, verb, "", json!({}))?;
            let plans = retention::plan(path, &sites(), guest.now_ms)?;
            plans.iter().filter(|plan| of(&plan.site)).try_for_each(|plan| line(out, plan))?;
        }
        Keep::Run { before } => {
            audit.write(asker, verb, "", json!({ "before": before }))?;
            let purged = retention::run(&guest, path, &sites(), *before, &mut |_| ControlFlow::Continue(()))?;
            line(out, &json!({ "purged": purged.records, "cut": purged.cut }))?;
        }
    }
    Ok(())
}

fn reasoned(reason: &str, ticket: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() || ticket.trim().is_empty() {
        return Err(Refused::Incomplete("say why, and where it is asked for, under which ticket"));
    }
    Ok(())
}

/// Accesses of `visitor`, by the name under which `role` knows it.
fn of_visitor(
    desk: &Desk,
    role: Role,
    asked: &Erase,
    link: Option<[u8; 16]>,
    visitor: &str,
) -> Result<Vec<u64>, Refused> {
    let mut trail = Trail::open(&desk.settings.path)?;
    let filter = Filter { site: Some(asked.site.clone()), link, ..Filter::default() };
    let among = |seq: u64| asked.seqs.as_ref().is_none_or(|seqs| seqs.contains(&seq));
    let mut seqs = Vec::new();
    trail.accesses(&filter, role, |access| {
        if access.visitor.as_deref() == Some(visitor) && among(access.seq) {
            seqs.push(access.seq);
        }
        Ok(())
    })?;
    Ok(seqs)
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
