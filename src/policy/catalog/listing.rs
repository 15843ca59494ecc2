//! What a catalog holds, as lists: for those who tell the browser, for status and tests.

use super::{Catalog, HostFact, Vendor};
use crate::policy::pattern::Pattern;
use crate::policy::purpose::Purpose;
use crate::policy::vendors::{VendorId, VendorSet};
use crate::policy::verdict::Rule;

/// A fallback's facts come after the catalog's own, also those that an own one takes the place of: whoever looks for a
/// fact takes the most precise of the own ones, and asks the fallback's only if there is none.
impl Catalog {
    /// This catalog, then its fallbacks.
    fn layers(&self) -> impl Iterator<Item = &Catalog> {
        std::iter::successors(Some(self), |catalog| catalog.fallback.as_deref())
    }

    /// The own vendors.
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }

    /// The own rules for cookies.
    pub fn cookie_rules(&self) -> &[Rule] {
        &self.cookie_rules
    }

    /// Names of cookies, each with the domain outside of which the name says nothing, if there is one.
    pub fn cookie_patterns(&self) -> impl Iterator<Item = (&Pattern, &Rule, Option<&str>)> {
        let pairs = self.layers().flat_map(|catalog| std::iter::zip(&catalog.cookie_facts, &catalog.cookie_rules));
        pairs.map(|((name, domain), rule)| (name, rule, domain.as_deref()))
    }

    /// Keys of `localStorage` and `sessionStorage`.
    pub fn storage_rules(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.layers().flat_map(|catalog| &catalog.storage_rules).map(|(key, rule)| (key, rule))
    }

    /// Names of functions that pages call, and what the vendor's script that makes them is for.
    pub fn globals(&self) -> impl Iterator<Item = (&str, Purpose, VendorId)> {
        self.layers().flat_map(|catalog| &catalog.globals).map(|(name, purpose, vendor)| (&**name, *purpose, *vendor))
    }

    /// Hosts of vendors, each with everything below it, and with the paths that count if not all do.
    pub fn host_facts(&self) -> impl Iterator<Item = (&str, Option<&Pattern>, &Rule)> {
        let pairs = self.layers().flat_map(|catalog| std::iter::zip(&catalog.host_facts, &catalog.host_rules));
        pairs.map(|((_, fact), rule)| (&*fact.host, fact.path.as_ref(), rule))
    }

    /// The vendor with this id.
    pub fn vendor(&self, id: &str) -> Option<&Vendor> {
        self.layers().flat_map(|catalog| &catalog.vendors).find(|vendor| &*vendor.id == id)
    }

    /// The number of the vendor with this `id`.
    pub fn vendor_by_id(&self, id: &str) -> Option<VendorId> {
        self.known.get(id).copied()
    }

    /// All vendors that are in the IAB's Global Vendor List, each with its number there, by which they are sorted. A
    /// vendor that entries give several numbers is there with each of them.
    pub fn gvl_vendors(&self) -> &[(u16, VendorId)] {
        &self.gvl
    }

    /// The numbers of [`Catalog::gvl_vendors`], in the same order.
    pub fn gvl_numbers(&self) -> &[u16] {
        &self.gvl_numbers
    }

    /// All vendors of [`Catalog::gvl_vendors`].
    pub fn gvl_set(&self) -> &VendorSet {
        &self.gvl_set
    }

    /// The vendor with the name that rules carry.
    pub fn vendor_named(&self, name: &str) -> Option<&Vendor> {
        self.layers().flat_map(|catalog| &catalog.vendors).find(|vendor| &*vendor.name == name)
    }

    /// Hosts of vendors, each with its vendor.
    pub fn vendor_hosts(&self) -> impl Iterator<Item = (&Vendor, &HostFact)> {
        self.layers().flat_map(|catalog| {
            let facts = catalog.host_facts.iter();
            facts.filter_map(|(position, fact)| Some((catalog.vendors.get(*position)?, fact)))
        })
    }

    /// How many of each kind of fact there are.
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        let sum = |count: fn(&Catalog) -> usize| self.layers().map(count).sum();
        [
            ("vendors", sum(|catalog| catalog.vendors.len())),
            ("cookies", sum(|catalog| catalog.cookie_rules.len())),
            ("storage", sum(|catalog| catalog.storage_rules.len())),
            ("globals", sum(|catalog| catalog.globals.len())),
            ("hosts", sum(|catalog| catalog.host_rules.len())),
            ("requests", sum(|catalog| catalog.request_rules.len())),
            ("click_ids", sum(|catalog| catalog.click_id_rules.len())),
        ]
    }
}
