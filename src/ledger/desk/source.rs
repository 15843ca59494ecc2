//! Where answers come from: the journal of this proxy, or the central store of all.

use postgres::Client;

use super::{Desk, Refused, Verb};
use crate::ledger::central::{self, CentralError};
use crate::ledger::trail::Trail;

/// The records that are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Those of this proxy.
    Journal,
    /// Those that any proxy shipped.
    Central,
}

impl Source {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Journal => "journal",
            Source::Central => "central",
        }
    }

    /// The source that is called `word`.
    pub fn from_word(word: &str) -> Option<Source> {
        [Source::Journal, Source::Central].into_iter().find(|source| source.as_str() == word)
    }
}

impl Desk {
    /// Which records a question is about: of those who do not say, about all that there are.
    pub(super) fn source(&self, verb: Verb, asked: Option<Source>) -> Result<Source, Refused> {
        match (asked, &self.settings.central) {
            (Some(Source::Central), None) => {
                Err(Refused::Incomplete("there is no central store: the configuration has no `[ledger.postgres]`"))
            }
            (Some(Source::Central), _) if verb == Verb::Prove => {
                Err(Refused::Incomplete("a proof is made from a journal: ask the replica that wrote the record"))
            }
            (None, Some(_)) if verb != Verb::Prove => Ok(Source::Central),
            (asked, _) => Ok(asked.unwrap_or(Source::Journal)),
        }
    }

    /// A connection to the central store.
    pub(super) fn client(&self) -> Result<Client, Refused> {
        let settings = self.settings.central.as_ref().ok_or(Refused::Incomplete("there is no central store"))?;
        central::connect_soon(settings).map_err(|error| self.unanswered(error))
    }

    /// What is said if the central store gives no answer.
    pub(super) fn unanswered(&self, error: CentralError) -> Refused {
        let server = self.settings.central.as_ref().map(|settings| central::server(&settings.connection));
        Refused::Central { server: server.unwrap_or_default(), error }
    }

    /// The records of `source`, as of when it is asked.
    pub(super) fn trail(&self, source: Source) -> Result<Trail, Refused> {
        let trail = match source {
            Source::Journal => Trail::open(&self.settings.path)?,
            Source::Central => Trail::connect(self.client()?),
        };
        Ok(trail.asked_at((self.clock)()))
    }
}
