//! What the process says about itself: log lines and access log lines, as JSON.
//!
//! pingora's own messages quote request lines and header sections, so none of them is written; what matters of them is
//! counted and logged by `proxy` in words from a closed set.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use log::{Level, LevelFilter, Log, Metadata, Record};
use prometheus::IntCounter;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Lines that may wait to be written.
const QUEUE: usize = 16 << 10;

/// The time now, as RFC 3339.
pub fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

struct Logger;

/// One log line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    target: &'a str,
    message: String,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("consentry")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug | Level::Trace => "debug",
        };
        let line = Line { time: timestamp(), level, target: record.target(), message: record.args().to_string() };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            // Nobody is left to tell if standard error is gone.
            io::stderr().lock().write_all(&text).ok();
        }
    }

    fn flush(&self) {}
}

/// Sends log lines to standard error, as JSON.
pub fn start_logging() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Counts panics, and says where they were; never what with, since that can be a visitor's data.
pub fn watch_panics(count: IntCounter) {
    std::panic::set_hook(Box::new(move |panic| {
        count.inc();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!("a bug at {place} ended a request or task; please report it");
    }));
}

/// Writes access log lines on a thread of its own, so that no request waits for a disk or a pipe.
#[derive(Clone)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    dropped: IntCounter,
}

impl AccessLog {
    /// Starts the writing thread. It ends, with everything written, when the last clone is gone.
    pub fn start(
        output: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (lines, queue) = sync_channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(output, &queue))?;
        Ok((AccessLog { lines, dropped }, thread))
    }

    /// Queues one line; counts it as dropped if the queue is full.
    pub fn write(&self, line: Vec<u8>) {
        match self.lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
    }
}

fn write_all(output: impl Write, queue: &Receiver<Vec<u8>>) {
    let mut output = io::BufWriter::new(output);
    while let Ok(line) = queue.recv() {
        let mut written = output.write_all(&line);
        for line in queue.try_iter() {
            written = written.and_then(|()| output.write_all(&line));
        }
        if written.and_then(|()| output.flush()).is_err() {
            // Whoever read the log is gone; requests go on.
            log::error!("the access log cannot be written any more");
            return;
        }
    }
}
