//! Records for somebody else: JSON lines or CSV, and a manifest that says what they are.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Access, ChainHead, Filter, Role, Trail, TrailError, accesses};
use crate::ledger::Progress;
use crate::ledger::record::hex;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180, with a header.
    Csv,
}

impl Format {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
        }
    }
}

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    pub format: &'static str,
    pub role: &'static str,
    pub site: Option<String>,
    pub link: Option<String>,
    /// Unix time in milliseconds.
    pub from: Option<u64>,
    pub to: Option<u64>,
    /// By which kinds of programs, if not by all.
    pub classes: Option<Vec<&'static str>>,
    pub records: u64,
    /// Number of the last of them; none where there are several chains.
    pub last: Option<u64>,
    /// What comes after the last of them, as a filter has it.
    #[serde(skip)]
    pub next: Option<u64>,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// Where each chain ended when it was written.
    pub heads: Vec<ChainHead>,
}

const COLUMNS: &str =
    "writer,seq,at,site,event,link,visitor,actor,agent,agent_by,status,bytes,complete,country,referrer";

/// Writes the records that `filter` wants, as `role` may see them, all of one moment.
///
/// # Errors
/// The store cannot be read, or `out` not written.
pub fn export(
    trail: &mut Trail,
    filter: &Filter,
    role: Role,
    format: Format,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<Manifest, TrailError> {
    let now_ms = trail.now_ms;
    let mut out = Hashing { out, hash: Sha256::new() };
    if format == Format::Csv {
        out.write_all(COLUMNS.as_bytes())?;
        out.write_all(b"\r\n")?;
    }
    let (mut last, mut next, mut told) = (None, None, 0);
    let mut each = |access: Access| {
        told += 1;
        progress(told);
        last = access.writer.is_none().then_some(access.seq);
        next = Some(access.next());
        match format {
            Format::Jsonl => {
                serde_json::to_writer(&mut out, &access)?;
                out.write_all(b"\n")
            }
            Format::Csv => out.write_all(row(&access).as_bytes()),
        }
    };
    let (records, heads) =
        trail.at_once(|source| Ok((accesses(source, filter, role, now_ms, &mut each)?, source.heads()?)))?;
    out.flush()?;
    Ok(Manifest {
        format: format.as_str(),
        role: role.as_str(),
        site: filter.site.clone(),
        link: filter.link.map(|link| hex(&link)),
        from: filter.from,
        to: filter.to,
        classes: filter.classes.as_ref().map(|classes| classes.iter().map(|class| class.as_str()).collect()),
        records,
        last,
        next,
        sha256: hex(&out.hash.finalize()),
        heads,
    })
}

fn row(access: &Access) -> String {
    let text = |value: &Option<String>| value.as_deref().map(csv_cell).unwrap_or_default();
    let cells = [
        text(&access.writer),
        access.seq.to_string(),
        access.at.to_string(),
        csv_cell(&access.site),
        csv_cell(&access.event),
        text(&access.link),
        text(&access.visitor),
        text(&access.actor),
        csv_cell(&access.agent),
        text(&access.agent_by),
        access.status.map(|status| status.to_string()).unwrap_or_default(),
        access.bytes.to_string(),
        access.complete.to_string(),
        text(&access.country),
        text(&access.referrer),
    ];
    cells.join(",") + "\r\n"
}

/// A cell that no spreadsheet takes for a formula, quoted where it must be.
pub fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    let quote = text.contains(['"', ',', '\r', '\n']);
    if quote { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Hashes what passes.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas() {
        for (text, cell) in [
            ("shop", "shop"),
            ("=1+2", "'=1+2"),
            ("@sum", "'@sum"),
            ("-1", "'-1"),
            ("\t=1", "'\t=1"),
            ("a,b", "\"a,b\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("", ""),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
    }
}
