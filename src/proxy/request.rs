//! The request: which site, what consent, blocked or passed on.

use bytes::Bytes;
use http::header::HOST;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::context::{Context, Decision, judge};
use super::country::country;
use super::message::{content_length, own_response, respond, target};
use super::{Gateway, forwarded, https, older_policy, own_pages, tracker};
use crate::consent::signal::global_privacy_control;
use crate::enforce::edit_request;
use crate::policy::{Host, Mode, RequestRule};

/// Returns whether the request was answered here.
pub(super) async fn filter(gateway: &Gateway, session: &mut Session, context: &mut Context) -> Result<bool> {
    context.trusted_peer = forwarded::is_trusted(session, &gateway.server.trusted_proxies);
    context.secure = forwarded::is_secure(session, context.trusted_peer);
    let host = match addressed_host(session.req_header()) {
        Ok(host) => host,
        Err(problem) => return Box::pin(refuse(gateway, session, context, 400, "malformed", problem)).await,
    };
    let Some((decision, mode)) = decide(gateway, session, context, host) else {
        let problem = "no site is configured for this host";
        return Box::pin(refuse(gateway, session, context, 421, "unknown_host", problem)).await;
    };
    context.decision = Some(decision);
    https::announce(session, context);
    if let Some(location) = https::redirection(session, context, &gateway.ports) {
        return Box::pin(https::redirect(session, context, location)).await;
    }
    if content_length(&session.req_header().headers).is_some_and(|length| length > gateway.limits.body_bytes) {
        let problem = "the request body is too large";
        return Box::pin(refuse(gateway, session, context, 413, "body_too_large", problem)).await;
    }
    if mode == Mode::Off {
        return Ok(false);
    }
    // What few requests need is boxed, so that all others do not carry its state around.
    if own_pages::concerns(session, context) && Box::pin(own_pages::answer(session, context)).await? {
        return Ok(true);
    }
    if context.decision.as_ref().is_some_and(|decision| decision.consent.outdated)
        && Box::pin(older_policy::answer(session, context)).await?
    {
        return Ok(true);
    }
    let found = tracker::find(session, context, None);
    if found != RequestRule::None && Box::pin(tracker::block(session, context, found)).await? {
        return Ok(true);
    }
    let header = session.req_header();
    let (_, query) = target(header);
    if let Some(judge) = context.decision.as_ref().and_then(|decision| judge(&context.snapshot, decision)) {
        context.edits = edit_request(&judge, &header.headers, query, &mut context.tally);
    }
    Ok(false)
}

/// Which site answers for `host`, what the visitor agreed to there, and the site's mode; `None` if no site does.
fn decide(gateway: &Gateway, session: &Session, context: &Context, host: Host) -> Option<(Decision, Mode)> {
    let snapshot = &context.snapshot;
    let position = snapshot.ruleset.site_at(&host)?;
    let (resolver, mut runtime) = (snapshot.resolver(position)?, snapshot.sites.get(position)?);
    let headers = &session.req_header().headers;
    let country = country(session, context, &gateway.server, &resolver.site.options);
    let consent = resolver.resolve(headers, country, context.now, &mut runtime);
    let opted_out = global_privacy_control(headers);
    Some((Decision { site: position, host, consent, opted_out }, resolver.site.options.mode))
}

/// The host that the visitor addressed: in the request target, else in `Host` (RFC 9112, section 3.2.2). Both must say
/// the same.
fn addressed_host(header: &RequestHeader) -> Result<Host, &'static str> {
    let field = header.headers.get(HOST).map(|value| Host::parse(value.as_bytes()));
    let authority = header.uri.authority().map(|authority| Host::parse(authority.as_str().as_bytes()));
    match (authority, field) {
        (Some(None), _) | (_, Some(None)) => Err("the host is not valid"),
        (Some(Some(authority)), Some(Some(field))) if authority.as_str() != field.as_str() => {
            Err("the request target and Host name different hosts")
        }
        (Some(Some(host)), _) | (None, Some(Some(host))) => Ok(host),
        (None, None) => Err("the request names no host"),
    }
}

/// Refuses what cannot be served, and closes: a request that was not understood may be followed by anything.
async fn refuse(
    gateway: &Gateway,
    session: &mut Session,
    context: &mut Context,
    status: u16,
    reason: &'static str,
    problem: &str,
) -> Result<bool> {
    gateway.metrics.rejected.with_label_values(&[reason]).inc();
    context.answered = Some(reason);
    session.set_keepalive(None);
    let response = own_response(status, Some("text/plain; charset=utf-8"))?;
    respond(session, response, Bytes::from(format!("{problem}\n"))).await?;
    Ok(true)
}
