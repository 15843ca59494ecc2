//! Filter lists that the operator names.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ring::digest::{SHA256, digest};
use toml::Spanned;

use super::check::Check;
use super::{FileSet, raw};
use crate::policy::{FilterList, Filters, Origin, Rule};

/// Reads and compiles the lists that `raw` names.
pub(super) fn read(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::FilterList>>,
    files: &mut FileSet<'_>,
) -> Vec<Arc<FilterList>> {
    raw.into_iter().filter_map(|list| one(check, list, files)).map(Arc::new).collect()
}

fn one(check: &mut Check<'_>, raw: Spanned<raw::FilterList>, files: &mut FileSet<'_>) -> Option<FilterList> {
    let (Some(path), Some(purpose)) = (&raw.get_ref().path, &raw.get_ref().purpose) else {
        let help = "add `path = \"easyprivacy.txt\"` and `purpose = \"analytics\"`, or others";
        check.error(raw.span(), "a filter list needs `path` and `purpose`", help);
        return None;
    };
    let purpose = check.purpose(purpose.get_ref(), purpose.span());
    let read = files.read(path.get_ref()).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    let text = text.map_err(|error| {
        let message = format!("the filter list `{}` cannot be read: {error}", path.get_ref());
        check.error(path.span(), message, "paths are relative to this file");
    });
    let (purpose, text) = (purpose?, text.ok()?);
    let origin = Origin { file: path.get_ref().as_str().into(), line: 0 };
    let rule = Rule { purpose, text: path.get_ref().as_str().into(), vendor: None, origin, mode: None };
    Some(FilterList { rule, filters: compiled(text) })
}

/// What was compiled from which text (by SHA-256), as long as a ruleset holds it.
static COMPILED: Mutex<Vec<([u8; 32], Weak<Filters>)>> = Mutex::new(Vec::new());

/// The rules of `text`: those that the ruleset in force has already, if its list holds the same, since compiling a long
/// list takes a good part of a second.
fn compiled(text: String) -> Arc<Filters> {
    let hash: [u8; 32] = digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap_or_default();
    let known = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let same = known().iter().find(|(other, _)| *other == hash).and_then(|(_, filters)| filters.upgrade());
    same.unwrap_or_else(|| {
        let fresh = Arc::new(Filters::new(text));
        let mut known = known();
        known.retain(|(_, filters)| filters.strong_count() > 0);
        known.push((hash, Arc::downgrade(&fresh)));
        fresh
    })
}
