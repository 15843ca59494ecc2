//! The thread that ships.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use postgres::Client;
use ring::rand::{SecureRandom, SystemRandom};

use super::connect::{connect, server};
use super::error::CentralError;
use super::partitions::Days;
use super::ship::{self, Mark};
use super::source::Source;
use super::status::Watch;
use super::upgrade::upgrade;
use crate::config::CentralSettings;
use crate::ledger::journal::Clock;

/// How often the journal is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The central store is looked at once in so many ticks, though nothing is to be shipped.
const TICKS_PER_LOOK: u32 = 5;

/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Erasures that are done at once.
const ERASURES: i64 = 100;

/// Erases records from the journal: the site that they are about, their numbers, and why.
pub type Erase = Arc<dyn Fn(&str, Vec<u64>, &str) -> Result<(), String> + Send + Sync>;

/// What is shipped, and where to.
pub struct Route {
    pub store: CentralSettings,
    pub journal: PathBuf,
    pub erase: Erase,
    pub clock: Clock,
}

/// Ships a journal for as long as it lives.
pub struct Shipper {
    pub watch: Watch,
    stop: SyncSender<Instant>,
    ended: Receiver<()>,
}

impl Shipper {
    /// Begins. Whether the central store is there shows later: recording does not depend on it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(route: Route) -> std::io::Result<Shipper> {
        let watch = Watch::default();
        let now = (route.clock)();
        *watch.lock() = super::CentralStatus {
            server: server(&route.store.connection),
            reached_ms: now,
            ..super::CentralStatus::default()
        };
        let (stop, stopped) = sync_channel(1);
        let (ending, ended) = channel();
        let run = Run { route, watch: watch.clone(), session: None, stopped, until: None, _ending: ending };
        std::thread::Builder::new().name("shipper".to_owned()).spawn(move || run.run())?;
        Ok(Shipper { watch, stop, ended })
    }

    /// Ships what is left, for no longer than `patience`. Whatever then remains is shipped after the next start.
    pub fn stop(self, patience: Duration) {
        self.stop.send(Instant::now() + patience).ok();
        // A server that neither answers nor fails is left alone.
        self.ended.recv_timeout(patience).ok();
    }
}

/// A connection, and what is known of the other side while it lasts.
struct Session {
    client: Client,
    days: Days,
    mark: Option<Mark>,
    checkpoint: Option<(u64, u64)>,
    look_in: u32,
}

struct Run {
    route: Route,
    watch: Watch,
    session: Option<Session>,
    stopped: Receiver<Instant>,
    until: Option<Instant>,
    /// Goes with the thread.
    _ending: Sender<()>,
}

impl Run {
    fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            self.waits();
            let done = self.round();
            self.watch.lock().waiting = None;
            let wait = match done {
                Ok(()) => {
                    self.is_well();
                    pause = PAUSES.0;
                    TICK
                }
                Err(error) => {
                    self.session = None;
                    self.is_ill(&error);
                    pause = if matches!(error, CentralError::Forked { .. }) { PAUSES.1 } else { pause };
                    let wait = pause.mul_f64(jitter());
                    pause = (pause * 2).min(PAUSES.1);
                    wait
                }
            };
            if self.until.is_some() {
                return;
            }
            match self.stopped.recv_timeout(wait) {
                // One more round, for what came last.
                Ok(until) => self.until = Some(until),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// An answer is awaited from now on: a server that is stopped would not fail.
    fn waits(&self) {
        self.watch.lock().waiting = Some((Instant::now(), (self.route.clock)()));
    }

    /// Ships all that is there.
    fn round(&mut self) -> Result<(), CentralError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.route.store)?,
        };
        let source = Source::open(&self.route.journal)?;
        session.days.make_ahead(&mut session.client, (self.route.clock)())?;
        session.look_in = session.look_in.saturating_sub(1);
        if session.look_in == 0 {
            session.look_in = TICKS_PER_LOOK;
            self.erase_what_others_ask(&mut session.client, &source)?;
            // It may have been set back.
            session.mark = ship::mark(&mut session.client, &source.writer)?;
        }
        while session.has_news(&source)? && !self.is_late() {
            let checkpoint = source.last_checkpoint()?;
            self.waits();
            let sent = ship::batch(&mut session.client, &source, &mut session.days)?;
            session.mark = Some(sent.mark);
            session.checkpoint = checkpoint;
            let mut status = self.watch.lock();
            status.shipped = Some(sent.mark.seq);
            status.reached_ms = sent.at_ms.unwrap_or(status.reached_ms);
            status.failing = None;
        }
        if !self.is_late() {
            let mut status = self.watch.lock();
            status.shipped = session.mark.map(|mark| mark.seq);
            status.reached_ms = (self.route.clock)();
        }
        self.session = Some(session);
        Ok(())
    }

    /// Whether it must end now.
    fn is_late(&mut self) -> bool {
        if let Ok(until) = self.stopped.try_recv() {
            self.until = Some(until);
        }
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// What was erased by way of another replica is erased from this journal, and then, as all that this journal says,
    /// from the central store.
    fn erase_what_others_ask(&self, client: &mut Client, source: &Source) -> Result<(), CentralError> {
        let asked = client.query(
            "SELECT id, seqs, why FROM consentry.erasure WHERE writer = $1 AND applied_at IS NULL ORDER BY id LIMIT $2",
            &[&source.writer.as_slice(), &ERASURES],
        )?;
        for row in asked {
            let (id, seqs, why): (i64, Vec<i64>, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let seqs: Vec<u64> = seqs.into_iter().filter_map(|seq| u64::try_from(seq).ok()).collect();
            let site = seqs.first().map(|seq| source.site(*seq)).transpose()?.flatten().unwrap_or_default();
            (self.route.erase)(&site, seqs, &why).map_err(CentralError::Erase)?;
            client.execute("UPDATE consentry.erasure SET applied_at = now() WHERE id = $1", &[&id])?;
        }
        Ok(())
    }

    fn is_well(&self) {
        if let Some((since, _)) = self.watch.lock().failing.take() {
            let seconds = (self.route.clock)().saturating_sub(since) / 1000;
            log::info!("the central store is there, after {seconds} s");
        }
    }

    /// Says it once, and again when it is something else.
    fn is_ill(&self, error: &CentralError) {
        let now = (self.route.clock)();
        let mut status = self.watch.lock();
        let reason = error.to_string();
        if status.failing.as_ref().is_some_and(|(_, known)| *known == reason) {
            return;
        }
        if matches!(error, CentralError::Forked { .. }) {
            status.forks += 1;
            log::error!("the central store ({}): {reason}", status.server);
        } else {
            log::warn!("nothing is shipped to the central store ({}): {reason}", status.server);
        }
        let since = status.failing.as_ref().map_or(now, |(since, _)| *since);
        status.failing = Some((since, reason));
    }
}

impl Session {
    fn open(store: &CentralSettings) -> Result<Session, CentralError> {
        let mut client = connect(store)?;
        upgrade(&mut client)?;
        Ok(Session { client, days: Days::default(), mark: None, checkpoint: None, look_in: 0 })
    }

    fn has_news(&self, source: &Source) -> Result<bool, CentralError> {
        let last = source.range()?.map_or(0, |(_, last)| last);
        Ok(self.mark.is_none_or(|mark| mark.seq != last) || self.checkpoint != source.last_checkpoint()?)
    }
}

/// Something from a half to one, so that replicas do not come back all at once.
fn jitter() -> f64 {
    let mut byte = [0];
    SystemRandom::new().fill(&mut byte).ok();
    0.5 + f64::from(u8::from_be_bytes(byte)) / 510.0
}
