//! Holds: records that must stay although their time is over, as for a court.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

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
    let mut detail = json!({ "id": id, "reason": request.reason, "ticket": request.ticket });
    if let (Some(detail), Some(link)) = (detail.as_object_mut(), request.link) {
        detail.insert("link".to_owned(), hex(&link).into());
    }
    let record = NewRecord::of_life(EventKind::HoldPlaced, request.site, guest.now_ms, detail);
    guest.add(path, &[&record], &[])?;
    Ok(id.into())
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
    let detail = json!({ "id": id, "reason": reason });
    let record = NewRecord::of_life(EventKind::HoldReleased, &hold.site, guest.now_ms, detail);
    guest.add(path, &[&record], &[])?;
    Ok(())
}
