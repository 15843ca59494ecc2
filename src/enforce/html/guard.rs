//! What the guard in the browser is made of: the script, the tables it goes by, and the tags that load them.
//!
//! Both are the same for every visitor of a site and change only with the ruleset, so they are named by their content
//! and kept by browsers for good. What differs by visitor, what is granted, stands in the tag.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::enforce::csp::{Admission, OwnScript};
use crate::policy::{Catalog, HostPattern, Mode, Pattern, Purpose, PurposeSet, Purposes, Rule, Site, UnknownCookies};

const GUARD: &str = include_str!("guard.js");

const BRIDGE: &str = include_str!("bridge.js");

/// A script that the proxy itself serves.
pub struct OwnFile {
    /// Names the content by its digest.
    pub path: Box<str>,
    /// For `integrity` (Subresource Integrity, section 3.1).
    pub integrity: Box<str>,
    pub text: Bytes,
    pub gzip: Bytes,
}

impl OwnFile {
    /// The guard; the same for all sites.
    pub fn guard(prefix: &str) -> Self {
        OwnFile::new(prefix, "guard", without_comments(GUARD).into_bytes())
    }

    /// The bridge to banners that only the page can see; the same for all sites.
    pub fn bridge(prefix: &str) -> Self {
        OwnFile::new(prefix, "bridge", without_comments(BRIDGE).replace("{{prefix}}", prefix).into_bytes())
    }

    fn new(prefix: &str, name: &str, text: Vec<u8>) -> Self {
        let hash = digest(&SHA256, &text);
        let short: String = URL_SAFE_NO_PAD.encode(hash).chars().take(16).collect();
        OwnFile {
            path: format!("{prefix}/{name}-{short}.js").into(),
            integrity: format!("sha256-{}", STANDARD.encode(hash)).into(),
            gzip: compress(&text).into(),
            text: text.into(),
        }
    }

    pub fn script(&self) -> OwnScript<'_> {
        OwnScript { path: &self.path, integrity: &self.integrity }
    }
}

