//! The ledger of a running proxy: keys, journal and recording together, and what has to be done now and then.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::Timestamp;

use super::access::AccessTracker;
use super::central::{Route, Shipper};
use super::journal::{Clock, Journal, JournalError, JournalOptions, JournalStatus};
use super::keys::{KeyError, KeyRing, KeyState, SiteKeys, keep_apart};
use super::pseudonym::{ClientAddress, ConsentDigest, LinkDigest, ObjectDigest, Pseudonym};
use super::record::{EventKind, NewRecord};
use super::recording::Recording;
use super::{NotRecorded, Pseudonyms, Recorder};
use crate::config::{CentralSettings, LedgerSettings};

/// Records that may wait for the disk.
const QUEUE: usize = 16_384;

/// Accesses that are held together in memory.
const ACCESSES: usize = 100_000;

/// How long records stay without a signed checkpoint.
const CHECKPOINT_EVERY_MS: u64 = 5 * 60_000;

/// Downloads that nobody goes on with are looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Keys are read again, and made ahead, once in so many sweeps: what was destroyed is out of memory a minute later.
const SWEEPS_PER_ROTATION: u32 = 12;

/// How long the end may wait for the central store.
const LAST_SHIPMENT: Duration = Duration::from_secs(5);

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A ledger that records.
pub struct Ledger {
    pub recording: Arc<Recording>,
    journal: Journal,
    shipper: Option<Shipper>,
    stop: SyncSender<()>,
    housekeeping: JoinHandle<()>,
}

impl Ledger {
    /// Opens the keys and the journal, makes the keys that are missing, and begins.
    pub fn start(settings: &LedgerSettings, sites: Vec<SiteKeys>, clock: Clock) -> Result<Self, LedgerError> {
        keep_apart(&settings.keys, &settings.path)?;
        let mut ring = KeyRing::open(&settings.keys, &sites)?;
        let now = timestamp(clock());
        let made = ring.rotate(now);
        let options = JournalOptions {
            queue: QUEUE,
            pressure: settings.pressure,
            checkpoints: Some(settings.checkpoints.clone()),
            checkpoint_every_ms: CHECKPOINT_EVERY_MS,
            signing_seed: ring.signing_seed()?,
            clock: clock.clone(),
        };
        let journal = Journal::open(&settings.path, options, clock())?;
        // Another process may make the keys; then this one only reads them.
        match made {
            Ok(events) => events.iter().for_each(|event| note(&journal, event.name(), event.detail(), clock())),
            Err(error) => log::warn!("no key of the ledger can be made: {error}"),
        }
        let keys = Arc::new(ArcSwap::from_pointee(ring));
        let route = settings.central.clone().map(|store| route(store, settings.path.clone(), &journal, clock.clone()));
        let shipper = route.map(Shipper::start).transpose()?;
        let recording = Arc::new(Recording {
            recorder: Arc::new(journal.clone()),
            pseudonyms: Arc::new(Keys(keys.clone())),
            accesses: AccessTracker::new(ACCESSES),
            pressure: settings.pressure,
            clock: clock.clone(),
            lost: Default::default(),
            central: shipper.as_ref().map(|shipper| shipper.watch.clone()),
            strangers: Default::default(),
        });
        let (stop, stopped) = sync_channel(1);
        let (shared, journal_too, directory) = (recording.clone(), journal.clone(), settings.keys.clone());
        let housekeeping = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            let mut sweeps = 0;
            while stopped.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
                let now = clock();
                shared.sweep(now);
                sweeps += 1;
                if sweeps % SWEEPS_PER_ROTATION == 0 {
                    renew(&keys, &directory, &sites, &journal_too, now);
                }
            }
            shared.sweep(u64::MAX);
        })?;
        Ok(Ledger { recording, journal, shipper, stop, housekeeping })
    }

    /// Records what is left, waits until all of it is on disk, and ships it. For when the last request has ended.
    pub fn stop(self) {
        self.stop.send(()).ok();
        self.housekeeping.join().ok();
        let flushed =
            tokio::runtime::Builder::new_current_thread().build().map(|runtime| runtime.block_on(self.journal.flush()));
        if let Ok(Err(error)) = flushed {
            log::error!("the journal ends without its last checkpoint: {error}");
        }
        if let Some(shipper) = self.shipper {
            shipper.stop(LAST_SHIPMENT);
        }
    }
}

