//! `consentry run`: serve until told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::BAD_CONFIGURATION;
use crate::app::{App, StartError};
use crate::config::{self, Loaded};
use crate::ledger::memory::keep_out_of_dumps;
use crate::ledger::recording::Recording;
use crate::ledger::service::Ledger;
use crate::reload::unix_time_ms;
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
        Ok((app, ledger)) => serve(app, ledger),
        Err(code) => code,
    }
}

/// Starts the proxy with the configuration at `path`, or says why it cannot.
fn start(path: &Path) -> Result<(App, Option<Ledger>), ExitCode> {
    let Loaded { config, diagnostics, .. } = config::load(path);
    for diagnostic in &diagnostics {
        eprintln!("{diagnostic}");
    }
    let Some(config) = config else { return Err(ExitCode::from(BAD_CONFIGURATION)) };
    let ledger = start_ledger(&config)?;
    let app = start_with(path, config, diagnostics, ledger.as_ref().map(|ledger| ledger.recording.clone()))?;
    Ok((app, ledger))
}

pub(super) fn start_with(
    path: &Path,
    config: config::Config,
    diagnostics: Vec<config::Diagnostic>,
    recording: Option<Arc<Recording>>,
) -> Result<App, ExitCode> {
    let app = App::start(path, config, diagnostics, io::stdout(), recording);
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

/// With a ledger: keeps the process out of core dumps, and opens keys and journal.
fn start_ledger(config: &config::Config) -> Result<Option<Ledger>, ExitCode> {
    let Some(settings) = &config.ledger else { return Ok(None) };
    let start = || {
        keep_out_of_dumps().map_err(|error| error.to_string())?;
        Ledger::start(settings, config.site_keys(), Arc::new(unix_time_ms)).map_err(|error| error.to_string())
    };
    start().map(Some).map_err(|error| {
        eprintln!("consentry cannot start: {error}");
        ExitCode::FAILURE
    })
}

/// Serves until SIGTERM (with lame duck) or SIGINT (without); SIGHUP reloads; a second signal ends the waiting.
/// The ledger ends last, with all that was recorded on disk.
pub(super) fn serve(app: App, ledger: Option<Ledger>) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(until_stopped(app)));
    ledger.into_iter().for_each(Ledger::stop);
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
