//! What can go wrong with the central store, in words for whoever runs it.

use std::error::Error;
use std::path::PathBuf;

use postgres::error::SqlState;

use crate::ledger::journal::StorageKind;

/// Why the central store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CentralError {
    #[error("`connection` is not usable: {0}")]
    Connection(String),
    #[error("the password cannot be read from {path}: {kind}", path = path.display())]
    Password { path: PathBuf, kind: std::io::ErrorKind },
    #[error("the certificates in {path} cannot be used: {reason}", path = path.display())]
    Authority { path: PathBuf, reason: String },
    #[error("it cannot be reached ({0}): see that PostgreSQL runs there, and that `connection` names it")]
    Unreachable(String),
    #[error("no TLS with it ({0}): see `ca`, and whether its certificate is for the `host` of `connection`")]
    Tls(String),
    #[error("it does not let us in ({0}): see `user` and `password_file`, and its pg_hba.conf")]
    Denied(String),
    #[error("{0}: create it, or see `dbname` in `connection`")]
    NoDatabase(String),
    #[error("{0}: grant the user what the central store needs, or let it own the database")]
    NotAllowed(String),
    #[error(
        "its tables are of version {found}, and this program knows version {known}: use the newer program here, too"
    )]
    Newer { found: i32, known: i32 },
    #[error("nothing was shipped to it yet: it has no tables")]
    Empty,
    #[error("its tables cannot be brought to this version: {0}")]
    Migration(String),
    #[error(
        "journal {writer} is not the one that was shipped, from record {seq} on: it was copied, or an older copy was put \
         back. What was shipped first stays. Stop whichever proxy has the copy, keep its journal for `trail verify`, and \
         give it a new one"
    )]
    Forked { writer: String, seq: u64 },
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] StorageKind),
    #[error("a record could not be erased from the journal: {0}")]
    Erase(String),
    #[error("what it holds is not a record: {0}")]
    Strange(&'static str),
    #[error("{0}")]
    Server(String),
}

impl From<rusqlite::Error> for CentralError {
    fn from(error: rusqlite::Error) -> Self {
        CentralError::Journal(error.into())
    }
}

impl From<postgres::Error> for CentralError {
    fn from(error: postgres::Error) -> Self {
        let reason = reason(&error);
        let Some(code) = error.code() else {
            // The client's library has no other way to tell.
            return match error.to_string().as_str() {
                "error performing TLS handshake" => CentralError::Tls(reason),
                "authentication error" | "invalid configuration" => CentralError::Denied(reason),
                _ => CentralError::Unreachable(reason),
            };
        };
        match code {
            code if code.code().starts_with("28") => CentralError::Denied(reason),
            &SqlState::INVALID_CATALOG_NAME => CentralError::NoDatabase(reason),
            &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME => CentralError::Empty,
            &SqlState::INSUFFICIENT_PRIVILEGE => CentralError::NotAllowed(reason),
            &SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN => {
                CentralError::Unreachable(reason)
            }
            _ => CentralError::Server(reason),
        }
    }
}

/// The innermost cause. Of what the server says only the message: its details may hold values.
pub(super) fn reason(error: &postgres::Error) -> String {
    if let Some(database) = error.as_db_error() {
        return database.message().to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
