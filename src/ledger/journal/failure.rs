//! What can go wrong with a journal.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a record was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error("the journal's queue is full")]
    QueueFull,
    #[error("the journal cannot be written: {0}")]
    Storage(StorageKind),
    #[error("the journal is closed")]
    Closed,
}

/// What is wrong with the disk or the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StorageKind {
    #[error("the disk is full")]
    Full,
    #[error("the file or its directory may not be written")]
    ReadOnly,
    #[error("another process holds a lock on the database")]
    Locked,
    #[error("the database is damaged, or is not a database")]
    Damaged,
    #[error("the file is gone, or another lies in its place")]
    Missing,
    #[error("the disk reports an error")]
    Disk,
    #[error(
        "what was removed cannot be wiped from the file: it is too large, or SQLite was built without sqlite_dbpage"
    )]
    Unwiped,
}

impl From<rusqlite::Error> for StorageKind {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StorageKind::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StorageKind::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                StorageKind::Locked
            }
            Some(ErrorCode::CannotOpen) => StorageKind::Missing,
            Some(ErrorCode::SystemIoFailure) => StorageKind::Disk,
            // All else means that what is read is not what was written.
            _ => StorageKind::Damaged,
        }
    }
}

impl From<std::io::Error> for StorageKind {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::NotFound => StorageKind::Missing,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StorageKind::ReadOnly,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageKind::Full,
            _ => StorageKind::Disk,
        }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{path}: {kind}", path = path.display())]
    Storage { path: PathBuf, kind: StorageKind },
    #[error(
        "{path}: another process writes to this journal; stop it, or give this one a journal of its own",
        path = path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "{path}: record {seq} is not what was written; keep the file for `trail verify` and start with a new one",
        path = path.display()
    )]
    Damaged { path: PathBuf, seq: u64 },
    #[error(
        "{path}: ends with record {last}, but a checkpoint was signed for record {signed}: \
         records were lost, or an older copy was put back; keep both files for `trail verify` and start with new ones",
        path = path.display()
    )]
    Behind { path: PathBuf, last: u64, signed: u64 },
    #[error("{path}: the checkpoints outside belong to another journal, or to another past of this one", path = path.display())]
    OtherJournal { path: PathBuf },
    #[error("{path}: was written by a newer version", path = path.display())]
    Newer { path: PathBuf },
    #[error("the signing key is not usable")]
    Key,
    #[error("the writer's thread cannot be started: {0}")]
    Thread(std::io::ErrorKind),
}
