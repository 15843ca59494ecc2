//! Where the ledger and its keys are, and how long a site keeps its records.

use std::path::Path;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::check::{Check, Text};
use super::{LedgerSettings, ShareRetention, raw};
use crate::ledger::journal::Pressure;
use crate::ledger::keys::keep_apart;

const PRESSURE: [(&str, Pressure); 2] = [("refuse", Pressure::Refuse), ("drop", Pressure::Drop)];

/// The settings, with paths relative to `base`.
pub(super) fn ledger(check: &mut Check<'_>, raw: Option<Spanned<raw::Ledger>>, base: &Path) -> Option<LedgerSettings> {
    let raw = raw?;
    let span = raw.span();
    let raw = raw.into_inner();
    let (Some(path), Some(keys)) = (raw.path, raw.keys) else {
        check.error(
            span,
            "the ledger needs a database and a directory for keys",
            "add `path = \"var/ledger.sqlite\"` and `keys = \"var/keys\"`",
        );
        return None;
    };
    let beside = || format!("{}.checkpoints", path.get_ref());
    let checkpoints = raw.checkpoints.as_ref().map_or_else(beside, |path| path.get_ref().clone());
    let settings = LedgerSettings {
        path: base.join(path.get_ref()),
        keys: base.join(keys.get_ref()),
        checkpoints: base.join(checkpoints),
        pressure: check.choice(raw.pressure.as_ref(), &PRESSURE).unwrap_or_default(),
    };
    if let Err(error) = keep_apart(&settings.keys, &settings.path) {
        check.error(keys.span(), error.to_string(), "put the keys in a directory of their own, out of every backup");
        return None;
    }
    if raw.checkpoints.is_none() {
        check.warning(
            span.clone(),
            "checkpoints are copied to a file beside the database: who can change one can change both",
            "name another place: `checkpoints = \"/mnt/audit/checkpoints.jsonl\"`",
        );
    }
    if settings.path.parent().is_some_and(|home| settings.keys.starts_with(home)) {
        check.warning(
            keys.span(),
            "the keys are below the directory that the ledger is in",
            "keep them elsewhere, so that no copy holds both: a backup of the keys undoes their destruction",
        );
    }
    Some(settings)
}

/// Where a site's months begin and end.
pub(super) fn time_zone(check: &mut Check<'_>, name: Option<&Text>) -> TimeZone {
    let Some(name) = name else { return TimeZone::UTC };
    TimeZone::get(name.get_ref()).unwrap_or_else(|_| {
        let message = format!("`{}` is not a time zone", name.get_ref());
        check.error(name.span(), message, "write a name of the IANA database: `Asia/Shanghai`, `Europe/Berlin`, `UTC`");
        TimeZone::UTC
    })
}

/// How long records of share links are kept.
pub(super) fn share_retention(check: &mut Check<'_>, raw: raw::Retention) -> ShareRetention {
    let span = raw.share_months_max.as_ref().or(raw.share_months_min.as_ref()).map(Spanned::span);
    let mut months = |value: Option<Spanned<u64>>, default, least| {
        u32::try_from(check.number(value, default, least..=120)).unwrap_or_default()
    };
    let min_months = months(raw.share_months_min, 0, 0);
    let max_months = months(raw.share_months_max, u64::from(min_months.max(6)), 1);
    if let (true, Some(span)) = (min_months > max_months, span) {
        let message = format!("records cannot be kept {min_months} months at least and {max_months} at most");
        check.error(span, message, "let `share_months_max` be no less than `share_months_min`");
    }
    ShareRetention { min_months, max_months }
}
