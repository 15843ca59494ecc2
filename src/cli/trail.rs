//! `consentry trail`: who opened shared links. Every question is written down before it is answered.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::{Value, json};

use super::BAD_CONFIGURATION;
use crate::config::{self, Config, LedgerSettings, Loaded};
use crate::ledger::journal::Guest;
use crate::ledger::journal::verify::verify;
use crate::ledger::keys::KeyRing;
use crate::ledger::record::{EventKind, NewRecord};
use crate::ledger::trail::{Dimension, Filter, Format, Role, Trail, export, groups};
use crate::reload::unix_time_ms;

/// Groups of fewer visitors are not shown alone.
const K: u64 = 5;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// All links with accesses, those used last first.
    Links(Common),
    /// One link, summed up; its token comes on standard input.
    Show(Common),
    /// Each access.
    Events(Common),
    /// Counts by a coarse attribute; groups of fewer than five visitors are not shown alone.
    Stats {
        #[command(flatten)]
        common: Common,
        /// By what.
        #[arg(long, value_enum)]
        by: By,
    },
    /// Records as JSON lines or CSV, to standard output or, with a manifest, into a directory.
    Export {
        #[command(flatten)]
        common: Common,
        #[arg(long, value_enum)]
        format: FormatName,
        /// The directory; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Whether all records are there, as they were written.
    Verify(Common),
}

#[derive(Args)]
struct Common {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only this site.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Only the link whose token comes on standard input; needs `--site`.
    #[arg(long, requires = "site")]
    token_stdin: bool,
    /// From this day (UTC) or time on.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<u64>,
    /// Before this day (UTC) or time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<u64>,
    /// As what you ask.
    #[arg(long, value_enum, default_value = "owner")]
    role: RoleName,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Owner,
    Auditor,
    Custodian,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Country,
    Referrer,
    Agent,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    Jsonl,
    Csv,
}

fn parse_time(text: &str) -> Result<u64, String> {
    let day = text.parse::<Date>().ok().and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
    let time = day.or_else(|| text.parse::<Timestamp>().ok());
    let ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.ok_or_else(|| "write a day such as 2026-03-02, or a time such as 2026-03-02T09:00:00Z".to_owned())
}

pub(super) fn trail(arguments: &Arguments) -> ExitCode {
    let common = arguments.verb.common();
    let Loaded { config, diagnostics, .. } = config::load(&common.config);
    let Some(config) = config else {
        diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        return ExitCode::from(BAD_CONFIGURATION);
    };
    match answer(&arguments.verb, common, &config) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

impl Verb {
    fn common(&self) -> &Common {
        match self {
            Verb::Links(common) | Verb::Show(common) | Verb::Events(common) | Verb::Verify(common) => common,
            Verb::Stats { common, .. } | Verb::Export { common, .. } => common,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Verb::Links(_) => "links",
            Verb::Show(_) => "show",
            Verb::Events(_) => "events",
            Verb::Stats { .. } => "stats",
            Verb::Export { .. } => "export",
            Verb::Verify(_) => "verify",
        }
    }
}

fn answer(verb: &Verb, common: &Common, config: &Config) -> Result<ExitCode, String> {
    let settings = config.ledger.as_ref().ok_or("the configuration has no `[ledger]`")?;
    let ring = KeyRing::open(&settings.keys, &config.site_keys()).map_err(|error| error.to_string())?;
    let wants_token = common.token_stdin || matches!(verb, Verb::Show(_));
    let link = if wants_token { Some(link(common, &ring)?) } else { None };
    let filter = Filter { site: common.site.clone(), link, from: common.from, to: common.to };
    let role = Role::from(common.role);
    write_down(settings, &ring, verb.name(), role, &filter)?;
    if let Verb::Verify(_) = verb {
        return Ok(report(settings));
    }
    let trail = Trail::open(&settings.path).map_err(|error| format!("{}: {error}", settings.path.display()))?;
    let failed = |error: &dyn std::fmt::Display| format!("the journal cannot be read: {error}");
    let mut out = BufWriter::new(io::stdout().lock());
    match verb {
        Verb::Links(_) | Verb::Show(_) => {
            lines(&mut out, trail.links(&filter).map_err(|error| failed(&error))?);
        }
        Verb::Events(_) => {
            let each = |access| {
                serde_json::to_writer(&mut out, &access)?;
                out.write_all(b"\n")
            };
            trail.accesses(&filter, role, each).map_err(|error| failed(&error))?;
        }
        Verb::Stats { by, .. } => {
            // Whoever holds the keys may see single visitors anyway.
            let k = if role == Role::Custodian { 1 } else { K };
            lines(&mut out, groups(&trail, &filter, (*by).into(), k).map_err(|error| failed(&error))?);
        }
        Verb::Export { format, out: None, .. } => {
            export(&trail, &filter, role, (*format).into(), &mut out).map_err(|error| failed(&error))?;
        }
        Verb::Export { format, out: Some(directory), .. } => {
            export_into(directory, &trail, &filter, role, (*format).into())?;
        }
        Verb::Verify(_) => {}
    }
    out.flush().ok();
    Ok(ExitCode::SUCCESS)
}

/// The link whose token comes on standard input, where no list of processes shows it.
fn link(common: &Common, ring: &KeyRing) -> Result<[u8; 16], String> {
    let site = common.site.as_deref().ok_or("say with `--site` to which site the link belongs")?;
    let mut token = Vec::new();
    io::stdin().take(8192).read_to_end(&mut token).map_err(|error| format!("no token: {error}"))?;
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err("no token: write it to standard input".to_owned());
    }
    let digest = ring.link(site, token).ok_or_else(|| format!("`{site}` has no key for links"))?;
    Ok(digest.0)
}

