//! Whether all chains hold: the journal, that of the questions, and those in the central store.

use std::io::Write;

use serde_json::{Value, json};

use super::{Answered, Desk, Refused, Source, line, of_questions};
use crate::ledger::journal::verify::{Report, verify_telling};
use crate::ledger::record::hex;
use crate::ledger::{Progress, central};

/// What was found of one chain.
#[derive(Debug)]
pub struct Verified {
    /// Which chain it is, in words.
    pub of: String,
    pub report: Report,
    /// All that is wrong with it, in words.
    pub problems: Vec<String>,
}

impl Verified {
    fn new(of: impl Into<String>, report: Report) -> Self {
        let problems = report.problems.iter().map(ToString::to_string).collect();
        Verified { of: of.into(), report, problems }
    }

    fn shown(&self) -> Value {
        json!({
            "of": self.of,
            "records": self.report.records,
            "purged": self.report.purged,
            "first": self.report.first,
            "last": self.report.last,
            "checkpoints": self.report.checkpoints,
            "problems": self.problems,
        })
    }
}

impl Desk {
    pub(super) fn verify(
        &self,
        source: Source,
        out: &mut dyn Write,
        progress: Progress<'_>,
    ) -> Result<Answered, Refused> {
        let (path, outside) = (&self.settings.path, &self.settings.checkpoints);
        let mut chains = vec![
            Verified::new("journal", verify_telling(path, Some(outside), progress)),
            Verified::new("questions", verify_telling(&of_questions(path), Some(&of_questions(outside)), progress)),
        ];
        if source == Source::Central {
            let reports = central::verify(&mut self.client()?, progress).map_err(|error| self.unanswered(error))?;
            for found in reports {
                let mut chain = Verified::new(format!("central store, journal {}", hex(&found.writer)), found.report);
                if found.conflicts > 0 {
                    let count = found.conflicts;
                    chain.problems.push(format!("{count} other records came as those of this journal: it was copied"));
                }
                chains.push(chain);
            }
        }
        let holds = chains.iter().all(|chain| chain.problems.is_empty());
        let shown: Vec<_> = chains.iter().map(Verified::shown).collect();
        line(out, &json!({ "holds": holds, "chains": shown }))?;
        Ok(Answered { verified: chains, ..Answered::default() })
    }
}
