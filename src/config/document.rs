//! TOML text to serde types, without stopping at the first error.
//!
//! serde gives up at the first problem. So the offending entry is taken out of the parsed document and the rest is
//! tried again, until nothing is wrong or nothing more can be taken out: each round reports one problem.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::diagnostic::Diagnostic;

/// No file has more problems that are worth listing.
const MAX_PROBLEMS: usize = 100;

/// Reads `text`. `None` if it is not TOML; entries that do not fit `T` are reported and left out.
pub(super) fn read<T: DeserializeOwned>(file: &Arc<str>, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
    let (mut table, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        let span = error.span().unwrap_or(0..0);
        diagnostics.push(Diagnostic::at(file, text, span, format!("not valid TOML: {}", error.message())));
    }
    for _ in 0..MAX_PROBLEMS {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) => return Some(value).filter(|_| syntax_errors.is_empty()),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let (message, help) = explain(error.message());
        diagnostics.push(Diagnostic { help, ..Diagnostic::at(file, text, span.clone(), message) });
        if !remove_at(table.get_mut(), &span) {
            return None;
        }
    }
    None
}

/// serde's words for an unknown key, turned into a sentence and a suggestion.
fn explain(message: &str) -> (String, Option<String>) {
    let message = message.trim().replace('\n', " ");
    let Some(rest) = message.strip_prefix("unknown field `") else { return (message, None) };
    let Some((key, rest)) = rest.split_once('`') else { return (message, None) };
    let known: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
    let close = known.iter().map(|known| (distance(key, known), known)).min().filter(|(distance, _)| *distance <= 2);
    let help = match close {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    (format!("unknown key `{key}`"), Some(help))
}

/// Levenshtein distance, for short words.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Takes out the innermost entry that begins where `span` does.
fn remove_at(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let inside = |own: Range<usize>| own.contains(&span.start);
    let mut victim = None;
    for (key, value) in table.iter_mut() {
        let value_span = value.span();
        if inside(key.span()) || (!is_container(value.get_ref()) && inside(value_span.clone())) {
            victim = Some(key.clone());
            break;
        }
        let removed = match value.get_mut() {
            DeValue::Table(inner) => remove_at(inner, span),
            DeValue::Array(items) => remove_item(items, span),
            _ => false,
        };
        if removed {
            return true;
        }
        if inside(value_span) {
            victim = Some(key.clone());
            break;
        }
    }
    victim.is_some_and(|key| table.remove(&key).is_some())
}

fn remove_item(items: &mut DeArray<'_>, span: &Range<usize>) -> bool {
    let inner = items.iter_mut().any(|item| match item.get_mut() {
        DeValue::Table(inner) => remove_at(inner, span),
        DeValue::Array(inner) => remove_item(inner, span),
        _ => false,
    });
    if inner {
        return true;
    }
    let before = items.len();
    *items = items.iter().filter(|item| !item.span().contains(&span.start)).cloned().collect();
    items.len() < before
}

fn is_container(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_) | DeValue::Array(_))
}
