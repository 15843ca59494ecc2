//! The desk: where questions to the ledger are answered, whoever carries them.
//!
//! Each goes the same way: may this role ask it; then it is written down, in a journal of its own; then it is answered.
//! What cannot be written down is not answered.

mod affected;
mod audit;
mod check;
mod erase;
mod keep;
mod source;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use self::audit::Audit;
use super::Progress;
use super::agent::AgentClass;
use super::central::CentralError;
use super::chain::Writer;
use super::journal::prove::{NoProof, prove};
use super::journal::{Clock, JournalError};
use super::keys::{KeyError, KeyRing, SiteKeys};
use super::record::hex;
use super::retention::{RetentionError, refuse_restored};
use super::trail::{Dimension, Filter, Format, K, LinkSummary, Manifest, Role, Trail, TrailError, export, groups};
use crate::config::LedgerSettings;

pub use self::check::Check;
pub use self::erase::Erase;
pub use self::keep::Keep;
pub use self::source::Source;
pub use self::verify::Verified;

/// Owners see times by the minute.
const MINUTE_MS: u64 = 60_000;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Links,
    Show,
    Events,
    Stats,
    Affected,
    Export,
    Verify,
    Prove,
    Erase,
    PlaceHold,
    ListHolds,
    ReleaseHold,
    Plan,
    Run,
    Check,
}

/// Who may ask what: each verb, its word, and the least role that may. A custodian may all that an auditor may, who may
/// all that an owner may.
const VERBS: [(Verb, &str, Role); 15] = [
    (Verb::Links, "links", Role::Owner),
    (Verb::Show, "show", Role::Owner),
    (Verb::Events, "events", Role::Owner),
    (Verb::Stats, "stats", Role::Owner),
    (Verb::Affected, "affected", Role::Owner),
    (Verb::Export, "export", Role::Auditor),
    (Verb::Verify, "verify", Role::Auditor),
    (Verb::Prove, "prove", Role::Auditor),
    (Verb::Erase, "erase", Role::Auditor),
    (Verb::PlaceHold, "hold/place", Role::Auditor),
    (Verb::ListHolds, "hold/list", Role::Auditor),
    (Verb::ReleaseHold, "hold/release", Role::Auditor),
    (Verb::Plan, "retention/plan", Role::Auditor),
    (Verb::Run, "retention/run", Role::Auditor),
    (Verb::Check, "check", Role::Custodian),
];

impl Verb {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Verb> {
        VERBS.into_iter().map(|(verb, ..)| verb)
    }

    /// The verb that is called `word`.
    pub fn from_word(word: &str) -> Option<Verb> {
        VERBS.into_iter().find(|(_, known, _)| *known == word).map(|(verb, ..)| verb)
    }

    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The role that needs to know least and may still ask this.
    pub fn least_role(self) -> Role {
        self.row().2
    }

    fn row(self) -> (Verb, &'static str, Role) {
        // Every verb has a row; a test holds that.
        VERBS.into_iter().find(|(verb, ..)| *verb == self).unwrap_or((self, "", Role::Custodian))
    }
}

/// Who asks.
pub struct Asker {
    pub role: Role,
    /// Who it is, for the record: the name of a token, or a user of the system.
    pub who: String,
    pub via: Via,
    /// The only sites that may be asked about. `None`: all.
    pub sites: Option<Arc<[Box<str>]>>,
}

/// On which way a question comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    CommandLine,
    Admin,
}

impl Via {
    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::CommandLine => "cli",
            Via::Admin => "admin",
        }
    }
}

/// Which records are asked about. It may hold a token, so it cannot be shown.
#[derive(Default)]
pub struct Scope {
    pub site: Option<String>,
    /// Only the link with this token; needs the site.
    pub token: Option<Zeroizing<Vec<u8>>>,
    /// Unix time in milliseconds, included.
    pub from: Option<u64>,
    /// Unix time in milliseconds, excluded.
    pub to: Option<u64>,
    /// Where to go on, as an answer before said.
    pub after: Option<u64>,
    /// So many records at most.
    pub limit: Option<u64>,
    /// Only of these kinds of programs.
    pub classes: Option<Vec<AgentClass>>,
}

/// A question. It may hold a token or an address, so it cannot be shown.
pub enum Question {
    /// Links with accesses.
    Links(Scope),
    /// One link, summed up; needs its token.
    Show(Scope),
    /// Each access.
    Events(Scope),
    /// Counts by a coarse attribute.
    Stats { scope: Scope, by: Dimension },
    /// What an incident between two times touched; needs both.
    Affected(Scope),
    /// Records for somebody else.
    Export { scope: Scope, format: Format },
    /// Whether all records are there, as they were written.
    Verify,
    /// Evidence that record `seq` was written then, and not altered. `writer`: the journal that it must be of.
    Prove { seq: u64, writer: Option<Writer> },
    /// Something to be done to records.
    Keep(Keep),
    /// Whether an address was here.
    Check(Check),
}

