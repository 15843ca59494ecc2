//! Accesses to share links: recorded when the response's header is there, completed when its body is out.

use std::sync::atomic::Ordering;

use http::header::{REFERER, USER_AGENT};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::Context;
use super::country::country;
use super::forwarded::client;
use super::message::target;
use super::{Gateway, context};
use crate::consent::cookie_pairs;
use crate::ledger::NotRecorded;
use crate::ledger::access::{AccessKey, Event, Part, RequestFacts, ResponseFacts, Ticket};
use crate::ledger::agent::Agent;
use crate::ledger::journal::Pressure;
use crate::ledger::record::{Erasable, NewRecord};
use crate::ledger::recording::{Identity, Recording};
use crate::policy::{Durability, Host, PurposeSet, ShareLink, Url};

/// The words of [`Context::answered`] that are refusals.
const REFUSALS: [&str; 2] = ["blocked", "older_policy"];

/// A request that belongs to a recorded access.
pub(super) struct Access {
    ticket: Ticket,
    part: Part,
}

/// What may be a new access.
struct Candidate {
    key: AccessKey,
    identity: Identity,
    at_ms: u64,
    rule: Box<str>,
    window_ms: u64,
    durability: Durability,
}

/// Records the access before any of the response goes out.
pub(super) async fn before_served(
    gateway: &Gateway,
    session: &mut Session,
    response: &ResponseHeader,
    context: &mut Context,
) -> Result<()> {
    let Some(recording) = &gateway.recording else { return Ok(()) };
    if response.status.is_informational() || context.access.is_some() {
        return Ok(());
    }
    let facts = ResponseFacts { status: response.status.as_u16(), headers: &response.headers, refused: false };
    let admitted = match candidate(gateway, recording, session, &facts, context) {
        None => return Ok(()),
        Some(Ok(candidate)) => {
            let mut ticket = recording.claim(&candidate.key, candidate.window_ms, candidate.at_ms).await;
            let durability = candidate.durability;
            match ticket.is_new().then(|| record(gateway, recording, session, &facts, context, candidate)) {
                None => Ok(ticket),
                Some(record) => recording.record(&mut ticket, durability, record).await.map(|()| ticket),
            }
        }
        Some(Err(not_recorded)) => Err(not_recorded),
    };
    match (admitted, recording.pressure) {
        (Ok(ticket), _) => context.access = Some(Access { ticket, part: Part::of(&facts) }),
        (Err(_), Pressure::Drop) => _ = recording.lost.fetch_add(1, Ordering::Relaxed),
        (Err(_), Pressure::Refuse) => {
            gateway.metrics.rejected.with_label_values(&["not_recorded"]).inc();
            return Error::e_explain(ErrorType::HTTPStatus(503), "the access cannot be recorded");
        }
    }
    Ok(())
}

