//! The database, and single steps on it.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::failure::{JournalError, StorageKind};
use crate::ledger::chain::{self, Hash};
use crate::ledger::record::NewRecord;

/// Of the tables.
pub(super) const VERSION: i64 = 1;

/// How long another process may hold the database, say to back it up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Also brings the indexes of an older journal up to date; they do not make another [`VERSION`].
pub(in crate::ledger) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, day TEXT NOT NULL, at INTEGER NOT NULL, site TEXT NOT NULL,
    event TEXT NOT NULL, link BLOB, epoch TEXT, core BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL,
    salt BLOB, visitor BLOB, object BLOB, agent_name TEXT, country TEXT, referrer TEXT, consent BLOB) STRICT;
CREATE INDEX IF NOT EXISTS record_link ON record (site, link, at) WHERE link IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_visit ON record (epoch, visitor, at) WHERE visitor IS NOT NULL;
DROP INDEX IF EXISTS record_visitor;
CREATE INDEX IF NOT EXISTS record_day ON record (day);
CREATE INDEX IF NOT EXISTS record_due ON record (site, at) WHERE event IN ('open', 'download', 'denied');
CREATE INDEX IF NOT EXISTS record_life ON record (event) WHERE event NOT IN ('open', 'download', 'denied', 'purged');
CREATE TABLE IF NOT EXISTS checkpoint (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, hash BLOB NOT NULL, day TEXT,
    root BLOB, signature BLOB NOT NULL, key BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
";

/// A record of an access, as the index `record_due` has it.
pub(super) const IS_ACCESS: &str = "event IN ('open', 'download', 'denied')";

/// A record of the journal's own life, as the index `record_life` has it.
pub(super) const IS_LIFE: &str = "event NOT IN ('open', 'download', 'denied', 'purged')";

/// The end of the chain.
#[derive(Clone)]
pub(super) struct Head {
    pub writer: chain::Writer,
    /// 0 before the first record.
    pub seq: u64,
    pub hash: Hash,
    /// The day (UTC) under which records are filed. It never goes back, so that a day which has its root stays as it is.
    pub day: String,
}

/// An open database, and which file it is.
pub(super) struct Store {
    pub connection: Connection,
    path: PathBuf,
    pub file: FileId,
}

/// The device and the inode of a file.
pub(super) type FileId = (u64, u64);

/// The name of the chain in the journal at `path`.
pub(in crate::ledger) fn writer_of(path: &Path) -> Result<chain::Writer, StorageKind> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0))?)
}

/// Holds others off the journal for as long as it lives.
pub(super) fn lock(path: &Path) -> Result<File, JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name);
    let file = file.map_err(|error| JournalError::Storage { path: path.into(), kind: error.into() })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(JournalError::Storage { path: path.into(), kind: error.into() }),
    }
}

impl Store {
    /// Opens the database at `path`, or makes one; but if it was open before, only the `known` file. SQLite would put
    /// what is in the write-ahead log of one into another.
    pub fn open(path: &Path, known: Option<FileId>) -> Result<Store, StorageKind> {
        // Never opened by hand if it is there: closing it would take the locks off it that SQLite holds for this process.
        let found = match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && known.is_none() => create(path)?,
            found => found?,
        };
        let file = (found.dev(), found.ino());
        if known.is_some_and(|known| known != file) {
            return Err(StorageKind::Missing);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA foreign_keys=OFF;",
        )?;
        connection.execute_batch(SCHEMA)?;
        Ok(Store { connection, path: path.into(), file })
    }

    /// SQLite writes on into a file that was deleted, and nobody would ever see it again.
    pub fn is_in_place(&self) -> Result<(), StorageKind> {
        let found = std::fs::metadata(&self.path)?;
        if (found.dev(), found.ino()) == self.file { Ok(()) } else { Err(StorageKind::Missing) }
    }

    pub fn is_sound(&self) -> Result<bool, StorageKind> {
        let answer: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(answer == "ok")
    }

    /// The version of the schema and the end of the chain; a new database gets a name.
    pub fn head(&mut self) -> Result<(i64, Head), StorageKind> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = meta_or(&transaction, "schema", || VERSION)?;
        let fresh = random().ok_or(StorageKind::Disk)?;
        let writer: [u8; 16] = meta_or(&transaction, "writer", || fresh)?;
        let head = end(&transaction, writer)?;
        transaction.commit()?;
        Ok((version, head))
    }

    /// Whether the last record is what was written, and is the last that was.
    pub fn is_whole(&self, head: &Head) -> Result<bool, StorageKind> {
        let written: Option<u64> =
            self.connection.query_row("SELECT value FROM meta WHERE key = 'acked'", [], seq_bytes).optional()?;
        if head.seq == 0 {
            return Ok(written.is_none());
        }
        let (core, previous): (Vec<u8>, Hash) =
            self.connection.query_row("SELECT core, prev FROM record WHERE seq = ?1", [head.seq], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let hash = chain::record_hash(&head.writer, head.seq, &previous, &core);
        Ok(hash == head.hash && written == Some(head.seq))
    }

    /// Takes what was erased out of the write-ahead log, too.
    pub fn empty_log(&self) -> Result<(), StorageKind> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 { Ok(()) } else { Err(StorageKind::Locked) }
    }
}

/// Makes an empty file. SQLite gives its other files the mode of this one.
fn create(path: &Path) -> std::io::Result<Metadata> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?.metadata()
}

/// Random bytes from the system.
pub(super) fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
}

