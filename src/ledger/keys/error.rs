//! What can be wrong with a key ring.

use std::io;
use std::path::{Path, PathBuf};

/// A key ring that cannot be used, or could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no directory", path.display())]
    NoDirectory { path: PathBuf },
    #[error("{} is no file", path.display())]
    NoFile { path: PathBuf },
    #[error("{} may be used by others than its owner (mode {mode:04o}): take that from them with `chmod go=`", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} belongs to user {owner}, not to user {user} that this process runs as", path.display())]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("{} leads out of the key directory", path.display())]
    Outside { path: PathBuf },
    #[error("{} is no key file, was cut, or was altered: its check value does not fit", path.display())]
    Damaged { path: PathBuf },
    #[error("{} holds another key than the manifest says (`{expected}`)", path.display())]
    Other { path: PathBuf, expected: Box<str> },
    #[error("{} is back although the key `{kid}` was destroyed: remove the file", path.display())]
    Restored { path: PathBuf, kid: Box<str> },
    #[error("{}: {problem}", path.display())]
    Manifest { path: PathBuf, problem: String },
    #[error("the keys in {} and the ledger {} are in one directory tree: whoever copies one would have both", keys.display(), ledger.display())]
    SameTree { keys: PathBuf, ledger: PathBuf },
    #[error("there is no key `{kid}`")]
    Unknown { kid: Box<str> },
    #[error("the key `{kid}` was destroyed before")]
    Gone { kid: Box<str> },
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl KeyError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        KeyError::Io { path: path.to_owned(), source }
    }
}
