//! What is recorded of one access.

use super::agent::AgentClass;
use super::pseudonym::{LinkDigest, ObjectDigest, Pseudonym};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Open,
    Download,
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Anonymous,
    Member,
    Unknown,
}

/// Why a record names no visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoVisitor {
    Member,
    NoKey,
    Disabled,
}

/// A record to be written.
pub struct NewRecord {
    pub at_ms: u64,
    pub site: Box<str>,
    pub event: EventKind,
    pub link: Option<LinkDigest>,
    pub rule: Option<Box<str>>,
    pub actor: Actor,
    pub agent: AgentClass,
    pub no_visitor: Option<NoVisitor>,
    pub epoch: Option<Box<str>>,
    pub status: Option<u16>,
    pub bytes: u64,
    pub complete: bool,
    pub duration_ms: u32,
    pub policy: Option<Box<str>>,
    pub purposes: u32,
    pub detail: Option<serde_json::Value>,
    pub erasable: Erasable,
}

/// The part of a record that can be erased.
#[derive(Default)]
pub struct Erasable {
    pub visitor: Option<Pseudonym>,
    pub object: Option<ObjectDigest>,
    pub agent_name: Option<Box<str>>,
    pub country: Option<Box<str>>,
    pub referrer: Option<Box<str>>,
    pub consent: Option<[u8; 16]>,
}
