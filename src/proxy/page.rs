//! The body of a page, as a pingora module: body filters are not told of every way in which a response ends.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora::{Error, ErrorType, Result};

use super::context::{Decision, judge};
use crate::enforce::Tally;
use crate::enforce::html::{GateRules, Outcome, PageStream};
use crate::reload::Snapshot;

/// Takes a page through the gate; idle for everything that is no page. Besides, whatever the response and whoever makes
/// it, it gets the site's word about https.
#[derive(Default)]
pub(super) struct PageModule {
    page: Option<Box<Page>>,
    pub hsts: Hsts,
}

/// What responses say about https (RFC 6797).
#[derive(Default)]
pub(super) enum Hsts {
    /// What the upstream says.
    #[default]
    AsItIs,
    /// Nothing, since it may be said by https only.
    Never,
    /// This, whatever the upstream says.
    Always(HeaderValue),
}

/// A page, and all that its rules are made of.
pub(super) struct Page {
    pub snapshot: Arc<Snapshot>,
    pub decision: Decision,
    pub secure: bool,
    pub authority: String,
    pub path: String,
    pub guard: String,
    pub language: String,
    /// Only ever reached through the one who owns it, which needs no locking.
    pub stream: Mutex<PageStream>,
    pub ended: bool,
}

impl Page {
    fn with<T>(&mut self, action: impl FnOnce(&mut PageStream, &GateRules<'_>) -> T) -> Option<T> {
        let rules = GateRules {
            judge: judge(&self.snapshot, &self.decision)?,
            purposes: &self.snapshot.ruleset.purposes,
            prefix: &self.snapshot.consent.prefix,
            secure: self.secure,
            authority: &self.authority,
            path: &self.path,
            guard: Some(&self.guard),
            language: &self.language,
        };
        Some(action(self.stream.get_mut().unwrap_or_else(PoisonError::into_inner), &rules))
    }

    fn write(&mut self, body: &[u8], end: bool) -> Result<Bytes> {
        if self.ended {
            return Ok(Bytes::new());
        }
        self.ended = end;
        let mut output = Vec::new();
        let written = self.with(|stream, rules| {
            stream.write(rules, body, &mut output)?;
            if end { stream.finish(rules, &mut output) } else { Ok(()) }
        });
        match written {
            Some(Err(error)) => Error::e_because(ErrorType::InternalError, "page", error).map_err(|e| e.into_up()),
            _ => Ok(Bytes::from(output)),
        }
    }
}

impl PageModule {
    pub(super) fn begin(&mut self, page: Page) {
        self.page = Some(Box::new(page));
    }

    /// What was judged, and what became of the page.
    pub(super) fn result(&mut self) -> Option<(&Tally, Outcome)> {
        let stream = self.page.as_mut()?.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        Some((stream.tally(), stream.outcome()))
    }

    fn end(&mut self) -> Result<Option<Bytes>> {
        let Some(page) = &mut self.page else { return Ok(None) };
        Ok(Some(page.write(b"", true)?).filter(|rest| !rest.is_empty()))
    }
}

#[async_trait]
impl HttpModule for PageModule {
    async fn response_header_filter(&mut self, response: &mut ResponseHeader, _end: bool) -> Result<()> {
        match &self.hsts {
            Hsts::AsItIs => {}
            Hsts::Never => _ = response.remove_header(&STRICT_TRANSPORT_SECURITY),
            Hsts::Always(value) => response.insert_header(STRICT_TRANSPORT_SECURITY, value.clone())?,
        }
        Ok(())
    }

    fn response_body_filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        let Some(page) = &mut self.page else { return Ok(()) };
        let piece = body.take().unwrap_or_default();
        *body = Some(page.write(&piece, end)?).filter(|rest| !rest.is_empty());
        Ok(())
    }

    /// If there is a rest of the page, it goes out instead of the trailers.
    fn response_trailer_filter(&mut self, _trailers: &mut Option<Box<HeaderMap>>) -> Result<Option<Bytes>> {
        self.end()
    }

    fn response_done_filter(&mut self) -> Result<Option<Bytes>> {
        self.end()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Makes a module for each request.
pub(super) struct PageModules;

impl HttpModuleBuilder for PageModules {
    fn init(&self) -> Module {
        Box::new(PageModule::default())
    }
}
