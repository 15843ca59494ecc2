//! All known vendors, and what belongs to them.

mod listing;

use std::collections::HashMap;
use std::sync::Arc;

use super::hosts::{Host, HostMap, HostPattern};
use super::mentions::{Mentions, Snippets};
use super::names::NameIndex;
use super::pattern::Pattern;
use super::purpose::Purpose;
use super::requests::{RequestFacts, RequestIndex, RequestRule, RequestShape};
use super::url::{Url, normal_path};
use super::vendors::{TooManyVendors, VendorId, VendorSet};
use super::verdict::{Origin, Rule, RuleVendor};

/// Who: an organisation's service that sets cookies or receives requests.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// Entries with the same `id` are one vendor.
    pub id: Box<str>,
    pub name: Arc<str>,
    /// The company, if it is not generic.
    pub owner: Option<Box<str>>,
    /// ISO 3166-1 alpha-2 code of the owner's country.
    pub country: Option<Box<str>>,
    /// The owner's privacy policy.
    pub privacy: Option<Box<str>>,
    pub about: Box<str>,
    /// Its number in the IAB's Global Vendor List, if it is in there; products of one company share one.
    pub gvl: Option<u16>,
}

/// A cookie of a vendor.
#[derive(Clone, Debug)]
pub struct CookieFact {
    pub name: Pattern,
    pub purpose: Purpose,
    /// Set only under the vendor's own domain; the name says nothing elsewhere.
    pub domain: Option<Box<str>>,
}

/// A key of `localStorage` or `sessionStorage` (HTML, section 12.2) that a vendor's script writes on the site's origin.
#[derive(Clone, Debug)]
pub struct StorageFact {
    pub key: Pattern,
    pub purpose: Purpose,
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
    /// By position of the own vendors.
    numbers: Vec<VendorId>,
    /// By `id`, those of the fallbacks included.
    known: HashMap<Box<str>, VendorId>,
    /// Pairs of number in the Global Vendor List and vendor, those of the fallbacks included, sorted.
    gvl: Vec<(u16, VendorId)>,
    /// The numbers alone, and the vendors alone.
    gvl_numbers: Vec<u16>,
    gvl_set: VendorSet,
    cookies: NameIndex,
    cookie_rules: Vec<Rule>,
    /// Names and domains, by position of the rule.
    cookie_facts: Vec<(Pattern, Option<Box<str>>)>,
    storage_rules: Vec<(Pattern, Rule)>,
    globals: Vec<(Box<str>, Purpose, VendorId)>,
    snippets: Snippets,
    snippet_rules: Vec<Rule>,
    hosts: HostMap<Vec<usize>>,
    host_rules: Vec<Rule>,
    mentions: Mentions,
    /// Each with the position of its vendor.
    host_facts: Vec<(usize, HostFact)>,
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
    shapes: Vec<RequestShape>,
    snippets: Vec<String>,
}

impl CatalogBuilder {
    /// `fallback` is asked where this catalog knows nothing.
    pub fn new(fallback: Option<Arc<Catalog>>) -> Self {
        let (known, gvl) = fallback.as_ref().map(|last| (last.known.clone(), last.gvl.clone())).unwrap_or_default();
        let catalog = Catalog { known, gvl, fallback, ..Catalog::default() };
        CatalogBuilder { catalog, ..CatalogBuilder::default() }
    }

    /// Adds a vendor, whose facts come next.
    pub fn vendor(&mut self, vendor: Vendor) -> Result<VendorId, TooManyVendors> {
        let catalog = &mut self.catalog;
        let number = match catalog.known.get(&vendor.id) {
            Some(known) => *known,
            None => VendorId::new(catalog.known.len())?,
        };
        catalog.known.insert(vendor.id.clone(), number);
        catalog.gvl.extend(vendor.gvl.map(|gvl| (gvl, number)));
        catalog.numbers.push(number);
        catalog.vendors.push(vendor);
        Ok(number)
    }

    pub fn cookie(&mut self, vendor: VendorId, fact: CookieFact, origin: Origin) {
        let rule = self.rule(vendor, fact.purpose, fact.name.as_str(), origin);
        self.catalog.cookie_rules.push(rule);
        self.catalog.cookie_facts.push((fact.name, fact.domain));
    }

