//! `consentry trail`: questions to the ledger from the command line. What they mean, who may ask them, and that they are
//! recorded first, is for the desk.

mod address;
mod export;
mod keep;
mod meter;

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use self::meter::Meter;
use super::BAD_CONFIGURATION;
use crate::config::{self, Config, Loaded};
use crate::ledger::agent::AgentClass;
use crate::ledger::chain::Writer;
use crate::ledger::desk::{
    Answered, Asker, Check, Desk, Erase, Keep, Question, Refused, Scope, Source, Verified, Via, parse_time,
};
use crate::ledger::record::from_hex;
use crate::ledger::trail::{Dimension, Format, Role, TrailError};
use crate::reload::unix_time_ms;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// All links with accesses, those used last first.
    Links(Scoped),
    /// One link, summed up; its token comes on standard input.
    Show(Scoped),
    /// Each access.
    Events(Scoped),
    /// Counts by a coarse attribute; groups of fewer than five visitors are not shown alone.
    Stats {
        #[command(flatten)]
        scoped: Scoped,
        /// By what.
        #[arg(long, value_enum)]
        by: By,
    },
    /// What an incident touched: links with accesses from `--from` to `--to`, what was lost, and which keys there are.
    Affected(Scoped),
    /// Records as JSON lines or CSV, to standard output or, with a manifest, into a directory.
    Export {
        #[command(flatten)]
        scoped: Scoped,
        #[arg(long, value_enum)]
        format: FormatName,
        /// The directory; it must not exist.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Whether all records are there, as they were written.
    Verify(Common),
    /// Evidence that a record was written then, and not altered; `docs/verify-proof.py` reads it.
    Prove {
        #[command(flatten)]
        common: Common,
        /// The number of the record.
        seq: u64,
        /// The journal that it must be of, as `events` shows it where there are several.
        #[arg(long, value_name = "WRITER", value_parser = parse_writer)]
        writer: Option<Writer>,
    },
    /// Erase what records tell about a person; the records stay, and the chain holds.
    Erase {
        #[command(flatten)]
        common: Common,
        /// At which site.
        #[arg(long, value_name = "NAME")]
        site: String,
        /// Numbers of records of this proxy's journal, with commas between them.
        #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
        seq: Option<Vec<u64>>,
        /// Only the link whose token comes on standard input.
        #[arg(long)]
        token_stdin: bool,
        /// Only records of the id in a consent cookie, which comes on standard input.
        #[arg(long, conflicts_with = "token_stdin")]
        consent_stdin: bool,
        /// A visitor, as `events` shows it to your role.
        #[arg(long, value_name = "VISITOR")]
        visitor: Option<String>,
        /// Why; it must not tell about the person.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Hold records that must stay although their time is over.
    #[command(subcommand)]
    Hold(keep::Hold),
    /// What is kept for how long.
    #[command(subcommand)]
    Retention(keep::Retention),
    /// Whether an address was here; recorded with reason and ticket.
    Check {
        #[command(flatten)]
        common: Common,
        /// At which site.
        #[arg(long, value_name = "NAME")]
        site: String,
        /// The address, or `-` to read it from standard input, where no list of processes shows it.
        #[arg(long, value_name = "ADDRESS")]
        ip: String,
        /// From this day (UTC) or time on.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        from: u64,
        /// Before this day (UTC) or time.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        to: u64,
        /// Why you ask.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The case that it belongs to.
        #[arg(long, value_name = "TEXT")]
        ticket: String,
    },
}

#[derive(Args)]
struct Common {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As what you ask; if you do not say, as the least that may ask this.
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Which records: those of this proxy, or of all. If you do not say: all, where `[ledger.postgres]` is.
    #[arg(long, value_enum)]
    source: Option<SourceName>,
}

#[derive(Args)]
struct Scoped {
    #[command(flatten)]
    common: Common,
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
    /// Only by these kinds of programs, as in `human,unknown`, or `all`. Counts are of people if you do not say.
    #[arg(long, value_name = "LIST", value_parser = parse_classes)]
    class: Option<Classes>,
}

fn parse_writer(name: &str) -> Result<Writer, &'static str> {
    from_hex(name).ok_or("a journal has a name of 32 hexadecimal digits")
}

type Classes = Arc<[AgentClass]>;

fn parse_classes(list: &str) -> Result<Classes, String> {
    AgentClass::from_list(list).map(Arc::from).ok_or_else(|| AgentClass::LIST.to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Owner,
    Auditor,
    Custodian,
}

#[derive(Clone, Copy, ValueEnum)]
enum SourceName {
    Journal,
    Central,
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

pub(super) fn trail(arguments: &Arguments) -> ExitCode {
    let common = arguments.verb.common();
    let Loaded { config, diagnostics, .. } = config::load(&common.config);
    let Some(config) = config else {
        diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        return ExitCode::from(BAD_CONFIGURATION);
    };
    answer(&arguments.verb, common, &config).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        ExitCode::FAILURE
    })
}