/// The script as it is sent: its lines without indentation, and without those that only explain it.
fn without_comments(script: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// As small as it gets, since it is done once.
fn compress(text: &[u8]) -> Vec<u8> {
    const WINDOW_BITS: u8 = 15;
    let mut compressed = Vec::with_capacity(text.len() + 64);
    let mut encoder = Compress::new_gzip(Compression::best(), WINDOW_BITS);
    // Into so much space it fits in one step.
    encoder.compress_vec(text, &mut compressed, FlushCompress::Finish).ok();
    compressed
}

/// The scripts of one site.
pub struct GuardFiles {
    pub guard: Arc<OwnFile>,
    pub rules: OwnFile,
    pub bridge: Arc<OwnFile>,
    /// Path of the page in held frames.
    pub frame: Box<str>,
    /// Path to which the guard sends a choice.
    pub choice: Box<str>,
}

impl GuardFiles {
    /// The rules of `site` beside the `guard` and the `bridge`. `cookie` is the name of the own one.
    pub fn new(
        (guard, bridge): (Arc<OwnFile>, Arc<OwnFile>),
        site: &Site,
        catalog: &Catalog,
        purposes: &Purposes,
        (prefix, cookie): (&str, &str),
    ) -> Self {
        let rules = tables(site, catalog, purposes, prefix, cookie);
        GuardFiles {
            guard,
            bridge,
            rules: OwnFile::new(prefix, "rules", rules.into_bytes()),
            frame: format!("{prefix}/held").into(),
            choice: format!("{prefix}/consent").into(),
        }
    }

    /// The tag that loads the bridge. It waits for banners, so no page waits for it.
    pub fn bridge_tag(&self, admission: &Admission) -> String {
        format!("<script src=\"{}\" async{}></script>", self.bridge.path, attributes(&self.bridge, admission))
    }

    /// The tags for a page of somebody who granted `granted`, where `capped` cannot be granted at all.
    pub fn tags(
        &self,
        admission: &Admission,
        purposes: &Purposes,
        consent: (PurposeSet, PurposeSet),
        csp: bool,
    ) -> String {
        let (granted, capped) = consent;
        let names = |set: PurposeSet| purposes.names(set).collect::<Vec<_>>().join(" ");
        format!(
            "<script src=\"{}\"{}></script><script src=\"{}\" data-granted=\"{}\" data-capped=\"{}\"{}{}></script>",
            self.rules.path,
            attributes(&self.rules, admission),
            self.guard.path,
            names(granted),
            names(capped),
            if csp { " data-csp" } else { "" },
            attributes(&self.guard, admission),
        )
    }
}

/// What a tag needs for the page's policies to let its script run.
fn attributes(file: &OwnFile, admission: &Admission) -> String {
    let nonce = admission.nonce.as_ref().map_or(String::new(), |nonce| format!(" nonce=\"{nonce}\""));
    if admission.integrity {
        format!("{nonce} integrity=\"{}\" crossorigin=\"anonymous\"", file.integrity)
    } else {
        nonce
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
        if let Some(list) = self.0.get_mut(purpose.index()).filter(|_| !word.contains(' ')) {
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(word);
        }
    }
}

/// The statement that hands the guard its tables.
fn tables(site: &Site, catalog: &Catalog, purposes: &Purposes, prefix: &str, cookie: &str) -> String {
    let (mut own_hosts, mut hosts) = <(Table, Table)>::default();
    let (mut own_cookies, mut cookies) = <(Table, Table)>::default();
    let (mut own_storage, mut storage) = <(Table, Table)>::default();
    let mut globals = Table::default();
    for (host, path, rule) in site.host_rules() {
        let whole = path.as_str() == "*";
        let path = if whole { "" } else { path.as_str() };
        match host {
            HostPattern::Exact(host) => own_hosts.add(rule, &format!("={host}{path}")),
            HostPattern::Below(host) => own_hosts.add(rule, &format!("{host}{path}")),
            HostPattern::Any => {}
        }
    }
    for (host, path, rule) in catalog.host_facts() {
        hosts.add(rule, &format!("{host}{}", path.map_or("", Pattern::as_str)));
    }
    for (name, rule) in site.cookie_rules() {
        own_cookies.add(rule, name.as_str());
    }
    for (name, rule, domain) in catalog.cookie_patterns() {
        if domain.is_none_or(|domain| is_at(site, domain)) {
            cookies.add(rule, name.as_str());
        }
    }
    for (key, rule) in site.storage_rules() {
        own_storage.add(rule, key.as_str());
    }
    for (key, rule) in catalog.storage_rules() {
        storage.add(rule, key.as_str());
    }
    for (name, purpose) in catalog.globals() {
        globals.add_for(purpose, name);
    }
    let own: Vec<_> =
        site.options.hosts.iter().filter(|host| **host != HostPattern::Any).map(ToString::to_string).collect();
    let rules = json!({
        "prefix": prefix,
        "cookie": cookie,
        "purposes": purposes.names(purposes.all()).collect::<Vec<_>>(),
        "offered": site.options.purposes.iter().map(Purpose::index).collect::<Vec<_>>(),
        "unknown": site.options.unknown_cookies == UnknownCookies::Block,
        "own": own.join(" "),
        "hosts": [own_hosts.0, hosts.0],
        "cookies": [own_cookies.0, cookies.0],
        "storage": [own_storage.0, storage.0],
        "globals": globals.0,
    });
    format!("self.__consentry={rules};\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_at_most_6_kib() {
        let size = compress(without_comments(GUARD).as_bytes()).len();
        assert!(size <= 6 << 10, "{size} bytes");
    }

    #[test]
    fn the_bridge_is_at_most_1_kib() {
        let size = OwnFile::bridge("/.consentry").gzip.len();
        assert!(size <= 1 << 10, "{size} bytes");
    }
}
