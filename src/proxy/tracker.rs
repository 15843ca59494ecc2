//! Requests to the site's own host that are really tracking: let through if their purpose is granted, else answered here.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, EXPECT, ORIGIN};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use super::context::Context;
use super::message::{content_length, discard_body, own_response, respond, target};
use crate::enforce::{Action, BlockAnswer, block_answer};
use crate::policy::{Purpose, RequestFacts, RequestRule, Verdict};

/// A payload up to this size is read whole before it is judged; pingora can hand on no more that was read.
const WHOLE: usize = 64 << 10;

/// Of a larger payload, at least this much is judged.
const BEGINNING: usize = 4 << 10;

/// The field that tells who answered instead of a tracker.
const VERDICT_FIELD: &str = "x-consentry";

/// A verdict, without the ruleset that it came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    purpose: Option<Purpose>,
    action: Action,
}

impl Judged {
    fn of(verdict: &Verdict<'_>) -> Self {
        Judged { purpose: verdict.purpose, action: Action::of(verdict) }
    }
}

/// Answers a request to a tracker that is denied, given what was found before its payload was read. Returns whether it
/// was one.
pub(super) async fn block(session: &mut Session, context: &mut Context, found: RequestRule<Judged>) -> Result<bool> {
    let Some(judged) = judge_request(session, context, found).await? else { return Ok(false) };
    let Judged { purpose, action } = judged;
    if let Some(runtime) = context.runtime() {
        runtime.metrics.tracker_request(purpose.map(Purpose::index), action);
    }
    context.by_consent = action == Action::Allow && purpose != Some(Purpose::NECESSARY);
    if action != Action::Block {
        return Ok(false);
    }
    context.answered = Some("blocked");
    discard_body(session).await?;
    let header = session.req_header();
    let answer = block_answer(header.method.as_str(), target(header).0, &header.headers);
    let name = purpose.map_or("unknown", |purpose| context.snapshot.ruleset.purposes.name(purpose)).to_owned();
    respond_blocked(session, &answer, &name).await?;
    Ok(true)
}

/// What is to happen to the request, if a rule knows it. Fails closed: where a rule depends on a payload that cannot be
/// read, it counts as if the payload were what the rule describes.
async fn judge_request(
    session: &mut Session,
    context: &mut Context,
    found: RequestRule<Judged>,
) -> Result<Option<Judged>> {
    let assumed = match found {
        RequestRule::None => return Ok(None),
        RequestRule::Known(judged) => return Ok(Some(judged)),
        RequestRule::IfBodyMatches(assumed) => assumed,
    };
    if context.judge().is_none_or(|judge| judge.grants_everything()) {
        return Ok(Some(assumed));
    }
    let judged = match read_payload(session, context, assumed.action).await? {
        Some(payload) => find(session, context, Some(&payload)).known(),
        None => Some(assumed),
    };
    Ok(judged)
}

/// What the rules say of the request, as far as its payload is known.
pub(super) fn find(session: &Session, context: &Context, body: Option<&[u8]>) -> RequestRule<Judged> {
    let header = session.req_header();
    let (path, query) = target(header);
    let Some(judge) = context.judge() else { return RequestRule::None };
    judge
        .request(&RequestFacts { method: header.method.as_str(), path, query, body })
        .map(|verdict| Judged::of(&verdict))
}

/// The payload, or its beginning if it is large; `None` if it cannot be judged. What was read is still handed on.
async fn read_payload(session: &mut Session, context: &mut Context, action: Action) -> Result<Option<Vec<u8>>> {
    if session.as_mut().is_body_done() {
        return Ok(Some(Vec::new()));
    }
    let headers = &session.req_header().headers;
    let encoded =
        headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let length = content_length(headers).map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    // A payload of unknown length may turn out too large to be handed on, which is no way to observe.
    if encoded || (length.is_none() && action != Action::Block) {
        return Ok(None);
    }
    if headers.contains_key(EXPECT) {
        session.as_mut().write_continue_response().await?;
    }
    match length {
        Some(length) if length > WHOLE => read_beginning(session, context, length).await,
        _ => read_whole(session).await,
    }
}

/// Reads to the end; `None` if that is too far.
async fn read_whole(session: &mut Session) -> Result<Option<Vec<u8>>> {
    session.as_mut().enable_retry_buffering();
    let mut payload = Vec::new();
    while let Some(chunk) = session.as_mut().read_request_body().await? {
        payload.extend_from_slice(&chunk);
        if payload.len() > WHOLE {
            return Ok(None);
        }
    }
    Ok(Some(payload))
}

/// Reads some of a payload of `length` bytes, but never its end: pingora sends on only what it reads itself after this,
/// and `request_body` puts in front what was read here. `None` if so little came that it tells nothing.
async fn read_beginning(session: &mut Session, context: &mut Context, length: usize) -> Result<Option<Vec<u8>>> {
    let mut payload = Vec::new();
    while payload.len() < BEGINNING && length.saturating_sub(payload.len()) > WHOLE {
        let Some(chunk) = session.as_mut().read_request_body().await? else { break };
        payload.extend_from_slice(&chunk);
    }
    context.read_ahead = Bytes::copy_from_slice(&payload);
    Ok(Some(payload).filter(|payload| payload.len() >= BEGINNING))
}

async fn respond_blocked(session: &mut Session, answer: &BlockAnswer, purpose: &str) -> Result<()> {
    let mut response = own_response(answer.status, answer.content_type)?;
    response.insert_header(VERDICT_FIELD, format!("blocked; purpose={purpose}"))?;
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
