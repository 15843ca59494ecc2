//! The request: which site, what consent, blocked or passed on.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::{Context, Decision, judge};
use super::{Gateway, forwarded, own_pages};
use crate::consent::{Consent, Source, resolve};
use crate::enforce::{Action, BlockAnswer, block_answer, edit_request};
use crate::policy::{Host, Mode, PurposeSet, RequestFacts, RequestMatch, Url, Verdict};

/// Payloads of trackers are judged up to this size: browsers send no larger beacon (Fetch, section 4.5, keepalive
/// quota), and pingora can still hand it on.
const MAX_JUDGED_BODY: usize = 64 << 10;

/// The field that tells who answered instead of a tracker.
const VERDICT_FIELD: &str = "x-consentry";

/// Returns whether the request was answered here.
pub(super) async fn filter(gateway: &Gateway, session: &mut Session, context: &mut Context) -> Result<bool> {
    context.trusted_peer = forwarded::is_trusted(session, &gateway.server.trusted_proxies);
    context.secure = forwarded::is_secure(session.req_header(), context.trusted_peer);
    let host = match addressed_host(session.req_header()) {
        Ok(host) => host,
        Err(problem) => return refuse(gateway, session, context, 400, "malformed", problem).await,
    };
    let Some(site) = context.snapshot.ruleset.site_at(&host) else {
        let problem = "no site is configured for this host";
        return refuse(gateway, session, context, 421, "unknown_host", problem).await;
    };
    let Some(options) =
        context.snapshot.ruleset.sites.get(site).map(|site| (site.options.mode, site.options.name.clone()))
    else {
        return Error::e_explain(ErrorType::InternalError, "a host points to no site");
    };
    let consent = consent(context, site, &session.req_header().headers);
    context.decision = Some(Decision { site, host, consent });
    if content_length(&session.req_header().headers).is_some_and(|length| length > gateway.limits.body_bytes) {
        return refuse(gateway, session, context, 413, "body_too_large", "the request body is too large").await;
    }
    if options.0 == Mode::Off {
        return Ok(false);
    }
    if own_pages::answer(session, context).await? {
        return Ok(true);
    }
    if block(session, context).await? {
        return Ok(true);
    }
    let header = session.req_header();
    let (_, query) = target(header);
    if let Some(judge) = context.decision.as_ref().and_then(|decision| judge(&context.snapshot, decision)) {
        context.edits = edit_request(&judge, &header.headers, query, &mut context.tally);
    }
    Ok(false)
}

