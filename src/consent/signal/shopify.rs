//! Shopify's Customer Privacy: `_tracking_consent`, URL-encoded JSON.
//!
//! `con.CMP` is the visitor's choice: `a` analytics, `m` marketing, `p` preferences, `s` sale of data, each `"1"`, `"0"` or
//! empty. `purposes` is what Shopify makes of the region, all true where it asks nobody; older stores keep it in `_cmp_a`.
//! In version 2.0 one `con.GDPR` stands for all: only its refusal is read, and the sale's, as one of marketing. Version 3
//! is a short text, `3.AMPS_…`, whose form is not documented: the page reads it.
//! Source: Shopify developer documentation, "Customer Privacy API" (meanings); the form is of cookies that shops set.

use serde::Deserialize;

use super::decode::{Text, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "shopify",
    tier: Tier::Banner,
    cookies: &["_tracking_consent", "_cmp_a"],
    listed_cookies: &[],
    ids: &[("a", "analytics"), ("m", "marketing"), ("p", "preferences")],
    read,
};

#[derive(Deserialize)]
struct Tracking<'a> {
    #[serde(borrow)]
    con: Option<Consent<'a>>,
    purposes: Option<Permissions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Consent<'a> {
    #[serde(borrow)]
    cmp: Option<Visitor<'a>>,
    #[serde(borrow)]
    gdpr: Option<Text<'a>>,
}

/// `"1"`, `"0"` or nothing.
#[derive(Deserialize)]
struct Visitor<'a> {
    #[serde(borrow)]
    a: Option<Text<'a>>,
    #[serde(borrow)]
    m: Option<Text<'a>>,
    #[serde(borrow)]
    p: Option<Text<'a>>,
    #[serde(borrow)]
    s: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Permissions {
    a: Option<bool>,
    m: Option<bool>,
    p: Option<bool>,
}

/// What something is about, and whether it is granted.
type Said = (&'static str, bool);

impl Tracking<'_> {
    /// The visitor's choices.
    fn visitor(&self) -> Vec<Said> {
        let Some(con) = &self.con else { return Vec::new() };
        let refused = |text: &Option<Text<'_>>| state(text).filter(|granted| !granted);
        let all = refused(&con.gdpr);
        let mut said = vec![("a", all), ("m", all), ("p", all)];
        if let Some(cmp) = &con.cmp {
            said.extend([("a", state(&cmp.a)), ("m", state(&cmp.m)), ("p", state(&cmp.p)), ("m", refused(&cmp.s))]);
        }
        known(said)
    }

    /// What holds in the visitor's region.
    fn region(&self) -> Vec<Said> {
        self.purposes.as_ref().map_or(Vec::new(), |all| known(vec![("a", all.a), ("m", all.m), ("p", all.p)]))
    }
}

