//! Evidence for one record: all that is needed to see that it was written then, and was not altered, without the
//! journal and without this program. `docs/verify-proof.py` does it in a page of Python.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::failure::StorageKind;
use super::stored::{COLUMNS, Stored};
use crate::ledger::chain::{self, Hash, Writer};
use crate::ledger::record::hex;

/// Records between the one to prove and the next checkpoint, at most. A day that is closed needs none of them.
const MAX_CHAIN: usize = 10_000;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    #[error("there is no such record in the journal of this proxy")]
    NotThere,
    #[error("the record is in the journal of another replica: ask that one")]
    Elsewhere,
    #[error("no checkpoint is signed after it yet: ask again in some minutes")]
    NotSigned,
    #[error("too many records came before the next checkpoint: ask again when its day has ended")]
    TooLong,
    #[error("the journal cannot be read: {0}")]
    Storage(#[from] StorageKind),
}

impl From<rusqlite::Error> for NoProof {
    fn from(error: rusqlite::Error) -> Self {
        NoProof::Storage(error.into())
    }
}

/// The proof.
#[derive(Serialize)]
pub struct Proof {
    proof: &'static str,
    writer: String,
    seq: u64,
    /// The hash of the record before it.
    previous: String,
    /// Its bytes, as the chain covers them.
    core: String,
    /// What the core commits to as `x`, for those who may see it, and if it was not erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    erasable: Option<Opening>,
    /// From the record to the checkpoint: over the tree of its day, or, if that has not ended, record by record.
    #[serde(flatten)]
    way: Way,
    /// The signed statement, as it stands in the copy outside.
    checkpoint: Value,
}

/// What opens a commitment.
#[derive(Serialize)]
struct Opening {
    salt: String,
    part: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Tree {
        index: usize,
        size: usize,
        /// Siblings from the leaf upwards (RFC 6962 §2.1.1).
        path: Vec<String>,
    },
    /// The cores of the records after it, up to the one under the checkpoint.
    Chain(Vec<String>),
}

/// The proof of record `seq` in the journal at `path`, if that is the one called `of` and the record is of a site that `is_of` names. `open`: with what the
/// record tells about its visitor.
///
/// # Errors
/// [`NoProof`].
pub fn prove(
    path: &Path,
    of: Option<&Writer>,
    seq: u64,
    open: bool,
    is_of: impl Fn(&str) -> bool,
) -> Result<Proof, NoProof> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // One moment for all that is read, while the journal may be written.
    let connection = connection.transaction()?;
    let writer: Writer = connection.query_row("SELECT value FROM meta WHERE key = 'writer'", [], |row| row.get(0))?;
    if of.is_some_and(|of| *of != writer) {
        return Err(NoProof::Elsewhere);
    }
    let record = record(&connection, seq)?.filter(|record| is_of(&record.site) && !record.core.is_empty());
    let record = record.ok_or(NoProof::NotThere)?;
    let (way, checkpoint) = match closing(&connection, writer, &record.day)? {
        Some(closing) => (tree(&connection, seq, &record.day)?, closing),
        None => chain_to(&connection, writer, seq)?,
    };
    let part = record.erasable.part().and_then(|part| String::from_utf8(part).ok());
    let opening = record.salt.zip(part).map(|(salt, part)| Opening { salt: hex(&salt), part });
    Ok(Proof {
        proof: "consentry/1",
        writer: hex(&writer),
        seq,
        previous: hex(&record.previous),
        core: text(record.core)?,
        erasable: opening.filter(|_| open),
        way,
        checkpoint: serde_json::from_slice(&checkpoint.line()).unwrap_or_default(),
    })
}

fn record(connection: &Transaction, seq: u64) -> Result<Option<Stored>, NoProof> {
    let Ok(seq) = i64::try_from(seq) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM record WHERE seq = ?1");
    Ok(connection.query_row(&sql, [seq], Stored::from_row).optional()?)
}

const CHECKPOINT: &str = "SELECT seq, at, hash, day, root, signature, key FROM checkpoint";

/// The checkpoint that closed `day`.
fn closing(connection: &Transaction, writer: Writer, day: &str) -> Result<Option<Checkpoint>, NoProof> {
    let sql = format!("{CHECKPOINT} WHERE day = ?1");
    Ok(connection.query_row(&sql, [day], |row| Checkpoint::from_row(writer, row)).optional()?)
}

fn tree(connection: &Transaction, seq: u64, day: &str) -> Result<Way, NoProof> {
    let mut statement = connection.prepare("SELECT seq, hash FROM record WHERE day = ?1 ORDER BY seq")?;
    let rows = statement.query_map([day], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Hash>(1)?)))?;
    let (seqs, hashes): (Vec<_>, Vec<_>) = rows.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let index = seqs.binary_search(&seq).map_err(|_| NoProof::NotThere)?;
    let path = chain::inclusion_proof(&hashes, index).ok_or(NoProof::NotThere)?;
    Ok(Way::Tree { index, size: hashes.len(), path: path.iter().map(|hash| hex(hash)).collect() })
}

/// The next checkpoint, and the records up to it.
fn chain_to(connection: &Transaction, writer: Writer, seq: u64) -> Result<(Way, Checkpoint), NoProof> {
    let sql = format!("{CHECKPOINT} WHERE seq >= ?1 ORDER BY seq LIMIT 1");
    let next = connection.query_row(&sql, [seq], |row| Checkpoint::from_row(writer, row)).optional()?;
    let next = next.ok_or(NoProof::NotSigned)?;
    if next.seq - seq > u64::try_from(MAX_CHAIN).unwrap_or(u64::MAX) {
        return Err(NoProof::TooLong);
    }
    let mut statement = connection.prepare("SELECT core FROM record WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
    let cores = statement.query_map(params![seq, next.seq], |row| row.get::<_, Vec<u8>>(0))?;
    let cores = cores.map(|core| text(core?)).collect::<Result<_, NoProof>>()?;
    Ok((Way::Chain(cores), next))
}

fn text(core: Vec<u8>) -> Result<String, NoProof> {
    String::from_utf8(core).map_err(|_| NoProof::Storage(StorageKind::Damaged))
}
