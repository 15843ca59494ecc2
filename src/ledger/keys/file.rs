//! A key file: one line of text, `key1.<kid>.<key>.<check value>`, both in base64url without padding.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::KeyError;
use crate::ledger::pseudonym::check_value;

const FORMAT: &str = "key1.";
/// More than the longest kid needs.
const MAX_BYTES: usize = 512;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The bytes of a key, and what it is called. Wiped when it goes.
pub(super) struct Secret {
    pub(super) kid: Box<str>,
    pub(super) bytes: Zeroizing<[u8; 32]>,
}

impl Secret {
    /// A fresh key, whose kid begins with `prefix`.
    pub(super) fn generate(prefix: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let mut tail = [0; 6];
        let random = SystemRandom::new();
        random.fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandom)?;
        random.fill(&mut tail).map_err(|_| KeyError::NoRandom)?;
        let letters = tail.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from));
        Ok(Secret { kid: format!("{prefix}{}", letters.collect::<String>()).into(), bytes })
    }

    /// The check value as the file and the manifest write it.
    pub(super) fn check(&self) -> String {
        check_value(&self.bytes, &self.kid).map(|check| URL_SAFE_NO_PAD.encode(check)).unwrap_or_default()
    }

    /// Reads the text of a key file. `None` if it is none, if it was cut, or if the check value is not the key's.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_ascii_end();
        let (rest, check) = text.strip_prefix(FORMAT)?.rsplit_once('.')?;
        let (kid, key) = rest.rsplit_once('.')?;
        // The decoder wants room for the padding that is not there.
        let mut decoded = Zeroizing::new([0; 36]);
        let length = URL_SAFE_NO_PAD.decode_slice(key, decoded.as_mut_slice()).ok()?;
        if length != 32 {
            return None;
        }
        let secret = Secret { kid: kid.into(), bytes: Zeroizing::new(*decoded.first_chunk::<32>()?) };
        (!kid.is_empty() && secret.check() == check).then_some(secret)
    }

    /// Reads an open key file, whose name is `path` for what is said about it.
    pub(super) fn read(mut file: File, path: &Path) -> Result<Self, KeyError> {
        let mut buffer = Zeroizing::new([0; MAX_BYTES]);
        let mut length = 0;
        while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read(room) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(KeyError::io(path, error)),
            }
        }
        let text = buffer.get(..length).filter(|_| length < MAX_BYTES);
        text.and_then(Secret::parse).ok_or_else(|| KeyError::Damaged { path: path.to_owned() })
    }

    /// Writes the key as the file `name` in `directory`, readable by its owner only.
    pub(super) fn write(&self, directory: &Path, name: &str) -> Result<(), KeyError> {
        let mut line = Zeroizing::new(String::with_capacity(MAX_BYTES));
        let mut key = Zeroizing::new([0; 44]);
        let length = URL_SAFE_NO_PAD.encode_slice(self.bytes.as_slice(), key.as_mut_slice()).unwrap_or_default();
        let key = key.get(..length).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        for part in [FORMAT, &self.kid, ".", key, ".", &self.check(), "\n"] {
            line.push_str(part);
        }
        write_durably(directory, name, line.as_bytes(), 0o400)
    }
}

/// Writes `bytes` as the file `name` in `directory`: whole, on the disk, or not at all.
pub(super) fn write_durably(directory: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), KeyError> {
    let path = directory.join(name);
    let fresh = directory.join(format!(".{name}.new"));
    let written = (|| {
        // Left by a process that died here; the lock is ours.
        remove(&fresh)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(directory)?.sync_all()
    })();
    written.map_err(|error| KeyError::io(&path, error))
}

/// Removes the file `name` in `directory`, on the disk, too. It need not be there.
pub(super) fn remove_durably(directory: &Path, name: &str) -> Result<(), KeyError> {
    let path = directory.join(name);
    remove(&path).and_then(|()| File::open(directory)?.sync_all()).map_err(|error| KeyError::io(&path, error))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written with Python's `hmac` and `base64`.
    const LINE: &str = "key1.dam-v-2026-11-k3f9.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8.ypcP7NfqrTs";

    #[test]
    fn a_key_file_is_one_line() {
        let secret = Secret::parse(LINE.as_bytes()).unwrap();
        assert_eq!(&*secret.kid, "dam-v-2026-11-k3f9");
        assert_eq!(*secret.bytes, std::array::from_fn(|i| i as u8));
        assert!(Secret::parse(format!("{LINE}\n").as_bytes()).is_some(), "editors end lines");
        for wrong in [
            "",
            "key1",
            "key1...",
            &LINE.replace("key1", "key2"),
            &LINE.replace("k3f9", "k3f8"),
            &LINE.replace("AAEC", "AAED"),
            &LINE.replace("rTs", "rTw"),
            &format!("{LINE}A"),
            &LINE.replace("dam-v-2026-11-k3f9", ""),
        ] {
            assert!(Secret::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_truncated_file_is_none() {
        for length in 0..LINE.len() {
            assert!(Secret::parse(&LINE.as_bytes()[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let secret = Secret::generate("shop.example-v-2026-11-").unwrap();
        secret.write(directory.path(), "a.key").unwrap();
        let path = directory.path().join("a.key");
        let read = Secret::read(File::open(&path).unwrap(), &path).unwrap();
        assert!(read.kid == secret.kid && *read.bytes == *secret.bytes);
        assert_ne!(*secret.bytes, *Secret::generate("x").unwrap().bytes);
        fs::write(directory.path().join("long"), vec![b'a'; 5000]).unwrap();
        let long = directory.path().join("long");
        assert!(matches!(Secret::read(File::open(&long).unwrap(), &long), Err(KeyError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text: Vec<u8>, tail in "\\PC{0,80}") {
            Secret::parse(&text);
            Secret::parse(format!("key1.{tail}").as_bytes());
        }
    }
}