/// The end of the chain of `writer`.
pub(super) fn end(transaction: &Transaction, writer: chain::Writer) -> Result<Head, StorageKind> {
    let sql = "SELECT seq, hash, day FROM record ORDER BY seq DESC LIMIT 1";
    let last = transaction
        .prepare_cached(sql)?
        .query_row([], |row| Ok(Head { writer, seq: row.get(0)?, hash: row.get(1)?, day: row.get(2)? }))
        .optional()?;
    Ok(last.unwrap_or(Head { writer, seq: 0, hash: chain::BEFORE_THE_FIRST, day: String::new() }))
}

/// Whether the chain that ends at `head` is the one that ended at `known`, gone on.
pub(super) fn follows(connection: &Connection, head: &Head, known: &Head) -> Result<bool, StorageKind> {
    Ok(match known.seq {
        0 => true,
        seq if seq == head.seq => head.hash == known.hash,
        seq => match hash_of(connection, seq)? {
            Some(hash) => hash == known.hash,
            None => cut_at(connection)?.is_some_and(|cut| seq <= cut),
        },
    })
}

/// The record up to which the beginning was cut.
pub(super) fn cut_at(connection: &Connection) -> Result<Option<u64>, StorageKind> {
    let sql = "SELECT value FROM meta WHERE key = 'cut'";
    Ok(connection.prepare_cached(sql)?.query_row([], seq_bytes).optional()?)
}

/// Says in the database up to where the beginning is cut.
pub(super) fn note_cut(transaction: &Transaction, seq: u64) -> Result<(), StorageKind> {
    let sql = "INSERT INTO meta VALUES ('cut', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    transaction.execute(sql, [seq.to_be_bytes()])?;
    Ok(())
}

/// The hash of record `seq`.
pub(super) fn hash_of(connection: &Connection, seq: u64) -> Result<Option<Hash>, StorageKind> {
    let mut statement = connection.prepare_cached("SELECT hash FROM record WHERE seq = ?1")?;
    Ok(statement.query_row([seq], |row| row.get(0)).optional()?)
}

/// Puts `record` after `head`, and moves `head`.
pub(super) fn insert(transaction: &Transaction, head: &mut Head, record: &NewRecord) -> Result<(), StorageKind> {
    let erasable = &record.erasable;
    let sealed = match erasable.part() {
        None => None,
        Some(part) => {
            let salt = random().ok_or(StorageKind::Disk)?;
            Some((salt, chain::commitment(&salt, &part)))
        }
    };
    let seq = head.seq + 1;
    let core = record.core(&head.writer, seq, sealed.as_ref().map(|(_, hash)| hash));
    let hash = chain::record_hash(&head.writer, seq, &head.hash, &core);
    transaction
        .prepare_cached("INSERT INTO record VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)")?
        .execute(params![
            seq,
            head.day,
            record.at_ms,
            record.site,
            record.event.as_str(),
            record.link.map(|link| link.0),
            record.epoch,
            core,
            head.hash,
            hash,
            sealed.map(|(salt, _)| salt),
            erasable.visitor.map(|visitor| visitor.0),
            erasable.object.map(|object| object.0),
            erasable.agent_name,
            erasable.country,
            erasable.referrer,
            erasable.consent.map(|consent| consent.0),
        ])?;
    head.seq = seq;
    head.hash = hash;
    Ok(())
}

/// Says in the database up to where it is written.
pub(super) fn acknowledge(transaction: &Transaction, head: &Head) -> Result<(), StorageKind> {
    let sql = "INSERT INTO meta VALUES ('acked', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    transaction.execute(sql, [head.seq.to_be_bytes()])?;
    Ok(())
}

/// Empties the erasable columns of record `seq`.
pub(super) fn erase(transaction: &Transaction, seq: u64) -> Result<(), StorageKind> {
    let sql = "UPDATE record SET salt = NULL, visitor = NULL, object = NULL, agent_name = NULL, country = NULL,
               referrer = NULL, consent = NULL WHERE seq = ?1";
    transaction.execute(sql, [seq])?;
    Ok(())
}

/// Leaves of record `seq` only its place in the chain. `by` is the record that tells of it.
pub(super) fn purge(transaction: &Transaction, seq: u64, by: u64) -> Result<(), StorageKind> {
    let sql =
        "UPDATE record SET at = ?2, site = '', event = 'purged', link = NULL, epoch = NULL, core = x'', salt = NULL,
               visitor = NULL, object = NULL, agent_name = NULL, country = NULL, referrer = NULL, consent = NULL
               WHERE seq = ?1";
    transaction.prepare_cached(sql)?.execute([seq, by])?;
    Ok(())
}

/// A number as `meta` holds it.
pub(super) fn seq_bytes(row: &rusqlite::Row) -> rusqlite::Result<u64> {
    Ok(u64::from_be_bytes(row.get(0)?))
}

fn meta_or<T: MetaValue>(transaction: &Transaction, key: &str, make: impl FnOnce() -> T) -> Result<T, StorageKind> {
    let found: Option<Vec<u8>> =
        transaction.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    match found {
        Some(bytes) => T::from_bytes(&bytes).ok_or(StorageKind::Damaged),
        None => {
            let value = make();
            transaction.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value.bytes()])?;
            Ok(value)
        }
    }
}

trait MetaValue: Sized {
    fn bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl MetaValue for i64 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().into()
    }
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(i64::from_be_bytes(bytes.try_into().ok()?))
    }
}

impl MetaValue for [u8; 16] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}
