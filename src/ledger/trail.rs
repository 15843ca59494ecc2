//! Questions to the journal. Only ever reads.
//!
//! What an owner sees of a visitor is a pseudonym per link, so that two links say nothing about each other; groups of few
//! visitors are not shown alone. The whole, with the visitor's pseudonym of the period, is for the custodian.

mod export;
mod groups;
mod visits;

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OpenFlags, Row, params_from_iter, types::Value};
use serde::Serialize;
use sha2::Sha256;

use super::record::hex;

pub use export::{Format, Manifest, csv_cell, export};
pub use groups::{Dimension, Group, groups};
pub use visits::{Gap, Visit};

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
    /// Digest of a link's token.
    pub link: Option<[u8; 16]>,
    /// Unix time in milliseconds, included.
    pub from: Option<u64>,
    /// Unix time in milliseconds, excluded.
    pub to: Option<u64>,
    /// Only records after this number of the journal.
    pub after: Option<u64>,
    /// So many records at most.
    pub limit: Option<u64>,
}

/// A link, summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkSummary {
    pub site: String,
    /// Digest of its token, in hexadecimal.
    pub link: String,
    pub opens: u64,
    pub downloads: u64,
    pub denied: u64,
    /// Distinct pseudonyms; visitors with a session leave none.
    pub visitors: u64,
    /// Opens by members.
    pub members: u64,
    /// Unix time in milliseconds.
    pub first: u64,
    pub last: u64,
}

/// One access, as a role may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Access {
    pub seq: u64,
    /// Unix time in milliseconds; for owners, of the minute.
    pub at: u64,
    pub site: String,
    pub event: String,
    pub link: Option<String>,
    /// The pseudonym per link, or, for the custodian, the visitor's of the period.
    pub visitor: Option<String>,
    pub actor: Option<String>,
    pub agent: Option<String>,
    pub status: Option<u64>,
    pub bytes: u64,
    pub complete: bool,
    pub country: Option<String>,
    pub referrer: Option<String>,
}

/// A journal, open for reading.
pub struct Trail {
    connection: Connection,
}

impl Trail {
    /// Opens the journal at `path`, which its writer may be writing to.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Trail { connection: Connection::open_with_flags(path, flags)? })
    }

    /// Links with accesses, those used last first.
    pub fn links(&self, filter: &Filter) -> rusqlite::Result<Vec<LinkSummary>> {
        let (condition, values) = conditions(filter);
        let query = format!(
            "SELECT site, link, sum(event = 'open'), \
             sum(event = 'download' AND json_extract(core, '$.detail.of') IS NULL), sum(event = 'denied'), \
             count(DISTINCT CASE WHEN visitor IS NOT NULL THEN epoch || hex(visitor) END), \
             sum(event = 'open' AND json_extract(core, '$.actor') = 'member'), min(at), max(at) \
             FROM record WHERE link IS NOT NULL{condition} GROUP BY site, link ORDER BY max(at) DESC"
        );
        let mut statement = self.connection.prepare(&query)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            Ok(LinkSummary {
                site: row.get(0)?,
                link: hex(&row.get::<_, Vec<u8>>(1)?),
                opens: count(row, 2)?,
                downloads: count(row, 3)?,
                denied: count(row, 4)?,
                visitors: count(row, 5)?,
                members: count(row, 6)?,
                first: count(row, 7)?,
                last: count(row, 8)?,
            })
        })?;
        rows.collect()
    }

    /// Calls `each` with every access, in the order of the journal; one row is in memory at a time.
    pub fn accesses(
        &self,
        filter: &Filter,
        role: Role,
        mut each: impl FnMut(Access) -> std::io::Result<()>,
    ) -> Result<u64, TrailError> {
        let (condition, values) = conditions(filter);
        let query = format!(
            "SELECT seq, at, site, event, link, epoch, visitor, core, country, referrer FROM record \
             WHERE event IN ('open', 'download', 'denied'){condition} ORDER BY seq LIMIT {}",
            filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1)
        );
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            each(access(row, role)?)?;
            count += 1;
        }
        Ok(count)
    }

    /// The number and hash of the last record.
    pub fn head(&self) -> rusqlite::Result<Option<(u64, String)>> {
        let mut statement = self.connection.prepare("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1")?;
        let mut rows = statement.query([])?;
        rows.next()?.map(|row| Ok((count(row, 0)?, hex(&row.get::<_, Vec<u8>>(1)?)))).transpose()
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] rusqlite::Error),
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// SQL after a first condition, and its values.
fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut sql = String::new();
    let mut values = Vec::new();
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let wanted = [
        (" AND site = ?", filter.site.clone().map(Value::Text)),
        (" AND link = ?", filter.link.map(|link| Value::Blob(link.to_vec()))),
        (" AND at >= ?", filter.from.map(number)),
        (" AND at < ?", filter.to.map(number)),
        (" AND seq > ?", filter.after.map(number)),
    ];
    for (condition, value) in wanted {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    }
    (sql, values)
}

fn access(row: &Row<'_>, role: Role) -> rusqlite::Result<Access> {
    const MINUTE: u64 = 60_000;
    let at = count(row, 1)?;
    let link: Option<Vec<u8>> = row.get(4)?;
    let visitor: Option<Vec<u8>> = row.get(6)?;
    let core: Vec<u8> = row.get(7)?;
    let core: serde_json::Value = serde_json::from_slice(&core).unwrap_or_default();
    let text = |name: &str| core.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let number = |name: &str| core.get(name).and_then(serde_json::Value::as_u64);
    let visitor = visitor.map(|visitor| match (role, &link) {
        (Role::Custodian, _) | (_, None) => hex(&visitor),
        (_, Some(link)) => per_link(&visitor, link),
    });
    Ok(Access {
        seq: count(row, 0)?,
        at: if role == Role::Owner { at - at % MINUTE } else { at },
        site: row.get(2)?,
        event: row.get(3)?,
        link: link.as_deref().map(hex),
        visitor,
        actor: text("actor"),
        agent: text("cls"),
        status: number("st"),
        bytes: number("by").unwrap_or(0),
        complete: core.get("full").and_then(serde_json::Value::as_bool).unwrap_or(false),
        country: row.get(8)?,
        referrer: row.get(9)?,
    })
}

