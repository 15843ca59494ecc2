//! When a connection to an upstream cannot be made: nothing was sent, so the next address may be tried.

use pingora::Error;

use super::context::Context;

pub(super) fn failed(context: &mut Context, mut error: Box<Error>) -> Box<Error> {
    context.connect_attempts += 1;
    let addresses = context.runtime().map_or(0, |runtime| runtime.upstreams.len());
    error.set_retry(context.connect_attempts < addresses);
    error
}
