//! Questions to the records, from the journal of one proxy or from the central store of many. Only ever reads.
//!
//! What an owner sees of a visitor is a pseudonym per link, so that two links say nothing about each other; attributes that
//! few visitors share are not shown. The whole, with the visitor's pseudonym of the period, is for the custodian.

mod behaviour;
mod cells;
mod central;
mod export;
mod groups;
mod journal;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod visits;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use self::behaviour::Bursts;
use self::cells::Labels;
use self::source::{Core, Dialect, GO_ON, Question, Row, Source};
use super::agent::AgentClass;
use super::central::CentralError;
use super::record::hex;

pub use self::cells::K;
pub use self::export::{Format, Manifest, csv_cell, export};
pub use self::groups::{Dimension, Group, groups};
pub use self::summary::LinkSummary;
pub use self::visits::{Gap, Visit};

/// Owners see times by the minute, and answers of several chains end with one.
const MINUTE_MS: u64 = 60_000;

/// Who asks. Each sees what its work needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Of a link: how often it was opened, and how it travelled.
    Owner,
    /// That the records are whole.
    Auditor,
    /// Holds the keys: may ask for a visitor over all links of a period.
    Custodian,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Auditor => "auditor",
            Role::Custodian => "custodian",
        }
    }
}

/// Which records are asked about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub site: Option<String>,
    /// Digest of a link's token. Quick only with the site.
    pub link: Option<[u8; 16]>,
    /// Unix time in milliseconds, included.
    pub from: Option<u64>,
    /// Unix time in milliseconds, excluded.
    pub to: Option<u64>,
    /// Where accesses are told one by one: only what comes after that, as [`Access::next`] says. Numbers of the central
    /// store are of several journals: there it is a time.
    pub after: Option<u64>,
    /// Where accesses are told one by one: so many at most, but all of the last minute where a time tells how to go on.
    pub limit: Option<u64>,
    /// By which kinds of programs. `None`: where it is counted, by people as far as one can tell; where accesses are shown
    /// one by one, all.
    pub classes: Option<Vec<AgentClass>>,
}

/// One access, as a role may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Access {
    /// The name of the chain in hexadecimal, if there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    pub seq: u64,
    /// Unix time in milliseconds; for owners, of the minute.
    pub at: u64,
    pub site: String,
    pub event: String,
    pub link: Option<String>,
    /// The pseudonym per link, or, for the custodian, the visitor's of the period.
    pub visitor: Option<String>,
    pub actor: Option<String>,
    pub agent: String,
    /// `behaviour`, if it is not the program's name that tells `agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_by: Option<String>,
    pub status: Option<u64>,
    pub bytes: u64,
    pub complete: bool,
    /// Only what enough visitors of the link in that month have in common, but for the custodian.
    pub country: Option<String>,
    /// The same.
    pub referrer: Option<String>,
}

impl Access {
    /// What comes after this one begins there, as [`Filter::after`]: the number of this one, or, where there are several
    /// chains, the end of its minute in Unix time in milliseconds.
    pub fn next(&self) -> u64 {
        if self.writer.is_some() { (self.at - self.at % MINUTE_MS).saturating_add(MINUTE_MS) } else { self.seq }
    }
}

/// The end of a chain of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainHead {
    /// The name of the chain, in hexadecimal.
    pub writer: String,
    /// The number of the last record.
    pub seq: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// A store of records, open for reading.
pub struct Trail {
    store: Store,
    now_ms: u64,
}

enum Store {
    Journal(rusqlite::Connection),
    Central(Box<postgres::Client>),
}