impl Question {
    pub fn verb(&self) -> Verb {
        match self {
            Question::Links(_) => Verb::Links,
            Question::Show(_) => Verb::Show,
            Question::Events(_) => Verb::Events,
            Question::Stats { .. } => Verb::Stats,
            Question::Affected(_) => Verb::Affected,
            Question::Export { .. } => Verb::Export,
            Question::Verify => Verb::Verify,
            Question::Prove { .. } => Verb::Prove,
            Question::Keep(asked) => asked.verb(),
            Question::Check(_) => Verb::Check,
        }
    }

    fn scope(&mut self) -> Option<&mut Scope> {
        match self {
            Question::Links(scope)
            | Question::Show(scope)
            | Question::Events(scope)
            | Question::Affected(scope)
            | Question::Stats { scope, .. }
            | Question::Export { scope, .. } => Some(scope),
            Question::Verify | Question::Prove { .. } | Question::Keep(_) | Question::Check(_) => None,
        }
    }
}

/// What there is to say about an answer beside the answer itself.
#[derive(Default)]
pub struct Answered {
    /// Where to go on, if there may be more than was asked for.
    pub next: Option<u64>,
    /// What an export holds.
    pub manifest: Option<Manifest>,
    /// What a verification found of each chain.
    pub verified: Vec<Verified>,
}

/// Why a question is not answered. Nothing of what was asked is in it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("`{}` is for the role {} and above, not for {}", .verb.as_str(), .verb.least_role().as_str(), .role.as_str())]
    Role { verb: Verb, role: Role },
    #[error("this token is for certain sites: name one of them")]
    Site,
    #[error("{0}")]
    Incomplete(&'static str),
    #[error("not answered, since the question cannot be recorded: {0}")]
    NotRecorded(#[from] JournalError),
    #[error("addresses were asked about ten times within a minute: wait for one")]
    TooMany,
    #[error(transparent)]
    Retention(#[from] RetentionError),
    #[error(transparent)]
    NoProof(#[from] NoProof),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Trail(#[from] TrailError),
    #[error(
        "no answer from the central store, {server}: {error}. The journal of this proxy can be asked instead: \
         `--source journal`, or `\"source\": \"journal\"`"
    )]
    Central { server: String, error: CentralError },
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Refused::Trail(error.into())
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Trail(error.into())
    }
}

/// Answers questions about one ledger.
pub struct Desk {
    pub settings: LedgerSettings,
    pub sites: Vec<SiteKeys>,
    pub clock: Clock,
}

impl Desk {
    /// Writes the answer to `out`: JSON lines, but one JSON object for what has one answer only, and CSV where asked.
    /// Long work tells its `progress`.
    ///
    /// # Errors
    /// The role may not ask this, the question is not complete, it cannot be recorded, or there is no answer. Only in
    /// the last case it has been recorded.
    pub fn ask(
        &self,
        asker: &Asker,
        source: Option<Source>,
        mut question: Question,
        out: &mut dyn Write,
        progress: Progress<'_>,
    ) -> Result<Answered, Refused> {
        let (verb, role) = (question.verb(), asker.role);
        if role < verb.least_role() {
            return Err(Refused::Role { verb, role });
        }
        let source = self.source(verb, source)?;
        let ring = KeyRing::open(&self.settings.keys, &self.sites)?;
        let audit = Audit::new(&self.settings, ring.signing_seed()?, (self.clock)(), source);
        if let Question::Check(question) = &question {
            asker.for_site(Some(&question.site))?;
            refuse_restored(&ring, &self.settings.path)?;
            return check::check(self, &audit, asker, &ring, question, out);
        }
        if let Question::Keep(asked) = &question {
            return keep::keep(self, &audit, asker, &ring, asked, out, progress).map(|()| Answered::default());
        }
        let filter = match question.scope() {
            Some(scope) => filter(asker, verb, scope, &ring)?,
            // These are about the whole journal; a proof is held back below if it is about another site.
            None if asker.sites.is_some() && verb == Verb::Verify => return Err(Refused::Site),
            None => Filter::default(),
        };
        audit.write(asker, verb, filter.site.as_deref().unwrap_or_default(), detail(&question, &filter))?;
        match question {
            Question::Verify => self.verify(source, out, progress),
            Question::Prove { seq, writer } => {
                let site = |site: &str| asker.sites.as_ref().is_none_or(|sites| sites.iter().any(|own| **own == *site));
                let proof = prove(&self.settings.path, writer.as_ref(), seq, role == Role::Custodian, site)?;
                line(out, &proof)?;
                Ok(Answered::default())
            }
            asked => self.read_trail(self.trail(source)?, role, &asked, &filter, &ring, (out, progress)),
        }
    }