/// A visitor's name on one link: the same each time there, and unlike on every other.
pub(super) fn per_link(visitor: &[u8], link: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(visitor) else { return String::new() };
    mac.update(b"per-link/1");
    mac.update(link);
    hex(mac.finalize().into_bytes().get(..8).unwrap_or_default())
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: [u8; 16] = [1; 16];

    /// A journal of two links: one was opened by two visitors and a member, and downloaded in two steps; one was refused.
    fn journal() -> Trail {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE record (seq INTEGER PRIMARY KEY, day TEXT NOT NULL, at INTEGER NOT NULL, site TEXT NOT NULL, \
                 event TEXT NOT NULL, link BLOB, epoch TEXT, core BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, \
                 salt BLOB, visitor BLOB, object BLOB, agent_name TEXT, country TEXT, referrer TEXT, consent BLOB) STRICT",
            )
            .unwrap();
        let rows: [(&str, u8, Option<u8>, &str, &str); 6] = [
            ("open", 1, Some(7), r#"{"actor":"anonymous","cls":"human","st":200}"#, "=cmd"),
            ("open", 1, Some(8), r#"{"actor":"anonymous","cls":"human","st":200}"#, "direct"),
            ("open", 1, None, r#"{"actor":"member","cls":"human","st":200}"#, "same"),
            ("download", 1, Some(7), r#"{"actor":"anonymous","by":0,"full":false,"st":200}"#, "same"),
            ("download", 1, Some(7), r#"{"actor":"anonymous","by":9,"detail":{"of":4},"full":true,"st":200}"#, "same"),
            ("denied", 2, Some(7), r#"{"actor":"anonymous","st":410}"#, "direct"),
        ];
        for (at, (event, link, visitor, core, referrer)) in rows.into_iter().enumerate() {
            connection
                .execute(
                    "INSERT INTO record (day, at, site, event, link, epoch, core, prev, hash, visitor, country, referrer) \
                     VALUES ('2026-03-02', ?, 'shop', ?, ?, '2026-03', ?, x'00', x'ff', ?, 'DE', ?)",
                    rusqlite::params![
                        at as i64 * 61_000,
                        event,
                        vec![link; 16],
                        core.as_bytes(),
                        visitor.map(|visitor| vec![visitor; 16]),
                        referrer
                    ],
                )
                .unwrap();
        }
        Trail { connection }
    }

    fn all(trail: &Trail, filter: &Filter, role: Role) -> Vec<Access> {
        let mut list = Vec::new();
        let push = |access| {
            list.push(access);
            Ok(())
        };
        trail.accesses(filter, role, push).unwrap();
        list
    }

    #[test]
    fn links_are_summed_up() {
        let links = journal().links(&Filter::default()).unwrap();
        let found: Vec<_> = links
            .iter()
            .map(|l| (l.link.split_at(2).0, l.opens, l.downloads, l.denied, l.visitors, l.members))
            .collect();
        assert_eq!(found, [("02", 0, 0, 1, 1, 0), ("01", 3, 1, 0, 2, 1)]);
    }

    #[test]
    fn filters_narrow_what_is_told() {
        let trail = journal();
        let count = |filter: Filter| all(&trail, &filter, Role::Auditor).len();
        assert_eq!(count(Filter { link: Some(LINK), ..Filter::default() }), 5);
        assert_eq!(count(Filter { site: Some("other".into()), ..Filter::default() }), 0);
        assert_eq!(count(Filter { from: Some(61_000), to: Some(183_000), ..Filter::default() }), 2);
    }

    #[test]
    fn only_the_custodian_recognises_a_visitor_on_another_link() {
        let trail = journal();
        let visitors =
            |role| -> Vec<_> { all(&trail, &Filter::default(), role).into_iter().map(|a| a.visitor).collect() };
        let custodian = visitors(Role::Custodian);
        assert_eq!(custodian[0], custodian[5]);
        for role in [Role::Owner, Role::Auditor] {
            let seen = visitors(role);
            assert!(seen[0].is_some() && seen[0] == seen[3] && seen[0] != seen[5] && seen[0] != seen[1], "{role:?}");
            assert!(seen.iter().flatten().all(|name| !custodian.contains(&Some(name.clone()))));
        }
        assert!(all(&trail, &Filter::default(), Role::Owner).iter().all(|access| access.at % 60_000 == 0));
    }

    #[test]
    fn exports_say_what_they_hold() {
        let trail = journal();
        let write = |format| {
            let mut out = Vec::new();
            let manifest = export(&trail, &Filter::default(), Role::Auditor, format, &mut out).unwrap();
            (String::from_utf8(out).unwrap(), manifest)
        };
        let (csv, manifest) = write(Format::Csv);
        assert_eq!((csv.lines().count(), manifest.records), (7, 6));
        assert!(csv.contains(",DE,'=cmd\r\n") && !csv.contains(",=cmd"), "{csv}");
        assert_eq!(manifest.sha256, hex(&<Sha256 as sha2::Digest>::digest(csv.as_bytes())));
        let (jsonl, manifest) = write(Format::Jsonl);
        let lines: Vec<Access> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, all(&trail, &Filter::default(), Role::Auditor));
        assert_eq!(manifest.head, Some((6, "ff".to_owned())));
    }
}
