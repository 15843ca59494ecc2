//! How long records of share links are kept, and what becomes of them and of their keys then.
//!
//! Each site keeps its records for a number of calendar months at the most, and maybe for another number at the least.
//! A record whose months are over is purged; a record that is held is not, until it is released. The key of a month goes
//! when the last record of that month is due.

mod calendar;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::central::CentralError;
use super::central::retention::Cutoff;
use super::journal::{self, Due, Guest, Hold, Interruptible, JournalError, Life, Purged, StorageKind};
use super::keys::{KeyError, KeyEvent, KeyPurpose, KeyRing, SiteKeys};
use super::record::{EventKind, NewRecord};

/// Who destroys keys that are due, as the certificate has it.
const WHO: &str = "retention";

/// Why something is not removed, held or released.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("`{site}` keeps its records for {months} months at least: nothing from {floor} on may be removed")]
    Floor { site: Box<str>, months: u32, floor: Timestamp },
    #[error("the central store: {0}")]
    Central(#[from] CentralError),
    #[error("nothing is purged, since nobody knows what other replicas hold: the central store: {0}")]
    HoldsUnknown(CentralError),
    #[error("say why, and under which ticket")]
    NoReason,
    #[error("there is no hold `{id}` in force")]
    NoHold { id: Box<str> },
    #[error("record {seq} is held (`{id}`): it is not erased until the hold is released")]
    Held { seq: u64, id: Box<str> },
    #[error("the time lies outside of the calendar")]
    Time,
}

/// What is to be purged of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub site: Box<str>,
    /// Records before this time are due, in milliseconds since 1970 (UTC). `None`: the configuration has no such site,
    /// and nobody can tell how long its records are kept.
    pub cutoff_ms: Option<u64>,
    /// How many are due and not held.
    pub due: u64,
    /// How many are due and held.
    pub held: u64,
    /// The day, in the site's time zone, that the oldest of the others is purged on.
    pub next: Option<Date>,
}

/// What would be purged at `now_ms` from the journal at `path`, by `sites`, and by the sites that are only in there.
///
/// # Errors
/// The journal cannot be read.
pub fn plan(path: &Path, sites: &[SiteKeys], now_ms: u64) -> Result<Vec<Plan>, RetentionError> {
    let due = sites.iter().map(|site| Ok(Due { site: site.site.clone(), before_ms: ceiling(site, now_ms)? }));
    let due = due.collect::<Result<Vec<_>, RetentionError>>()?;
    let counts = journal::count(path, &due)?;
    let known = sites.iter().zip(due).zip(counts).map(|((site, due), count)| Plan {
        site: due.site,
        cutoff_ms: Some(due.before_ms),
        due: count.due,
        held: count.held,
        next: count.next_ms.and_then(|at_ms| purged_on(site, at_ms)),
    });
    let mut plans: Vec<_> = known.collect();
    for site in journal::sites(path)?.into_iter().filter(|name| !sites.iter().any(|site| site.site == *name)) {
        plans.push(Plan { site, cutoff_ms: None, due: 0, held: 0, next: None });
    }
    Ok(plans)
}

/// Purges from the journal at `path` what is due in `sites` at the guest's time, or, on demand, all `before` a time in
/// milliseconds since 1970 (UTC). The recorder may go on meanwhile.
///
/// # Errors
/// Something younger than a site keeps at least would go (then nothing is done), or the journal cannot be changed.
pub fn run(
    guest: &Guest,
    path: &Path,
    sites: &[SiteKeys],
    before: Option<u64>,
    progress: Interruptible<'_>,
) -> Result<Purged, RetentionError> {
    let due = sites.iter().map(|site| due(site, guest.now_ms, before));
    let due = due.collect::<Result<Vec<_>, _>>()?;
    Ok(guest.purge(path, &due, progress)?)
}

fn due(site: &SiteKeys, now_ms: u64, before: Option<u64>) -> Result<Due, RetentionError> {
    let ceiling = ceiling(site, now_ms)?;
    let floor = match site.retention_min_months {
        0 => now_ms,
        months => cutoff(site, now_ms, months)?,
    };
    match before {
        Some(before) if before > floor => Err(RetentionError::Floor {
            site: site.site.clone(),
            months: site.retention_min_months,
            floor: timestamp(floor)?,
        }),
        _ => Ok(Due { site: site.site.clone(), before_ms: before.unwrap_or_default().max(ceiling) }),
    }
}

