//! The end of records in the central store.
//!
//! A proxy purges its own journal, and what it purged is purged here. This is for all the rest: journals of replicas that
//! do not come back. As in a journal, a record is emptied first and keeps its place in the chain; once no access is left
//! up to the end of a day, the day is dropped, and where it ended is noted for each journal.

use postgres::{Client, GenericClient, Transaction};

use super::error::CentralError;
use super::ship::number;
use crate::ledger::journal::day;

/// Records that are emptied in one transaction.
const BATCH: i64 = 5000;

/// For how long a record may be written after it happened. Later ones are emptied when the next day is due.
const LATE_MS: u64 = 2 * 86_400_000;

const IS_ACCESS: &str = "event IN ('open', 'download', 'denied')";

/// Records of accesses of one site whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutoff {
    pub site: String,
    /// Those before this time, in milliseconds since 1970 (UTC).
    pub before_ms: u64,
    /// All of the site is held: nothing is due.
    pub is_held: bool,
    /// Digests of the links that are held.
    pub held_links: Vec<[u8; 16]>,
}

/// What was purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Records that were emptied.
    pub records: u64,
    /// Days that were dropped.
    pub days: u64,
}

/// What a user needs for it that does not own the tables, in SQL.
pub const GRANTS: &str = "GRANT SELECT, INSERT ON consentry.purge TO …; GRANT USAGE ON SEQUENCE \
    consentry.purge_id_seq TO …; GRANT EXECUTE ON FUNCTION consentry.drop_day(date) TO …";

/// Held by the replica that purges. The numbers are ours alone.
const LOCK: &str = "SELECT pg_try_advisory_lock(7166167, 3)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7166167, 3)";

/// As [`run`]. `None`: another replica is at it.
///
/// # Errors
/// As [`run`].
pub fn run_alone(client: &mut Client, cutoffs: &[Cutoff], in_force: &[String]) -> Result<Option<Purged>, CentralError> {
    if !client.query_one(LOCK, &[])?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let purged = run(client, cutoffs, in_force);
    // A connection that is lost has lost its lock.
    let _ = client.batch_execute(UNLOCK);
    purged.map(Some)
}

/// Empties what is due in all journals, and drops the days in which no access is left. Life records of a day go with it,
/// but never one that placed one of the holds `in_force` (their ids). It may be repeated, and be interrupted.
///
/// # Errors
/// The central store fails, or its user may not. What was done until then stays.
pub fn run(client: &mut Client, cutoffs: &[Cutoff], in_force: &[String]) -> Result<Purged, CentralError> {
    let mut purged = Purged::default();
    for cutoff in cutoffs.iter().filter(|cutoff| !cutoff.is_held) {
        loop {
            let emptied = empty(client, cutoff)?;
            purged.records += emptied;
            if emptied == 0 {
                break;
            }
        }
    }
    if let Some(before) = cutoffs.iter().map(|cutoff| cutoff.before_ms).min() {
        while drop_oldest(client, before, in_force)? {
            purged.days += 1;
        }
    }
    Ok(purged)
}

/// Empties a batch; how many records.
fn empty(client: &mut Client, cutoff: &Cutoff) -> Result<u64, CentralError> {
    let mut transaction = client.transaction()?;
    let held: Vec<&[u8]> = cutoff.held_links.iter().map(<[u8; 16]>::as_slice).collect();
    let last_day = day(cutoff.before_ms.saturating_add(LATE_MS));
    let sql = format!(
        "WITH due AS (SELECT day, writer, seq FROM consentry.record WHERE {IS_ACCESS} AND site = $1 AND at < $2 \
         AND day <= $3::text::date AND (link IS NULL OR link <> ALL($4)) LIMIT {BATCH} FOR UPDATE), \
         noted AS (INSERT INTO consentry.purge (site, before_ms) SELECT $1, $2 WHERE EXISTS (SELECT FROM due) \
         RETURNING id) \
         UPDATE consentry.record SET core = '', site = '', event = 'purged', at = -noted.id, link = NULL, epoch = NULL, \
         salt = NULL, visitor = NULL, object = NULL, agent_name = NULL, country = NULL, referrer = NULL, consent = NULL \
         FROM due, noted WHERE record.day = due.day AND record.writer = due.writer AND record.seq = due.seq"
    );
    let emptied = transaction.execute(&sql, &[&cutoff.site, &number(cutoff.before_ms), &last_day, &held])?;
    transaction.commit()?;
    Ok(emptied)
}

/// Drops the oldest day, if it is before `before_ms` and nothing in it must stay. A later one cannot go sooner: chains
/// have no holes.
fn drop_oldest(client: &mut Client, before_ms: u64, in_force: &[String]) -> Result<bool, CentralError> {
    let mut transaction = client.transaction()?;
    let oldest = transaction.query_opt(
        "SELECT substr(relname, 8) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
         WHERE inhparent = 'consentry.record'::regclass ORDER BY relname LIMIT 1",
        &[],
    )?;
    let Some(name) = oldest.map(|row| row.try_get::<_, String>(0)).transpose()? else { return Ok(false) };
    let oldest = name.replace('_', "-");
    if oldest >= day(before_ms) || must_stay(&mut transaction, &oldest, in_force)? {
        return Ok(false);
    }
    note_cuts(&mut transaction, &oldest)?;
    transaction.execute("SELECT consentry.drop_day($1::text::date)", &[&oldest])?;
    transaction.commit()?;
    Ok(true)
}

fn must_stay(transaction: &mut impl GenericClient, day: &str, in_force: &[String]) -> Result<bool, CentralError> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM consentry.record WHERE day = $1::text::date AND ({IS_ACCESS} \
         OR event = 'hold.placed' AND convert_from(core, 'UTF8')::jsonb #>> '{{detail,id}}' = ANY($2)))"
    );
    Ok(transaction.query_one(&sql, &[&day, &in_force])?.try_get(0)?)
}

/// Notes for each journal with records of `day` where it ended, and the key that signed for it.
fn note_cuts(transaction: &mut Transaction, day: &str) -> Result<(), CentralError> {
    transaction.execute(
        "UPDATE consentry.writer SET cut_seq = last.seq, cut_hash = last.hash, cut_key = coalesce( \
         (SELECT key FROM consentry.checkpoint WHERE checkpoint.writer = last.writer AND checkpoint.seq <= last.seq \
         ORDER BY checkpoint.seq DESC LIMIT 1), cut_key) \
         FROM (SELECT DISTINCT ON (writer) writer, seq, hash FROM consentry.record WHERE day = $1::text::date \
         ORDER BY writer, seq DESC) AS last WHERE writer.writer = last.writer AND coalesce(cut_seq, 0) < last.seq",
        &[&day],
    )?;
    Ok(())
}