/// Completes the access, or records that the proxy itself refused it.
pub(super) fn finish(gateway: &Gateway, session: &Session, error: Option<&Error>, context: &mut Context) {
    let Some(recording) = &gateway.recording else { return };
    if let Some(Access { ticket, part }) = context.access.take() {
        let sent = session.body_bytes_sent() as u64;
        let completion = ticket.finish(&part, sent, error.is_none(), recording.now());
        completion.into_iter().for_each(|completion| recording.complete(completion));
        return;
    }
    let Some(written) = session.response_written() else { return };
    if !context.answered.is_some_and(|answered| REFUSALS.contains(&answered)) {
        return;
    }
    let facts = ResponseFacts { status: written.status.as_u16(), headers: &written.headers, refused: true };
    let taken = match candidate(gateway, recording, session, &facts, context) {
        None => return,
        Some(Ok(candidate)) => {
            let (key, window_ms, at_ms) = (candidate.key.clone(), candidate.window_ms, candidate.at_ms);
            let record = || record(gateway, recording, session, &facts, context, candidate);
            recording.record_late(key, window_ms, at_ms, record)
        }
        Some(Err(not_recorded)) => Err(not_recorded),
    };
    if taken.is_err() {
        recording.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// The access that this request is, if it is one; an error if no digest of its link can be made.
fn candidate(
    gateway: &Gateway,
    recording: &Recording,
    session: &Session,
    response: &ResponseFacts<'_>,
    context: &Context,
) -> Option<Result<Candidate, NotRecorded>> {
    let site = context.site()?;
    let request = session.req_header();
    let (path, query) = target(request);
    let shared = site.shared_object(path, query)?;
    let facts = RequestFacts { method: &request.method, headers: &request.headers };
    let event = Event::of(shared.share.event, &facts, response)?;
    let (name, at_ms) = (&*site.options.name, recording.now());
    let Some(link) = recording.pseudonyms.link(name, &shared.token) else { return Some(Err(NotRecorded)) };
    let object = (event == Event::Download).then(|| recording.pseudonyms.object(name, &shared.object)).flatten();
    let identity = identity(gateway, session, shared.share);
    let key = AccessKey { site: name.into(), visitor: recording.key(&identity), link, object, event };
    let (rule, window_ms, durability) =
        (shared.share.template.clone(), shared.share.window_ms, shared.share.durability);
    Some(Ok(Candidate { key, identity, at_ms, rule, window_ms, durability }))
}

/// The record of a new access. Most requests are of an access that is known, and do without.
fn record(
    gateway: &Gateway,
    recording: &Recording,
    session: &Session,
    response: &ResponseFacts<'_>,
    context: &Context,
    candidate: Candidate,
) -> NewRecord {
    let Candidate { key, identity, at_ms, rule, .. } = candidate;
    let visitor = recording.visitor(&key.site, at_ms, &identity);
    let agent = Agent::of(session.req_header().headers.get(USER_AGENT).map_or(b"", |value| value.as_bytes()));
    let country = context.site().and_then(|site| country(session, context, &gateway.server, &site.options));
    NewRecord {
        at_ms,
        site: (&*key.site).into(),
        event: key.event.into(),
        link: Some(key.link),
        rule: Some(rule),
        actor: visitor.actor,
        agent: agent.class,
        no_visitor: visitor.no_visitor,
        epoch: visitor.epoch,
        status: Some(response.status),
        bytes: 0,
        complete: false,
        duration_ms: u32::try_from(context.started.elapsed().as_millis()).unwrap_or(u32::MAX),
        policy: policy_version(context),
        purposes: context.decision.as_ref().map_or(0, |decision| mask(decision.consent.granted)),
        detail: None,
        erasable: Erasable {
            visitor: visitor.pseudonym,
            object: key.object,
            agent_name: agent.name,
            country: country.map(|country| country.as_str().into()),
            referrer: context.decision.as_ref().and_then(|decision| referrer(session, decision)),
            consent: consent_id(session, context)
                .filter(|_| visitor.no_visitor.is_none())
                .and_then(|id| recording.pseudonyms.consent(&key.site, at_ms, id.as_bytes())),
        },
    }
}

fn identity(gateway: &Gateway, session: &Session, share: &ShareLink) -> Identity {
    let mut cookies = cookie_pairs(&session.req_header().headers);
    if let Some(cookie) = cookies.find(|cookie| !cookie.value.is_empty() && share.is_session(cookie.name)) {
        return Identity::Member(cookie.value.to_vec());
    }
    let address = client(session, &gateway.server.trusted_proxies);
    address.map_or(Identity::Unknown, Identity::Address)
}

/// The id that the visitor's own consent cookie bears: what is about them can be found by it.
fn consent_id<'a>(session: &'a Session, context: &Context) -> Option<&'a str> {
    let own = &context.snapshot.consent.cookie;
    let mut cookies = cookie_pairs(&session.req_header().headers).filter(|cookie| cookie.name == own.name.as_bytes());
    let consent = cookies.find_map(|cookie| own.parse(cookie.value, &context.snapshot.ruleset.purposes))?;
    Some(consent.receipt_id)
}

/// The version of the policy in force.
fn policy_version(context: &Context) -> Option<Box<str>> {
    let versions = &context.site()?.options.versions;
    Some(versions.get(versions.at(context.now)?)?.id.clone())
}

/// One bit for each purpose, in the order of the ruleset.
fn mask(granted: PurposeSet) -> u32 {
    granted
        .iter()
        .fold(0, |mask, purpose| mask | 1_u32.checked_shl(u32::try_from(purpose.index()).unwrap_or(32)).unwrap_or(0))
}

/// Where the visitor followed the link: no finer than the registrable domain.
fn referrer(session: &Session, decision: &context::Decision) -> Option<Box<str>> {
    let Some(referer) = session.req_header().headers.get(REFERER) else { return Some("direct".into()) };
    let host: Host = Url::parse(referer.as_bytes())?.host?;
    if host.registrable_domain() == decision.host.registrable_domain() {
        return Some("same".into());
    }
    // An address tells of somebody, too.
    (!host.is_address()).then(|| host.registrable_domain().into())
}