impl Verb {
    fn common(&self) -> &Common {
        match self {
            Verb::Links(scoped) | Verb::Show(scoped) | Verb::Events(scoped) | Verb::Affected(scoped) => &scoped.common,
            Verb::Stats { scoped, .. } | Verb::Export { scoped, .. } => &scoped.common,
            Verb::Verify(common) | Verb::Prove { common, .. } | Verb::Check { common, .. } => common,
            Verb::Erase { common, .. } => common,
            Verb::Hold(verb) => verb.common(),
            Verb::Retention(verb) => verb.common(),
        }
    }

    fn question(&self) -> Result<Question, String> {
        Ok(match self {
            Verb::Links(scoped) => Question::Links(scoped.scope(false)?),
            Verb::Show(scoped) => Question::Show(scoped.scope(true)?),
            Verb::Events(scoped) => Question::Events(scoped.scope(false)?),
            Verb::Affected(scoped) => Question::Affected(scoped.scope(false)?),
            Verb::Stats { scoped, by } => Question::Stats { scope: scoped.scope(false)?, by: (*by).into() },
            Verb::Export { scoped, format, .. } => {
                Question::Export { scope: scoped.scope(false)?, format: (*format).into() }
            }
            Verb::Verify(_) => Question::Verify,
            Verb::Prove { seq, writer, .. } => Question::Prove { seq: *seq, writer: *writer },
            Verb::Erase { site, seq, token_stdin, consent_stdin, visitor, reason, .. } => {
                Question::Keep(Keep::Erase(Erase {
                    site: site.clone(),
                    seqs: seq.clone(),
                    token: if *token_stdin { Some(from_stdin("token")?) } else { None },
                    visitor: visitor.clone(),
                    consent: if *consent_stdin { Some(from_stdin("consent id")?) } else { None },
                    reason: reason.clone(),
                }))
            }
            Verb::Hold(verb) => Question::Keep(verb.asked()?),
            Verb::Retention(verb) => Question::Keep(verb.asked()),
            Verb::Check { site, ip, from, to, reason, ticket, .. } => Question::Check(Check {
                site: site.clone(),
                address: address::read(ip)?,
                from: *from,
                to: *to,
                reason: reason.clone(),
                ticket: ticket.clone(),
            }),
        })
    }
}

impl Scoped {
    fn scope(&self, wants_token: bool) -> Result<Scope, String> {
        let token = if wants_token || self.token_stdin { Some(from_stdin("token")?) } else { None };
        let classes = self.class.as_ref().map(|classes| classes.to_vec());
        Ok(Scope { site: self.site.clone(), token, from: self.from, to: self.to, classes, ..Scope::default() })
    }
}

fn answer(verb: &Verb, common: &Common, config: &Config) -> Result<ExitCode, String> {
    let settings = config.ledger.clone().ok_or("the configuration has no `[ledger]`")?;
    let desk = Desk { settings, sites: config.site_keys(), clock: Arc::new(unix_time_ms) };
    let question = verb.question()?;
    let role = common.role.map_or(question.verb().least_role(), Role::from);
    let who = format!("uid {}", rustix::process::getuid().as_raw());
    let source = common.source.map(Source::from);
    let asker = Asker { role, who, via: Via::CommandLine, sites: None };
    let mut meter = Meter::new(io::stderr(), io::stderr().is_terminal());
    let mut progress = |records| meter.tell(records, Instant::now());
    if let Verb::Export { out: Some(directory), format, .. } = verb {
        export::into(directory, (*format).into(), |out| desk.ask(&asker, source, question, out, &mut progress))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Verb::Verify(_) = verb {
        let Answered { verified, .. } = desk
            .ask(&asker, source, question, &mut io::sink(), &mut progress)
            .map_err(|refused| refused.to_string())?;
        return Ok(print(&verified));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let answered = desk.ask(&asker, source, question, &mut out, &mut progress).and_then(|_| Ok(out.flush()?));
    match answered {
        // Whoever reads may have seen enough.
        Err(Refused::Trail(TrailError::Output(error))) if error.kind() == io::ErrorKind::BrokenPipe => {}
        answered => answered.map_err(|refused| refused.to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What comes on standard input, where no list of processes shows it.
fn from_stdin(what: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    // Large enough that it is not moved while it grows, so that no copy stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(8193));
    io::stdin().take(8192).read_to_end(&mut text).map_err(|error| format!("no {what}: {error}"))?;
    if text.trim_ascii().is_empty() {
        return Err(format!("no {what}: write it to standard input"));
    }
    Ok(text)
}

fn print(chains: &[Verified]) -> ExitCode {
    let mut text = String::new();
    for Verified { of, report, problems } in chains {
        text.push_str(&format!("{of}: {} records, {} checkpoints\n", report.records, report.checkpoints));
        problems.iter().for_each(|problem| text.push_str(&format!("  {problem}\n")));
    }
    let all_hold = chains.iter().all(|chain| chain.problems.is_empty());
    if all_hold {
        text.push_str("every chain holds\n");
    }
    super::print(&text);
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

impl From<SourceName> for Source {
    fn from(name: SourceName) -> Self {
        match name {
            SourceName::Journal => Source::Journal,
            SourceName::Central => Source::Central,
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
