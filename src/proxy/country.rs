//! From which country a visitor comes: by the word of a proxy that is trusted, else by the address.

use pingora::proxy::Session;

use super::context::Context;
use super::forwarded::client;
use crate::config::Server;
use crate::policy::{Country, SiteOptions};

/// The visitor's country, if anybody knows, and if the site makes a difference.
pub(super) fn country(session: &Session, context: &Context, server: &Server, options: &SiteOptions) -> Option<Country> {
    if options.jurisdictions.is_empty() {
        return None;
    }
    let consent = &context.snapshot.consent;
    let told = || {
        let name = consent.country_header.as_ref().filter(|_| context.trusted_peer)?;
        Country::parse(session.req_header().headers.get(name)?.as_bytes().trim_ascii())
    };
    told().or_else(|| consent.countries.as_ref()?.country(client(session, &server.trusted_proxies)?))
}
