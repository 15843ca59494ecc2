//! Where browsers report what the policy that depends on consent stopped, or would have.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use pingora::Result;
use pingora::proxy::Session;

use super::super::context::Context;
use super::super::message::{own_response, read_body, respond};
use super::{is_cross_site, problem};
use crate::inventory::{ReportFormat, Violation, parse};
use crate::metrics::ReportOutcome;
use crate::policy::{ResourceKind, Url};

/// Notes a report in the site's inventory.
pub(super) async fn receive(session: &mut Session, context: &Context) -> Result<()> {
    if is_cross_site(session, context) {
        count(context, ReportOutcome::Refused);
        return problem(session, 403, "reports can only come from the site itself").await;
    }
    let content_type = session.req_header().headers.get(CONTENT_TYPE);
    let Some(format) = content_type.and_then(|kind| ReportFormat::of(kind.as_bytes())) else {
        count(context, ReportOutcome::Malformed);
        return problem(session, 415, "expected application/csp-report or application/reports+json").await;
    };
    let Some(body) = read_body(session, format.limit()).await? else {
        count(context, ReportOutcome::TooLong);
        return problem(session, 413, "the report is too long").await;
    };
    let Some(violations) = parse(format, &body) else {
        count(context, ReportOutcome::Malformed);
        return problem(session, 400, "this is not a report").await;
    };
    if violations.is_empty() {
        count(context, ReportOutcome::Ignored);
    }
    for violation in violations {
        count(context, if note(context, &violation) { ReportOutcome::Recorded } else { ReportOutcome::Ignored });
    }
    respond(session, own_response(204, None)?, Bytes::new()).await
}

fn count(context: &Context, outcome: ReportOutcome) {
    if let Some(runtime) = context.runtime() {
        runtime.metrics.csp_report(outcome);
    }
}

/// Keeps the host and what is known of it, and forgets the rest of the URL.
fn note(context: &Context, violation: &Violation) -> bool {
    let (Some(site), Some(runtime), Some(decision)) = (context.site(), context.runtime(), &context.decision) else {
        return false;
    };
    let Some(url) = Url::parse(violation.url.as_bytes()) else { return false };
    let Some(host) = url.host.filter(|host| !site.owns(host) && host.as_str() != decision.host.as_str()) else {
        return false;
    };
    let ruleset = &context.snapshot.ruleset;
    let rule = site.url(&ruleset.catalog, &decision.host, &url, kind_of(violation.directive));
    runtime.inventory.record(&host, violation.directive, rule, &ruleset.purposes, context.now);
    true
}

/// What a directive lets a page fetch (CSP3, section 6.1).
fn kind_of(directive: &str) -> ResourceKind {
    match directive {
        "script-src" | "script-src-elem" | "worker-src" => ResourceKind::Script,
        "style-src" | "style-src-elem" => ResourceKind::Stylesheet,
        "img-src" => ResourceKind::Image,
        "font-src" => ResourceKind::Font,
        "media-src" => ResourceKind::Media,
        "object-src" => ResourceKind::Object,
        "frame-src" | "child-src" => ResourceKind::Frame,
        "connect-src" => ResourceKind::Fetch,
        "form-action" => ResourceKind::Document,
        _ => ResourceKind::Other,
    }
}
