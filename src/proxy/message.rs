//! Reading requests and writing responses, for all phases.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use crate::policy::{Url, split_query};

/// What is left of a body is read up to this size, to keep the connection.
const SMALL_BODY: usize = 64 << 10;

/// Path and query of the request target as they came.
pub(super) fn target(header: &RequestHeader) -> (&[u8], &[u8]) {
    let raw = header.raw_path();
    if raw.starts_with(b"/") {
        return split_query(raw);
    }
    Url::parse(raw).map_or((raw, b""), |url| (url.path, url.query))
}

/// The announced length of the body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The request's body; `None` if it is longer than `limit` bytes.
pub(super) async fn read_body(session: &mut Session, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = session.as_mut().read_request_body().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Reads what is left of a small body, so that the connection can be used again.
pub(super) async fn discard_body(session: &mut Session) -> Result<()> {
    // Whoever waits to be asked for the body is not asked, and the connection is given up.
    if session.req_header().headers.contains_key(EXPECT) {
        session.set_keepalive(None);
        return Ok(());
    }
    let mut left = SMALL_BODY;
    while let Some(chunk) = session.as_mut().read_request_body().await? {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The header section of a response that we make ourselves: for this visitor, now.
pub(super) fn own_response(status: u16, content_type: Option<&'static str>) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(status, Some(8))?;
    response.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(content_type) = content_type {
        response.insert_header(CONTENT_TYPE, content_type)?;
    }
    Ok(response)
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
