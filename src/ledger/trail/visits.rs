//! What the custodian asks about one visitor, and what an incident's report needs beside the links.

use serde::Serialize;
use serde_json::Value;

use super::source::{GO_ON, Question};
use super::{Filter, Trail, TrailError};
use crate::ledger::pseudonym::Pseudonym;
use crate::ledger::record::hex;

/// One access of a visitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// The name of the chain in hexadecimal, if there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    pub seq: u64,
    /// Unix time in milliseconds.
    pub at: u64,
    /// Digest of the link's token.
    pub link: Option<String>,
    pub event: String,
}

/// Accesses that were not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub count: u64,
    /// Unix time in milliseconds.
    pub from: u64,
    pub to: u64,
    pub why: String,
}

impl Trail {
    /// Accesses of `visitor`, who has that pseudonym in `epoch` at `site` only, from `from` up to before `to`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn visits(
        &mut self,
        site: &str,
        epoch: &str,
        visitor: &Pseudonym,
        from: u64,
        to: u64,
    ) -> Result<Vec<Visit>, TrailError> {
        let filter = Filter { site: Some(site.to_owned()), from: Some(from), to: Some(to), ..Filter::default() };
        let mut visits = Vec::new();
        self.at_once(|source| {
            let question = Question::visits(&source.dialect(), &filter, epoch, &visitor.0);
            source.rows(&question, &mut |row| {
                visits.push(Visit {
                    writer: row.writer.as_deref().map(hex),
                    seq: row.seq,
                    at: row.at,
                    link: row.link.as_deref().map(hex),
                    event: row.event,
                });
                GO_ON
            })
        })?;
        Ok(visits)
    }

    /// Distinct visitors, programs among them. One who came in two months is two: no key tells that they are the same.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn visitors(&mut self, filter: &Filter) -> Result<u64, TrailError> {
        self.at_once(|source| source.number(&Question::visitors(&source.dialect(), filter)))
    }

    /// Accesses that were lost between two times, `to` excluded. To whom they belonged is not known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn gaps(&mut self, from: u64, to: u64) -> Result<Vec<Gap>, TrailError> {
        let mut gaps = Vec::new();
        self.at_once(|source| {
            // They are filed when there is a disk again: on that day or later.
            source.rows(&Question::gaps(&source.dialect(), from), &mut |row| {
                gaps.extend(gap(&row.core().detail.unwrap_or_default()));
                GO_ON
            })
        })?;
        gaps.retain(|gap: &Gap| gap.from < to && gap.to >= from);
        Ok(gaps)
    }
}

fn gap(detail: &Value) -> Option<Gap> {
    let number = |name: &str| detail.get(name).and_then(Value::as_u64);
    let why = detail.get("why").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Gap { count: number("count")?, from: number("from")?, to: number("to")?, why })
}
