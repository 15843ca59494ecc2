//! The request's body: passed on as it comes, up to the limit.

use bytes::Bytes;
use pingora::{Error, ErrorType, Result};

use super::context::Context;

pub(super) fn filter(body: &mut Option<Bytes>, context: &mut Context, limit: u64) -> Result<()> {
    if !std::mem::replace(&mut context.read_ahead_sent, true) && !context.read_ahead.is_empty() {
        let rest = body.take().unwrap_or_default();
        *body = Some(Bytes::from([context.read_ahead.as_ref(), rest.as_ref()].concat()));
    }
    let size = body.as_ref().map_or(0, |chunk| u64::try_from(chunk.len()).unwrap_or(u64::MAX));
    context.body_bytes = context.body_bytes.saturating_add(size);
    // What follows an upgrade is a tunnel, which has no length.
    if context.body_bytes > limit && !context.is_tunnel {
        return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is too large");
    }
    Ok(())
}
