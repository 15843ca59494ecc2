//! What a visitor chose, read from a form or from JSON.

use http::header::CONTENT_TYPE;
use pingora::Result;
use pingora::proxy::Session;
use serde::Deserialize;

use super::super::message::read_body;
use crate::policy::{decode_form, query_pairs};

/// A choice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Names of purposes that are granted.
    pub purposes: Vec<String>,
    /// Names of purposes that it is about. `None`: all.
    pub of: Option<Vec<String>>,
    /// Everything that the site offers is granted.
    pub all: bool,
    /// Whether it says anything about purposes: silence is no choice.
    pub made: bool,
    /// Where a browser goes afterwards.
    pub return_to: Option<String>,
}

/// Why no choice could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub status: u16,
    pub problem: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    purposes: Vec<String>,
    of: Option<Vec<String>>,
}

/// Reads the request's body, of at most `limit` bytes.
pub(super) async fn read(session: &mut Session, limit: usize) -> Result<Result<Choice, Wrong>> {
    let content_type = session.req_header().headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_vec());
    let Some(body) = read_body(session, limit).await? else {
        return Ok(Err(Wrong { status: 413, problem: "the choice is too long" }));
    };
    Ok(parse(content_type.as_deref().unwrap_or_default(), &body))
}

fn parse(content_type: &[u8], body: &[u8]) -> Result<Choice, Wrong> {
    let form = content_type.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded");
    let wrong =
        Wrong { status: 400, problem: "expected {\"purposes\": [\"analytics\"]} as JSON, or a form with `purposes`" };
    // Command line clients call everything a form.
    if form && !body.trim_ascii_start().starts_with(b"{") {
        return Ok(parse_form(body));
    }
    let Json { purposes, of } = serde_json::from_slice(body).map_err(|_| wrong)?;
    Ok(Choice { purposes, of, made: true, ..Choice::default() })
}

fn parse_form(body: &[u8]) -> Choice {
    let mut choice = Choice::default();
    let mut none = false;
    for (key, value) in query_pairs(body) {
        let value = decode_form(value);
        match key {
            b"purposes" => {
                choice.made = true;
                choice.purposes.push(value);
            }
            b"choice" => {
                choice.made = true;
                choice.all = value == "all";
                none = value == "none";
            }
            b"return" => choice.return_to = Some(value),
            _ => {}
        }
    }
    if none || choice.all {
        choice.purposes.clear();
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_json_are_read() {
        let form = |body: &str| parse(b"application/x-www-form-urlencoded", body.as_bytes()).unwrap();
        assert_eq!(form("purposes=analytics&purposes=a%2Db").purposes, ["analytics", "a-b"]);
        assert_eq!(form("purposes=analytics&choice=none").purposes, [] as [&str; 0]);
        assert!(form("purposes=analytics&choice=all").all);
        assert_eq!(form("choice=none&return=%2Fcart%3Fa%3D1").return_to.as_deref(), Some("/cart?a=1"));
        assert_eq!(parse(b"application/json", br#"{"purposes":["analytics"]}"#).unwrap().purposes, ["analytics"]);
        let some = parse(b"", br#"{"of":["analytics"],"purposes":[]}"#).unwrap();
        assert_eq!((some.purposes, some.of.unwrap()), (vec![], vec!["analytics".to_owned()]));
        let curl = parse(b"application/x-www-form-urlencoded", br#"{"purposes":["analytics"]}"#);
        assert_eq!(curl.unwrap().purposes, ["analytics"]);
        assert!(!form("return=/").made && form("choice=none").made);
        for body in ["", "{}", "[]", r#"{"purposes":"analytics"}"#, r#"{"purposes":[],"x":1}"#] {
            assert_eq!(parse(b"", body.as_bytes()).unwrap_err().status, 400, "{body}");
        }
    }
}
