//! The journal, as the shipper reads it: never for long, since what was erased leaves the write-ahead log only while
//! nobody reads.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::ledger::chain::{Hash, Writer};
use crate::ledger::journal::StorageKind;
use crate::ledger::journal::checkpoint::Checkpoint;
use crate::ledger::journal::stored::{COLUMNS, Stored};

/// An open journal.
pub(super) struct Source {
    connection: Connection,
    pub writer: Writer,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, StorageKind> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        let writer = connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0))?;
        Ok(Source { connection, writer })
    }

    /// The first and the last record. `None`: there is none.
    pub fn range(&self) -> Result<Option<(u64, u64)>, StorageKind> {
        let sql = "SELECT (SELECT min(seq) FROM record), (SELECT max(seq) FROM record)";
        let range: (Option<u64>, Option<u64>) =
            self.connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(range.0.zip(range.1))
    }

    /// When record `seq` happened, and its hash.
    pub fn at(&self, seq: u64) -> Result<Option<(u64, Hash)>, StorageKind> {
        let mut statement = self.connection.prepare_cached("SELECT at, hash FROM record WHERE seq = ?1")?;
        Ok(statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// The site that record `seq` is about.
    pub fn site(&self, seq: u64) -> Result<Option<String>, StorageKind> {
        let mut statement = self.connection.prepare_cached("SELECT site FROM record WHERE seq = ?1")?;
        Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
    }

    /// Records after `seq`: no more than `limit`, and one more than fit into `bytes`.
    pub fn after(&self, seq: u64, limit: usize, bytes: usize) -> Result<Vec<Stored>, StorageKind> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query((seq, limit))?;
        let (mut records, mut size) = (Vec::new(), 0);
        while size < bytes {
            let Some(row) = rows.next()? else { break };
            let record = Stored::from_row(row)?;
            size += record.core.len();
            records.push(record);
        }
        Ok(records)
    }

    /// Checkpoints of the records `from` to `to`.
    pub fn checkpoints(&self, from: u64, to: u64) -> Result<Vec<Checkpoint>, StorageKind> {
        let sql = "SELECT seq, at, hash, day, root, signature, key FROM checkpoint WHERE seq BETWEEN ?1 AND ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = statement.query_map((from, to), |row| Checkpoint::from_row(self.writer, row))?;
        Ok(read.collect::<Result<_, _>>()?)
    }

    /// What tells one state of the last checkpoint from the next.
    pub fn last_checkpoint(&self) -> Result<Option<(u64, u64)>, StorageKind> {
        let sql = "SELECT seq, at FROM checkpoint ORDER BY seq DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// The records from `first` to `last` that the `retention.purged` record `seq` emptied.
    pub fn emptied_by(&self, seq: u64, (first, last): (u64, u64)) -> Result<Vec<u64>, StorageKind> {
        let sql = "SELECT seq FROM record NOT INDEXED WHERE event = 'purged' AND at = ?1 AND seq BETWEEN ?2 AND ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map([seq, first, last], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}
