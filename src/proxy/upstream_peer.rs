//! Which upstream gets the request.

use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::context::Context;

/// No name of an upstream has an address.
pub(super) const UNRESOLVED: ErrorType = ErrorType::Custom("unresolved");

pub(super) fn choose(session: &Session, context: &mut Context) -> Result<Box<HttpPeer>> {
    // A retry sends the body anew.
    context.body_bytes = 0;
    context.read_ahead_sent = false;
    let upgrade = session.is_upgrade_req();
    let peer = context.runtime().and_then(|runtime| runtime.upstreams.next(upgrade));
    peer.ok_or_else(|| Error::explain(UNRESOLVED, "no upstream is resolved").into_up())
}
