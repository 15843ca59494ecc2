//! Every metric of the program. Labels come from closed sets: names of configured sites and purposes, and words that
//! stand in this code; nothing from the wire.

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::consent::Source;
use crate::consent::signal::FORMATS;
use crate::enforce::html::Outcome;
use crate::enforce::{Action, Direction, Tally};
use crate::ledger::central::CentralStatus;
use crate::ledger::journal::JournalStatus;
use crate::policy::{PurposeSet, Purposes, Site};
use crate::tls::HANDSHAKE_FAILURES;

/// Upper bounds in seconds.
const DURATIONS: [f64; 14] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The label of what no purpose is known for.
const UNKNOWN: &str = "unknown";

/// All metric families, in their own registry.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    cookies: IntCounterVec,
    parameters: IntCounterVec,
    headers: IntCounterVec,
    elements: IntCounterVec,
    rewrites: IntCounterVec,
    tracker_requests: IntCounterVec,
    consents: IntCounterVec,
    grants: IntCounterVec,
    conflicts: IntCounterVec,
    unmapped_ids: IntCounterVec,
    choices: IntCounterVec,
    csp_reports: IntCounterVec,
    upstream_errors: IntCounterVec,
    /// Requests and connections that the proxy itself refused, by reason.
    pub rejected: IntCounterVec,
    pub requests_in_flight: IntGauge,
    pub connections: IntGauge,
    pub ledger: LedgerMetrics,
    /// Questions on the admin listener that were refused, by reason.
    pub questions_refused: IntCounterVec,
    pub reloads: IntCounterVec,
    pub config_version: IntGauge,
    pub config_last_reload_successful: IntGauge,
    pub config_last_reload_success_timestamp: IntGauge,
    pub access_log_dropped: IntCounter,
    pub panics: IntCounter,
    pub tls: TlsMetrics,
}

/// Of connections by https.
#[derive(Clone)]
pub struct TlsMetrics {
    /// When the certificates in force expire, in Unix time, by the file of the chain.
    pub expiry: IntGaugeVec,
    pub handshake_failures: IntCounterVec,
}

