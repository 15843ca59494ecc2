//! `consentry run`: serve until told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::BAD_CONFIGURATION;
use super::signals::Signals;
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
    let start = || {
        let signals = Signals::watch()?;
        let (app, ledger) = start(&arguments.config)?;
        Ok(serve(app, ledger, signals))
    };
    start().unwrap_or_else(|code| code)
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

/// Serves until told to stop. The ledger ends last, with all that was recorded on disk.
pub(super) fn serve(app: App, ledger: Option<Ledger>, signals: Signals) -> ExitCode {
    let cut = signals.serve(app);
    ledger.into_iter().for_each(Ledger::stop);
    if cut == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
