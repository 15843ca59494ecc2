//! Holds and retention.

use clap::Subcommand;

use super::{Common, from_stdin};
use crate::ledger::desk::{Keep, parse_time};

#[derive(Subcommand)]
pub(super) enum Hold {
    /// Hold the records of a site, or of one link of it.
    Place {
        #[command(flatten)]
        common: Common,
        /// At which site.
        #[arg(long, value_name = "NAME")]
        site: String,
        /// Only the link whose token comes on standard input.
        #[arg(long)]
        token_stdin: bool,
        /// Why; it must not tell about a person.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The case that it belongs to.
        #[arg(long, value_name = "TEXT")]
        ticket: String,
    },
    /// The holds that are in force.
    List(Common),
    /// End a hold: what is due goes with the next purge.
    Release {
        #[command(flatten)]
        common: Common,
        /// Which, as `list` shows it.
        id: String,
        /// Why; it must not tell about a person.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Retention {
    /// What is due, what is held, and when the next is due.
    Plan(Common),
    /// Purge what is due, as the proxy does each day.
    Run {
        #[command(flatten)]
        common: Common,
        /// Purge all before this day (UTC) or time, as far as sites keep records at least.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        before: Option<u64>,
    },
}

impl Hold {
    pub(super) fn common(&self) -> &Common {
        match self {
            Hold::Place { common, .. } | Hold::List(common) | Hold::Release { common, .. } => common,
        }
    }

    pub(super) fn asked(&self) -> Result<Keep, String> {
        Ok(match self {
            Hold::Place { site, token_stdin, reason, ticket, .. } => Keep::PlaceHold {
                site: site.clone(),
                token: if *token_stdin { Some(from_stdin("token")?) } else { None },
                reason: reason.clone(),
                ticket: ticket.clone(),
            },
            Hold::List(_) => Keep::ListHolds,
            Hold::Release { id, reason, .. } => Keep::ReleaseHold { id: id.clone(), reason: reason.clone() },
        })
    }
}

impl Retention {
    pub(super) fn common(&self) -> &Common {
        match self {
            Retention::Plan(common) | Retention::Run { common, .. } => common,
        }
    }

    pub(super) fn asked(&self) -> Keep {
        match self {
            Retention::Plan(_) => Keep::Plan,
            Retention::Run { before, .. } => Keep::Run { before: *before },
        }
    }
}