fn ceiling(site: &SiteKeys, now_ms: u64) -> Result<u64, RetentionError> {
    cutoff(site, now_ms, site.retention_max_months)
}

fn cutoff(site: &SiteKeys, now_ms: u64, months: u32) -> Result<u64, RetentionError> {
    let at = calendar::cutoff(timestamp(now_ms)?, months, &site.time_zone).ok_or(RetentionError::Time)?;
    Ok(u64::try_from(at.as_millisecond()).unwrap_or_default())
}

fn purged_on(site: &SiteKeys, at_ms: u64) -> Option<Date> {
    let day = site.time_zone.to_datetime(timestamp(at_ms).ok()?).date();
    calendar::last_day(day, site.retention_max_months)?.tomorrow().ok()
}

fn timestamp(ms: u64) -> Result<Timestamp, RetentionError> {
    let ms = i64::try_from(ms).map_err(|_| RetentionError::Time)?;
    Timestamp::from_millisecond(ms).map_err(|_| RetentionError::Time)
}

/// What of `sites` is due in the central store at `now_ms`, where `holds` are in force.
///
/// # Errors
/// The time lies outside of the calendar.
pub fn cutoffs(sites: &[SiteKeys], now_ms: u64, holds: &[Hold]) -> Result<Vec<Cutoff>, RetentionError> {
    let cutoff = |site: &SiteKeys| {
        let of_site = || holds.iter().filter(|hold| hold.site == site.site);
        Ok(Cutoff {
            site: site.site.to_string(),
            before_ms: ceiling(site, now_ms)?,
            is_held: of_site().any(|hold| hold.link.is_none()),
            held_links: of_site().filter_map(|hold| hold.link).collect(),
        })
    };
    sites.iter().map(cutoff).collect()
}

/// Destroys the keys of visitors that are due at the guest's time, and records it in the journal at `path`. A key that a
/// held record needs stays, and so do those that records of other replicas need: `needed`, by site and month.
///
/// # Errors
/// The first of the keys that cannot be destroyed, or the journal cannot be written.
pub fn destroy_due_keys(
    guest: &Guest,
    path: &Path,
    ring: &mut KeyRing,
    needed: &BTreeSet<(String, String)>,
) -> Result<Vec<KeyEvent>, RetentionError> {
    let now = timestamp(guest.now_ms)?;
    let due = ring.status(now).into_iter().filter(|status| status.due && status.key.purpose == KeyPurpose::Visitor);
    let due: Vec<_> = due.map(|status| status.key).collect();
    let mut events = Vec::new();
    if due.is_empty() {
        return Ok(events);
    }
    let mut visit = guest.visit(path)?;
    for key in due {
        // In one transaction, so that no hold is placed in between.
        let done = visit.add(|addition| {
            let epoch = key.epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
            let is_needed_elsewhere = || needed.contains(&(key.site.to_string(), epoch.clone()));
            if is_needed_elsewhere() || journal::is_needed(&addition.transaction, &key.site, &epoch)? {
                return Ok(None);
            }
            let done = ring.destroy(&key.kid, now, WHO, "its last record is due");
            if let Ok(event) = &done {
                addition.add(&certificate(event, guest.now_ms))?;
            }
            Ok::<_, StorageKind>(Some(done))
        })?;
        events.extend(done.transpose()?);
    }
    Ok(events)
}

/// What the journal keeps of a key that was destroyed.
pub(super) fn certificate(event: &KeyEvent, now_ms: u64) -> NewRecord {
    NewRecord::of_life(EventKind::KeyDestroyed, &event.key.site, now_ms, event.detail())
}

/// Refuses keys that came back although the journal at `path` tells of their destruction.
///
/// # Errors
/// [`KeyError::Restored`] for the first of them, or the journal cannot be read.
pub fn refuse_restored(ring: &KeyRing, path: &Path) -> Result<(), RetentionError> {
    let life = Life::of(path)?;
    Ok(ring.refuse_restored(life.destroyed.iter().map(|kid| &**kid))?)
}
