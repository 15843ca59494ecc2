//! `/trail/`: questions to the ledger, for those who have a token.
//!
//! | request | answer |
//! |---|---|
//! | `POST /trail/VERB` with a JSON object | what `consentry trail VERB` answers |
//! | `GET /trail/links`, `stats`, `verify` | the same, with `site`, `from`, `to`, `class`, `by` and `source` in the query |
//!
//! At most 10,000 records are in one answer to `events` and `export`; if there may be more, `Consentry-Next` says what
//! to send as `after`.

use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use governor::clock::DefaultClock;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Response};
use pingora::protocols::http::ServerSession;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::asked::{Asked, is_readable};
use super::problem::Problem;
use super::tokens::Gatekeeper;
use crate::config::AdminToken;
use crate::ledger::desk::{Answered, Asker, Desk, Question, Refused, Verb, Via};
use crate::ledger::record::from_hex;
use crate::ledger::trail::Format;
use crate::metrics::Metrics;

const PREFIX: &str = "/trail/";

/// Bytes of a question.
const QUESTION: usize = 16 << 10;

/// Bytes that are read of a question that is too long, so that whoever sends it reads the answer.
const OVERLONG: usize = 1 << 20;

/// Bytes of an answer, which is in memory before it is sent.
const ANSWER: usize = 64 << 20;

/// Questions that are answered at the same time; more wait.
const AT_ONCE: usize = 2;

const NEXT: HeaderName = HeaderName::from_static("consentry-next");
/// RFC 9530.
const DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Answers `/trail/`.
pub struct TrailPages {
    /// `None`: there is no ledger.
    desk: Option<Arc<Desk>>,
    gatekeeper: Gatekeeper,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl TrailPages {
    pub fn new(desk: Option<Desk>, metrics: Arc<Metrics>) -> Self {
        let (gatekeeper, places) = (Gatekeeper::new(DefaultClock::default()), Arc::new(Semaphore::new(AT_ONCE)));
        TrailPages { desk: desk.map(Arc::new), gatekeeper, places, metrics }
    }

    /// Whether a request for `path` is for this.
    pub(super) fn serves(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    pub(super) async fn respond(&self, session: &mut ServerSession, tokens: &[AdminToken]) -> Response<Vec<u8>> {
        self.answer(session, tokens).await.unwrap_or_else(|problem| {
            if let Some(reason) = problem.reason() {
                self.metrics.questions_refused.with_label_values(&[reason]).inc();
            }
            // What is left of the body is not read.
            session.set_keepalive(None);
            problem.into_response()
        })
    }

    async fn answer(&self, session: &mut ServerSession, tokens: &[AdminToken]) -> Result<Response<Vec<u8>>, Problem> {
        let header = session.req_header();
        let (method, uri) = (header.method.clone(), header.uri.clone());
        let desk = self.desk.clone().ok_or(Problem::NotFound("the configuration has no `[ledger]` to ask about"))?;
        if tokens.is_empty() {
            return Err(Problem::NotFound("nobody may ask here: add `[[admin.token]]` with role, name and file"));
        }
        let authorization = header.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let asker = asker(self.gatekeeper.admit(tokens, authorization)?);
        let verb = uri.path().strip_prefix(PREFIX).and_then(Verb::from_word);
        let verb = verb.ok_or(Problem::NotFound(
            "there is links, show, events, stats, affected, export, verify, prove, check, erase, \
             hold/place, hold/list, hold/release, retention/plan and retention/run",
        ))?;
        let asked = match (method, uri.query()) {
            (Method::POST, None) => Asked::from_body(&body(session).await?),
            (Method::GET, query) if is_readable(verb) => Asked::from_query(query.unwrap_or_default()),
            (_, Some(query)) => Asked::from_query(query).and(Err("send this as the body of a POST".to_owned())),
            _ if is_readable(verb) => return Err(Problem::Method("GET, POST")),
            _ => return Err(Problem::Method("POST")),
        };
        let asked = asked.and_then(|asked| Ok((asked.source()?, asked.into_question(verb)?)));
        let (source, question) = asked.map_err(Problem::Malformed)?;
        let content_type = content_type(&question);
        let place = self.places.clone().acquire_owned().await.map_err(|_| Problem::Internal)?;
        let asking = tokio::task::spawn_blocking(move || {
            // Until it is answered, even if nobody waits for it any more.
            let _place = place;
            let mut out = Bounded(Vec::new());
            desk.ask(&asker, source, question, &mut out, &mut |_| {}).map(|answered| (answered, out.0))
        });
        match asking.await {
            Ok(Ok((answered, body))) => Ok(respond(content_type, &answered, body)),
            Ok(Err(refused)) => {
                if let Refused::NotRecorded(_)
                | Refused::Keys(_)
                | Refused::Trail(_)
                | Refused::Central { .. }
                | Refused::Retention(_) = refused
                {
                    log::error!("a question to the ledger is not answered: {refused}");
                }
                Err(Problem::Refused(refused))
            }
            Err(_) => Err(Problem::Internal),
        }
    }
}

fn asker(token: &AdminToken) -> Asker {
    Asker { role: token.role, who: token.name.to_string(), via: Via::Admin, sites: token.sites.clone() }
}

async fn body(session: &mut ServerSession) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut body = Zeroizing::new(Vec::with_capacity(QUESTION));
    let mut read = 0;
    while read <= OVERLONG {
        match session.read_request_body().await {
            Ok(Some(chunk)) => {
                read += chunk.len();
                if read <= QUESTION {
                    body.extend_from_slice(&chunk);
                }
            }
            Ok(None) if read <= QUESTION => return Ok(body),
            Ok(None) => break,
            Err(_) => return Err(Problem::Malformed("the body does not end".to_owned())),
        }
    }
    Err(Problem::TooLong)
}

fn content_type(question: &Question) -> &'static str {
    match question {
        Question::Export { format: Format::Csv, .. } => "text/csv; charset=utf-8",
        Question::Affected(_) | Question::Verify | Question::Prove { .. } => "application/json",
        _ => "application/x-ndjson",
    }
}

fn respond(content_type: &'static str, answered: &Answered, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = super::answer(200, content_type, body);
    if let Some(next) = answered.next {
        response.headers_mut().insert(NEXT, HeaderValue::from(next));
    }
    let digest = answered.manifest.as_ref().and_then(|manifest| from_hex::<32>(&manifest.sha256));
    let digest = digest.map(|digest| format!("sha-256=:{}:", STANDARD.encode(digest)));
    if let Some(value) = digest.and_then(|digest| HeaderValue::try_from(digest).ok()) {
        response.headers_mut().insert(DIGEST, value);
    }
    response
}

/// An answer that does not grow for ever.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ANSWER {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
