//! What the custodian asks about one visitor, and what an incident's report needs beside the links.

use rusqlite::{params, params_from_iter};
use serde::Serialize;
use serde_json::Value;

use super::{Filter, Trail, conditions, count};
use crate::ledger::pseudonym::Pseudonym;
use crate::ledger::record::hex;

/// One access of a visitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Visit {
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
    pub fn visits(
        &self,
        site: &str,
        epoch: &str,
        visitor: &Pseudonym,
        from: u64,
        to: u64,
    ) -> rusqlite::Result<Vec<Visit>> {
        let sql = "SELECT seq, at, link, event FROM record \
                   WHERE epoch = ?1 AND visitor = ?2 AND site = ?3 AND at >= ?4 AND at < ?5 ORDER BY seq";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![epoch, visitor.0, site, number(from), number(to)], |row| {
            let link: Option<Vec<u8>> = row.get(2)?;
            Ok(Visit { seq: count(row, 0)?, at: count(row, 1)?, link: link.as_deref().map(hex), event: row.get(3)? })
        })?;
        rows.collect()
    }

    /// Distinct visitors. One who came in two months is two: no key tells that they are the same.
    pub fn visitors(&self, filter: &Filter) -> rusqlite::Result<u64> {
        let (condition, values) = conditions(filter);
        let sql = format!(
            "SELECT count(DISTINCT site || epoch || hex(visitor)) FROM record WHERE visitor IS NOT NULL{condition}"
        );
        self.connection.query_row(&sql, params_from_iter(values), |row| count(row, 0))
    }

    /// Accesses that were lost between two times, `to` excluded. To whom they belonged is not known.
    pub fn gaps(&self, from: u64, to: u64) -> rusqlite::Result<Vec<Gap>> {
        // They are filed when there is a disk again: on that day or later.
        let sql = "SELECT core FROM record WHERE event = 'gap' AND day >= ?1 ORDER BY seq";
        let day = jiff::Timestamp::from_millisecond(number(from)).unwrap_or_default();
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([day.strftime("%Y-%m-%d").to_string()], |row| row.get::<_, Vec<u8>>(0))?;
        let mut gaps = Vec::new();
        for core in rows {
            let core: Value = serde_json::from_slice(&core?).unwrap_or_default();
            let number = |name: &str| core.pointer(&format!("/detail/{name}")).and_then(Value::as_u64);
            let (Some(count), Some(first), Some(last)) = (number("count"), number("from"), number("to")) else {
                continue;
            };
            if first < to && last >= from {
                let why = core.pointer("/detail/why").and_then(Value::as_str).unwrap_or_default().to_owned();
                gaps.push(Gap { count, from: first, to: last, why });
            }
        }
        Ok(gaps)
    }
}

fn number(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
