//! Consentry: a reverse proxy that makes a web property keep its own consent promise.
//!
//! ```text
//! visitor ──► net ──► proxy ─┬─► consent::resolve ──► policy: a Verdict for each cookie, request, header
//!                            ├─► enforce: Verdict ──► bytes
//!                            └─► upstream
//! ```
//!
//! Dependencies point downwards: `cli` → `app` → {`net`, `proxy`, `admin`, `reload`} → `config` → `enforce` →
//! `consent` → `policy`. The last three are pure: they know no pingora, no tokio, no clock and no file.

#![deny(unsafe_code)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod consent;
pub mod countries;
pub mod demo;
pub mod enforce;
pub mod inventory;
pub mod ledger;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod readiness;
pub mod reload;
pub mod telemetry;
pub mod tls;
