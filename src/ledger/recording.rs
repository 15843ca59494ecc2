//! From an access that is decided to a record that is kept, or the word that it could not be.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::access::{AccessKey, AccessTracker, Completion, Decision, Ticket, VisitorKey};
use super::agent::AgentClass;
use super::central::Watch;
use super::journal::Pressure;
use super::pseudonym::ClientAddress;
use super::record::{Actor, Erasable, NewRecord, NoVisitor};
use super::{NotRecorded, Pseudonyms, Recorder};
use crate::policy::Durability;

/// All that recording needs. Shared by all workers.
pub struct Recording {
    pub recorder: Arc<dyn Recorder>,
    pub pseudonyms: Arc<dyn Pseudonyms>,
    pub accesses: AccessTracker,
    /// What becomes of a response whose access cannot be recorded.
    pub pressure: Pressure,
    /// Unix time in milliseconds.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Records that were not taken.
    pub lost: AtomicU64,
    /// How records get to the central store, if there is one.
    pub central: Option<Watch>,
    /// Visitors of whom nothing is known, so that each stands alone.
    pub strangers: AtomicU64,
}

/// Who asks, as far as it is known before any digest.
pub enum Identity {
    /// Signed in, by what the session cookie holds.
    Member(Vec<u8>),
    Address(IpAddr),
    Unknown,
}

/// What of the visitor goes into a record.
pub struct Visitor {
    pub actor: Actor,
    pub no_visitor: Option<NoVisitor>,
    pub epoch: Option<Box<str>>,
    pub pseudonym: Option<super::pseudonym::Pseudonym>,
}

impl Recording {
    /// Unix time in milliseconds.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Who `identity` is among the accesses of this process.
    pub fn key(&self, identity: &Identity) -> VisitorKey {
        match identity {
            Identity::Member(session) => self.accesses.visitor(&[b"m", &**session].concat()),
            Identity::Address(address) => self.network(*address),
            Identity::Unknown => {
                let stranger = self.strangers.fetch_add(1, Ordering::Relaxed);
                self.accesses.visitor(format!("stranger {stranger}").as_bytes())
            }
        }
    }

    /// Makes a visitor of `identity` at `site`. A member has no pseudonym.
    pub fn visitor(&self, site: &str, at_ms: u64, identity: &Identity) -> Visitor {
        let nobody = |actor, why| Visitor { actor, no_visitor: Some(why), epoch: None, pseudonym: None };
        match identity {
            Identity::Member(_) => nobody(Actor::Member, NoVisitor::Member),
            Identity::Unknown => nobody(Actor::Unknown, NoVisitor::Disabled),
            Identity::Address(address) => match self.pseudonyms.visitor(site, at_ms, &ClientAddress::new(*address)) {
                None => nobody(Actor::Anonymous, NoVisitor::NoKey),
                Some((epoch, pseudonym)) => Visitor {
                    actor: Actor::Anonymous,
                    no_visitor: None,
                    epoch: Some(epoch),
                    pseudonym: Some(pseudonym),
                },
            },
        }
    }

    /// One visitor is one address, or one IPv6 network of 64 bits, within which a device moves: as pseudonyms have it.
    fn network(&self, address: IpAddr) -> VisitorKey {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.accesses.visitor(&v4.octets()),
            IpAddr::V6(v6) => self.accesses.visitor(&(v6.to_bits() >> 64).to_be_bytes()),
        }
    }

    /// The ticket of the access that `key` is, once no other request is recording it.
    pub async fn claim(&self, key: &AccessKey, window_ms: u64, at_ms: u64) -> Ticket {
        loop {
            match self.accesses.decide(key.clone(), window_ms, at_ms) {
                Decision::Known(ticket) | Decision::Record(ticket) => return ticket,
                // It ends with an error, when what is waited for is gone.
                Decision::Wait(mut other) => _ = other.changed().await,
            }
        }
    }

    /// Records the access of a new `ticket`.
    pub async fn record(
        &self,
        ticket: &mut Ticket,
        durability: Durability,
        record: NewRecord,
    ) -> Result<(), NotRecorded> {
        let number = match durability {
            Durability::RecordedBeforeServed => Some(self.recorder.record(record).await?),
            Durability::Async => {
                self.recorder.try_record(record)?;
                None
            }
        };
        ticket.recorded(number);
        Ok(())
    }

    /// Records the access that `key` is, unless it is known, for a response that is out already.
    pub fn record_late(
        &self,
        key: AccessKey,
        window_ms: u64,
        at_ms: u64,
        record: impl FnOnce() -> NewRecord,
    ) -> Result<(), NotRecorded> {
        if let Decision::Record(mut ticket) = self.accesses.decide(key, window_ms, at_ms) {
            self.recorder.try_record(record())?;
            ticket.recorded(None);
        }
        Ok(())
    }

    /// Records the end of a download.
    pub fn complete(&self, completion: Completion) {
        let at_ms = self.now();
        let AccessKey { site, link, object, event, .. } = completion.key;
        let record = NewRecord {
            at_ms,
            site: (&*site).into(),
            event: event.into(),
            link: Some(link),
            rule: None,
            actor: Actor::Unknown,
            agent: AgentClass::Unknown,
            no_visitor: None,
            epoch: None,
            status: None,
            bytes: completion.bytes,
            complete: completion.complete,
            duration_ms: u32::try_from(completion.duration_ms).unwrap_or(u32::MAX),
            policy: None,
            purposes: 0,
            detail: Some(json!({ "of": completion.of })),
            erasable: Erasable { object, ..Erasable::default() },
        };
        if self.recorder.try_record(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records the downloads that ended unfinished. To be called now and then, and with the end of time at the end.
    pub fn sweep(&self, now_ms: u64) {
        self.accesses.sweep(now_ms).into_iter().for_each(|left| self.complete(left));
    }
}
