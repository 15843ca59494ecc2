//! Reading from a journal (SQLite).

use std::path::Path;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params_from_iter};

use super::source::{Dialect, EachRow, Question, Row, Source, Value};
use super::{ChainHead, TrailError};
use crate::ledger::record::hex;

/// Opens the journal at `path`, which others may be writing to.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

pub(super) fn snapshot(connection: &mut Connection) -> rusqlite::Result<impl Source> {
    connection.transaction()
}

impl Source for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect {
            table: "record",
            writer: "NULL",
            order: "seq",
            filed_since: "day >= strftime('%Y-%m-%d', {} / 1000, 'unixepoch')",
            is_parted: false,
            is_numbered: true,
        }
    }

    fn rows(&mut self, question: &Question, each: &mut EachRow<'_>) -> Result<(), TrailError> {
        let mut statement = self.prepare(&question.sql)?;
        let mut rows = statement.query(params_from_iter(&question.values))?;
        while let Some(row) = rows.next()? {
            let next = each(Row {
                writer: row.get(0)?,
                seq: row.get(1)?,
                at: row.get(2)?,
                site: row.get(3)?,
                event: row.get(4)?,
                link: row.get(5)?,
                epoch: row.get(6)?,
                visitor: row.get(7)?,
                core: row.get(8)?,
                country: row.get(9)?,
                referrer: row.get(10)?,
            })?;
            if next.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn number(&mut self, question: &Question) -> Result<u64, TrailError> {
        Ok(self.query_row(&question.sql, params_from_iter(&question.values), |row| row.get(0))?)
    }

    fn heads(&mut self) -> Result<Vec<ChainHead>, TrailError> {
        let sql =
            "SELECT seq, hash, (SELECT value FROM meta WHERE key = 'writer') FROM record ORDER BY seq DESC LIMIT 1";
        let head = self.query_row(sql, [], |row| {
            let (hash, writer): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            Ok(ChainHead { writer: hex(&writer), seq: row.get(0)?, hash: hex(&hash) })
        });
        Ok(head.optional()?.into_iter().collect())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Number(number) => ValueRef::Integer(*number),
        }))
    }
}
