//! One property: its hosts, its purposes, the operator's own rules, and the verdicts that follow.

use std::sync::Arc;

use http::HeaderValue;

use super::catalog::Catalog;
use super::country::Country;
use super::filters::FilterList;
use super::grant::Grant;
use super::hosts::{Host, HostMap, HostPattern};
use super::mentions::{Mentions, written_addresses};
use super::names::NameIndex;
use super::pattern::Pattern;
use super::purpose::{Purpose, PurposeSet, Purposes};
use super::requests::{RequestFacts, RequestIndex, RequestRule, RequestShape};
use super::resource::ResourceKind;
use super::share::{ShareLink, SharedObject};
use super::sources::{CspOptions, SourceLists};
use super::url::{Url, normal_path};
use super::verdict::{Mode, Rule, Verdict};
use super::versions::PolicyVersions;

/// What holds for visitors who have not chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jurisdiction {
    /// Undecided is denied (GDPR, ePrivacy).
    #[default]
    OptIn,
    /// Undecided is granted; an opt-out signal denies (US state laws).
    OptOut,
    /// Undecided is granted; informing suffices.
    Notice,
}

/// What becomes of cookies that no rule knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownCookies {
    /// Treated as if for every purpose of the site at once: passes only if all of them are granted.
    #[default]
    Block,
    /// Passes, and is counted.
    Report,
    /// Passes.
    Allow,
}

/// What becomes of a page that cannot be rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unrewritable {
    /// It is shown as it is.
    #[default]
    Pass,
    /// It is not shown.
    Refuse,
}

/// How much of the visitor's address the upstream is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedAddress {
    /// All of it, and those of the proxies between.
    #[default]
    Full,
    /// The network: the first 24 bits of IPv4, the first 48 of IPv6.
    Truncated,
    /// Nothing.
    None,
}

/// How a site is there by https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Https {
    /// Whether it is there by https only.
    pub redirect: bool,
    /// The value of `Strict-Transport-Security` (RFC 6797, section 6.1); `None`: nothing is said about it.
    pub hsts: Option<HeaderValue>,
}

/// Longest life, in seconds, of cookies per purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct CookieLifetimes([Option<u32>; Purposes::MAX]);

impl CookieLifetimes {
    pub fn set(&mut self, purpose: Purpose, seconds: u32) {
        if let Some(slot) = self.0.get_mut(purpose.index()) {
            *slot = Some(seconds);
        }
    }

    /// The shortest of all caps: for what may be for any purpose.
    pub fn strictest(&self) -> Option<u32> {
        self.0.iter().flatten().copied().min()
    }

    /// The cap, if one is configured.
    pub fn get(&self, purpose: Purpose) -> Option<u32> {
        self.0.get(purpose.index()).copied().flatten()
    }
}

/// Settings of a site that need no compiling.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    pub name: Box<str>,
    pub hosts: Vec<HostPattern>,
    pub mode: Mode,
    /// What silence means where the visitor's country is not known, or not listed.
    pub jurisdiction: Jurisdiction,
    /// What it means by country.
    pub jurisdictions: Vec<(Country, Jurisdiction)>,
    pub unknown_cookies: UnknownCookies,
    /// Every purpose this site may ask for, the built-in ones included.
    pub purposes: PurposeSet,
    /// What `Sec-GPC: 1` caps.
    pub gpc_caps: PurposeSet,
    /// Age in seconds after which a choice, yes or no, no longer holds.
    pub validity: u64,
    pub versions: PolicyVersions,
    pub lifetimes: CookieLifetimes,
    pub shares: Vec<ShareLink>,
    pub on_unrewritable: Unrewritable,
    /// Attributes, in small letters, from which the site's scripts take addresses later.
    pub lazy_attributes: Vec<Box<str>>,
    pub csp: CspOptions,
    /// Whether withdrawal also asks the browser to erase all that the site stored by script.
    pub clear_site_data: bool,
    /// Whether pages load the script that hands on what is chosen in banners that no server can see.
    pub bridge: bool,
    /// How much of the visitor's address the upstream is told.
    pub forward_client_ip: ForwardedAddress,
    pub https: Https,
}

