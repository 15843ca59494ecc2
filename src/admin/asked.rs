//! A question as it is sent: a JSON object, or, where nothing secret belongs to it, a query.

use std::net::IpAddr;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::ledger::agent::AgentClass;
use crate::ledger::chain::Writer;
use crate::ledger::desk::{Check, Erase, Keep, Question, Scope, Source, Verb, parse_time};
use crate::ledger::pseudonym::ClientAddress;
use crate::ledger::record::from_hex;
use crate::ledger::trail::{Dimension, Format};

/// Records in one answer, at most. The next begins after the last of them.
const PAGE: u64 = 10_000;

/// All that can be said in a question. It may hold a token or an address, so it cannot be shown, and nothing in it is
/// ever said back.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    site: Option<String>,
    source: Option<String>,
    token: Option<String>,
    from: Option<String>,
    to: Option<String>,
    class: Option<String>,
    by: Option<String>,
    format: Option<String>,
    seq: Option<u64>,
    writer: Option<String>,
    seqs: Option<Vec<u64>>,
    visitor: Option<String>,
    consent: Option<String>,
    id: Option<String>,
    before: Option<String>,
    ip: Option<String>,
    reason: Option<String>,
    ticket: Option<String>,
    after: Option<u64>,
    limit: Option<u64>,
}

/// Whether `verb` can be asked with GET: its answer is all that there is, and nothing secret belongs to it.
pub(super) fn is_readable(verb: Verb) -> bool {
    matches!(verb, Verb::Links | Verb::Stats | Verb::Verify)
}

impl Asked {
    /// From the body of a POST; an empty one says nothing.
    pub(super) fn from_body(body: &[u8]) -> Result<Asked, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Asked::default());
        }
        // What the parser says may repeat what was sent.
        serde_json::from_slice(body).map_err(|error| {
            format!("the body is not a question as a JSON object: line {}, column {}", error.line(), error.column())
        })
    }

    /// From the query of a GET.
    pub(super) fn from_query(query: &str) -> Result<Asked, String> {
        let mut asked = Asked::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "site" => &mut asked.site,
                "source" => &mut asked.source,
                "from" => &mut asked.from,
                "to" => &mut asked.to,
                "by" => &mut asked.by,
                "class" => &mut asked.class,
                "token" => return Err(TOKEN_IN_URL.to_owned()),
                _ => {
                    let all = "a query has `site`, `from`, `to`, `class`, `by` and `source`; send all else as the body \
                               of a POST";
                    return Err(all.to_owned());
                }
            };
            if field.replace(value.into_owned()).is_some() {
                return Err("a query says each thing once".to_owned());
            }
        }
        Ok(asked)
    }

    /// Which records it is about, if that is said. It means something to every verb.
    pub(super) fn source(&self) -> Result<Option<Source>, String> {
        match self.source.as_deref().map(Source::from_word) {
            Some(None) => Err("`source` is journal or central".to_owned()),
            known => Ok(known.flatten()),
        }
    }

    /// The question that it is for `verb`.
    pub(super) fn into_question(self, verb: Verb) -> Result<Question, String> {
        self.only(verb)?;
        let (from, to) = (time(self.from.as_deref(), "from")?, time(self.to.as_deref(), "to")?);
        let token = self.token.map(|token| Zeroizing::new(token.into_bytes()));
        let (after, limit) = match verb {
            Verb::Events | Verb::Export => (self.after, Some(self.limit.unwrap_or(PAGE).clamp(1, PAGE))),
            _ => (None, None),
        };
        let classes = match self.class.as_deref().map(AgentClass::from_list) {
            Some(None) => return Err(format!("`class`: {}", AgentClass::LIST)),
            known => known.flatten(),
        };
        let scope = Scope { site: self.site.clone(), token, from, to, after, limit, classes };
        Ok(match verb {
            Verb::Links => Question::Links(scope),
            Verb::Show => Question::Show(scope),
            Verb::Events => Question::Events(scope),
            Verb::Affected => Question::Affected(scope),
            Verb::Stats => Question::Stats { scope, by: dimension(self.by.as_deref())? },
            Verb::Export => Question::Export { scope, format: format(self.format.as_deref())? },
            Verb::Verify => Question::Verify,
            Verb::Prove => Question::Prove {
                seq: self.seq.ok_or("`seq` says which record")?,
                writer: self.writer.as_deref().map(writer).transpose()?,
            },
            Verb::Erase => Question::Keep(Keep::Erase(Erase {
                site: self.site.ok_or("`site` says where")?,
                seqs: self.seqs,
                token: scope.token,
                visitor: self.visitor,
                consent: self.consent.map(|id| Zeroizing::new(id.into_bytes())),
                reason: self.reason.unwrap_or_default(),
            })),
            Verb::PlaceHold => Question::Keep(Keep::PlaceHold {
                site: self.site.ok_or("`site` says where")?,
                token: scope.token,
                reason: self.reason.unwrap_or_default(),
                ticket: self.ticket.unwrap_or_default(),
            }),
            Verb::ListHolds => Question::Keep(Keep::ListHolds),
            Verb::ReleaseHold => Question::Keep(Keep::ReleaseHold {
                id: self.id.ok_or("`id` says which hold")?,
                reason: self.reason.unwrap_or_default(),
            }),
            Verb::Plan => Question::Keep(Keep::Plan),
            Verb::Run => Question::Keep(Keep::Run { before: time(self.before.as_deref(), "before")? }),
            Verb::Check => Question::Check(Check {
                site: self.site.ok_or("`site` says where")?,
                address: address(&Zeroizing::new(self.ip.ok_or("`ip` says which address")?))?,
                from: from.ok_or("`from` says from when")?,
                to: to.ok_or("`to` says until when")?,
                reason: self.reason.unwrap_or_default(),
                ticket: self.ticket.unwrap_or_default(),
            }),
        })
    }

    /// What means nothing to `verb` is no part of it: whoever sends it expects something else.
    fn only(&self, verb: Verb) -> Result<(), String> {
        let takes: &[&str] = match verb {
            Verb::Links | Verb::Show | Verb::Affected => &["site", "token", "from", "to", "class"],
            Verb::Events => &["site", "token", "from", "to", "class", "after", "limit"],
            Verb::Stats => &["site", "token", "from", "to", "class", "by"],
            Verb::Export => &["site", "token", "from", "to", "class", "format", "after", "limit"],
            Verb::Verify | Verb::ListHolds | Verb::Plan => &[],
            Verb::Prove => &["seq", "writer"],
            Verb::Erase => &["site", "seqs", "token", "visitor", "consent", "reason"],
            Verb::PlaceHold => &["site", "token", "reason", "ticket"],
            Verb::ReleaseHold => &["id", "reason"],
            Verb::Run => &["before"],
            Verb::Check => &["site", "ip", "from", "to", "reason", "ticket"],
        };
        let said = [
            ("site", self.site.is_some()),
            ("token", self.token.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("class", self.class.is_some()),
            ("by", self.by.is_some()),
            ("format", self.format.is_some()),
            ("seq", self.seq.is_some()),
            ("writer", self.writer.is_some()),
            ("seqs", self.seqs.is_some()),
            ("visitor", self.visitor.is_some()),
            ("consent", self.consent.is_some()),
            ("id", self.id.is_some()),
            ("before", self.before.is_some()),
            ("ip", self.ip.is_some()),
            ("reason", self.reason.is_some()),
            ("ticket", self.ticket.is_some()),
            ("after", self.after.is_some()),
            ("limit", self.limit.is_some()),
        ];
        match said.iter().find(|(name, said)| *said && !takes.contains(name)) {
            Some((name, _)) => Err(format!("`{name}` means nothing to `{}`", verb.as_str())),
            None => Ok(()),
        }
    }
}

