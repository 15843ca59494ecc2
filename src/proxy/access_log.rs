//! The end of a request: counts, and one line without anything personal in it.

use pingora::Error;
use pingora::proxy::Session;
use serde::Serialize;

use super::Gateway;
use super::context::Context;
use super::message::target;
use super::page::PageModule;
use crate::metrics::SiteMetrics;
use crate::telemetry::timestamp;

/// One line of the access log. No address, no query, no cookie, and of a share link no token.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    site: &'a str,
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    status: u16,
    bytes: usize,
    duration_ms: f64,
    consent: Vec<&'a str>,
    source: &'static str,
    ruleset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<&'static str>,
}

pub(super) fn finish(gateway: &Gateway, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let elapsed = context.started.elapsed();
    let (Some(runtime), Some(decision)) = (context.runtime(), &context.decision) else { return };
    runtime.metrics.request(status, elapsed.as_secs_f64());
    runtime.metrics.verdicts(&context.tally);
    count_page(session, context, &runtime.metrics);
    if context.judge().is_some() {
        runtime.metrics.consent(decision.consent.source, decision.consent.granted);
    }
    if !context.snapshot.access_log {
        return;
    }
    let header = session.req_header();
    let line = Line {
        time: timestamp(),
        site: context.site().map_or("", |site| &*site.options.name),
        method: header.method.as_str(),
        path: &shown_path(target(header).0, context),
        protocol: if session.is_http2() { "h2" } else { "http/1" },
        status,
        bytes: session.body_bytes_sent(),
        duration_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
        consent: context.snapshot.ruleset.purposes.names(decision.consent.granted).collect(),
        source: decision.consent.source.name(),
        ruleset: context.snapshot.version,
        answered: context.answered,
    };
    if let Ok(mut text) = serde_json::to_vec(&line) {
        text.push(b'\n');
        gateway.access_log.write(text);
    }
}

/// Counts what became of a page, and of what it names.
fn count_page(session: &mut Session, context: &Context, metrics: &SiteMetrics) {
    if let Some(outcome) = context.page_skipped {
        metrics.rewrite(outcome);
    }
    if let Some((tally, outcome)) = session.downstream_modules_ctx.get_mut::<PageModule>().and_then(PageModule::result)
    {
        metrics.verdicts(tally);
        metrics.rewrite(outcome);
    }
}

/// The path, or the template of the share link that it is.
fn shown_path<'a>(path: &'a [u8], context: &'a Context) -> std::borrow::Cow<'a, str> {
    match context.site().and_then(|site| site.share(path)) {
        Some(share) => (&*share.template).into(),
        None => String::from_utf8_lossy(path),
    }
}
