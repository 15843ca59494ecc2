//! Holds: records that must stay although their time is over, as for a court.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use super::central::Held;
use super::journal::{Guest, Hold, Life};
use super::keys::KeyError;
use super::record::{EventKind, NewRecord, hex};
use super::retention::RetentionError;

/// What is to be held, and why.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub site: &'a str,
    /// The digest of a link's token; `None`: all of the site.
    pub link: Option<[u8; 16]>,
    /// Neither may tell about a person.
    pub reason: &'a str,
    pub ticket: &'a str,
}

/// Places a hold in the journal at `path`; its id.
///
/// # Errors
/// There is no reason or no ticket, or the journal cannot be written.
pub fn place(guest: &Guest, path: &Path, request: &Request<'_>) -> Result<Box<str>, RetentionError> {
    if request.reason.trim().is_empty() || request.ticket.trim().is_empty() {
        return Err(RetentionError::NoReason);
    }
    let mut id = [0; 6];
    SystemRandom::new().fill(&mut id).map_err(|_| KeyError::NoRandom)?;
    let id = hex(&id);
    guest.add(path, &[&placed(&id, request, guest.now_ms)], &[])?;
    Ok(id.into())
}

fn placed(id: &str, request: &Request<'_>, now_ms: u64) -> NewRecord {
    let mut detail = json!({ "id": id, "reason": request.reason, "ticket": request.ticket });
    if let (Some(detail), Some(link)) = (detail.as_object_mut(), request.link) {
        detail.insert("link".to_owned(), hex(&link).into());
    }
    NewRecord::of_life(EventKind::HoldPlaced, request.site, now_ms, detail)
}

/// Takes what is held and released `elsewhere` into the journal at `path`, so that all that looks at its holds looks at
/// those of all replicas, and goes on to when the others cannot be asked.
///
/// # Errors
/// The journal cannot be written.
pub fn adopt(guest: &Guest, path: &Path, elsewhere: &Held) -> Result<(), RetentionError> {
    if news(&Life::of(path)?, elsewhere, guest.now_ms).is_empty() {
        return Ok(());
    }
    // Read again within the transaction: another process may do the same.
    guest.visit(path)?.add(|addition| {
        for record in news(&Life::read(&addition.transaction)?, elsewhere, guest.now_ms) {
            addition.add(&record)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// What a journal that tells `life` does not know yet.
fn news(life: &Life, elsewhere: &Held, now_ms: u64) -> Vec<NewRecord> {
    let is_known = |hold: &&Hold| life.released.contains(&hold.id) || life.holds.iter().any(|own| own.id == hold.id);
    let new = elsewhere.holds.iter().filter(|hold| !is_known(hold)).map(|hold| {
        let Hold { id, site, link, reason, ticket, .. } = hold;
        placed(id, &Request { site, link: *link, reason, ticket }, now_ms)
    });
    let over = life.holds.iter().filter(|hold| elsewhere.released.contains(&hold.id));
    new.chain(over.map(|hold| released(hold, "by another replica", now_ms))).collect()
}

fn released(hold: &Hold, reason: &str, now_ms: u64) -> NewRecord {
    NewRecord::of_life(EventKind::HoldReleased, &hold.site, now_ms, json!({ "id": hold.id, "reason": reason }))
}

/// The holds that are in force in the journal at `path`, the oldest first.
///
/// # Errors
/// The journal cannot be read.
pub fn list(path: &Path) -> Result<Vec<Hold>, RetentionError> {
    Ok(Life::of(path)?.holds)
}

/// Releases the hold `id` in the journal at `path`. What it held and is due goes with the next purge.
///
/// # Errors
/// There is no such hold, no reason, or the journal cannot be written.
pub fn release(guest: &Guest, path: &Path, id: &str, reason: &str) -> Result<(), RetentionError> {
    if reason.trim().is_empty() {
        return Err(RetentionError::NoReason);
    }
    let holds = list(path)?;
    let hold = holds.iter().find(|hold| *hold.id == *id).ok_or_else(|| RetentionError::NoHold { id: id.into() })?;
    guest.add(path, &[&released(hold, reason, guest.now_ms)], &[])?;
    Ok(())
}