fn lines(out: &mut impl Write, items: Vec<impl Serialize>) {
    for item in items {
        // Whoever reads may have seen enough.
        _ = serde_json::to_writer(&mut *out, &item);
        _ = out.write_all(b"\n");
    }
}

/// Records the question in a journal of its own, beside that of the proxy.
fn write_down(
    settings: &LedgerSettings,
    ring: &KeyRing,
    verb: &str,
    role: Role,
    filter: &Filter,
) -> Result<(), String> {
    let beside = |path: &Path| PathBuf::from(format!("{}.audit", path.display()));
    let now_ms = unix_time_ms();
    let guest = Guest {
        checkpoints: Some(beside(&settings.checkpoints)),
        signing_seed: ring.signing_seed().map_err(|error| error.to_string())?,
        now_ms,
    };
    let detail = json!({
        "verb": verb,
        "role": role.as_str(),
        "user": rustix::process::getuid().as_raw(),
        "link": filter.link.map(|link| crate::ledger::record::hex(&link)),
        "from": filter.from,
        "to": filter.to,
    });
    let site = filter.site.as_deref().unwrap_or_default();
    let record = NewRecord::of_life(EventKind::Audit, site, now_ms, without_nulls(detail));
    guest
        .add(&beside(&settings.path), &[&record], &[])
        .map_err(|error| format!("not answered, since the question cannot be recorded: {error}"))?;
    Ok(())
}

fn without_nulls(mut detail: Value) -> Value {
    if let Some(members) = detail.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    detail
}

fn report(settings: &LedgerSettings) -> ExitCode {
    let report = verify(&settings.path, Some(&settings.checkpoints));
    println!("{} records, {} checkpoints", report.records, report.checkpoints);
    for problem in &report.problems {
        println!("{problem}");
    }
    if report.problems.is_empty() {
        println!("every chain holds");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn export_into(directory: &Path, trail: &Trail, filter: &Filter, role: Role, format: Format) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    DirBuilder::new().mode(0o700).create(directory).map_err(failed)?;
    let create = |name: &str| -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join(name))
    };
    let name = if format == Format::Csv { "records.csv" } else { "records.jsonl" };
    let mut file = BufWriter::new(create(name).map_err(failed)?);
    let manifest = export(trail, filter, role, format, &mut file).map_err(|error| error.to_string())?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    let mut text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())?;
    text.push('\n');
    create("manifest.json").and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Role::Owner,
            RoleName::Auditor => Role::Auditor,
            RoleName::Custodian => Role::Custodian,
        }
    }
}

impl From<By> for Dimension {
    fn from(by: By) -> Self {
        match by {
            By::Country => Dimension::Country,
            By::Referrer => Dimension::Referrer,
            By::Agent => Dimension::Agent,
        }
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Jsonl => Format::Jsonl,
            FormatName::Csv => Format::Csv,
        }
    }
}
