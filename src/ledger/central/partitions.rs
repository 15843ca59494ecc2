//! The days of the central store. Each has a table of its own, so that a day can be dropped at once.

use std::collections::HashSet;

use postgres::GenericClient;

use super::error::CentralError;
use crate::ledger::journal::day;

const DAY_MS: u64 = 86_400_000;

/// Days for which a table is made before anything happens on them.
const AHEAD: u64 = 7;

/// The days that are known to have a table. To be forgotten with the connection: after a failure nothing is known.
#[derive(Default)]
pub(super) struct Days {
    known: HashSet<String>,
    ahead_of: String,
}

impl Days {
    /// Makes the tables of `days`, however late they come.
    pub fn make<'a>(
        &mut self,
        client: &mut impl GenericClient,
        days: impl Iterator<Item = &'a str>,
    ) -> Result<(), CentralError> {
        for day in days {
            if !self.known.contains(day) {
                client.execute("SELECT consentry.make_day($1::text::date)", &[&day])?;
                self.known.insert(day.to_owned());
            }
        }
        Ok(())
    }

    /// Makes the tables of the next days, once a day.
    pub fn make_ahead(&mut self, client: &mut impl GenericClient, now_ms: u64) -> Result<(), CentralError> {
        let today = day(now_ms);
        if self.ahead_of != today {
            let days: Vec<_> = (0..=AHEAD).map(|ahead| day(now_ms.saturating_add(ahead * DAY_MS))).collect();
            self.make(client, days.iter().map(String::as_str))?;
            self.ahead_of = today;
        }
        Ok(())
    }
}