    pub fn storage(&mut self, vendor: VendorId, fact: StorageFact, origin: Origin) {
        let rule = self.rule(vendor, fact.purpose, fact.key.as_str(), origin);
        self.catalog.storage_rules.push((fact.key, rule));
    }

    /// `name` is a function that pages call once the vendor's script, which is for `purpose`, has made it.
    pub fn global(&mut self, vendor: VendorId, name: &str, purpose: Purpose) {
        self.catalog.globals.push((name.into(), purpose, vendor));
    }

    pub fn host(&mut self, vendor: VendorId, fact: HostFact, origin: Origin) {
        let text = format!("{}{}", fact.host, fact.path.as_ref().map_or("", Pattern::as_str));
        let rule = self.rule(vendor, fact.purpose, &text, origin);
        let id = self.catalog.host_rules.len();
        self.catalog.host_rules.push(rule);
        for pattern in [HostPattern::Exact(fact.host.clone()), HostPattern::Below(fact.host.clone())] {
            self.catalog.hosts.entry(pattern).push(id);
        }
        self.catalog.host_facts.extend(self.position(vendor).map(|position| (position, fact)));
    }

    /// A text that a vendor's snippet holds: a call that starts it.
    pub fn snippet(&mut self, vendor: VendorId, text: &str, purpose: Purpose, origin: Origin) {
        let rule = self.rule(vendor, purpose, text, origin);
        self.catalog.snippet_rules.push(rule);
        self.snippets.push(text.to_owned());
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
        let known = self.position(vendor).and_then(|position| self.catalog.vendors.get(position));
        let vendor = known.map(|known| RuleVendor { id: vendor, name: known.name.clone() });
        Rule { purpose, text: text.into(), vendor, origin, mode: None }
    }

    /// The position of what was said last about a vendor.
    fn position(&self, vendor: VendorId) -> Option<usize> {
        self.catalog.numbers.iter().rposition(|number| *number == vendor)
    }

    pub fn build(mut self) -> Catalog {
        self.catalog.gvl.sort_unstable();
        self.catalog.gvl.dedup();
        Catalog {
            gvl_numbers: self.catalog.gvl.iter().map(|(number, _)| *number).collect(),
            gvl_set: self.catalog.gvl.iter().map(|(_, vendor)| *vendor).collect(),
            cookies: NameIndex::new(self.catalog.cookie_facts.iter().map(|(name, _)| name)),
            mentions: Mentions::new(self.catalog.host_facts.iter().map(|(_, fact)| &*fact.host)),
            snippets: Snippets::new(&self.snippets),
            requests: RequestIndex::new(self.shapes),
            ..self.catalog
        }
    }
}

impl Catalog {
    /// The rule for a cookie called `name` on the site at `host`.
    pub fn cookie(&self, name: &[u8], host: &Host) -> Option<&Rule> {
        let accept = |id: usize| {
            let domain = self.cookie_facts.get(id).and_then(|(_, domain)| domain.as_deref());
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

    /// Calls `consider` with the address around each host of a vendor that `text` names, as `//host/path`.
    pub fn addresses_in(&self, text: &[u8], consider: &mut dyn FnMut(&[u8])) {
        self.mentions.addresses(text, &mut *consider);
        if let Some(fallback) = &self.fallback {
            fallback.addresses_in(text, consider);
        }
    }

    /// Calls `consider` with the rule of each vendor whose snippet `text` holds.
    pub fn snippets_in<'r>(&'r self, text: &[u8], consider: &mut dyn FnMut(&'r Rule)) {
        self.snippets.find(text, |id| self.snippet_rules.get(id).into_iter().for_each(&mut *consider));
        if let Some(fallback) = &self.fallback {
            fallback.snippets_in(text, consider);
        }
    }

    /// The rule for a query parameter called `name`.
    pub fn click_id(&self, name: &[u8]) -> Option<&Rule> {
        let own = self.click_ids.get(name).and_then(|id| self.click_id_rules.get(*id));
        own.or_else(|| self.fallback.as_ref()?.click_id(name))
    }
}
