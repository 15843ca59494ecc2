//! Erasing what records tell about a person, from all stores that a question is about.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, json};
use zeroize::Zeroizing;

use super::audit::Audit;
use super::keep::reasoned;
use super::{Asker, Desk, Refused, Role, Source, Verb, digest_of, line};
use crate::ledger::central;
use crate::ledger::chain::Writer;
use crate::ledger::erase::{Visitor, Wanted, erase};
use crate::ledger::hold;
use crate::ledger::journal::{Guest, JournalError, writer_of};
use crate::ledger::keys::KeyRing;
use crate::ledger::record::{from_hex, hex};

const NO_VISITOR: &str = "write the visitor as `events` shows it to your role";

/// Records of which what tells about a person is to be erased: those to which all applies that is said. It holds a token
/// or more, so it cannot be shown.
#[derive(Default)]
pub struct Erase {
    pub site: String,
    /// Numbers of records of this proxy's journal.
    pub seqs: Option<Vec<u64>>,
    pub token: Option<Zeroizing<Vec<u8>>>,
    /// A visitor, as whoever asks sees it in events; needs the token, but for a custodian.
    pub visitor: Option<String>,
    /// The id in the visitor's own consent cookie.
    pub consent: Option<Zeroizing<Vec<u8>>>,
    /// Why; it must not tell about the person.
    pub reason: String,
}

impl Erase {
    /// What records are wanted, with token and consent id turned into their digests.
    fn wanted(&self, source: Source, role: Role, ring: &KeyRing) -> Result<Wanted, Refused> {
        let Erase { site, seqs, token, visitor, consent, .. } = self;
        if seqs.is_some() && source == Source::Central {
            return Err(Refused::Incomplete(
                "numbers are of one journal: say which link, visitor or consent id, or ask with the source `journal`",
            ));
        }
        if seqs.is_none() && token.is_none() && visitor.is_none() && consent.is_none() {
            return Err(Refused::Incomplete("say which records: by number, link, visitor or consent id"));
        }
        if visitor.is_some() && token.is_none() && role != Role::Custodian {
            return Err(Refused::Incomplete("a visitor is known on one link only: say which"));
        }
        let consents = consent.as_ref().map(|id| {
            let digests = ring.consents(site, id.trim_ascii());
            digests.into_iter().map(|(_, digest)| digest.0).collect::<Vec<_>>()
        });
        if consents.as_ref().is_some_and(Vec::is_empty) {
            return Err(Refused::Incomplete("this site has no key for consent ids, so none is known"));
        }
        let link = token.as_ref().map(|token| digest_of(ring, site, token)).transpose()?;
        let known = |visitor: &String| match role {
            Role::Custodian => from_hex(visitor).map(Visitor::OfMonth),
            _ => Some(Visitor::OnLink(visitor.as_str().into())),
        };
        let visitor =
            visitor.as_ref().map(|visitor| known(visitor).ok_or(Refused::Incomplete(NO_VISITOR))).transpose()?;
        Ok(Wanted { site: site.as_str().into(), seqs: seqs.clone(), link, visitor, consents, ..Wanted::default() })
    }
}

/// Erases from this proxy's own journal, if it has one: its name, and the numbers of the records.
fn erase_own(guest: &Guest, path: &Path, wanted: &Wanted, why: &str) -> Result<(Option<Writer>, Vec<u64>), Refused> {
    if !path.try_exists()? {
        return Ok((None, Vec::new()));
    }
    let writer = writer_of(path).map_err(|kind| JournalError::Storage { path: path.into(), kind })?;
    Ok((Some(writer), erase(guest, path, wanted, why)?))
}

/// Does it, once it is recorded that it was asked for.
pub(super) fn erase_all(
    desk: &Desk,
    audit: &Audit,
    asker: &Asker,
    ring: &KeyRing,
    asked: &Erase,
    out: &mut dyn Write,
) -> Result<(), Refused> {
    asker.for_site(Some(&asked.site))?;
    let wanted = asked.wanted(audit.source(), asker.role, ring)?;
    reasoned(&asked.reason, "-")?;
    let detail = json!({
        "link": wanted.link.map(|link| hex(&link)),
        "seqs": wanted.seqs,
        "visitor": wanted.visitor.is_some(),
        "consent": wanted.consents.is_some(),
        "reason": asked.reason,
    });
    audit.write(asker, Verb::Erase, &asked.site, detail)?;
    let guest = desk.guest(ring)?;
    let (path, why) = (&desk.settings.path, asked.reason.trim());
    if audit.source() == Source::Journal {
        let erased = erase(&guest, path, &wanted, why)?;
        line(out, &json!({ "erased": erased }))?;
        return Ok(());
    }
    desk.adopt_holds(&guest)?;
    let mut client = desk.client()?;
    let all = central::erase(&mut client, &wanted, &hold::list(path)?, why).map_err(|error| desk.kept(error))?;
    let (own, erased) = erase_own(&guest, path, &wanted, why)?;
    let mut elsewhere = Map::new();
    for (writer, seqs) in &all {
        if Some(writer) == own.as_ref() {
            central::note_erased(&mut client, writer, seqs).map_err(|error| desk.unanswered(error))?;
        } else {
            elsewhere.insert(hex(writer), json!(seqs));
        }
    }
    line(out, &json!({ "erased": erased, "elsewhere": elsewhere }))?;
    Ok(())
}
