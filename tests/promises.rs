//! The promises, over real sockets. One binary, since linking is what tests wait for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "support/mod.rs"]
mod support;

#[path = "browser/mod.rs"]
mod browser;

#[path = "promises/allocation.rs"]
mod allocation;
#[path = "promises/architecture.rs"]
mod architecture;
#[path = "promises/catalog.rs"]
mod catalog;
#[path = "promises/central.rs"]
mod central;
#[path = "promises/central_store.rs"]
mod central_store;
#[path = "promises/command_line.rs"]
mod command_line;
#[path = "promises/configuration.rs"]
mod configuration;
#[path = "promises/consent.rs"]
mod consent;
#[path = "promises/csp.rs"]
mod csp;
#[path = "promises/demo.rs"]
mod demo;
#[path = "promises/deployment.rs"]
mod deployment;
#[path = "promises/disk.rs"]
mod disk;
#[path = "promises/filter_lists.rs"]
mod filter_lists;
#[path = "promises/gate.rs"]
mod gate;
#[path = "promises/hardening.rs"]
mod hardening;
#[path = "promises/iab/mod.rs"]
mod iab;
#[path = "promises/killed.rs"]
mod killed;
#[path = "promises/ledger.rs"]
mod ledger;
#[path = "promises/ledger_keys.rs"]
mod ledger_keys;
#[path = "promises/lifecycle.rs"]
mod lifecycle;
#[path = "promises/markers.rs"]
mod markers;
#[path = "promises/memory.rs"]
mod memory;
#[path = "promises/modes.rs"]
mod modes;
#[path = "promises/monitoring.rs"]
mod monitoring;
#[path = "promises/pages.rs"]
mod pages;
#[path = "promises/properties.rs"]
mod properties;
#[path = "promises/questions.rs"]
mod questions;
#[path = "promises/reload.rs"]
mod reload;
#[path = "promises/replica_retention.rs"]
mod replica_retention;
#[path = "promises/replicas.rs"]
mod replicas;
#[path = "promises/request_cookies.rs"]
mod request_cookies;
#[path = "promises/request_headers.rs"]
mod request_headers;
#[path = "promises/response_cookies.rs"]
mod response_cookies;
#[path = "promises/response_headers.rs"]
mod response_headers;
#[path = "promises/serving.rs"]
mod serving;
#[path = "promises/share_links.rs"]
mod share_links;
#[path = "promises/signals.rs"]
mod signals;
#[path = "promises/tls.rs"]
mod tls;
#[path = "promises/trackers.rs"]
mod trackers;
#[path = "promises/vendor_consent.rs"]
mod vendor_consent;
