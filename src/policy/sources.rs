//! Whom a page may contact, in the words of Content Security Policy: sources by purpose, made once per ruleset.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::ops::Range;

use super::catalog::Catalog;
use super::grant::Grant;
use super::hosts::{Host, HostPattern};
use super::pattern::Pattern;
use super::purpose::Purpose;
use super::site::Site;
use super::url::Url;
use super::vendors::VendorId;
use super::verdict::{Mode, Rule};

/// What a site does about the policy that depends on consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CspMode {
    #[default]
    Off,
    /// Browsers only report what it would stop.
    Report,
    Enforce,
}

/// Settings of the policy that depends on consent.
#[derive(Clone, Debug, Default)]
pub struct CspOptions {
    pub mode: CspMode,
    /// What the site needs besides itself.
    pub hosts: Vec<CspHost>,
    /// Ids of the catalog's vendors that are listed. `None`: all.
    pub vendors: Option<Vec<Box<str>>>,
    /// The own path to which browsers report.
    pub report_path: Box<str>,
}

/// A host that the site lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CspHost {
    /// Not [`HostPattern::Any`].
    pub host: HostPattern,
    /// `None`: the scheme's.
    pub port: Option<u16>,
}

impl fmt::Display for CspHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Source lists of a site, by purpose. What is for no purpose that must be asked for is under
/// [`Purpose::NECESSARY`].
#[derive(Clone, Debug, Default)]
pub struct SourceLists(Vec<Sources>);

#[derive(Clone, Debug, Default)]
struct Sources {
    hosts: String,
    /// The same for WebSockets, which a source without a scheme is not for.
    sockets: String,
    /// Whose they are, in their order.
    parts: Vec<Part>,
}

/// Sources that one vendor has in both lists, one after the other.
#[derive(Clone, Debug)]
struct Part {
    /// `None`: the site's own, or somebody whom no refusal concerns.
    vendor: Option<VendorId>,
    hosts: Range<usize>,
    sockets: Range<usize>,
}

impl SourceLists {
    /// The sources of the site itself, of what it lists, of its rules by host and of the catalog's vendors. `rules` are
    /// the hosts and paths of its rules.
    pub(super) fn new(site: &Site, catalog: &Catalog, rules: &[(HostPattern, Pattern)]) -> Self {
        let options = &site.options.csp;
        let mut lists = Builder { site, catalog, known: HashSet::new(), lists: SourceLists::default() };
        if options.mode == CspMode::Off {
            return lists.lists;
        }
        for host in &site.options.hosts {
            lists.add_as((Purpose::NECESSARY, None), host, None, None);
        }
        for CspHost { host, port } in &options.hosts {
            lists.add(host, *port, None);
        }
        for (host, path) in rules {
            lists.add(host, None, Some(path).filter(|path| path.as_str() != "*"));
        }
        let enforced = options.mode == CspMode::Enforce && site.options.mode == Mode::Enforce;
        let listed = |id: &str| options.vendors.as_ref().map_or(enforced, |ids| ids.iter().any(|known| &**known == id));
        for (_, fact) in catalog.vendor_hosts().filter(|(vendor, _)| listed(&vendor.id)) {
            for host in [HostPattern::Exact(fact.host.clone()), HostPattern::Below(fact.host.clone())] {
                lists.add(&host, None, fact.path.as_ref());
            }
        }
        lists.lists
    }

    /// The hosts that are admitted while `granted` holds, in parts, with a space before each source.
    pub fn hosts(&self, granted: &Grant) -> impl Iterator<Item = &str> {
        self.of(granted, |sources| &sources.hosts, |part| &part.hosts)
    }

    /// As [`SourceLists::hosts`], for WebSockets.
    pub fn sockets(&self, granted: &Grant) -> impl Iterator<Item = &str> {
        self.of(granted, |sources| &sources.sockets, |part| &part.sockets)
    }

    /// One of the lists of each purpose: as a whole while nobody is refused, else by its parts.
    fn of<'s>(
        &'s self,
        granted: &Grant,
        list: fn(&'s Sources) -> &'s str,
        place: fn(&Part) -> &Range<usize>,
    ) -> impl Iterator<Item = &'s str> {
        let (refused, anybody) = (granted.refused, !granted.refused.is_empty());
        let sources =
            granted.purposes.with(Purpose::NECESSARY).iter().filter_map(|purpose| self.0.get(purpose.index()));
        sources.flat_map(move |sources| {
            let whole = (!anybody).then(|| list(sources));
            let admitted = move |part: &&Part| anybody && part.vendor.is_none_or(|vendor| !refused.contains(vendor));
            let parts = sources.parts.iter().filter(admitted);
            whole.into_iter().chain(parts.filter_map(move |part| list(sources).get(place(part).clone())))
        })
    }
}