/// Addresses are logged on their way and kept in histories.
const TOKEN_IN_URL: &str =
    "a token does not belong into a URL: take this one for known to others, and send it as the body of a POST";

fn time(text: Option<&str>, name: &str) -> Result<Option<u64>, String> {
    text.map(parse_time).transpose().map_err(|help| format!("`{name}` is no time: {help}"))
}

fn dimension(word: Option<&str>) -> Result<Dimension, String> {
    let all = [Dimension::Country, Dimension::Referrer, Dimension::Agent];
    let found = all.into_iter().find(|by| word == Some(by.as_str()));
    found.ok_or_else(|| "`by` is one of country, referrer, agent".to_owned())
}

fn format(word: Option<&str>) -> Result<Format, String> {
    let found = [Format::Jsonl, Format::Csv].into_iter().find(|format| word == Some(format.as_str()));
    found.ok_or_else(|| "`format` is jsonl or csv".to_owned())
}

fn writer(text: &str) -> Result<Writer, String> {
    from_hex(text).ok_or_else(|| "`writer` is no name of a journal, as `events` shows it".to_owned())
}

fn address(text: &str) -> Result<ClientAddress, String> {
    let address = text.trim().parse::<IpAddr>();
    address.map(ClientAddress::new).map_err(|_| "`ip` is no IP address".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(verb: Verb, body: &str) -> Option<String> {
        Asked::from_body(body.as_bytes()).and_then(|asked| asked.into_question(verb)).err()
    }

    #[test]
    fn each_verb_takes_what_means_something_to_it() {
        let all = [
            ("site", r#""shop""#),
            ("token", r#""t""#),
            ("from", r#""2026-03-01""#),
            ("to", r#""2026-04-01T00:00:00Z""#),
            ("class", r#""human, unknown""#),
            ("by", r#""agent""#),
            ("format", r#""csv""#),
            ("seq", "7"),
            ("writer", r#""00112233445566778899aabbccddeeff""#),
            ("seqs", "[7, 8]"),
            ("visitor", r#""v""#),
            ("consent", r#""c""#),
            ("id", r#""i""#),
            ("before", r#""2026-03-01""#),
            ("ip", r#""2001:db8::1""#),
            ("reason", r#""r""#),
            ("ticket", r#""t""#),
            ("after", "1"),
            ("limit", "1"),
        ];
        for (verb, takes) in [
            (Verb::Links, "site token from to class"),
            (Verb::Show, "site token from to class"),
            (Verb::Affected, "site token from to class"),
            (Verb::Events, "site token from to class after limit"),
            (Verb::Stats, "site token from to class by"),
            (Verb::Export, "site token from to class format after limit"),
            (Verb::Verify, ""),
            (Verb::Prove, "seq writer"),
            (Verb::Erase, "site seqs token visitor consent reason"),
            (Verb::PlaceHold, "site token reason ticket"),
            (Verb::ListHolds, ""),
            (Verb::ReleaseHold, "id reason"),
            (Verb::Plan, ""),
            (Verb::Run, "before"),
            (Verb::Check, "site from to ip reason ticket"),
        ] {
            let body = |names: &[&str]| {
                let members: Vec<_> = all.iter().filter(|(name, _)| names.contains(name)).collect();
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            };
            let known: Vec<_> = takes.split_whitespace().collect();
            assert_eq!(refused(verb, &body(&known)), None, "{verb:?}");
            for (name, _) in all.iter().filter(|(name, _)| !known.contains(name)) {
                let with = [known.clone(), vec![name]].concat();
                assert!(refused(verb, &body(&with)).is_some_and(|why| why.contains(name)), "{verb:?} {name}");
            }
        }
    }

    #[test]
    fn each_verb_is_asked_of_a_source_that_is_known() {
        for (body, query, expected) in [
            ("{}", "", Ok(None)),
            (r#"{"source":"central"}"#, "source=central", Ok(Some(Source::Central))),
            (r#"{"source":"journal"}"#, "source=journal", Ok(Some(Source::Journal))),
            (r#"{"source":"m4rk3r"}"#, "source=m4rk3r", Err(())),
        ] {
            for asked in [Asked::from_body(body.as_bytes()), Asked::from_query(query)] {
                let source = asked.expect(body).source();
                assert!(!source.as_ref().is_err_and(|why| why.contains("m4rk3r")));
                assert_eq!(source.map_err(drop), expected);
            }
            let all_take_it = Verb::all().all(|verb| refused(verb, body).is_none_or(|why| !why.contains("source")));
            assert!(all_take_it);
        }
    }

    #[test]
    fn an_answer_has_a_bounded_number_of_records() {
        for (limit, expected) in [("", PAGE), (r#""limit":3"#, 3), (r#""limit":0"#, 1), (r#""limit":99999999"#, PAGE)] {
            let asked = Asked::from_body(format!("{{{limit}}}").as_bytes()).and_then(|a| a.into_question(Verb::Events));
            let Ok(Question::Events(scope)) = asked else { panic!("{limit}") };
            assert_eq!(scope.limit, Some(expected));
        }
    }

    #[test]
    fn what_is_wrong_is_not_said_back() {
        for body in [
            r#"{"m4rk3r": 1}"#,
            r#"{"seq": "m4rk3r"}"#,
            r#""m4rk3r""#,
            r#"{"token": "m4rk3r""#,
            r#"{"from": "m4rk3r"}"#,
            r#"{"by": "m4rk3r"}"#,
            r#"{"site": "m4rk3r", "site": 1}"#,
            r#"{"site": "s", "ip": "m4rk3r", "from": "2026-01-01", "to": "2026-01-01"}"#,
        ] {
            for verb in Verb::all() {
                let said = refused(verb, body).expect(body);
                assert!(!said.contains("m4rk3r"), "{body}: {said}");
            }
        }
        for query in ["token=m4rk3r", "m4rk3r=1", "site=a&site=m4rk3r", "%74oken=m4rk3r"] {
            let said = Asked::from_query(query).err().expect(query);
            assert!(!said.contains("m4rk3r"), "{query}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_body_and_any_query_end_well(bytes: Vec<u8>, query in "[ -~]{0,40}") {
            for verb in Verb::all() {
                _ = Asked::from_body(&bytes).and_then(|asked| asked.into_question(verb));
                _ = Asked::from_query(&query).and_then(|asked| asked.into_question(verb));
            }
        }
    }
}
