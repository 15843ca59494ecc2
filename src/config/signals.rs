//! Which signals a site believes, and what they mean there.

use std::collections::{BTreeMap, HashMap};

use toml::Spanned;

use super::check::{Check, Text};
use super::raw;
use crate::consent::signal::FORMATS;
use crate::consent::{ALIASES, FormatSettings, SiteSignals, format_named};
use crate::policy::{Country, Jurisdiction, Origin};

/// Banners that keep their record where no server sees it.
const ONLY_IN_THE_PAGE: [&str; 2] = ["usercentrics", "termly"];

/// The formats that `site` lists, with its settings for them.
pub(super) fn signals(
    check: &mut Check<'_>,
    listed: &[Text],
    settings: BTreeMap<Text, Spanned<raw::Signal>>,
    own_cookie: &str,
) -> SiteSignals {
    let listed: Vec<_> = listed.iter().filter_map(|name| position(check, name)).collect();
    let mut by_position = HashMap::new();
    for (name, settings) in settings {
        let Some(position) = position(check, &name) else { continue };
        if !listed.is_empty() && !listed.contains(&position) {
            let message = format!("`{}` has settings, but is not in `signals`", name.get_ref());
            check.warning(name.span(), message, "add it to `signals`, or remove its settings");
        }
        let settings = format_settings(check, settings.into_inner());
        if by_position.insert(position, settings).is_some() {
            let message = format!("`{}` is another name for a format that has settings already", name.get_ref());
            check.error(name.span(), message, "put both into one table");
        }
    }
    SiteSignals::new(&listed, &by_position, own_cookie, check.purposes)
}

/// What the site calls the cookies of its banners, and where it says so.
pub(super) fn record_names(
    check: &Check<'_>,
    settings: &BTreeMap<Text, Spanned<raw::Signal>>,
) -> Vec<(Box<str>, Origin)> {
    let named = settings.values().flat_map(|settings| settings.get_ref().cookies.iter().flatten());
    named.map(|name| (name.get_ref().as_str().into(), check.origin(&name.span()))).collect()
}

fn position(check: &mut Check<'_>, name: &Text) -> Option<usize> {
    let word = name.get_ref().as_str();
    if ONLY_IN_THE_PAGE.contains(&word) {
        check.error(
            name.span(),
            format!("`{word}` keeps what was chosen where no server sees it"),
            "write `bridge = true` instead: a script in the page then tells what was chosen there",
        );
        return None;
    }
    let position = format_named(word);
    if position.is_none() {
        let names = FORMATS.iter().map(|format| format.name).chain(ALIASES.iter().map(|(alias, _)| *alias));
        let help = format!("known here: {}", names.collect::<Vec<_>>().join(", "));
        check.error(name.span(), format!("unknown signal `{word}`"), help);
    }
    position
}

fn format_settings(check: &mut Check<'_>, raw: raw::Signal) -> FormatSettings {
    let cookies = raw.cookies.map(|names| names.iter().filter_map(|name| cookie_name(check, name)).collect());
    let mut ids = Vec::new();
    for (id, purpose) in raw.purposes {
        if let Some(purpose) = check.purpose(purpose.get_ref(), purpose.span()) {
            ids.push((id.into_inner().into(), purpose));
        }
    }
    let revision = raw.revision.map(raw::Revision::into_text);
    FormatSettings { cookies, ids, revision }
}

fn cookie_name(check: &mut Check<'_>, name: &Text) -> Option<Box<str>> {
    let text = name.get_ref();
    let fixed = text.strip_suffix('*').unwrap_or(text);
    let possible = !fixed.is_empty() && fixed.bytes().all(|b| b.is_ascii_graphic() && !b"*;=,\"".contains(&b));
    if !possible {
        let help = "write its name; a `*` at the end stands for anything";
        check.error(name.span(), format!("`{text}` cannot name a cookie"), help);
    }
    possible.then(|| text.as_str().into())
}

/// What silence means by country.
pub(super) fn by_country(check: &mut Check<'_>, raw: BTreeMap<Text, Vec<Text>>) -> Vec<(Country, Jurisdiction)> {
    let mut known = Vec::new();
    for (word, countries) in raw {
        let Some(jurisdiction) = check.choice(Some(&word), &super::validate::JURISDICTIONS) else { continue };
        for code in countries {
            let Some(country) = Country::parse(code.get_ref().as_bytes()) else {
                let message = format!("`{}` is not a country", code.get_ref());
                check.error(code.span(), message, "write its code of two letters (ISO 3166-1), such as `DE`");
                continue;
            };
            if known.iter().any(|(other, _)| *other == country) {
                let message = format!("`{}` is listed twice", country.as_str());
                check.error(code.span(), message, "let each country have one rule");
            }
            known.push((country, jurisdiction));
        }
    }
    known
}
