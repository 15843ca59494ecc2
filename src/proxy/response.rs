//! The response's header section, of every status: what the visitor's browser gets to see of it.

use http::{HeaderMap, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::{Context, judge};
use super::message::target;
use crate::enforce::{HeaderChange, ResponseFacts, edit_response, edit_trailers};
use crate::policy::Mode;

pub(super) fn filter(session: &Session, response: &mut ResponseHeader, context: &mut Context) -> Result<()> {
    context.is_tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let judge = context.decision.as_ref().and_then(|decision| judge(&context.snapshot, decision));
    let Some(judge) = judge else { return Ok(()) };
    let request = session.req_header();
    let facts = ResponseFacts {
        status: response.status.as_u16(),
        headers: &response.headers,
        request: &request.headers,
        path: target(request).0,
        secure: context.secure,
        now: context.now,
        blocked_path: &context.snapshot.consent.blocked_path,
        consent_header: context.snapshot.consent.header.as_str(),
        by_consent: context.by_consent,
    };
    for HeaderChange { name, values } in edit_response(&judge, &facts, &mut context.tally) {
        // To insert replaces, in one step; several values have to be appended to none.
        if let [value] = values.as_slice() {
            response.insert_header(name, value.clone())?;
            continue;
        }
        response.remove_header(&name);
        for value in values {
            response.append_header(name.clone(), value)?;
        }
    }
    Ok(())
}

pub(super) fn filter_trailers(trailers: &mut HeaderMap, context: &Context) {
    if context.site().is_some_and(|site| site.options.mode == Mode::Enforce) {
        edit_trailers(trailers);
    }
}
