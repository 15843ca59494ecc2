//! The Global Privacy Platform: its sections for the United States, and the older one inside it.
//!
//! An opt-out from sale, sharing or targeted advertising in any section, or a section's own record of GPC, denies what
//! the site calls sale. Nothing here ever grants. The TC string in it is read by `tcf`.
//! Source: IAB Tech Lab, "Global Privacy Platform String", and the specifications of its sections.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::consent::iab::gpp::GppString;
use crate::consent::iab::us::{Choice, UsSection};
use crate::policy::decode_percent;

pub(super) const FORMAT: Format = Format {
    name: "gpp",
    tier: Tier::UsOptOut,
    cookies: &["IABGPP_HDR_GppString"],
    listed_cookies: &[],
    ids: &[],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut problem = None;
    for cookie in input.cookies.iter() {
        let value = decode_percent(cookie.value);
        let Ok(string) = GppString::parse(&value) else {
            problem = Some(Problem::Malformed);
            continue;
        };
        let mut opted_out = false;
        for (_, section) in string.us_sections() {
            match section {
                Ok(section) => opted_out |= opts_out(&section),
                Err(_) => problem = Some(Problem::Malformed),
            }
        }
        match string.us_privacy() {
            Some(Ok(older)) => opted_out |= older.opted_out_of_sale == Some(true),
            Some(Err(_)) => problem = Some(Problem::Malformed),
            None => {}
        }
        if opted_out {
            choices.set_all(input.site.gpc_caps, false);
        }
    }
    match problem.filter(|_| choices.is_empty()) {
        Some(problem) => Some(Signal::problem(problem)),
        None => Some(choices.signal(Strength::Explicit, None)),
    }
}

fn opts_out(section: &UsSection) -> bool {
    let choices = [section.sale_opt_out, section.sharing_opt_out, section.targeted_advertising_opt_out];
    choices.contains(&Some(Choice::OptedOut)) || section.gpc == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::testing::reader;
    use super::*;

    #[test]
    fn an_opt_out_denies_and_nothing_grants() {
        reader(&FORMAT).check(&[
            ("IABGPP_HDR_GppString=DBABLA~BVQVAAAAAmA.YA", "-marketing"),
            ("IABGPP_HDR_GppString=DBABLA~BVQVAAAAAmA.QA", "-marketing"),
            ("IABGPP_HDR_GppString=DBABLA~BVQqAAAAAmA.QA", "undecided"),
            ("IABGPP_HDR_GppString=DBABLA~BVQqAAAAAmA.YA", "-marketing"),
            ("IABGPP_HDR_GppString=DBABLA%7EBVQVAAAAAmA.YA", "-marketing"),
            ("IABGPP_HDR_GppString=DBABBg~BUUAAACA.YA", "-marketing"),
            ("IABGPP_HDR_GppString=DBABzg~1YYN", "malformed"),
            ("IABGPP_HDR_GppString=DBABLA", "malformed"),
            ("IABGPP_HDR_GppString=", "malformed"),
            ("IABGPP_HDR_GppString=DBABLA~BVQqAAAAAmA.QA; IABGPP_HDR_GppString=DBABLA~BVQVAAAAAmA.QA", "-marketing"),
        ]);
    }
}