    fn read_trail(
        &self,
        mut trail: Trail,
        role: Role,
        question: &Question,
        filter: &Filter,
        ring: &KeyRing,
        (out, progress): (&mut dyn Write, Progress<'_>),
    ) -> Result<Answered, Refused> {
        let mut answered = Answered::default();
        match question {
            Question::Events(_) => {
                let (mut last, mut told) = (0, 0);
                let count = trail.accesses(filter, role, |access| {
                    told += 1;
                    progress(told);
                    last = access.next();
                    line(out, &access)
                })?;
                answered.next = filter.limit.filter(|limit| count >= *limit).map(|_| last);
            }
            Question::Stats { by, .. } => {
                // Whoever holds the keys may see single visitors anyway.
                let k = if role == Role::Custodian { 1 } else { K };
                groups(&mut trail, filter, *by, k)?.iter().try_for_each(|group| line(out, group))?;
            }
            Question::Export { format, .. } => {
                let manifest = export(&mut trail, filter, role, *format, out, progress)?;
                answered.next = filter.limit.filter(|limit| manifest.records >= *limit).and(manifest.next);
                answered.manifest = Some(manifest);
            }
            Question::Affected(_) => {
                let now = i64::try_from((self.clock)()).unwrap_or_default();
                let keys = ring.status(Timestamp::from_millisecond(now).unwrap_or_default());
                line(out, &affected::report(&mut trail, filter, role, &keys)?)?;
            }
            _ => links(&mut trail, filter, role)?.iter().try_for_each(|link| line(out, link))?,
        }
        Ok(answered)
    }
}

impl Asker {
    /// The site that a question is about: for those who may ask about one only, that one need not be said.
    fn for_site(&self, named: Option<&str>) -> Result<Option<String>, Refused> {
        let Some(sites) = &self.sites else { return Ok(named.map(str::to_owned)) };
        let site = match (named, &**sites) {
            (Some(named), sites) => sites.iter().find(|site| ***site == *named),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        site.map(|site| Some(site.to_string())).ok_or(Refused::Site)
    }
}

/// What records are wanted, with the token turned into its digest.
fn filter(asker: &Asker, verb: Verb, scope: &mut Scope, ring: &KeyRing) -> Result<Filter, Refused> {
    let site = asker.for_site(scope.site.as_deref())?;
    let Scope { from, to, after, limit, .. } = *scope;
    let classes = scope.classes.take();
    let link = match (scope.token.take(), &site) {
        (None, _) if verb == Verb::Show => return Err(Refused::Incomplete("no token: the link is known by it alone")),
        (None, _) => None,
        (Some(_), None) => return Err(Refused::Incomplete("say to which site the link belongs")),
        (Some(token), Some(site)) => Some(digest_of(ring, site, &token)?),
    };
    if verb == Verb::Affected && (from.is_none() || to.is_none()) {
        return Err(Refused::Incomplete("say from when to when"));
    }
    Ok(Filter { site, link, from, to, after, limit, classes })
}

/// The digest by which the link with `token` is known.
fn digest_of(ring: &KeyRing, site: &str, token: &[u8]) -> Result<[u8; 16], Refused> {
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err(Refused::Incomplete("no token: the link is known by it alone"));
    }
    let digest = ring.link(site, token);
    Ok(digest.ok_or(Refused::Incomplete("this site has no key for links, so no link is known"))?.0)
}

/// What is recorded of a question beside who asked it.
fn detail(question: &Question, filter: &Filter) -> serde_json::Value {
    let (mut seq, mut by, mut format) = (None, None, None);
    match question {
        Question::Prove { seq: number, .. } => seq = Some(*number),
        Question::Stats { by: dimension, .. } => by = Some(dimension.as_str()),
        Question::Export { format: wanted, .. } => format = Some(wanted.as_str()),
        _ => {}
    }
    json!({
        "link": filter.link.map(|link| hex(&link)),
        "from": filter.from,
        "to": filter.to,
        "after": filter.after,
        "classes": filter.classes.as_ref().map(|classes| classes.iter().map(|class| class.as_str()).collect::<Vec<_>>()),
        "seq": seq,
        "by": by,
        "format": format,
    })
}

/// Links, with times as `role` may see them.
fn links(trail: &mut Trail, filter: &Filter, role: Role) -> Result<Vec<LinkSummary>, Refused> {
    let mut links = trail.links(filter)?;
    if role == Role::Owner {
        for link in &mut links {
            link.first -= link.first % MINUTE_MS;
            link.last -= link.last % MINUTE_MS;
        }
    }
    Ok(links)
}

fn line(out: &mut dyn Write, item: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, item)?;
    out.write_all(b"\n")
}

/// Beside the journal or its checkpoints at `path`: those of the questions.
fn of_questions(path: &std::path::Path) -> PathBuf {
    PathBuf::from(format!("{}.audit", path.display()))
}

/// A day (UTC) or time as people write it, in milliseconds since 1970.
///
/// # Errors
/// How to write it.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let day = text.parse::<Date>().ok().and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
    let time = day.or_else(|| text.parse::<Timestamp>().ok());
    let ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.ok_or_else(|| "write a day such as 2026-03-02, or a time such as 2026-03-02T09:00:00Z".to_owned())
}

#[cfg(test)]
mod tests;