impl SiteOptions {
    /// What silence means for a visitor from `country`.
    pub fn jurisdiction_in(&self, country: Option<Country>) -> Jurisdiction {
        let listed = self.jurisdictions.iter().find(|(listed, _)| Some(*listed) == country);
        listed.map_or(self.jurisdiction, |(_, jurisdiction)| *jurisdiction)
    }
}

/// The operator's own rules, in the order they were written.
#[derive(Debug, Default)]
pub struct OperatorRules {
    pub cookies: Vec<(Pattern, Rule)>,
    /// Keys of `localStorage` and `sessionStorage`.
    pub storage: Vec<(Pattern, Rule)>,
    /// Requests to the site's own hosts.
    pub requests: Vec<(RequestShape, Rule)>,
    /// Hosts, each alone or with everything below it, with the paths that count.
    pub hosts: Vec<(HostPattern, Pattern, Rule)>,
    /// Asked about other hosts' URLs that nothing else knows.
    pub filter_lists: Vec<Arc<FilterList>>,
}

/// A site, compiled.
#[derive(Debug)]
pub struct Site {
    pub options: SiteOptions,
    /// Whom its pages may contact.
    pub sources: SourceLists,
    cookies: NameIndex,
    cookie_rules: Vec<(Pattern, Rule)>,
    storage_rules: Vec<(Pattern, Rule)>,
    requests: RequestIndex,
    request_rules: Vec<Rule>,
    hosts: HostMap<Vec<usize>>,
    host_rules: Vec<(HostPattern, Pattern, Rule)>,
    own_hosts: HostMap<bool>,
    filter_lists: Vec<Arc<FilterList>>,
    mentions: Mentions,
}

impl Site {
    pub fn new(options: SiteOptions, rules: OperatorRules, catalog: &Catalog) -> Self {
        let (shapes, request_rules): (Vec<_>, Vec<_>) = rules.requests.into_iter().unzip();
        let named = rules.hosts.iter().filter_map(|(host, ..)| match host {
            HostPattern::Exact(host) | HostPattern::Below(host) => Some(&**host),
            HostPattern::Any => None,
        });
        let mentions = Mentions::new(named);
        let ruled_hosts: Vec<_> = rules.hosts.iter().map(|(host, path, _)| (host.clone(), path.clone())).collect();
        let mut hosts = HostMap::<Vec<usize>>::default();
        for (id, (host, ..)) in rules.hosts.iter().enumerate() {
            hosts.entry(host.clone()).push(id);
        }
        let mut own_hosts = HostMap::default();
        for pattern in options.hosts.iter().filter(|pattern| **pattern != HostPattern::Any) {
            *own_hosts.entry(pattern.clone()) = true;
        }
        let site = Site {
            cookies: NameIndex::new(rules.cookies.iter().map(|(name, _)| name)),
            cookie_rules: rules.cookies,
            storage_rules: rules.storage,
            requests: RequestIndex::new(shapes),
            request_rules,
            hosts,
            host_rules: rules.hosts,
            own_hosts,
            filter_lists: rules.filter_lists,
            mentions,
            sources: SourceLists::default(),
            options,
        };
        let sources = SourceLists::new(&site, catalog, &ruled_hosts);
        Site { sources, ..site }
    }

    /// The verdict on a cookie called `name` when `granted` holds at `host`.
    pub fn cookie<'r>(&'r self, catalog: &'r Catalog, name: &[u8], host: &Host, granted: &Grant) -> Verdict<'r> {
        let operator = self.cookies.find(name, |_| true).and_then(|id| self.cookie_rules.get(id));
        match operator.map(|(_, rule)| rule).or_else(|| catalog.cookie(name, host)) {
            Some(rule) => self.verdict(rule, granted),
            None => self.unknown_cookie(granted.purposes),
        }
    }

