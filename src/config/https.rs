//! Whether a site is there by https only, and how it tells browsers so.

use http::HeaderValue;

use super::check::Check;
use super::{Listen, Server, raw};
use crate::policy::Https;

/// Ten years, in seconds.
const LONGEST: u64 = 315_360_000;

pub(super) fn https(check: &mut Check<'_>, raw: &raw::Site, ways: Ways) -> Https {
    let choices = [("optional", false), ("redirect", true)];
    let redirect = check.choice(raw.https.as_ref(), &choices).unwrap_or_default();
    if let Some(https) = raw.https.as_ref().filter(|_| redirect && !ways.exist) {
        let message = "nobody can come by https, so that visitors would be redirected for ever";
        let help =
            "add `traffic_tls` to `[listen]`, or to `[server]` `trusted_proxies` the load balancer that terminates TLS";
        check.error(https.span(), message, help);
    }
    let hsts = raw.hsts_seconds.clone().map(|seconds| check.number(Some(seconds), 0, 0..=LONGEST));
    if let Some(subdomains) = raw.hsts_subdomains.as_ref().filter(|_| hsts.is_none()) {
        check.error(
            subdomains.span(),
            "`hsts_subdomains` says nothing without `hsts_seconds`",
            "add it, or remove this",
        );
    }
    let subdomains = raw.hsts_subdomains.as_ref().is_some_and(|subdomains| *subdomains.get_ref());
    let suffix = if subdomains { "; includeSubDomains" } else { "" };
    let value = |seconds| HeaderValue::try_from(format!("max-age={seconds}{suffix}")).ok();
    Https { redirect, hsts: hsts.and_then(value) }
}

/// Whether there is a way for visitors to come by https.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    exist: bool,
}

impl Ways {
    pub fn new(listen: Option<&Listen>, server: &Server) -> Self {
        let own = listen.is_none_or(|listen| !listen.traffic_tls.is_empty());
        Ways { exist: own || !server.trusted_proxies.is_empty() }
    }
}
