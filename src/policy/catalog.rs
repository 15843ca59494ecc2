//! All known vendors, and what belongs to them.

use std::collections::HashMap;
use std::sync::Arc;

use super::hosts::{Host, HostMap, HostPattern};
use super::names::NameIndex;
use super::pattern::Pattern;
use super::purpose::Purpose;
use super::requests::{RequestFacts, RequestIndex, RequestRule, RequestShape};
use super::url::{Url, normal_path};
use super::verdict::{Origin, Rule};

/// Who: an organisation's service that sets cookies or receives requests.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// Unique in the catalog.
    pub id: Box<str>,
    pub name: Arc<str>,
    /// The company, if it is not generic.
    pub owner: Option<Box<str>>,
    /// ISO 3166-1 alpha-2 code of the owner's country.
    pub country: Option<Box<str>>,
    /// The owner's privacy policy.
    pub privacy: Option<Box<str>>,
    pub about: Box<str>,
}

/// Position of a vendor in its catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorId(usize);

/// A cookie of a vendor.
#[derive(Clone, Debug)]
pub struct CookieFact {
    pub name: Pattern,
    pub purpose: Purpose,
    /// Set only under the vendor's own domain; the name says nothing elsewhere.
    pub domain: Option<Box<str>>,
}

/// A host that belongs to a vendor, with everything below it.
#[derive(Clone, Debug)]
pub struct HostFact {
    pub host: Box<str>,
    /// On a host that also serves other things: only these paths.
    pub path: Option<Pattern>,
    pub purpose: Purpose,
}

/// A query parameter that carries the identity of a person or click.
#[derive(Clone, Debug)]
pub struct ClickId {
    pub name: Box<str>,
    pub purpose: Purpose,
}

/// The compiled catalog.
#[derive(Debug, Default)]
pub struct Catalog {
    pub(super) vendors: Vec<Vendor>,
    cookies: NameIndex,
    cookie_rules: Vec<Rule>,
    cookie_domains: Vec<Option<Box<str>>>,
    hosts: HostMap<Vec<usize>>,
    host_rules: Vec<Rule>,
    host_facts: Vec<(VendorId, HostFact)>,
    requests: RequestIndex,
    request_rules: Vec<Rule>,
    click_ids: HashMap<Box<[u8]>, usize>,
    click_id_rules: Vec<Rule>,
    /// Asked where this one knows nothing.
    fallback: Option<Arc<Catalog>>,
}

/// Collects facts in their order of authority: what was added first wins between equals.
#[derive(Debug, Default)]
pub struct CatalogBuilder {
    catalog: Catalog,
    names: Vec<Pattern>,
    shapes: Vec<RequestShape>,
}

impl CatalogBuilder {
    pub fn vendor(&mut self, vendor: Vendor) -> VendorId {
        self.catalog.vendors.push(vendor);
        VendorId(self.catalog.vendors.len() - 1)
    }

    pub fn cookie(&mut self, vendor: VendorId, fact: CookieFact, origin: Origin) {
        let rule = self.rule(vendor, fact.purpose, fact.name.as_str(), origin);
        self.catalog.cookie_rules.push(rule);
        self.catalog.cookie_domains.push(fact.domain);
        self.names.push(fact.name);
    }

    pub fn host(&mut self, vendor: VendorId, fact: HostFact, origin: Origin) {
        let text = format!("{}{}", fact.host, fact.path.as_ref().map_or("", Pattern::as_str));
        let rule = self.rule(vendor, fact.purpose, &text, origin);
        let id = self.catalog.host_rules.len();
        self.catalog.host_rules.push(rule);
        for pattern in [HostPattern::Exact(fact.host.clone()), HostPattern::Below(fact.host.clone())] {
            self.catalog.hosts.entry(pattern).push(id);
        }
        self.catalog.host_facts.push((vendor, fact));
    }

    pub fn request(&mut self, vendor: VendorId, shape: RequestShape, purpose: Purpose, origin: Origin) {
        let query: Vec<_> = shape.query.iter().map(|q| q.to_string()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let rule = self.rule(vendor, purpose, &format!("{}{mark}{}", shape.path.as_str(), query.join("&")), origin);
        self.catalog.request_rules.push(rule);
        self.shapes.push(shape);
    }

    pub fn click_id(&mut self, vendor: VendorId, fact: ClickId, origin: Origin) {
        let rule = self.rule(vendor, fact.purpose, &fact.name, origin);
        let id = self.catalog.click_id_rules.len();
        self.catalog.click_id_rules.push(rule);
        self.catalog.click_ids.entry(fact.name.as_bytes().into()).or_insert(id);
    }

    fn rule(&self, vendor: VendorId, purpose: Purpose, text: &str, origin: Origin) -> Rule {
        let vendor = self.catalog.vendors.get(vendor.0).map(|vendor| vendor.name.clone());
        Rule { purpose, text: text.into(), vendor, origin, mode: None }
    }

    /// `fallback` is asked where this catalog knows nothing.
    pub fn build(self, fallback: Option<Arc<Catalog>>) -> Catalog {
        Catalog {
            fallback,
            cookies: NameIndex::new(&self.names),
            requests: RequestIndex::new(self.shapes),
            ..self.catalog
        }
    }
}

impl Catalog {
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }

