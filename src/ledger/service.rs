//! The ledger of a running proxy: keys, journal and recording together, and what has to be done now and then.

mod replicas;
mod retain;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use self::replicas::Replicas;
use super::access::AccessTracker;
use super::central::{Route, Shipper};
use super::journal::{Clock, Guest, Journal, JournalError, JournalOptions, JournalStatus, Life};
use super::keys::{KeyError, KeyEvent, KeyRing, KeyState, SiteKeys, keep_apart};
use super::pseudonym::{ClientAddress, ConsentDigest, LinkDigest, ObjectDigest, Pseudonym};
use super::record::{EventKind, NewRecord};
use super::recording::Recording;
use super::retention::{RetentionError, certificate, refuse_restored};
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
    #[error(transparent)]
    Retention(#[from] RetentionError),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A ledger that records.
pub struct Ledger {
    pub recording: Arc<Recording>,
    journal: Journal,
    shipper: Option<Shipper>,
    /// Each thread ends when its own is gone.
    stop: [SyncSender<()>; 2],
    threads: [JoinHandle<()>; 2],
}

impl Ledger {
    /// Opens the keys and the journal, makes the keys that are missing, and begins.
    ///
    /// # Errors
    /// Keys or journal cannot be used, or keys came back that the journal says were destroyed.
    pub fn start(settings: &LedgerSettings, sites: Vec<SiteKeys>, clock: Clock) -> Result<Self, LedgerError> {
        keep_apart(&settings.keys, &settings.path)?;
        let mut ring = KeyRing::open(&settings.keys, &sites)?;
        let seed = ring.signing_seed()?;
        let options = JournalOptions {
            queue: QUEUE,
            pressure: settings.pressure,
            checkpoints: Some(settings.checkpoints.clone()),
            checkpoint_every_ms: CHECKPOINT_EVERY_MS,
            signing_seed: seed.clone(),
            clock: clock.clone(),
        };
        let journal = Journal::open(&settings.path, options, clock())?;
        refuse_restored(&ring, &settings.path)?;
        rotate(&mut ring, &journal, &Life::of(&settings.path)?, clock());
        let keys = Arc::new(ArcSwap::from_pointee(ring));
        let route = settings.central.clone().map(|store| route(store, settings, seed.clone(), clock.clone()));
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
        let (stop, stopped) = sync_channel(0);
        let (shared, clock_too) = (recording.clone(), clock.clone());
        let keeper = Keeper { keys, settings: settings.clone(), sites: sites.clone(), journal: journal.clone() };
        let housekeeping = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            let mut sweeps = 0;
            while stopped.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
                let now = clock_too();
                shared.sweep(now);
                sweeps += 1;
                if sweeps % SWEEPS_PER_ROTATION == 0 {
                    keeper.renew(now);
                }
            }
            shared.sweep(u64::MAX);
        })?;
        let (stop_too, stopped) = sync_channel(0);
        let central = settings.central.clone().zip(shipper.as_ref().map(|shipper| shipper.watch.clone()));
        let replicas = central.map(|(store, watch)| Replicas::new(store, watch));
        let journal_too = journal.clone();
        let mut retain =
            retain::Retain { settings: settings.clone(), sites, journal: journal_too, seed, clock, replicas };
        let retention =
            std::thread::Builder::new().name("retention".to_owned()).spawn(move || retain.until(&stopped))?;
        Ok(Ledger { recording, journal, shipper, stop: [stop, stop_too], threads: [housekeeping, retention] })
    }

    /// Records what is left, waits until all of it is on disk, and ships it. For when the last request has ended.
    pub fn stop(self) {
        drop(self.stop);
        self.threads.into_iter().for_each(|thread| _ = thread.join());
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

/// From the journal to the central store. What others ask to be erased is erased from the journal.
fn route(store: CentralSettings, settings: &LedgerSettings, seed: Zeroizing<[u8; 32]>, clock: Clock) -> Route {
    let (path, checkpoints, clock_too) = (settings.path.clone(), settings.checkpoints.clone(), clock.clone());
    let erase = move |site: &str, seqs: Vec<u64>, why: &str| {
        let now_ms = clock_too();
        let guest = Guest { checkpoints: Some(checkpoints.clone()), signing_seed: seed.clone(), now_ms };
        let record = NewRecord::of_life(EventKind::Erased, site, now_ms, json!({ "seqs": seqs, "why": why }));
        guest.add(&path, &[&record], &seqs).map(drop).map_err(|error| error.to_string())
    };
    Route { store, journal: settings.path.clone(), erase: Arc::new(erase), clock }
}

/// Keeps the keys in force as they are on the disk.
struct Keeper {
    keys: Arc<ArcSwap<KeyRing>>,
    settings: LedgerSettings,
    sites: Vec<SiteKeys>,
    journal: Journal,
}

impl Keeper {
    /// Reads the keys again, so that another process may make and destroy them, and makes what is missing.
    fn renew(&self, now: u64) {
        match self.read() {
            Ok((mut ring, life)) => {
                rotate(&mut ring, &self.journal, &life, now);
                self.keys.store(Arc::new(ring));
            }
            Err(error) => log::error!("the keys of the ledger cannot be read again: {error}"),
        }
    }

    fn read(&self) -> Result<(KeyRing, Life), RetentionError> {
        let ring = KeyRing::open(&self.settings.keys, &self.sites)?;
        refuse_restored(&ring, &self.settings.path)?;
        Ok((ring, Life::of(&self.settings.path)?))
    }
}

/// Makes the keys that are missing, and records what became of keys since `life` was read.
fn rotate(ring: &mut KeyRing, journal: &Journal, life: &Life, now: u64) {
    match ring.rotate(timestamp(now)) {
        Ok(events) => {
            for event in events {
                note(journal, NewRecord::of_life(EventKind::KeyMade, "", now, event.detail()));
            }
        }
        // Another process may make the keys; then this one only reads them.
        Err(error) => log::warn!("no key of the ledger can be made: {error}"),
    }
    for key in ring.status(timestamp(now)).into_iter().map(|status| status.key) {
        if key.state == KeyState::Destroyed && !life.destroyed.contains(&key.kid) {
            note(journal, certificate(&KeyEvent { at: timestamp(now), key }, now));
        }
    }
}

fn note(journal: &Journal, record: NewRecord) {
    let event = record.event.as_str();
    if let Err(error) = journal.try_record(record) {
        log::error!("{event} is not recorded: {error}");
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
