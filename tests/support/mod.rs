//! What the tests stand on: the proxy on free ports, origins that do as they are told, clients that show every byte.

pub mod app;
pub mod browser;
pub mod client;
pub mod country_file;
pub mod dom;
pub mod http2;
pub mod ledger;
pub mod markers;
pub mod mounts;
pub mod origin;
pub mod postgres;
pub mod tls;
pub mod world;

pub use app::{TestApp, site};
pub use client::{Client, Response, get, send};
pub use origin::{Origin, Request, respond, respond_with};

use std::time::{Duration, Instant};

/// Waits until `condition` holds; fails after ten seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "this did not come about in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An own consent cookie that was given just now.
pub fn consent(purposes: &str) -> String {
    format!("consentry=1~{purposes}~~{}~test", consentry::reload::unix_time())
}

/// All that the built-in purposes can grant.
pub fn everything() -> String {
    consent("preferences.analytics.marketing")
}