    /// Nobody knows whose it is, so that no vendor's refusal says anything about it.
    fn unknown_cookie(&self, granted: PurposeSet) -> Verdict<'_> {
        let blocked = self.options.unknown_cookies == UnknownCookies::Block && !granted.covers(self.options.purposes);
        let enforced = self.options.mode == Mode::Enforce;
        Verdict { allowed: !blocked, purpose: None, rule: None, refused: false, enforced }
    }

    /// The rule for a request to this site at `host`.
    pub fn request<'r>(
        &'r self,
        catalog: &'r Catalog,
        host: &Host,
        request: &RequestFacts<'_>,
    ) -> RequestRule<&'r Rule> {
        if let Some(rule) = self.operator_host(host, request.path) {
            return RequestRule::Known(rule);
        }
        match RequestRule::of(self.requests.find(request), &self.request_rules) {
            RequestRule::None => catalog.request(request),
            operators => operators,
        }
    }

    /// The rule for a URL that a response of this site at `own_host` names, to be fetched as `kind`.
    pub fn url<'r>(
        &'r self,
        catalog: &'r Catalog,
        own_host: &Host,
        url: &Url<'_>,
        kind: ResourceKind,
    ) -> Option<&'r Rule> {
        let host = url.host.as_ref().unwrap_or(own_host);
        if self.owns(host) || host.as_str() == own_host.as_str() {
            let facts = RequestFacts { method: "GET", path: url.path, query: url.query, body: None };
            return self.request(catalog, host, &facts).known();
        }
        let known = self.operator_host(host, url.path).or_else(|| catalog.url(host, url));
        known.or_else(|| {
            let list = self.filter_lists.iter().find(|list| list.filters.matches(url, own_host, kind))?;
            Some(&list.rule)
        })
    }

    /// Calls `consider` with the address around each host that `text` names and a rule may know, as `//host/path`.
    pub fn addresses_in(&self, catalog: &Catalog, text: &[u8], consider: &mut dyn FnMut(&[u8])) {
        self.mentions.addresses(text, &mut *consider);
        catalog.addresses_in(text, consider);
        if !self.filter_lists.is_empty() {
            written_addresses(text, consider);
        }
    }

    /// Whether `host` is one of the hosts that this site names.
    pub fn owns(&self, host: &Host) -> bool {
        self.own_hosts.get(host).is_some()
    }

    pub(super) fn operator_host(&self, host: &Host, path: &[u8]) -> Option<&Rule> {
        let mut rules = self.hosts.matches(host).flatten().filter_map(|id| self.host_rules.get(*id));
        let here = |pattern: &Pattern| pattern.as_str() == "*" || pattern.matches(&normal_path(path));
        rules.find(|(_, pattern, _)| here(pattern)).map(|(.., rule)| rule)
    }

    /// The operator's rules for cookies, the one that keeps the own cookie first.
    pub fn cookie_rules(&self) -> &[(Pattern, Rule)] {
        &self.cookie_rules
    }

    /// The operator's rules for keys of `localStorage` and `sessionStorage`.
    pub fn storage_rules(&self) -> &[(Pattern, Rule)] {
        &self.storage_rules
    }

    /// The operator's rules for hosts, each with the paths that count; the path `*` is the whole host.
    pub fn host_rules(&self) -> &[(HostPattern, Pattern, Rule)] {
        &self.host_rules
    }

    /// The verdict that `rule` leads to when `granted` holds.
    pub fn verdict<'r>(&self, rule: &'r Rule, granted: &Grant) -> Verdict<'r> {
        let mode = match self.options.mode {
            Mode::Off => Mode::Off,
            mode => rule.mode.unwrap_or(mode),
        };
        Verdict {
            allowed: mode == Mode::Off || granted.allows(rule),
            purpose: Some(rule.purpose),
            rule: Some(rule),
            refused: mode != Mode::Off && granted.refuses(rule),
            enforced: mode == Mode::Enforce,
        }
    }

    /// The share link whose token `path` may hold, so that it is not to be shown.
    pub fn share(&self, path: &[u8]) -> Option<&ShareLink> {
        let shares = &self.options.shares;
        if shares.is_empty() {
            return None;
        }
        let path = normal_path(path);
        shares.iter().find(|share| share.path.matches_ignoring_case(&path))
    }

    /// What of a share link is asked for at `path` with `query`; of several, the one written first.
    pub fn shared_object(&self, path: &[u8], query: &[u8]) -> Option<SharedObject<'_>> {
        self.options.shares.iter().find_map(|share| share.find(path, query))
    }
}

/// Which site answers for a host, as its position.
pub(super) fn host_index(sites: &[Site]) -> HostMap<usize> {
    let mut index = HostMap::default();
    for (position, site) in sites.iter().enumerate() {
        for pattern in &site.options.hosts {
            *index.entry(pattern.clone()) = position;
        }
    }
    index
}
