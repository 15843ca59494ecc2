//! Everything that decides, in one immutable value.

use std::sync::Arc;

use super::catalog::Catalog;
use super::filters::FilterList;
use super::hosts::{Host, HostMap};
use super::purpose::Purposes;
use super::site::{Site, host_index};

/// All sites and the catalog, compiled. Each request holds one from its first byte to its last.
#[derive(Debug)]
pub struct Ruleset {
    pub purposes: Purposes,
    pub catalog: Arc<Catalog>,
    pub sites: Vec<Site>,
    /// The lists that every site asks.
    pub filter_lists: Vec<Arc<FilterList>>,
    /// Digest of the files it was made from, in hexadecimal.
    pub hash: Box<str>,
    hosts: HostMap<usize>,
}

impl Ruleset {
    pub fn new(
        purposes: Purposes,
        catalog: Arc<Catalog>,
        sites: Vec<Site>,
        filter_lists: Vec<Arc<FilterList>>,
        hash: &str,
    ) -> Self {
        let hosts = host_index(&sites);
        Ruleset { purposes, catalog, sites, filter_lists, hash: hash.into(), hosts }
    }

    /// The position in `sites` of the site that answers for `host`.
    pub fn site_at(&self, host: &Host) -> Option<usize> {
        self.hosts.get(host).copied()
    }
}
