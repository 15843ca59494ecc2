//! When a request cannot be served: which status, which reason, and a page that says what to look at.

use bytes::Bytes;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType};

use super::Gateway;
use super::context::Context;
use super::message::{own_response, respond};
use super::upstream_peer::UNRESOLVED;

pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    error: &Error,
    context: &mut Context,
) -> FailToProxy {
    let (status, reason) = classify(error);
    if status == 413 {
        gateway.metrics.rejected.with_label_values(&[reason]).inc();
    }
    if *error.esource() == ErrorSource::Upstream
        && let Some(runtime) = context.runtime()
    {
        runtime.metrics.upstream_error(reason);
        let site = context.site().map_or("", |site| &*site.options.name);
        log::warn!("upstream of site {site}: {reason}");
    }
    context.answered = Some(reason);
    if status > 0 && session.response_written().is_none() {
        session.set_keepalive(None);
        let page = format!("{status} {}\n", explanation(reason));
        if let Ok(response) = own_response(status, Some("text/plain; charset=utf-8")) {
            // The visitor may be gone; then there is nobody to tell.
            respond(session, response, Bytes::from(page)).await.ok();
        }
    }
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

/// Status (0 where nobody waits for one) and reason, a word from a closed set.
fn classify(error: &Error) -> (u16, &'static str) {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, H2Error, HTTPStatus,
        InvalidCert, InvalidH2, InvalidHTTPHeader, ReadError, ReadTimedout, TLSHandshakeFailure, TLSHandshakeTimedout,
        UnknownError, WriteError, WriteTimedout,
    };
    match (error.etype(), error.esource()) {
        (HTTPStatus(413), _) => (413, "body_too_large"),
        (HTTPStatus(status), _) => (*status, "status"),
        (ReadError | WriteError | ConnectionClosed, ErrorSource::Downstream) => (0, "visitor_left"),
        (ReadTimedout, ErrorSource::Downstream) => (408, "visitor_too_slow"),
        (WriteTimedout, ErrorSource::Downstream) => (0, "visitor_too_slow"),
        (_, ErrorSource::Downstream) => (400, "malformed"),
        (ConnectTimedout, _) => (504, "connect_timeout"),
        (ConnectRefused, _) => (502, "connect_refused"),
        (unresolved, _) if *unresolved == UNRESOLVED => (502, "unresolved"),
        (ConnectNoRoute, _) => (502, "connect_error"),
        (TLSHandshakeFailure | TLSHandshakeTimedout | InvalidCert, _) => (502, "tls"),
        (ReadTimedout | WriteTimedout, _) => (504, "timeout"),
        (InvalidHTTPHeader | InvalidH2 | H2Error, _) => (502, "invalid_response"),
        (ConnectionClosed | ReadError | WriteError, _) => (502, "connection_lost"),
        (ConnectError | UnknownError, ErrorSource::Upstream) => (502, "connect_error"),
        (_, ErrorSource::Upstream) => (502, "upstream_error"),
        _ => (500, "internal"),
    }
}

/// For whoever sees the page: what to look at.
fn explanation(reason: &'static str) -> &'static str {
    match reason {
        "connect_refused" | "connect_error" => "Bad gateway: the site's server is not listening.",
        "connect_timeout" | "timeout" => "Gateway timeout: the site's server did not answer in time.",
        "unresolved" => "Bad gateway: the name of the site's server does not resolve.",
        "tls" => "Bad gateway: the site's server could not be trusted.",
        "invalid_response" => "Bad gateway: the site's server sent something that is not HTTP.",
        "connection_lost" => "Bad gateway: the site's server closed the connection.",
        "body_too_large" => "The request body is too large.",
        "visitor_too_slow" => "The request did not arrive in time.",
        "malformed" => "The request is malformed.",
        _ => "The request could not be served.",
    }
}
