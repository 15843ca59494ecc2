//! From which country a visitor comes, by the word of a proxy that is trusted.

use pingora::proxy::Session;

use super::context::Context;
use crate::policy::Country;

/// The visitor's country, if anybody knows.
pub(super) fn country(session: &Session, context: &Context) -> Option<Country> {
    let name = context.snapshot.consent.country_header.as_ref().filter(|_| context.trusted_peer)?;
    Country::parse(session.req_header().headers.get(name)?.as_bytes().trim_ascii())
}
