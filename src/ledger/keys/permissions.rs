//! Who may read a key: its owner, and nobody that holds the ledger.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::KeyError;

/// Anything for group or others.
const NOT_FOR_OTHERS: u32 = 0o077;

/// The directory at `path` by its real name, if only its owner can enter.
pub(super) fn private_directory(path: &Path) -> Result<PathBuf, KeyError> {
    let real = fs::canonicalize(path).map_err(|error| KeyError::io(path, error))?;
    let metadata = fs::metadata(&real).map_err(|error| KeyError::io(path, error))?;
    if !metadata.is_dir() {
        return Err(KeyError::NoDirectory { path: real });
    }
    private(&real, &metadata)?;
    Ok(real)
}

/// Opens `name` in the private `directory`. `None` if there is no such file.
pub(super) fn private_file(directory: &Path, name: &str) -> Result<Option<File>, KeyError> {
    let path = directory.join(name);
    let real = match fs::canonicalize(&path) {
        // A link to nowhere is no missing key.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
            return Ok(None);
        }
        real => real.map_err(|error| KeyError::io(&path, error))?,
    };
    if !real.starts_with(directory) {
        return Err(KeyError::Outside { path });
    }
    // The name is real, so a link at its end would have come since. A pipe is no reason to wait.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&real);
    let file = file.map_err(|error| KeyError::io(&path, error))?;
    let metadata = file.metadata().map_err(|error| KeyError::io(&path, error))?;
    if !metadata.is_file() {
        return Err(KeyError::NoFile { path });
    }
    private(&path, &metadata)?;
    Ok(Some(file))
}

fn private(path: &Path, metadata: &Metadata) -> Result<(), KeyError> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(KeyError::Owner { path: path.to_owned(), owner, user });
    }
    if metadata.mode() & NOT_FOR_OTHERS != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Refuses keys that hold the ledger whose database is at `ledger`, or lie in its place.
///
/// Whoever copies one of the two would otherwise have the pseudonyms and what turns them round.
///
/// # Errors
/// [`KeyError::SameTree`].
pub fn keep_apart(keys: &Path, ledger: &Path) -> Result<(), KeyError> {
    let (keys, ledger) = (resolved(keys), resolved(ledger));
    if keys.starts_with(&ledger) || ledger.starts_with(&keys) {
        return Err(KeyError::SameTree { keys, ledger });
    }
    Ok(())
}

/// `path` without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut known = absolute.as_path();
    loop {
        if let Ok(real) = fs::canonicalize(known) {
            return real.join(absolute.strip_prefix(known).unwrap_or(Path::new("")));
        }
        match known.parent() {
            Some(parent) => known = parent,
            None => return absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ledger_never_share_a_tree() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("var/ledger")).unwrap();
        std::os::unix::fs::symlink(root.join("var/ledger"), root.join("elsewhere")).unwrap();
        let cases = [
            ("var/keys", "var/ledger", true),
            ("var/keys", "var/ledger.sqlite", true),
            ("var/ledger/keys", "var/ledger", false),
            ("var/ledger", "var/ledger", false),
            ("var/ledger", "var/ledger/journal.sqlite", false),
            ("var", "var/ledger.sqlite", false),
            ("var/keys", "var/keys/ledger/journal.sqlite", false),
            ("elsewhere/keys", "var/ledger", false),
            ("elsewhere", "var/ledger/journal.sqlite", false),
            ("var/ledger/../keys", "var/ledger", true),
            ("var/keys-of-ledger", "var/keys/journal.sqlite", true),
        ];
        for (keys, ledger, apart) in cases {
            assert_eq!(keep_apart(&root.join(keys), &root.join(ledger)).is_ok(), apart, "{keys} {ledger}");
        }
    }
}
