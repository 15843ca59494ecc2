//! `consentry keys`: what a custodian does with the keys of the ledger.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::{BAD_CONFIGURATION, print};
use crate::config::{self, Config, LedgerSettings};
use crate::ledger::keys::{KeyError, KeyEvent, KeyRing, KeyState, KeyStatus, keep_apart};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List every key there is or was.
    Status(Common),
    /// Make the keys that are needed now and next month.
    Rotate(Common),
    /// Destroy a key for good: nobody can tell any more who opened what under it.
    Destroy(Destroy),
}

#[derive(clap::Args)]
struct Common {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct Destroy {
    #[command(flatten)]
    common: Common,
    /// The name of the key, as `status` lists it.
    #[arg(long, value_name = "ID")]
    kid: String,
    /// Why; it is kept with the certificate.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decided; it is kept with the certificate.
    #[arg(long, value_name = "WHO")]
    by: String,
    /// Even if the key is in use: what comes after has no pseudonym or digest.
    #[arg(long)]
    active: bool,
}

pub(super) fn keys(arguments: &Arguments) -> ExitCode {
    let (Command::Status(common) | Command::Rotate(common) | Command::Destroy(Destroy { common, .. })) =
        &arguments.command;
    let loaded = config::load(&common.config);
    let Some(config) = loaded.config else {
        loaded.diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        return ExitCode::from(BAD_CONFIGURATION);
    };
    let Some(ledger) = &config.ledger else {
        eprintln!("{} has no [ledger], so there are no keys", common.config.display());
        return ExitCode::from(BAD_CONFIGURATION);
    };
    let said = open(&config, ledger).map_err(|error| error.to_string()).and_then(|ring| {
        let now = Timestamp::now();
        match &arguments.command {
            Command::Status(_) => Ok(table(&ring.status(now))),
            Command::Rotate(_) => rotate(ring, now),
            Command::Destroy(destroyed) => destroy(ring, destroyed, now),
        }
    });
    match said {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn open(config: &Config, ledger: &LedgerSettings) -> Result<KeyRing, KeyError> {
    keep_apart(&ledger.keys, &ledger.path)?;
    KeyRing::open(&ledger.keys, &config.site_keys())
}

fn rotate(mut ring: KeyRing, now: Timestamp) -> Result<String, String> {
    let events = ring.rotate(now).map_err(|error| error.to_string())?;
    Ok(events.iter().map(line).collect())
}

fn destroy(mut ring: KeyRing, arguments: &Destroy, now: Timestamp) -> Result<String, String> {
    let in_use = |status: &KeyStatus| *status.key.kid == *arguments.kid && status.key.state == KeyState::Active;
    if !arguments.active && ring.status(now).iter().any(in_use) {
        return Err(format!("the key `{}` is in use: add `--active` to destroy it all the same", arguments.kid));
    }
    let event = ring.destroy(&arguments.kid, now, &arguments.by, &arguments.reason);
    event.map(|event| line(&event)).map_err(|error| error.to_string())
}

/// One event as one line of JSON. For a key that was destroyed, this is the certificate.
fn line(event: &KeyEvent) -> String {
    let site = &event.key.site;
    let line = json!({ "event": event.name(), "at": event.at, "site": site, "key": event.detail() });
    format!("{line}\n")
}

fn table(keys: &[KeyStatus]) -> String {
    let mut table = String::new();
    for KeyStatus { key, loaded, due } in keys {
        let note = match (key.destroyed_at, *loaded, *due) {
            (Some(at), ..) => format!(
                "on {at} by {}: {}",
                key.destroyed_by.as_deref().unwrap_or("-"),
                key.destroyed_because.as_deref().unwrap_or("-")
            ),
            (None, false, _) => "its file is missing".to_owned(),
            (None, true, true) => "due for destruction".to_owned(),
            (None, true, false) => key.destroy_after.map_or(String::new(), |at| format!("due {at}")),
        };
        // Writing to a string does not fail.
        _ = writeln!(table, "{:<40} {:<9} {} {note}", key.kid, key.state.as_str(), key.check);
    }
    table
}
