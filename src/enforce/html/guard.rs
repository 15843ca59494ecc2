//! What the guard in the browser is made of: the script, the tables it goes by, and the tags that load them.
//!
//! Both are the same for every visitor of a site and change only with the ruleset, so they are named by their content
//! and kept by browsers for good. What differs by visitor, what is granted, stands in the tag.

mod tables;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use ring::digest::{SHA256, digest};

use self::tables::tables;
use crate::enforce::csp::{Admission, OwnScript};
use crate::policy::{Catalog, Grant, PurposeSet, Purposes, Site};

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

/// The script as it is sent: all in one line, without what only explains it. None of its lines ends in a comment, or
/// where only the end of the line ends a statement or a word.
fn without_comments(script: &str) -> String {
    script.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect()
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

    /// The tags for a page of somebody who granted `granted`, where `capped` cannot be granted at all. `csp`: whether a
    /// policy holds that depends on consent.
    pub fn tags(&self, admission: &Admission, purposes: &Purposes, consent: (&Grant, PurposeSet), csp: bool) -> String {
        let (granted, capped) = consent;
        let refused: Vec<_> = granted.refused.iter().map(|vendor| vendor.number().to_string()).collect();
        let refused =
            if refused.is_empty() { String::new() } else { format!(" data-refused=\"{}\"", refused.join(" ")) };
        // What a policy does not admit, and whoever was refused, stays out until the page is loaded anew.
        let reload = if csp || !refused.is_empty() { " data-reload" } else { "" };
        let names = |set: PurposeSet| purposes.names(set).collect::<Vec<_>>().join(" ");
        format!(
            "<script src=\"{}\"{}></script><script src=\"{}\" data-granted=\"{}\" data-capped=\"{}\"{refused}{reload}{}></script>",
            self.rules.path,
            attributes(&self.rules, admission),
            self.guard.path,
            names(granted.purposes),
            names(capped),
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
