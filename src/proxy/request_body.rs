//! The request's body: passed on as it comes, up to the limit.

use bytes::Bytes;
use pingora::{Error, ErrorType, Result};

use super::context::Context;

pub(super) fn filter(body: &Option<Bytes>, context: &mut Context, limit: u64) -> Result<()> {
    let size = body.as_ref().map_or(0, |chunk| u64::try_from(chunk.len()).unwrap_or(u64::MAX));
    context.body_bytes = context.body_bytes.saturating_add(size);
    // What follows an upgrade is a tunnel, which has no length.
    if context.body_bytes > limit && !context.is_tunnel {
        return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is too large");
    }
    Ok(())
}
