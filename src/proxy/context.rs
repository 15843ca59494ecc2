//! What is known about one request, from its header to its log line.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prometheus::IntGauge;

use super::Gateway;
use super::share::Access;
use crate::consent::Consent;
use crate::enforce::html::Outcome;
use crate::enforce::{Judge, RequestEdits, Tally};
use crate::policy::{Host, Mode, PurposeSet, Site};
use crate::reload::{SiteRuntime, Snapshot};

/// The state of one request. Everything that depends on the ruleset asks the snapshot in here, so that a reload in the
/// meantime changes nothing for it.
pub struct Context {
    pub snapshot: Arc<Snapshot>,
    pub decision: Option<Decision>,
    pub edits: RequestEdits,
    pub tally: Tally,
    /// Unix time in seconds when it began.
    pub now: u64,
    pub started: Instant,
    /// Whether the visitor came by https.
    pub secure: bool,
    /// Whether the peer's word about the visitor's address and scheme is believed.
    pub trusted_peer: bool,
    /// Bytes of the body so far.
    pub body_bytes: u64,
    /// The beginning of the body, if it was read in order to judge it.
    pub read_ahead: Bytes,
    /// Whether this attempt has sent it on.
    pub read_ahead_sent: bool,
    /// Whether the request is let through only because a purpose was granted.
    pub by_consent: bool,
    /// Why a page is passed as it is although something in it may be denied.
    pub page_skipped: Option<Outcome>,
    pub connect_attempts: usize,
    /// Whether the connection has become a tunnel.
    pub is_tunnel: bool,
    /// Why the proxy itself answered; a word from a closed set.
    pub answered: Option<&'static str>,
    /// The recorded access that this request belongs to.
    pub(super) access: Option<Access>,
    _in_flight: InFlight,
}

/// For whom, and with what consent.
#[derive(Clone)]
pub struct Decision {
    /// Position of the site.
    pub site: usize,
    pub host: Host,
    pub consent: Consent,
    /// Whether the browser sends `Sec-GPC: 1`.
    pub opted_out: bool,
}

impl Decision {
    /// What this visitor's browser says must not be granted.
    pub fn capped(&self, site: &Site) -> PurposeSet {
        if self.opted_out { site.options.gpc_caps } else { PurposeSet::EMPTY }
    }
}

impl Context {
    pub(super) fn new(gateway: &Gateway) -> Self {
        Context {
            snapshot: gateway.store.current(),
            decision: None,
            edits: RequestEdits::default(),
            tally: Tally::default(),
            now: crate::reload::unix_time(),
            started: Instant::now(),
            secure: false,
            trusted_peer: false,
            body_bytes: 0,
            read_ahead: Bytes::new(),
            read_ahead_sent: false,
            by_consent: false,
            page_skipped: None,
            connect_attempts: 0,
            is_tunnel: false,
            answered: None,
            access: None,
            _in_flight: InFlight::enter(&gateway.metrics.requests_in_flight),
        }
    }

    /// The site, unless none answers for the host.
    pub fn site(&self) -> Option<&Site> {
        self.snapshot.ruleset.sites.get(self.decision.as_ref()?.site)
    }

    pub fn runtime(&self) -> Option<&SiteRuntime> {
        self.snapshot.sites.get(self.decision.as_ref()?.site)
    }

    /// Asks for verdicts; `None` where nothing is judged.
    pub fn judge(&self) -> Option<Judge<'_>> {
        judge(&self.snapshot, self.decision.as_ref()?)
    }
}

/// As [`Context::judge`], while the rest of the context is borrowed.
pub(super) fn judge<'a>(snapshot: &'a Snapshot, decision: &'a Decision) -> Option<Judge<'a>> {
    let site = snapshot.ruleset.sites.get(decision.site).filter(|site| site.options.mode != Mode::Off)?;
    let granted = decision.consent.grant();
    Some(Judge { catalog: &snapshot.ruleset.catalog, site, host: &decision.host, granted })
}

/// Counts a request as long as it lives, also when a bug ends it.
pub struct InFlight(IntGauge);

impl InFlight {
    pub fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        InFlight(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
