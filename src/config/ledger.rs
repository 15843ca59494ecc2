//! Where the ledger and its keys are, and how long a site keeps its records.

use std::net::IpAddr;
use std::path::Path;

use jiff::tz::TimeZone;
use postgres::config::{Host, SslMode};
use toml::Spanned;

use super::check::{Check, Text};
use super::{CentralSettings, LedgerSettings, ShareRetention, raw};
use crate::ledger::central::parse;
use crate::ledger::journal::Pressure;
use crate::ledger::keys::keep_apart;

/// What a connection looks like.
const CONNECTION: &str = "host=db.example user=consentry dbname=consentry sslmode=require";

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
        central: raw.postgres.and_then(|postgres| central(check, postgres, base)),
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

/// The central store, with paths relative to `base`.
fn central(check: &mut Check<'_>, raw: Spanned<raw::Postgres>, base: &Path) -> Option<CentralSettings> {
    let span = raw.span();
    let raw = raw.into_inner();
    let Some(connection) = raw.connection else {
        check.error(span, "the central store has no `connection`", format!("add `connection = \"{CONNECTION}\"`"));
        return None;
    };
    let parsed = match parse(connection.get_ref()) {
        Ok(parsed) => parsed,
        Err(problem) => {
            let help = format!("write `{CONNECTION}`; `require` verifies the certificate, by `ca` or the system's");
            check.error(connection.span(), format!("this is no connection to PostgreSQL: {problem}"), help);
            return None;
        }
    };
    if parsed.get_password().is_some() {
        check.warning(
            connection.span(),
            "the password of the central store is in the configuration",
            "put it into a file of its own, which only the proxy may read, and name that by `password_file`",
        );
    }
    if parsed.get_ssl_mode() != SslMode::Require && leaves_the_host(&parsed) {
        check.warning(
            connection.span(),
            "records may go to the central store in the clear",
            "add `sslmode=require` to `connection`",
        );
    }
    let file = |path: Option<Text>| path.map(|path| base.join(path.get_ref()));
    Some(CentralSettings {
        connection: connection.into_inner(),
        password_file: file(raw.password_file),
        ca: file(raw.ca),
    })
}

/// Whether the server may be on another machine.
fn leaves_the_host(config: &postgres::Config) -> bool {
    let addresses = config.get_hostaddrs();
    let named = config.get_hosts().iter().any(|host| match host {
        Host::Tcp(name) => name != "localhost" && !name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        Host::Unix(_) => false,
    });
    if addresses.is_empty() { named } else { !addresses.iter().all(IpAddr::is_loopback) }
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