impl Sources {
    fn push(&mut self, vendor: Option<VendorId>, source: &str, whole_host: bool) {
        let (hosts, sockets) = (self.hosts.len(), self.sockets.len());
        // Writing to a string does not fail.
        _ = write!(self.hosts, " {source}");
        if whole_host {
            // `ws:` stands for `wss:`, too (CSP3, section 6.7.2.9).
            _ = write!(self.sockets, " ws://{source}");
        }
        let part = Part { vendor, hosts: hosts..self.hosts.len(), sockets: sockets..self.sockets.len() };
        match self.parts.last_mut().filter(|last| last.vendor == vendor) {
            Some(last) => (last.hosts.end, last.sockets.end) = (part.hosts.end, part.sockets.end),
            None => self.parts.push(part),
        }
    }
}

struct Builder<'a> {
    site: &'a Site,
    catalog: &'a Catalog,
    /// Sources that are in a list already.
    known: HashSet<(Purpose, Option<VendorId>, String)>,
    lists: SourceLists,
}

impl Builder<'_> {
    fn add(&mut self, host: &HostPattern, port: Option<u16>, path: Option<&Pattern>) {
        let rule = self.rule(host, path);
        let whose = rule.map_or((Purpose::NECESSARY, None), |rule| {
            let vendor = rule.vendor.as_ref().map(|vendor| vendor.id);
            (rule.purpose, vendor.filter(|_| rule.purpose != Purpose::NECESSARY))
        });
        self.add_as(whose, host, port, path);
    }

    /// Adds a source that is for a purpose, and a vendor's that can be refused.
    fn add_as(
        &mut self,
        (purpose, vendor): (Purpose, Option<VendorId>),
        host: &HostPattern,
        port: Option<u16>,
        path: Option<&Pattern>,
    ) {
        let text = host.to_string();
        // Neither `*`, which would admit everybody, nor IPv6, for which there are no sources.
        if *host == HostPattern::Any || text.contains(['[', ':']) {
            return;
        }
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let path = path.map_or(String::new(), path_part);
        let source = format!("{text}{port}{path}");
        if !self.known.insert((purpose, vendor, source.clone())) {
            return;
        }
        let lists = &mut self.lists.0;
        if lists.len() <= purpose.index() {
            lists.resize(purpose.index() + 1, Sources::default());
        }
        let Some(list) = lists.get_mut(purpose.index()) else { return };
        list.push(vendor, &source, path.is_empty());
    }

    /// The rule that the gate would ask about this host; `None` if none knows it, or if its denials are not acted upon.
    fn rule(&self, host: &HostPattern, path: Option<&Pattern>) -> Option<&Rule> {
        let name = match host {
            HostPattern::Exact(name) => name.to_string(),
            // A name that no rule has.
            HostPattern::Below(name) => format!("-.{name}"),
            HostPattern::Any => return None,
        };
        let host = Host::parse(name.as_bytes())?;
        // What `*` stands for may be anything, so it may be nothing.
        let path = path.map_or("/".to_owned(), |path| path.as_str().replace('*', ""));
        let url = Url { host: Some(host), path: path.as_bytes(), query: b"" };
        let rule = self.site.operator_host(&host, url.path).or_else(|| self.catalog.url(&host, &url));
        rule.filter(|rule| !matches!(rule.mode, Some(Mode::Off | Mode::Observe)))
    }
}

/// The path of a source that covers `path`: itself if it is exact, else its last directory without a `*`, for the paths
/// of sources know no wildcards.
fn path_part(path: &Pattern) -> String {
    let literal = path.head();
    let covered = if path.is_exact() {
        literal
    } else {
        literal.rfind('/').and_then(|slash| literal.get(..=slash)).unwrap_or_default()
    };
    if covered == "/" {
        return String::new();
    }
    let mut part = String::with_capacity(covered.len());
    for byte in covered.bytes() {
        if byte.is_ascii_graphic() && !b";,*?#'\"".contains(&byte) {
            part.push(char::from(byte));
        } else {
            _ = write!(part, "%{byte:02X}");
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_what_sources_can_say() {
        for (path, part) in [
            ("/log/x.js", "/log/x.js"),
            ("/", ""),
            ("/log/*", "/log/"),
            ("/log/x*y", "/log/"),
            ("/hm.gif*", ""),
            ("*/user_log/*", ""),
            ("/a/b;c,d/*", "/a/b%3Bc%2Cd/"),
        ] {
            assert_eq!(path_part(&Pattern::new(path).unwrap()), part, "{path}");
        }
    }
}
