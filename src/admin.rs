//! The admin listener: what an operator, a probe and Prometheus ask. It shows no visitor's data, but to those who have
//! a token what the ledger answers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 as long as the process answers |
//! | `GET /readyz` | 200, or 503 and what stands in the way |
//! | `GET /metrics` | all metrics, in the text format of Prometheus |
//! | `GET /status` | ruleset, last reload and its errors, ports, sites, as JSON |
//! | `GET /inventory` | hosts that pages contacted, and a proposal for the configuration, as JSON |
//! | `POST /-/reload` | loads the configuration again; 200, or 422 and what is wrong |
//! | `/trail/…` | what the ledger answers: [`trail`] |

mod asked;
mod problem;
mod tokens;
pub mod trail;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use crate::inventory::listing;
use crate::ledger::recording::Recording;
use crate::metrics::Metrics;
use crate::net::Connections;
use crate::readiness::Readiness;
use crate::reload::Store;

use trail::TrailPages;

/// The admin application.
pub struct Admin {
    pub store: Arc<Store>,
    /// `None`: no access is recorded.
    pub recording: Option<Arc<Recording>>,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    pub connections: Arc<Connections>,
    pub traffic: Vec<SocketAddr>,
    pub traffic_tls: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub started: Instant,
    pub trail: TrailPages,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let header = session.req_header();
        let read = header.method == Method::GET || header.method == Method::HEAD;
        let (path, post) = (header.uri.path().to_owned(), header.method == Method::POST);
        let mut answer = match (path.as_str(), read, post) {
            ("/livez", true, _) => text(200, "alive\n".to_owned()),
            ("/readyz", true, _) => self.readyz(),
            ("/metrics", true, _) => self.metrics(),
            ("/status", true, _) => json_answer(200, &self.status()),
            ("/inventory", true, _) => json_answer(200, &self.inventory()),
            ("/-/reload", _, true) => self.reload().await,
            ("/livez" | "/readyz" | "/metrics" | "/status" | "/inventory", ..) => not_allowed("GET, HEAD"),
            ("/-/reload", ..) => not_allowed("POST"),
            (path, ..) if TrailPages::serves(path) => {
                let current = self.store.current();
                self.trail.respond(session, &current.admin_tokens).await
            }
            _ => {
                let known = "there is /livez, /readyz, /metrics, /status, /inventory, /trail/, and POST /-/reload\n";
                text(404, known.to_owned())
            }
        };
        let length = HeaderValue::from(answer.body().len());
        answer.headers_mut().insert(CONTENT_LENGTH, length);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if session.req_header().method == Method::HEAD {
            answer.body_mut().clear();
        }
        answer
    }
}

impl Admin {
    fn readyz(&self) -> Response<Vec<u8>> {
        match self.readiness.blockers().as_slice() {
            [] => text(200, "ready\n".to_owned()),
            blockers => text(503, format!("not ready: {}\n", blockers.join(", "))),
        }
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        if let Some(recording) = &self.recording {
            let lost = recording.lost.load(Ordering::Relaxed);
            let status = recording.recorder.status();
            self.metrics.ledger.set(&status, lost);
            if let Some(central) = &recording.central {
                self.metrics.ledger.set_shipping(&central.status(), status.last, recording.now());
            }
        }
        self.metrics.connections.set(i64::try_from(self.connections.open()).unwrap_or(i64::MAX));
        answer(200, "text/plain; version=0.0.4", self.metrics.encode())
    }

    fn status(&self) -> Value {
        let current = self.store.current();
        let sites: Vec<_> = current
            .ruleset
            .sites
            .iter()
            .zip(&current.sites)
            .map(|(site, runtime)| {
                let unmapped = runtime.unmapped.list().into_iter();
                let unmapped = unmapped.map(|(source, id)| json!({ "source": source, "id": id }));
                json!({
                    "name": site.options.name,
                    "hosts": site.options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "mode": site.options.mode.as_str(),
                    "upstream_addresses": runtime.upstreams.len(),
                    "signals": runtime.signals.names().collect::<Vec<_>>(),
                    "unmapped_ids": unmapped.collect::<Vec<_>>(),
                })
            })
            .collect();
        let filter_lists: Vec<_> = current
            .ruleset
            .filter_lists
            .iter()
            .map(|list| {
                json!({
                    "path": list.rule.text,
                    "purpose": current.ruleset.purposes.name(list.rule.purpose),
                    "rules": list.filters.rules(),
                    "unusable_lines": list.filters.unusable(),
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.readiness.blockers().is_empty(),
            "blockers": self.readiness.blockers(),
            "listen": { "traffic": self.traffic, "traffic_tls": self.traffic_tls, "admin": self.admin },
            "connections": self.connections.open(),
            "ruleset": { "version": current.version, "hash": current.ruleset.hash, "since": current.since },
            "reload": self.store.status(),
            "catalog": current.ruleset.catalog.counts().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "certificates": self.store.tls().map(|tls| tls.status()).unwrap_or_default(),
            "filter_lists": filter_lists,
            "ledger": self.recording.as_ref().map(|recording| ledger_status(recording)),
            "sites": sites,
        })
    }

    fn inventory(&self) -> Value {
        let current = self.store.current();
        let inventories = current.sites.iter().map(|runtime| &*runtime.inventory);
        listing(&current.ruleset.catalog, current.ruleset.sites.iter().zip(inventories))
    }

    async fn reload(&self) -> Response<Vec<u8>> {
        let status = self.store.reload().await;
        let current = self.store.current();
        let body = json!({ "ruleset": { "version": current.version, "hash": current.ruleset.hash }, "reload": status });
        json_answer(if status.successful { 200 } else { 422 }, &body)
    }
}

fn ledger_status(recording: &Recording) -> Value {
    let status = recording.recorder.status();
    json!({
        "records": status.last,
        "queued": status.queued,
        "lost": recording.lost.load(Ordering::Relaxed).max(status.missed),
        "checkpoint": status.checkpoint,
        "failing_since": status.failing.map(|(since, _)| since),
        "failing": status.failing.map(|(_, kind)| kind.to_string()),
        "checkpoints_not_copied": status.copy_failing.map(|kind| kind.to_string()),
        "central": recording.central.as_ref().map(|central| {
            let central = central.status();
            json!({
                "server": central.server,
                "shipped": central.shipped,
                "lag_records": central.lag_records(status.last),
                "lag_seconds": central.lag_seconds(status.last, recording.now()),
                "forks": central.forks,
                "failing_since": central.failing.as_ref().map(|(since, _)| since),
                "failing": central.failing.as_ref().map(|(_, why)| why),
                "purge_failing": central.purge_failing,
            })
        }),
        "retention_last_success": status.retention.last_success_ms,
        "retention_failing_since": status.retention.failing.as_ref().map(|(since, _)| since),
        "retention_failing": status.retention.failing.as_ref().map(|(_, why)| why),
        "purged": status.retention.purged,
    })
}

fn answer(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn text(status: u16, body: String) -> Response<Vec<u8>> {
    answer(status, "text/plain; charset=utf-8", body.into_bytes())
}

fn json_answer(status: u16, body: &Value) -> Response<Vec<u8>> {
    answer(status, "application/json", format!("{body:#}\n").into_bytes())
}

fn not_allowed(methods: &'static str) -> Response<Vec<u8>> {
    let mut answer = text(405, format!("allowed here: {methods}\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
