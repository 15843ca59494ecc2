//! `consentry run`: serve until told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::BAD_CONFIGURATION;
use crate::app::{App, StartError};
use crate::config::{self, Loaded};
use crate::ledger::keys::{KeyRing, keep_apart};
use crate::ledger::memory::keep_out_of_dumps;
use crate::telemetry::{start_logging, watch_panics};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    start_logging();
    match start(&arguments.config) {
        Ok(app) => serve(app),
        Err(code) => code,
    }
}

/// Starts the proxy with the configuration at `path`, or says why it cannot.
pub(super) fn start(path: &Path) -> Result<App, ExitCode> {
    let Loaded { config, diagnostics, .. } = config::load(path);
    for diagnostic in &diagnostics {
        eprintln!("{diagnostic}");
    }
    let Some(config) = config else { return Err(ExitCode::from(BAD_CONFIGURATION)) };
    start_with(path, config, diagnostics)
}

pub(super) fn start_with(
    path: &Path,
    config: config::Config,
    diagnostics: Vec<config::Diagnostic>,
) -> Result<App, ExitCode> {
    prepare_keys(&config)?;
    let app = App::start(path, config, diagnostics, io::stdout(), None);
    let app = app.map_err(|error| {
        eprintln!("consentry cannot start: {error}");
        match error {
            StartError::Upstream(_) => ExitCode::from(BAD_CONFIGURATION),
            _ => ExitCode::FAILURE,
        }
    })?;
    watch_panics(app.metrics.panics.clone());
    Ok(app)
}

/// With a ledger: keeps the process out of core dumps, refuses a key ring that others could read, and makes the keys
/// that are missing. A directory that cannot be written, as where another process makes the keys, is no reason not to
/// serve: months without a key have no pseudonyms.
fn prepare_keys(config: &config::Config) -> Result<(), ExitCode> {
    let Some(ledger) = &config.ledger else { return Ok(()) };
    let open = || {
        keep_out_of_dumps().map_err(|error| error.to_string())?;
        keep_apart(&ledger.keys, &ledger.path).map_err(|error| error.to_string())?;
        KeyRing::open(&ledger.keys, &config.site_keys()).map_err(|error| error.to_string())
    };
    let mut ring = open().map_err(|error| {
        eprintln!("consentry cannot start: {error}");
        ExitCode::FAILURE
    })?;
    if let Err(error) = ring.rotate(Timestamp::now()) {
        log::warn!("no key of the ledger can be made: {error}");
    }
    Ok(())
}

/// Serves until SIGTERM (with lame duck) or SIGINT (without); SIGHUP reloads; a second signal ends the waiting.
pub(super) fn serve(app: App) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(until_stopped(app)));
    match served {
        Ok(Ok(0)) => ExitCode::SUCCESS,
        Ok(Ok(_cut)) => ExitCode::FAILURE,
        Ok(Err(error)) | Err(error) => {
            eprintln!("consentry cannot wait for signals: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many connections were cut.
async fn until_stopped(app: App) -> io::Result<usize> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let impatient = loop {
        tokio::select! {
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break true,
            _ = hangup.recv() => { app.store.reload().await; }
        }
    };
    let (force, forced) = watch::channel(false);
    let second_signal = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        force.send_replace(true);
        std::future::pending::<()>().await;
    };
    let app = if impatient { app.without_lame_duck() } else { app };
    tokio::select! {
        cut = app.drain(forced) => Ok(cut),
        () = second_signal => Ok(0),
    }
}
