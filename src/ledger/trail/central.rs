//! Reading from the central store (PostgreSQL).

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, IsolationLevel, Transaction};

use super::source::{Dialect, EachRow, Question, Row, Source, Value};
use super::{ChainHead, TrailError};
use crate::ledger::record::hex;

pub(super) fn snapshot(client: &mut Client) -> Result<impl Source, postgres::Error> {
    client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()
}

impl Source for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect {
            table: "consentry.record",
            writer: "writer",
            order: "at, writer, seq",
            filed_since: "day >= (to_timestamp({}::bigint / 1000) AT TIME ZONE 'UTC')::date",
            // Whole days are left out.
            is_parted: true,
            is_numbered: false,
        }
    }

    fn rows(&mut self, question: &Question, each: &mut EachRow<'_>) -> Result<(), TrailError> {
        let mut rows = self.query_raw(&question.sql, values(question))?;
        while let Some(row) = rows.next()? {
            let next = each(Row {
                writer: row.try_get(0)?,
                seq: number(row.try_get(1)?),
                at: number(row.try_get(2)?),
                site: row.try_get(3)?,
                event: row.try_get(4)?,
                link: row.try_get(5)?,
                epoch: row.try_get(6)?,
                visitor: row.try_get(7)?,
                core: row.try_get(8)?,
                country: row.try_get(9)?,
                referrer: row.try_get(10)?,
            })?;
            if next.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn number(&mut self, question: &Question) -> Result<u64, TrailError> {
        let values: Vec<_> = values(question).collect();
        Ok(number(self.query_one(&question.sql, &values)?.try_get(0)?))
    }

    fn heads(&mut self) -> Result<Vec<ChainHead>, TrailError> {
        let rows = self.query("SELECT writer, seq, hash FROM consentry.writer ORDER BY writer", &[])?;
        let head = |row: &postgres::Row| {
            Ok(ChainHead { writer: hex(row.try_get(0)?), seq: number(row.try_get(1)?), hash: hex(row.try_get(2)?) })
        };
        rows.iter().map(head).collect()
    }
}

fn values(question: &Question) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
    question.values.iter().map(|value| -> &(dyn ToSql + Sync) {
        match value {
            Value::Text(text) => text,
            Value::Bytes(bytes) => bytes,
            Value::Number(number) => number,
        }
    })
}

fn number(of: i64) -> u64 {
    u64::try_from(of).unwrap_or(0)
}
