//! The tables that the guard goes by: what it knows of hosts, cookies, storage keys and functions, by purpose.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::policy::{
    Catalog, HostPattern, Mode, Pattern, Purpose, PurposeSet, Purposes, Rule, Site, UnknownCookies, VendorId, VendorSet,
};

/// The bit for what is denied whatever is granted; no purpose has it.
const REFUSED: usize = Purposes::MAX;

/// What the guard keeps a table of; the names are those of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Hosts,
    Cookies,
    Storage,
    Globals,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Hosts => "hosts",
            Kind::Cookies => "cookies",
            Kind::Storage => "storage",
            Kind::Globals => "globals",
        }
    }
}

/// Patterns by the number of their purpose, each list as words.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn add(&mut self, rule: &Rule, word: &str) {
        // What is only watched is not denied.
        let acted = rule.mode.is_none_or(|mode| mode == Mode::Enforce);
        self.add_for(if acted { rule.purpose } else { Purpose::NECESSARY }, word);
    }

    fn add_for(&mut self, purpose: Purpose, word: &str) {
        if self.0.len() <= purpose.index() {
            self.0.resize(purpose.index() + 1, String::new());
        }
        self.0.get_mut(purpose.index()).into_iter().for_each(|list| push_word(list, word));
    }
}

fn push_word(list: &mut String, word: &str) {
    if word.contains(' ') {
        return;
    }
    if !list.is_empty() {
        list.push(' ');
    }
    list.push_str(word);
}

/// What the catalog says. Of equal words only the first counts.
#[derive(Default)]
struct CatalogTables {
    seen: HashSet<(Kind, String)>,
    tables: BTreeMap<Kind, Table>,
    /// Who can be refused.
    refusable: VendorSet,
    /// What belongs to each of them, and is not necessary.
    vendors: BTreeMap<usize, BTreeMap<&'static str, String>>,
}

impl CatalogTables {
    fn new(site: &Site, catalog: &Catalog) -> Self {
        let refusable = catalog.gvl_set().union(&site.options.versions.vendors());
        let mut tables = CatalogTables { refusable, ..CatalogTables::default() };
        for (host, path, rule) in catalog.host_facts() {
            tables.add_rule(Kind::Hosts, rule, &format!("{host}{}", path.map_or("", Pattern::as_str)));
        }
        for (name, rule, domain) in catalog.cookie_patterns() {
            if domain.is_none_or(|domain| is_at(site, domain)) {
                tables.add_rule(Kind::Cookies, rule, name.as_str());
            }
        }
        for (key, rule) in catalog.storage_rules() {
            tables.add_rule(Kind::Storage, rule, key.as_str());
        }
        for (name, purpose, vendor) in catalog.globals() {
            tables.add(Kind::Globals, purpose, Some(vendor), name);
        }
        tables
    }

    fn add_rule(&mut self, kind: Kind, rule: &Rule, word: &str) {
        self.add(kind, rule.purpose, rule.vendor.as_ref().map(|vendor| vendor.id), word);
    }

    fn add(&mut self, kind: Kind, purpose: Purpose, vendor: Option<VendorId>, word: &str) {
        if !self.seen.insert((kind, word.to_owned())) {
            return;
        }
        self.tables.entry(kind).or_default().add_for(purpose, word);
        let refusable = vendor.filter(|vendor| purpose != Purpose::NECESSARY && self.refusable.contains(*vendor));
        if let Some(vendor) = refusable {
            let words = self.vendors.entry(vendor.number()).or_default();
            push_word(words.entry(kind.name()).or_default(), word);
        }
    }

    /// The lists of a kind, with one at the end for what is refused.
    fn take(&mut self, kind: Kind) -> Vec<String> {
        let Table(mut lists) = self.tables.remove(&kind).unwrap_or_default();
        lists.resize(REFUSED + 1, String::new());
        lists
    }
}

/// The statement that hands the guard its tables.
pub(super) fn tables(site: &Site, catalog: &Catalog, purposes: &Purposes, prefix: &str, cookie: &str) -> String {
    let (mut hosts, mut cookies, mut storage) = <(Table, Table, Table)>::default();
    for (host, path, rule) in site.host_rules() {
        let whole = path.as_str() == "*";
        let path = if whole { "" } else { path.as_str() };
        match host {
            HostPattern::Exact(host) => hosts.add(rule, &format!("={host}{path}")),
            HostPattern::Below(host) => hosts.add(rule, &format!("{host}{path}")),
            HostPattern::Any => {}
        }
    }
    for (name, rule) in site.cookie_rules() {
        cookies.add(rule, name.as_str());
    }
    for (key, rule) in site.storage_rules() {
        storage.add(rule, key.as_str());
    }
    let own: Vec<_> =
        site.options.hosts.iter().filter(|host| **host != HostPattern::Any).map(ToString::to_string).collect();
    let blocks_unknown = site.options.unknown_cookies == UnknownCookies::Block;
    let mut known = CatalogTables::new(site, catalog);
    // The site's own rules go before the catalog's.
    let rules = json!({
        "prefix": prefix,
        "cookie": cookie,
        "purposes": names(purposes),
        "unknown": if blocks_unknown { mask(site.options.purposes) } else { 0 },
        "own": own.join(" "),
        "hosts": [hosts.0, known.take(Kind::Hosts)],
        "cookies": [cookies.0, known.take(Kind::Cookies)],
        "storage": [storage.0, known.take(Kind::Storage)],
        "globals": [[], known.take(Kind::Globals)],
        "vendors": known.vendors,
    });
    format!("self.__consentry={rules};\n")
}

/// The names of the purposes by bit, and the word for what is refused.
fn names(purposes: &Purposes) -> Vec<Value> {
    let mut names: Vec<Value> = purposes.names(purposes.all()).map(Value::from).collect();
    names.resize(REFUSED, Value::Null);
    names.push(super::super::inspector::REFUSED.into());
    names
}

fn mask(purposes: PurposeSet) -> u32 {
    purposes.iter().fold(0, |mask, purpose| mask | 1 << purpose.index())
}

/// Whether the site, or a part of it, is at `domain`.
fn is_at(site: &Site, domain: &str) -> bool {
    site.options.hosts.iter().any(|host| match host {
        HostPattern::Exact(host) | HostPattern::Below(host) => {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        HostPattern::Any => false,
    })
}