    /// The vendor with this id, here or in the catalog behind this one.
    pub fn vendor(&self, id: &str) -> Option<&Vendor> {
        let own = self.vendors.iter().find(|vendor| &*vendor.id == id);
        own.or_else(|| self.fallback.as_ref()?.vendor(id))
    }

    /// As [`Catalog::vendor`], by the name that rules carry.
    pub fn vendor_named(&self, name: &str) -> Option<&Vendor> {
        let own = self.vendors.iter().find(|vendor| &*vendor.name == name);
        own.or_else(|| self.fallback.as_ref()?.vendor_named(name))
    }

    /// Every host with its vendor, those of the catalog behind this one last.
    pub fn host_facts(&self) -> Vec<(&Vendor, &HostFact)> {
        let own = self.host_facts.iter();
        let own = own.filter_map(|(vendor, fact)| Some((self.vendors.get(vendor.0)?, fact)));
        let behind = self.fallback.as_ref().map(|fallback| fallback.host_facts());
        own.chain(behind.into_iter().flatten()).collect()
    }

    /// Numbers of vendors, cookie patterns, hosts, request shapes and click ids.
    pub fn counts(&self) -> [(&'static str, usize); 5] {
        let fallback = self.fallback.as_ref().map(|fallback| fallback.counts());
        let own = [
            ("vendors", self.vendors.len()),
            ("cookies", self.cookie_rules.len()),
            ("hosts", self.host_rules.len()),
            ("requests", self.request_rules.len()),
            ("click_ids", self.click_id_rules.len()),
        ];
        fallback.map_or(own, |fallback| {
            std::array::from_fn(|i| match (own.get(i), fallback.get(i)) {
                (Some((name, own)), Some((_, more))) => (*name, own + more),
                _ => ("", 0),
            })
        })
    }

    /// The rule for a cookie called `name` on the site at `host`.
    pub fn cookie(&self, name: &[u8], host: &Host) -> Option<&Rule> {
        let accept = |id: usize| {
            let domain = self.cookie_domains.get(id).and_then(Option::as_deref);
            domain.is_none_or(|domain| host.is_within(domain))
        };
        let own = self.cookies.find(name, accept).and_then(|id| self.cookie_rules.get(id));
        own.or_else(|| self.fallback.as_ref()?.cookie(name, host))
    }

    /// The rule for a request to the site's own host.
    pub fn request(&self, request: &RequestFacts<'_>) -> RequestRule<&Rule> {
        match RequestRule::of(self.requests.find(request), &self.request_rules) {
            RequestRule::None => self.fallback.as_ref().map_or(RequestRule::None, |fallback| fallback.request(request)),
            own => own,
        }
    }

    /// The rule for a URL on another host. A rule with a path goes before one for the whole host.
    pub fn url(&self, host: &Host, url: &Url<'_>) -> Option<&Rule> {
        for ids in self.hosts.matches(host) {
            let path = |id: &&usize| self.host_facts.get(**id).and_then(|(_, fact)| fact.path.as_ref());
            let by_path = ids.iter().filter(|id| path(id).is_some_and(|p| p.matches(&normal_path(url.path))));
            let best = by_path.rev().max_by_key(|id| path(id).map_or(0, Pattern::literals));
            if let Some(id) = best.or_else(|| ids.iter().find(|id| path(id).is_none())) {
                return self.host_rules.get(*id);
            }
        }
        self.fallback.as_ref()?.url(host, url)
    }

    /// The rule for a query parameter called `name`.
    pub fn click_id(&self, name: &[u8]) -> Option<&Rule> {
        let own = self.click_ids.get(name).and_then(|id| self.click_id_rules.get(*id));
        own.or_else(|| self.fallback.as_ref()?.click_id(name))
    }

    /// Every rule, for listings and tests.
    pub fn cookie_rules(&self) -> &[Rule] {
        &self.cookie_rules
    }
}
