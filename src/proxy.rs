//! The life of a request, as pingora tells it. No logic in here: each hook is one line to the file named after it.

mod access_log;
mod connected;
mod context;
mod country;
mod early_request;
mod fail_to_proxy;
mod forwarded;
mod https;
mod message;
mod older_policy;
mod own_pages;
mod page;
mod request;
mod request_body;
mod response;
mod share;
mod tracker;
mod upstream_peer;
mod upstream_request;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use crate::config::{Limits, Server};
use crate::ledger::recording::Recording;
use crate::metrics::Metrics;
use crate::reload::Store;
use crate::telemetry::AccessLog;

pub use context::{Context, InFlight};
pub use https::Ports;

/// What all requests share.
pub struct Gateway {
    pub store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub server: Server,
    pub ports: Ports,
    pub access_log: AccessLog,
    /// `None`: no access is recorded.
    pub recording: Option<Arc<Recording>>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self)
    }

    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        modules.add_module(Box::new(page::PageModules));
    }

    fn allow_spawning_subrequest(&self, _session: &Session, _context: &Context) -> bool {
        false
    }

    async fn early_request_filter(&self, session: &mut Session, _context: &mut Context) -> Result<()> {
        early_request::set_timeouts(session, &self.limits);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        request::filter(self, session, context).await
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        upstream_peer::choose(session, context)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        upstream_request::filter(session, upstream, context, &self.server.trusted_proxies)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        context: &mut Context,
    ) -> Result<()> {
        request_body::filter(body, context, self.limits.body_bytes)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        response::filter(session, response, context)?;
        https::keep(session, response, context)?;
        share::before_served(self, session, response, context).await
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        context: &mut Context,
    ) -> Result<Option<Bytes>> {
        response::filter_trailers(trailers, context);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        connected::failed(context, error)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        fail_to_proxy::answer(self, session, error, context).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        share::finish(self, session, error, context);
        access_log::finish(self, session, error, context);
    }

    /// pingora's messages quote the request.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Context, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    fn request_summary(&self, _session: &Session, _context: &Context) -> String {
        String::new()
    }
}
