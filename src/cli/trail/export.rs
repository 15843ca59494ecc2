//! An export in a directory of its own, with a manifest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::ledger::desk::{Answered, Refused};
use crate::ledger::trail::Format;

/// Makes `directory`, with what `ask` writes and with the manifest. Nothing stays of it if the question is refused.
pub(super) fn into(
    directory: &Path,
    format: Format,
    ask: impl FnOnce(&mut dyn Write) -> Result<Answered, Refused>,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    DirBuilder::new().mode(0o700).create(directory).map_err(failed)?;
    let name = format!("records.{}", format.as_str());
    let mut file = BufWriter::new(create(directory, &name).map_err(failed)?);
    let answered = ask(&mut file).map_err(|refused| {
        // It is this one's own, and no use to anybody.
        _ = fs::remove_dir_all(directory);
        refused.to_string()
    })?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    let mut text = serde_json::to_string_pretty(&answered.manifest).map_err(|error| error.to_string())?;
    text.push('\n');
    create(directory, "manifest.json").and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

fn create(directory: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(name))
}