impl Metrics {
    pub fn new() -> Result<Arc<Metrics>, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(format!("consentry_{name}"), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("consentry_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("consentry_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let options = HistogramOpts::new(
            "consentry_request_duration_seconds",
            "Time from a request's header to the end of its response.",
        );
        let durations = HistogramVec::new(options.buckets(DURATIONS.to_vec()), &["site"])?;
        registry.register(Box::new(durations.clone()))?;
        let expiry = IntGaugeVec::new(
            Opts::new(
                "consentry_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that visitors are shown expires, in Unix time.",
            ),
            &["certificate"],
        )?;
        registry.register(Box::new(expiry.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("consentry_build_info", "Always 1; the version is a label."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        // Processor time, memory, file descriptors and threads, under the names that every dashboard knows.
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let decision = ["site", "purpose", "action"];
        let metrics = Metrics {
            requests: counters("requests_total", "Requests answered.", &["site", "status_class"])?,
            cookies: counters(
                "cookies_total",
                "Cookies judged, on the way to the upstream (request) and to the visitor (response).",
                &["site", "direction", "purpose", "action"],
            )?,
            parameters: counters("parameters_total", "Click ids judged in queries.", &decision)?,
            headers: counters(
                "headers_total",
                "Response fields judged that make a browser contact somebody.",
                &decision,
            )?,
            tracker_requests: counters(
                "tracker_requests_total",
                "Requests judged that are known to track.",
                &decision,
            )?,
            elements: counters("elements_total", "Addresses judged that pages name and a rule knows.", &decision)?,
            rewrites: counters("rewrites_total", "Pages by what the gate did with them.", &["site", "outcome"])?,
            consents: counters("consents_total", "Requests by where their consent came from.", &["site", "source"])?,
            grants: counters("grants_total", "Requests by purpose that is granted.", &["site", "purpose"])?,
            conflicts: counters(
                "consent_conflicts_total",
                "Requests in which sources of equal rank say different things about consent.",
                &["site"],
            )?,
            unmapped_ids: counters(
                "consent_unmapped_ids_total",
                "Ids met in banners' records that no mapping knows; they grant nothing.",
                &["site", "source"],
            )?,
            choices: counters("choices_total", "Choices made on the own pages.", &["site", "action"])?,
            csp_reports: counters(
                "csp_reports_total",
                "Reports of what the policy that depends on consent stopped.",
                &["site", "outcome"],
            )?,
            upstream_errors: counters(
                "upstream_errors_total",
                "Requests that the upstream did not answer.",
                &["site", "reason"],
            )?,
            rejected: counters("rejected_total", "Requests and connections refused by the proxy itself.", &["reason"])?,
            requests_in_flight: gauge("requests_in_flight", "Requests being served.")?,
            connections: gauge("connections", "Open connections from visitors.")?,
            ledger: LedgerMetrics {
                records: gauge("ledger_records", "Number of the last record in the journal.")?,
                queued: gauge("ledger_queued", "Records that wait for the disk.")?,
                unsigned: gauge("ledger_unsigned", "Records since the last signed checkpoint.")?,
                lost: gauge("ledger_lost", "Accesses that were not recorded since the start.")?,
                failing: gauge("ledger_failing", "1 while nothing can be written to the journal.")?,
                copy_failing: gauge("ledger_copy_failing", "1 while checkpoints cannot be copied outside.")?,
                shipping_lag_records: gauge(
                    "ledger_shipping_lag_records",
                    "Records that are not known to be in the central store.",
                )?,
                shipping_lag_seconds: gauge("ledger_shipping_lag_seconds", "Age of the oldest of them.")?,
                shipping_failing: gauge("ledger_shipping_failing", "1 while nothing arrives in the central store.")?,
                shipping_forks: gauge(
                    "ledger_shipping_forks",
                    "Times that the journal was not the one that was shipped, since the start.",
                )?,
                purged: gauge("ledger_purged", "Records that were purged since the start.")?,
                retention: gauge(
                    "ledger_retention_last_success_timestamp_seconds",
                    "When all records and keys that were due were last gone, in Unix time.",
                )?,
            },
            questions_refused: counters(
                "questions_refused_total",
                "Questions to the ledger on the admin listener that were refused.",
                &["reason"],
            )?,
            reloads: counters("reloads_total", "Attempts to load the configuration.", &["action"])?,
            config_version: gauge(
                "config_version",
                "Number of the ruleset in force; grows with each reload that changes something.",
            )?,
            config_last_reload_successful: gauge(
                "config_last_reload_successful",
                "1 if the last attempt to load the configuration succeeded.",
            )?,
            config_last_reload_success_timestamp: gauge(
                "config_last_reload_success_timestamp_seconds",
                "Unix time of the last successful load.",
            )?,
            access_log_dropped: counter(
                "access_log_dropped_total",
                "Access log lines lost because the log could not be written fast enough.",
            )?,
            panics: counter("panics_total", "Bugs that ended a request or task.")?,
            tls: TlsMetrics {
                expiry,
                handshake_failures: counters(
                    "tls_handshake_failures_total",
                    "Connections of visitors that TLS was not agreed on with.",
                    &["reason"],
                )?,
            },
            durations,
            registry,
        };
        for reason in ["unauthorized", "forbidden", "too_many"] {
            metrics.questions_refused.with_label_values(&[reason]);
        }
        for reason in HANDSHAKE_FAILURES {
            metrics.tls.handshake_failures.with_label_values(&[reason]);
        }
        Ok(Arc::new(metrics))
    }

    /// All families in the text format of Prometheus.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            log::error!("metrics cannot be written: {error}");
        }
        text
    }

    /// The handles of one site, resolved once so that requests need no look-up.
    pub fn site(&self, site: &Site, purposes: &Purposes) -> SiteMetrics {
        let name = &*site.options.name;
        let decisions = |family: &IntCounterVec, direction: Option<&str>| {
            let labels = label_sets(site.options.purposes, purposes);
            labels
                .map(|purpose| {
                    let values = Action::ALL.map(|action| {
                        let all = [Some(name), direction, Some(purpose), Some(action.as_str())];
                        family.with_label_values(&all.into_iter().flatten().collect::<Vec<_>>())
                    });
                    Decisions(values)
                })
                .collect()
        };
        SiteMetrics {
            requests: STATUS_CLASSES.map(|class| self.requests.with_label_values(&[name, class])),
            duration: self.durations.with_label_values(&[name]),
            decisions: [
                decisions(&self.cookies, Some("request")),
                decisions(&self.cookies, Some("response")),
                decisions(&self.parameters, None),
                decisions(&self.headers, None),
                decisions(&self.elements, None),
            ],
            tracker_requests: decisions(&self.tracker_requests, None),
            consents: FORMATS.iter().map(|format| self.consents.with_label_values(&[name, format.name])).collect(),
            grants: purposes
                .all()
                .iter()
                .map(|purpose| {
                    let known = site.options.purposes.contains(purpose);
                    known.then(|| self.grants.with_label_values(&[name, purposes.name(purpose)]))
                })
                .collect(),
            conflicts: self.conflicts.with_label_values(&[name]),
            unmapped_ids: FORMATS
                .iter()
                .map(|format| self.unmapped_ids.with_label_values(&[name, format.name]))
                .collect(),
            default_consents: self.consents.with_label_values(&[name, "default"]),
            given: self.choices.with_label_values(&[name, "give"]),
            withdrawn: self.choices.with_label_values(&[name, "withdraw"]),
            rewrites: Outcome::ALL.map(|outcome| self.rewrites.with_label_values(&[name, outcome.as_str()])),
            csp_reports: ReportOutcome::ALL
                .map(|outcome| self.csp_reports.with_label_values(&[name, outcome.as_str()])),
            upstream_errors: self.upstream_errors.clone(),
            name: name.into(),
        }
    }
}

/// How the ledger does.
pub struct LedgerMetrics {
    records: IntGauge,
    queued: IntGauge,
    unsigned: IntGauge,
    lost: IntGauge,
    failing: IntGauge,
    copy_failing: IntGauge,
    shipping_lag_records: IntGauge,
    shipping_lag_seconds: IntGauge,
    shipping_failing: IntGauge,
    shipping_forks: IntGauge,
    purged: IntGauge,
    retention: IntGauge,
}

impl LedgerMetrics {
    /// Takes the present state; `lost` is what requests could not record.
    pub fn set(&self, status: &JournalStatus, lost: u64) {
        self.records.set(number(status.last));
        self.queued.set(i64::try_from(status.queued).unwrap_or(i64::MAX));
        self.unsigned.set(number(status.last.saturating_sub(status.checkpoint)));
        self.lost.set(number(lost.max(status.missed)));
        self.failing.set(i64::from(status.failing.is_some()));
        self.copy_failing.set(i64::from(status.copy_failing.is_some()));
        self.purged.set(number(status.retention.purged));
        self.retention.set(number(status.retention.last_success_ms.unwrap_or_default() / 1000));
    }

    /// Takes the present state of shipping a journal that ends with record `last`.
    pub fn set_shipping(&self, status: &CentralStatus, last: u64, now_ms: u64) {
        self.shipping_lag_records.set(number(status.lag_records(last)));
        self.shipping_lag_seconds.set(number(status.lag_seconds(last, now_ms)));
        self.shipping_failing.set(i64::from(status.failing.is_some()));
        self.shipping_forks.set(number(status.forks));
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What became of a violation report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportOutcome {
    /// Its host is in the inventory.
    Recorded,
    /// It names no host, or one of the site's own.
    Ignored,
    Malformed,
    TooLong,
    /// Another site sent it.
    Refused,
}

impl ReportOutcome {
    pub const ALL: [ReportOutcome; 5] = [
        ReportOutcome::Recorded,
        ReportOutcome::Ignored,
        ReportOutcome::Malformed,
        ReportOutcome::TooLong,
        ReportOutcome::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReportOutcome::Recorded => "recorded",
            ReportOutcome::Ignored => "ignored",
            ReportOutcome::Malformed => "malformed",
            ReportOutcome::TooLong => "too_long",
            ReportOutcome::Refused => "refused",
        }
    }
}

/// Labels by purpose index, with `unknown` last.
fn label_sets(site: PurposeSet, purposes: &Purposes) -> impl Iterator<Item = &str> {
    let label = move |purpose| if site.contains(purpose) { purposes.name(purpose) } else { UNKNOWN };
    purposes.all().iter().map(label).chain(std::iter::once(UNKNOWN))
}

struct Decisions([IntCounter; Action::ALL.len()]);

/// The metrics of one site.
pub struct SiteMetrics {
    requests: [IntCounter; STATUS_CLASSES.len()],
    duration: Histogram,
    /// By direction, then by purpose.
    decisions: [Vec<Decisions>; Direction::ALL.len()],
    tracker_requests: Vec<Decisions>,
    consents: Vec<IntCounter>,
    default_consents: IntCounter,
    /// By purpose; none for one that is not the site's.
    grants: Vec<Option<IntCounter>>,
    pub conflicts: IntCounter,
    unmapped_ids: Vec<IntCounter>,
    pub given: IntCounter,
    pub withdrawn: IntCounter,
    rewrites: [IntCounter; Outcome::ALL.len()],
    csp_reports: [IntCounter; ReportOutcome::ALL.len()],
    upstream_errors: IntCounterVec,
    name: Box<str>,
}

impl SiteMetrics {
    /// Counts a request that was answered with `status` after `seconds`.
    pub fn request(&self, status: u16, seconds: f64) {
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|class| self.requests.get(class)) {
            counter.inc();
        }
        self.duration.observe(seconds);
    }

    /// Adds the verdicts of a request.
    pub fn verdicts(&self, tally: &Tally) {
        for (direction, purpose, action, count) in tally.iter() {
            let by_purpose = self.decisions.get(direction as usize);
            if let Some(counter) = by_purpose.and_then(|by_purpose| at(by_purpose, purpose, action)) {
                counter.inc_by(u64::from(count));
            }
        }
    }

    pub fn tracker_request(&self, purpose: Option<usize>, action: Action) {
        if let Some(counter) = at(&self.tracker_requests, purpose, action) {
            counter.inc();
        }
    }

    /// Counts a request whose consent came from `source` and allows what is in `granted`.
    pub fn consent(&self, source: Source, granted: PurposeSet) {
        for counter in granted.iter().filter_map(|purpose| self.grants.get(purpose.index())?.as_ref()) {
            counter.inc();
        }
        match source {
            Source::Format(position) => self.consents.get(position).unwrap_or(&self.default_consents).inc(),
            Source::Default => self.default_consents.inc(),
        }
    }

    /// Counts an id that is not mapped, in a record of the format at `position`.
    pub fn unmapped_id(&self, position: usize) {
        if let Some(counter) = self.unmapped_ids.get(position) {
            counter.inc();
        }
    }

    pub fn rewrite(&self, outcome: Outcome) {
        if let Some(counter) = self.rewrites.get(outcome as usize) {
            counter.inc();
        }
    }

    pub fn csp_report(&self, outcome: ReportOutcome) {
        if let Some(counter) = self.csp_reports.get(outcome as usize) {
            counter.inc();
        }
    }

    /// `reason` is a word from a closed set.
    pub fn upstream_error(&self, reason: &'static str) {
        self.upstream_errors.with_label_values(&[&*self.name, reason]).inc();
    }
}

fn at(by_purpose: &[Decisions], purpose: Option<usize>, action: Action) -> Option<&IntCounter> {
    let unknown = by_purpose.len().checked_sub(1)?;
    by_purpose.get(purpose.unwrap_or(unknown))?.0.get(action as usize)
}
