//! The settings of the policy that depends on consent.

use super::check::{Check, Text};
use super::versions::vendor;
use super::{ConsentSettings, raw};
use crate::policy::{Catalog, CspHost, CspMode, CspOptions, HostPattern};

pub(super) fn csp(check: &mut Check<'_>, site: &raw::Site, consent: &ConsentSettings, catalog: &Catalog) -> CspOptions {
    let modes = [("enforce", CspMode::Enforce), ("report", CspMode::Report), ("off", CspMode::Off)];
    let mode = check.choice(site.csp.as_ref(), &modes).unwrap_or_default();
    if let Some(text) = site.csp.as_ref().filter(|_| mode == CspMode::Enforce && site.csp_vendors.is_none()) {
        check.warning(
            text.span(),
            "the policy names every vendor of the catalog while its purpose is granted: up to 190 KiB in each page",
            "write `csp_vendors` with those that the site uses; `consentry inventory` proposes them",
        );
    }
    let hosts = site.csp_hosts.iter().filter_map(|text| host(check, text)).collect();
    let mut known = |id: &Text| vendor(check, id, catalog).map(|_| id.get_ref().as_str().into());
    let vendors = site.csp_vendors.as_ref().map(|ids| ids.iter().filter_map(&mut known).collect());
    CspOptions { mode, hosts, vendors, report_path: format!("{}/csp", consent.prefix).into() }
}

fn host(check: &mut Check<'_>, text: &Text) -> Option<CspHost> {
    let parsed = parse_host(&text.get_ref().to_ascii_lowercase());
    if parsed.is_none() {
        check.error(
            text.span(),
            format!("`{}` is not a host that a page can be allowed to contact", text.get_ref()),
            "write `cdn.example`, `*.img.example` or `api.example:8443`, without scheme and path",
        );
    }
    parsed
}

fn parse_host(text: &str) -> Option<CspHost> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0)?)),
        None => (text, None),
    };
    let host = HostPattern::parse(name).filter(|host| *host != HostPattern::Any)?;
    Some(CspHost { host, port })
}
