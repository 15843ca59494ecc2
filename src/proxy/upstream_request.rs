//! What the upstream is told: applied anew on every attempt, to a copy of the request.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{COOKIE, REFERER};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::context::Context;
use super::request::target;
use super::{Gateway, forwarded};
use crate::consent::merge_lines;
use crate::enforce::Edit;
use crate::policy::Mode;

pub(super) fn filter(
    _gateway: &Gateway,
    session: &Session,
    upstream: &mut RequestHeader,
    context: &Context,
) -> Result<()> {
    forwarded::set(session, upstream, context.trusted_peer)?;
    let consent_header = &context.snapshot.consent.header;
    upstream.remove_header(consent_header);
    let judged = context.site().is_some_and(|site| site.options.mode != Mode::Off);
    if !judged {
        return merge_cookies(upstream);
    }
    if let Some(decision) = &context.decision {
        let names: Vec<_> = context.snapshot.ruleset.purposes.names(decision.consent.granted).collect();
        upstream.insert_header(consent_header.clone(), names.join(","))?;
    }
    match &context.edits.cookie {
        Edit::Unchanged => {}
        Edit::Removed => _ = upstream.remove_header(&COOKIE),
        Edit::Replaced(bytes) => replace(upstream, COOKIE, bytes)?,
    }
    if let Some(query) = &context.edits.query {
        let path = target(session.req_header()).0;
        let question: &[u8] = if query.is_empty() { b"" } else { b"?" };
        upstream.set_raw_path(&[path, question, query].concat())?;
    }
    if let Some(referer) = &context.edits.referer {
        replace(upstream, REFERER, referer)?;
    }
    for name in &context.edits.removed {
        upstream.remove_header(*name);
    }
    Ok(())
}

/// Several `Cookie` fields may come by HTTP/2 only; HTTP/1 servers read the first.
fn merge_cookies(upstream: &mut RequestHeader) -> Result<()> {
    merge_lines(&upstream.headers).map_or(Ok(()), |merged| replace(upstream, COOKIE, &merged))
}

fn replace(header: &mut RequestHeader, name: http::HeaderName, bytes: &[u8]) -> Result<()> {
    header.remove_header(&name);
    let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(bytes));
    value.map_or(Ok(()), |value| header.insert_header(name, value))
}