/// From the journal to the central store. What others ask to be erased, the journal erases in its own turn.
fn route(store: CentralSettings, path: PathBuf, journal: &Journal, clock: Clock) -> Route {
    let journal = journal.clone();
    let erase = move |site: &str, seqs, why: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        runtime.block_on(journal.erase(site, seqs, why)).map(drop).map_err(|error| error.to_string())
    };
    Route { store, journal: path, erase: Arc::new(erase), clock }
}

/// Reads the keys again, so that another process may make and destroy them, and makes what is missing.
fn renew(keys: &ArcSwap<KeyRing>, directory: &Path, sites: &[SiteKeys], journal: &Journal, now: u64) {
    let renewed = KeyRing::open(directory, sites).map(|mut ring| {
        let events = ring.rotate(timestamp(now));
        (ring, events)
    });
    let (ring, events) = match renewed {
        Ok(renewed) => renewed,
        // What cannot be read is not used further: a key may have been destroyed.
        Err(error) => return log::error!("the keys of the ledger cannot be read again: {error}"),
    };
    let known = keys.load().status(timestamp(now));
    for status in ring.status(timestamp(now)).iter().filter(|status| status.key.state == KeyState::Destroyed) {
        let was = known.iter().find(|known| known.key.kid == status.key.kid);
        if was.is_some_and(|was| was.key.state != KeyState::Destroyed) {
            let detail = serde_json::json!({ "kid": status.key.kid, "check": status.key.check });
            note(journal, EventKind::KeyDestroyed.as_str(), detail, now);
        }
    }
    match events {
        Ok(events) => events.iter().for_each(|event| note(journal, event.name(), event.detail(), now)),
        Err(error) => log::warn!("no key of the ledger can be made: {error}"),
    }
    keys.store(Arc::new(ring));
}

fn note(journal: &Journal, event: &str, detail: serde_json::Value, now: u64) {
    let Some(event) = EventKind::from_word(event) else { return };
    if let Err(error) = journal.try_record(NewRecord::of_life(event, "", now, detail)) {
        log::error!("{} is not recorded: {error}", event.as_str());
    }
}

fn timestamp(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The keys in force.
struct Keys(Arc<ArcSwap<KeyRing>>);

impl Pseudonyms for Keys {
    fn visitor(&self, site: &str, at_ms: u64, address: &ClientAddress) -> Option<(Box<str>, Pseudonym)> {
        let (epoch, pseudonym) = self.0.load().visitor(site, at_ms, address).ok()?;
        Some((epoch.to_string().into(), pseudonym))
    }

    fn consent(&self, site: &str, at_ms: u64, id: &[u8]) -> Option<ConsentDigest> {
        self.0.load().consent(site, at_ms, id).ok()
    }

    fn link(&self, site: &str, token: &[u8]) -> Option<LinkDigest> {
        self.0.load().link(site, token)
    }

    fn object(&self, site: &str, path: &[u8]) -> Option<ObjectDigest> {
        self.0.load().object(site, path)
    }
}

#[async_trait]
impl Recorder for Journal {
    async fn record(&self, record: NewRecord) -> Result<u64, NotRecorded> {
        Journal::record(self, record).await.map(|position| position.seq).map_err(|_| NotRecorded)
    }

    fn try_record(&self, record: NewRecord) -> Result<(), NotRecorded> {
        Journal::try_record(self, record).map_err(|_| NotRecorded)
    }

    fn status(&self) -> JournalStatus {
        Journal::status(self)
    }
}