impl Trail {
    /// Opens the journal at `path`, which its writer may be writing to.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        Ok(Trail::of(Store::Journal(journal::open(path)?)))
    }

    /// Asks the central store through `client`, which blocks: not from a task of a runtime.
    pub fn connect(client: postgres::Client) -> Self {
        Trail::of(Store::Central(Box::new(client)))
    }

    fn of(store: Store) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Trail { store, now_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The same, asked at `now_ms` (Unix time in milliseconds), and not when it was opened.
    #[must_use]
    pub fn asked_at(self, now_ms: u64) -> Self {
        Trail { now_ms, ..self }
    }

    /// Links with accesses, those used last first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn links(&mut self, filter: &Filter) -> Result<Vec<LinkSummary>, TrailError> {
        self.at_once(|source| summary::links(source, filter))
    }

    /// Calls `each` with every access: those of a journal in its order, those of the central store by their times. One row
    /// is in memory at a time. Returns how many there were.
    ///
    /// # Errors
    /// The store cannot be read, or what `each` returns.
    pub fn accesses(
        &mut self,
        filter: &Filter,
        role: Role,
        mut each: impl FnMut(Access) -> std::io::Result<()>,
    ) -> Result<u64, TrailError> {
        let now_ms = self.now_ms;
        self.at_once(|source| accesses(source, filter, role, now_ms, &mut each))
    }

    /// The end of each chain.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn heads(&mut self) -> Result<Vec<ChainHead>, TrailError> {
        self.at_once(|source| source.heads())
    }

    /// Answers from one moment of the store.
    fn at_once<T>(&mut self, answer: impl FnOnce(&mut dyn Source) -> Result<T, TrailError>) -> Result<T, TrailError> {
        match &mut self.store {
            Store::Journal(connection) => answer(&mut journal::snapshot(connection)?),
            Store::Central(client) => answer(&mut central::snapshot(client)?),
        }
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] rusqlite::Error),
    #[error("the central store cannot be read: {0}")]
    Central(#[from] CentralError),
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error(
        "counts by an attribute are for all people (human, unknown), for all programs (scanner, preview, crawler, script), or for all"
    )]
    TooFine,
}

impl From<postgres::Error> for TrailError {
    fn from(error: postgres::Error) -> Self {
        TrailError::Central(error.into())
    }
}

fn accesses(
    source: &mut dyn Source,
    filter: &Filter,
    role: Role,
    now_ms: u64,
    each: &mut dyn FnMut(Access) -> std::io::Result<()>,
) -> Result<u64, TrailError> {
    let around = cells::whole_months_around(filter);
    let (bursts, labels) = if role == Role::Custodian {
        (Bursts::of(source, filter)?, None)
    } else {
        let bursts = Bursts::of(source, &around)?;
        let labels = Labels::of(source, &around, &bursts, now_ms)?;
        (bursts, Some(labels))
    };
    let (mut count, mut minute) = (0, None);
    let Dialect { is_numbered, .. } = source.dialect();
    let question = Question::page(&source.dialect(), filter);
    source.rows(&question, &mut |mut row| {
        let goes_on = !is_numbered && minute == Some(row.at / MINUTE_MS);
        if !goes_on && filter.limit.is_some_and(|limit| count >= limit) {
            return Ok(ControlFlow::Break(()));
        }
        let core = row.core();
        let (class, is_by_behaviour) = bursts.class(&row, &core);
        if filter.classes.as_ref().is_none_or(|classes| wants(classes, class)) {
            if let Some(labels) = &labels {
                labels.blank(&mut row, class);
            }
            minute = Some(row.at / MINUTE_MS);
            let agent_by = is_by_behaviour.then(|| "behaviour".to_owned());
            each(Access { agent: class.as_str().to_owned(), agent_by, ..access(row, core, role) })?;
            count += 1;
        }
        GO_ON
    })?;
    Ok(count)
}

fn access(row: Row, core: Core, role: Role) -> Access {
    let visitor = row.visitor.map(|visitor| match (role, &row.link) {
        (Role::Custodian, _) | (_, None) => hex(&visitor),
        (_, Some(link)) => per_link(&visitor, link),
    });
    Access {
        writer: row.writer.as_deref().map(hex),
        seq: row.seq,
        at: if role == Role::Owner { row.at - row.at % MINUTE_MS } else { row.at },
        site: row.site,
        event: row.event,
        link: row.link.as_deref().map(hex),
        visitor,
        actor: core.actor,
        agent: String::new(),
        agent_by: None,
        status: core.st,
        bytes: core.by,
        complete: core.full,
        country: row.country,
        referrer: row.referrer,
    }
}

fn wants(classes: &[AgentClass], class: AgentClass) -> bool {
    classes.contains(&class)
}

/// A visitor's name on one link: the same each time there, and unlike on every other.
pub(super) fn per_link(visitor: &[u8], link: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(visitor) else { return String::new() };
    mac.update(b"per-link/1");
    mac.update(link);
    hex(mac.finalize().into_bytes().get(..8).unwrap_or_default())
}
