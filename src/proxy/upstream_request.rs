//! What the upstream is told: applied anew on every attempt, to a copy of the request.

use bytes::Bytes;
use http::HeaderValue;
use ipnet::IpNet;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::context::Context;
use super::forwarded;
use super::message::target;
use crate::consent::merge_lines;
use crate::enforce::html::{edit_page_request, variant};
use crate::enforce::{Edit, HeaderChange};
use crate::policy::PurposeSet;

// As text, since pingora would copy the name of a `HeaderName` that it does not know for each field that is set, and in
// small letters.
const COOKIE: &str = "Cookie";
const REFERER: &str = "Referer";

pub(super) fn filter(
    session: &Session,
    upstream: &mut RequestHeader,
    context: &Context,
    networks: &[IpNet],
) -> Result<()> {
    let told = context.site().map(|site| site.options.forward_client_ip).unwrap_or_default();
    forwarded::set(session, upstream, context.trusted_peer, told, networks)?;
    let consent_header = &context.snapshot.consent.header;
    let Some(judge) = context.judge() else {
        upstream.remove_header(consent_header);
        return merge_cookies(upstream);
    };
    // Takes the place of whatever the visitor sent under this name.
    upstream.insert_header(consent_header, names_of(judge.granted.purposes, context))?;
    match &context.edits.cookie {
        Edit::Unchanged => {}
        Edit::Removed => _ = upstream.remove_header(COOKIE),
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
    let made_for = || variant(&context.snapshot.ruleset.hash, &judge.granted);
    for HeaderChange { name, values } in edit_page_request(&judge, &session.req_header().headers, &made_for) {
        upstream.remove_header(&name);
        for value in values {
            upstream.insert_header(name.clone(), value)?;
        }
    }
    Ok(())
}

/// The names of the purposes that the visitor granted.
fn names_of(granted: PurposeSet, context: &Context) -> String {
    let mut list = String::new();
    for name in context.snapshot.ruleset.purposes.names(granted) {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(name);
    }
    list
}

/// Several `Cookie` fields may come by HTTP/2 only; HTTP/1 servers read the first.
fn merge_cookies(upstream: &mut RequestHeader) -> Result<()> {
    merge_lines(&upstream.headers).map_or(Ok(()), |merged| replace(upstream, COOKIE, &merged))
}

fn replace(header: &mut RequestHeader, name: &'static str, bytes: &[u8]) -> Result<()> {
    // First removed, because pingora's maps grow on each insertion into a full one, even if nothing is added.
    header.remove_header(name);
    let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(bytes));
    value.map_or(Ok(()), |value| header.insert_header(name, value))
}
