//! The trackers of the shop: the cookies they want to be known by, and first-party endpoints that count what reaches
//! them.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two pixels, so that the page's script can tell it from the one that the proxy answers with.
pub(super) const PIXEL: &[u8] =
    b"GIF89a\x02\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00\
    ,\x00\x00\x00\x00\x02\x00\x01\x00\x00\x02\x02\x04\x0a\x00;";

/// Where a tracker listens.
pub(super) struct Endpoint {
    path: &'static str,
    about: &'static str,
    pub content_type: &'static str,
    /// `None`: the number of hits, as JSON.
    body: Option<&'static [u8]>,
    hits: AtomicU64,
}

impl Endpoint {
    fn file(path: &'static str, about: &'static str, content_type: &'static str, body: &'static [u8]) -> Self {
        Endpoint { path, about, content_type, body: Some(body), hits: AtomicU64::default() }
    }

    fn collector(path: &'static str, about: &'static str) -> Self {
        Endpoint { path, about, content_type: "application/json", body: None, hits: AtomicU64::default() }
    }

    /// The body of the answer; a visit counts as a hit, and a mere question about the endpoint does not.
    pub fn answer(&self, is_hit: bool) -> Vec<u8> {
        let hits = self.hits.fetch_add(u64::from(is_hit), Ordering::Relaxed) + u64::from(is_hit);
        self.body.map_or_else(|| format!("{{\"counted\":{hits}}}\n").into_bytes(), <[u8]>::to_vec)
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

/// All endpoints.
pub(super) struct Trackers([Endpoint; 6]);

impl Default for Trackers {
    fn default() -> Self {
        let script = "text/javascript";
        Trackers([
            Endpoint::file("/analytics.js", "the shop’s own script", script, include_bytes!("analytics.js")),
            Endpoint::file("/matomo.js", "Matomo, script", script, include_bytes!("matomo.js")),
            Endpoint::file("/matomo.php", "Matomo, pixel", "image/gif", PIXEL),
            Endpoint::collector("/g/collect", "Google Analytics 4, server-side"),
            Endpoint::collector("/ingest/e/", "PostHog, through the site’s own host"),
            Endpoint::collector("/api/event", "Plausible, through the site’s own host"),
        ])
    }
}

impl Trackers {
    pub fn at(&self, path: &str) -> Option<&Endpoint> {
        self.0.iter().find(|endpoint| endpoint.path == path)
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(Endpoint::hits).sum()
    }

    /// Rows of a table.
    pub fn rows(&self) -> String {
        let mut rows = String::new();
        for endpoint in &self.0 {
            let (path, about, hits) = (endpoint.path, endpoint.about, endpoint.hits());
            // Writing to a string does not fail.
            _ = writeln!(rows, "<tr><td><code>{path}</code></td><td>{about}</td><td class=\"number\">{hits}</td></tr>");
        }
        rows
    }
}

/// Name and fresh value of each cookie that a page sets to recognise its visitors.
pub(super) fn cookies(now: u64) -> [(&'static str, String); 8] {
    [
        ("_ga", format!("GA1.1.1042.{now}")),
        ("_ga_LANTERN1", format!("GS1.1.{now}.1.0.{now}.0.0.0")),
        ("_gid", format!("GA1.1.77.{now}")),
        ("_fbp", format!("fb.0.{now}000.1042")),
        ("_gcl_au", format!("1.1.1042.{now}")),
        ("_uetsid", format!("1042{now}")),
        ("lantern_ads", "autumn".to_owned()),
        ("lantern_mystery", "42".to_owned()),
    ]
}

/// What a cookie that may reach the shop is for, in words for its pages.
pub(super) fn about(name: &str) -> &'static str {
    match name {
        "consentry" => "your choice: necessary",
        "session" => "the log-in: necessary",
        "cart_items" => "the cart: necessary",
        "theme" => "the look: preferences",
        "_ga" | "_ga_LANTERN1" | "_gid" => "Google Analytics: analytics",
        "_pk_id.1.demo" | "_pk_ses.1.demo" => "Matomo: analytics",
        "_lantern_visits" => "the shop’s own script: analytics",
        "lmetrics_visitor" => "Lantern Metrics: analytics",
        "lads_visitor" => "Lantern Ads: marketing",
        "_fbp" => "Meta: marketing",
        "_gcl_au" => "Google Ads: marketing",
        "_uetsid" => "Microsoft Advertising: marketing",
        "lantern_ads" => "the shop’s own advertisements: marketing",
        "lantern_mystery" => "nobody knows: passes only with everything granted",
        _ => "not of this shop",
    }
}