fn known(said: Vec<(&'static str, Option<bool>)>) -> Vec<Said> {
    said.into_iter().filter_map(|(id, state)| Some((id, state?))).collect()
}

fn state(text: &Option<Text<'_>>) -> Option<bool> {
    match text.as_ref()?.0.as_ref() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    let chosen = input.cookies.iter().any(|cookie| parse(cookie.value).is_some_and(|(visitor, _)| !visitor.is_empty()));
    records(input, input.cookies.iter(), choices, |cookie, choices| {
        if cookie.value.starts_with(b"3.") {
            return Some(Record::Opaque);
        }
        let (visitor, region) = parse(cookie.value)?;
        let said = if chosen { visitor } else { region };
        if said.is_empty() {
            return Some(Record::Undecided);
        }
        said.iter().for_each(|(id, granted)| choices.set(id, *granted));
        Some(if chosen { Record::explicit(None) } else { Record::implied(None) })
    })
}

/// The visitor's choices, and what holds in the region.
fn parse(value: &[u8]) -> Option<(Vec<Said>, Vec<Said>)> {
    json(value, |text| {
        let tracking: Tracking<'_> = serde_json::from_str(text).ok()?;
        Some((tracking.visitor(), tracking.region()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(a: &str, m: &str, p: &str, s: &str, region: bool) -> String {
        let json = format!(
            r#"{{"con":{{"CMP":{{"a":"{a}","m":"{m}","p":"{p}","s":"{s}"}}}},"v":"2.1","region":"FRIDF","reg":"GDPR","purposes":{{"a":{region},"p":{region},"m":{region},"t":true}},"display_banner":false,"sale_of_data_region":false}}"#
        );
        format!("_tracking_consent={json}")
    }

    #[test]
    fn the_visitors_choice_is_read() {
        let encoded = "_tracking_consent=%7B%22con%22%3A%7B%22CMP%22%3A%7B%22a%22%3A%221%22%2C%22m%22%3A%220%22%2C%22p%22%3A%221%22%2C%22s%22%3A%22%22%7D%7D%2C%22v%22%3A%222.1%22%2C%22region%22%3A%22FRIDF%22%2C%22reg%22%3A%22GDPR%22%2C%22purposes%22%3A%7B%22a%22%3Atrue%2C%22p%22%3Atrue%2C%22m%22%3Afalse%2C%22t%22%3Atrue%7D%2C%22display_banner%22%3Afalse%2C%22sale_of_data_region%22%3Afalse%7D";
        let (all, none) = (cookie("1", "1", "1", "1", true), cookie("0", "0", "0", "0", true));
        reader(&FORMAT).check(&[
            (encoded, "+preferences +analytics -marketing"),
            (&all, "+preferences +analytics +marketing"),
            (&none, "-preferences -analytics -marketing"),
            (&format!("{all}; {none}"), "-preferences -analytics -marketing"),
            (&cookie("1", "", "", "", true), "+analytics"),
            (&all.replace("\"1\"", "1"), "malformed"),
            ("_tracking_consent=%7B%22con%22%3A", "malformed"),
            ("_tracking_consent=1", "malformed"),
            ("_tracking_consent={}", "undecided"),
            ("_cmp_a=[]", "malformed"),
        ]);
    }

    #[test]
    fn without_a_choice_purposes_are_the_regions_default() {
        let split = r#"_tracking_consent={"con":{"CMP":{"a":"","m":"","p":"","s":""}},"v":"2.1"}; _cmp_a={"purposes":{"a":true,"p":true,"m":false,"t":true}}"#;
        reader(&FORMAT).check(&[
            (&cookie("", "", "", "", true), "+preferences +analytics +marketing ~"),
            (&cookie("", "", "", "", false), "-preferences -analytics -marketing ~"),
            (split, "+preferences +analytics -marketing ~"),
            (&split.replacen(r#""a":"""#, r#""a":"0""#, 1), "-analytics"),
        ]);
    }

    #[test]
    fn who_refuses_the_sale_refuses_marketing() {
        reader(&FORMAT).check(&[
            (&cookie("1", "1", "1", "0", true), "+preferences +analytics -marketing"),
            (&cookie("", "", "", "0", true), "-marketing"),
            (&cookie("1", "", "", "1", true), "+analytics"),
            (&cookie("", "", "", "1", false), "-preferences -analytics -marketing ~"),
        ]);
    }

    #[test]
    fn of_version_two_only_the_refusal_is_read_and_of_version_three_nothing() {
        let old = |state: &str| {
            format!(r#"_tracking_consent={{"lim":["GDPR"],"v":"2.0","con":{{"GDPR":"{state}"}},"reg":"GDPR"}}"#)
        };
        reader(&FORMAT).check(&[
            (&old("0"), "-preferences -analytics -marketing"),
            (&old("1"), "undecided"),
            (&old(""), "undecided"),
            ("_tracking_consent=3.AMPS_FRIDF_f_f_4MXMfRPtTkGLORLJPTGqOQ", "opaque"),
        ]);
    }

    #[test]
    fn keys_are_what_the_site_says() {
        reader_with(&FORMAT, &[("p", "marketing")], None)
            .check(&[(&cookie("1", "1", "0", "", true), "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state| cookie(state, state, state, state, true);
        holds(&reader(&FORMAT), &line("1"), &line("0"), true);
    }
}
