//! What a site's pages were seen to contact: hosts from violation reports, for an operator to decide about.
//!
//! Names of hosts only, no addresses, no paths, nothing about who was there. Bounded, in memory, kept across reloads.

mod report;
mod unmapped;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::policy::{Catalog, Host, Purposes, Rule, Site};

pub use report::{ReportFormat, Violation, parse};
pub use unmapped::UnmappedIds;

/// So many hosts are kept for a site. Anybody can report anything, so there must be an end.
const MAX_HOSTS: usize = 1000;

/// The inventory of one site. Locked only where reports come in and where it is shown.
#[derive(Default)]
pub struct Inventory {
    hosts: Mutex<HashMap<Box<str>, SeenHost>>,
}

/// A host that pages contacted, or would have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeenHost {
    pub count: u64,
    /// Unix time in seconds.
    pub first_seen: u64,
    pub last_seen: u64,
    /// How often by which directive.
    pub directives: BTreeMap<&'static str, u64>,
    /// The vendor's name, if the catalog knew whose it is when it was last seen.
    pub vendor: Option<Arc<str>>,
    /// The purpose that a rule gave it.
    pub purpose: Option<Box<str>>,
}

impl Inventory {
    /// Notes that `host` was reported at Unix time `now`, and what is known of it.
    pub fn record(&self, host: &Host, directive: &'static str, known: Option<&Rule>, purposes: &Purposes, now: u64) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(host.as_str()) {
            // What comes once makes room for the next, so that noise does not drive out what comes often.
            let least = hosts.iter().min_by_key(|(_, seen)| (seen.count, seen.last_seen));
            if let Some(least) = least.map(|(name, _)| name.clone()) {
                hosts.remove(&least);
            }
        }
        let seen =
            hosts.entry(host.as_str().into()).or_insert_with(|| SeenHost { first_seen: now, ..SeenHost::default() });
        seen.count += 1;
        seen.last_seen = now;
        *seen.directives.entry(directive).or_default() += 1;
        seen.vendor = known.and_then(|rule| Some(rule.vendor.as_ref()?.name.clone()));
        seen.purpose = known.map(|rule| purposes.name(rule.purpose).into());
    }

    /// All hosts, the most frequent first.
    pub fn hosts(&self) -> Vec<(Box<str>, SeenHost)> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = hosts.iter().map(|(name, seen)| (name.clone(), seen.clone())).collect();
        list.sort_by(|(a_name, a), (b_name, b)| b.count.cmp(&a.count).then_with(|| a_name.cmp(b_name)));
        list
    }
}

/// The inventories of all sites, and what each proposes to write into the configuration.
pub fn listing<'a>(catalog: &Catalog, sites: impl Iterator<Item = (&'a Site, &'a Inventory)>) -> Value {
    let sites = sites.map(|(site, inventory)| {
        let hosts = inventory.hosts();
        let proposal = proposal(site, catalog, &hosts);
        let hosts: Vec<_> = hosts
            .into_iter()
            .map(|(name, seen)| {
                let mut entry = json!(seen);
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("host".to_owned(), json!(name));
                }
                entry
            })
            .collect();
        json!({ "name": site.options.name, "hosts": hosts, "proposal": proposal })
    });
    json!({ "sites": sites.collect::<Vec<_>>() })
}

/// Lines for `[[site]]` that would admit what was seen: hosts that nobody knows, and vendors of the catalog. What is
/// configured is part of them, so that they can take its place.
fn proposal(site: &Site, catalog: &Catalog, hosts: &[(Box<str>, SeenHost)]) -> String {
    let options = &site.options.csp;
    let unknown = hosts.iter().filter(|(_, seen)| seen.purpose.is_none()).map(|(name, _)| name.to_string());
    let configured = options.hosts.iter().map(ToString::to_string);
    let named = |name: &Arc<str>| catalog.vendor_named(name).map(|vendor| vendor.id.to_string());
    let vendors = hosts.iter().filter_map(|(_, seen)| seen.vendor.as_ref()).filter_map(named);
    let listed = options.vendors.iter().flatten().map(ToString::to_string);
    let lines = [("csp_hosts", list(configured.chain(unknown))), ("csp_vendors", list(listed.chain(vendors)))];
    lines.into_iter().map(|(key, values)| format!("{key} = [{values}]\n")).collect()
}

/// The values of a TOML array, each once.
fn list(values: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for value in values.map(|value| format!("{value:?}")) {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_does_not_drive_out_what_comes_often() {
        let inventory = Inventory::default();
        let record = |name: &str, now| {
            let host = Host::parse(name.as_bytes()).unwrap();
            inventory.record(&host, "img-src", None, &Purposes::default(), now);
        };
        (1..=2).for_each(|now| record("cdn.example", now));
        (0..5000).for_each(|now| record(&format!("{now}.noise.example"), now + 3));
        let hosts = inventory.hosts();
        assert_eq!(hosts.len(), MAX_HOSTS);
        let (name, seen) = &hosts[0];
        assert_eq!((&**name, seen.count, seen.first_seen, seen.last_seen), ("cdn.example", 2, 1, 2));
        assert!(hosts.iter().any(|(name, _)| &**name == "4999.noise.example"));
        assert_eq!(seen.directives, BTreeMap::from([("img-src", 2)]));
    }
}