fn consent(context: &Context, site: usize, headers: &HeaderMap) -> Consent {
    let snapshot = &context.snapshot;
    let everything =
        || Consent { granted: PurposeSet::NECESSARY, source: Source::Default, capped: false, decided_at: None };
    let Some(site) = snapshot.ruleset.sites.get(site) else { return everything() };
    resolve(site, &snapshot.ruleset.purposes, &snapshot.consent.cookie, headers, context.now, |_, _, _| {})
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

/// Path and query of the request target as they came.
pub(super) fn target(header: &RequestHeader) -> (&[u8], &[u8]) {
    let raw = header.raw_path();
    if raw.starts_with(b"/") {
        let mark = memchr::memchr(b'?', raw).unwrap_or(raw.len());
        let (path, query) = raw.split_at_checked(mark).unwrap_or((raw, b""));
        return (path, query.strip_prefix(b"?").unwrap_or(query));
    }
    Url::parse(raw).map_or((raw, b""), |url| (url.path, url.query))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Answers a request to a tracker that is denied. Returns whether it was one.
async fn block(session: &mut Session, context: &mut Context) -> Result<bool> {
    let judged = match judged_request(session, context, None) {
        Ok(judged) => judged,
        Err(RequestMatch::NeedsBody) => match read_payload(session).await? {
            Some(payload) => judged_request(session, context, Some(&payload)).unwrap_or(None),
            None => None,
        },
        Err(_) => None,
    };
    let Some((purpose, action)) = judged else { return Ok(false) };
    if let Some(runtime) = context.runtime() {
        runtime.metrics.tracker_request(purpose, action);
    }
    if action != Action::Block {
        return Ok(false);
    }
    context.answered = Some("blocked");
    discard_body(session).await?;
    let name = purpose.and_then(|index| context.snapshot.ruleset.purposes.all().iter().nth(index));
    let purpose = name.map_or("unknown", |purpose| context.snapshot.ruleset.purposes.name(purpose)).to_owned();
    let header = session.req_header();
    let answer = block_answer(header.method.as_str(), target(header).0, &header.headers);
    respond_blocked(session, &answer, &purpose).await?;
    Ok(true)
}

/// The purpose and what follows, if a rule knows the request.
fn judged_request(
    session: &Session,
    context: &Context,
    body: Option<&[u8]>,
) -> Result<Option<(Option<usize>, Action)>, RequestMatch> {
    let header = session.req_header();
    let (path, query) = target(header);
    let Some(judge) = context.judge() else { return Ok(None) };
    let verdict: Option<Verdict<'_>> =
        judge.request(&RequestFacts { method: header.method.as_str(), path, query, body })?;
    Ok(verdict.map(|verdict| (verdict.purpose.map(|purpose| purpose.index()), Action::of(&verdict))))
}

/// The whole payload, if it is announced and small enough to be handed on after it was read.
async fn read_payload(session: &mut Session) -> Result<Option<Cow<'static, [u8]>>> {
    let length = content_length(&session.req_header().headers).and_then(|length| usize::try_from(length).ok());
    if !length.is_some_and(|length| length > 0 && length <= MAX_JUDGED_BODY) {
        return Ok(None);
    }
    session.as_mut().enable_retry_buffering();
    let mut payload = Vec::new();
    while let Some(chunk) = session.as_mut().read_request_body().await? {
        payload.extend_from_slice(&chunk);
    }
    Ok(Some(Cow::Owned(payload)))
}

/// Reads what is left of a small body, so that the connection can be used again.
pub(super) async fn discard_body(session: &mut Session) -> Result<()> {
    let mut left = MAX_JUDGED_BODY;
    while let Some(chunk) = session.as_mut().read_request_body().await? {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn respond_blocked(session: &mut Session, answer: &BlockAnswer, purpose: &str) -> Result<()> {
    let mut response = ResponseHeader::build(answer.status, Some(8))?;
    response.insert_header(CACHE_CONTROL, "no-store")?;
    response.insert_header(VERDICT_FIELD, format!("blocked; purpose={purpose}"))?;
    if let Some(content_type) = answer.content_type {
        response.insert_header(CONTENT_TYPE, content_type)?;
    }
    allow_origin(session.req_header(), &mut response)?;
    respond(session, response, Bytes::from_static(answer.body)).await
}

/// Lets a page of another origin read the empty answer, since its console would show an error otherwise (Fetch,
/// section 3.3).
fn allow_origin(request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
    let Some(origin) = request.headers.get(ORIGIN) else { return Ok(()) };
    response.insert_header("access-control-allow-origin", origin.clone())?;
    response.insert_header("access-control-allow-credentials", "true")?;
    for (asked, allowed) in [
        ("access-control-request-headers", "access-control-allow-headers"),
        ("access-control-request-method", "access-control-allow-methods"),
    ] {
        if let Some(value) = request.headers.get(asked) {
            response.insert_header(allowed, value.clone())?;
        }
    }
    Ok(())
}

/// Writes a whole response; `HEAD` gets its header only.
pub(super) async fn respond(session: &mut Session, mut response: ResponseHeader, body: Bytes) -> Result<()> {
    let bodiless = response.status == 204 || response.status == 304;
    if !bodiless {
        response.insert_header(CONTENT_LENGTH, body.len().to_string())?;
    }
    let end = bodiless || session.req_header().method == http::Method::HEAD || body.is_empty();
    session.write_response_header(Box::new(response), end).await?;
    if !end {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
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
    let mut response = ResponseHeader::build(status, Some(4))?;
    response.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
    response.insert_header(CACHE_CONTROL, "no-store")?;
    respond(session, response, Bytes::from(format!("{problem}\n"))).await?;
    Ok(true)
}
