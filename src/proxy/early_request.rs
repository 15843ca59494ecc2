//! Before anything else: how long this visitor may take.

use std::time::Duration;

use pingora::proxy::Session;

use crate::config::Limits;

/// How long the rest of a body is read after an early answer.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) fn set_timeouts(session: &mut Session, limits: &Limits) {
    session.set_read_timeout(Some(limits.io));
    session.set_write_timeout(Some(limits.io));
    session.set_total_drain_timeout(Some(DRAIN));
}
