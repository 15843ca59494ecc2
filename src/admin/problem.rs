//! What went wrong, as RFC 9457 writes it.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::ledger::desk::Refused;
use crate::ledger::journal::prove::NoProof;
use crate::ledger::retention::RetentionError;
use crate::ledger::trail::TrailError;

/// Why there is no answer. Nothing that was sent is in it.
pub(super) enum Problem {
    /// There are no questions here, or not this one.
    NotFound(&'static str),
    /// Other methods are possible.
    Method(&'static str),
    Malformed(String),
    TooLong,
    Unauthorized,
    /// Asked too often: wait so many seconds.
    TooMany(u64),
    Refused(Refused),
    /// Nothing that whoever asks could help.
    Internal,
}

impl Problem {
    /// Under what it is counted; `None` if it is not a refusal of somebody.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Problem::Unauthorized => Some("unauthorized"),
            Problem::Refused(Refused::Role { .. } | Refused::Site) => Some("forbidden"),
            Problem::TooMany(_) | Problem::Refused(Refused::TooMany) => Some("too_many"),
            _ => None,
        }
    }

    pub(super) fn into_response(self) -> Response<Vec<u8>> {
        let status = self.status();
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        let mut response = super::answer(status.as_u16(), "application/problem+json", format!("{body:#}\n").into());
        let field = match self {
            Problem::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Problem::Method(methods) => Some((ALLOW, HeaderValue::from_static(methods))),
            Problem::TooMany(seconds) => Some((RETRY_AFTER, HeaderValue::from(seconds))),
            Problem::Refused(Refused::TooMany) => Some((RETRY_AFTER, HeaderValue::from(60))),
            _ => None,
        };
        response.headers_mut().extend(field);
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::NotFound(_) => StatusCode::NOT_FOUND,
            Problem::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Malformed(_) => StatusCode::BAD_REQUEST,
            Problem::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Unauthorized => StatusCode::UNAUTHORIZED,
            Problem::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Problem::Refused(refused) => match refused {
                Refused::Role { .. } | Refused::Site => StatusCode::FORBIDDEN,
                Refused::Incomplete(_) | Refused::Trail(TrailError::Output(_) | TrailError::TooFine) => {
                    StatusCode::BAD_REQUEST
                }
                Refused::TooMany => StatusCode::TOO_MANY_REQUESTS,
                Refused::NoProof(NoProof::NotThere) | Refused::Retention(RetentionError::NoHold { .. }) => {
                    StatusCode::NOT_FOUND
                }
                Refused::Retention(RetentionError::Held { .. }) => StatusCode::CONFLICT,
                Refused::Retention(RetentionError::Journal(_) | RetentionError::Keys(_)) => {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
                Refused::Retention(_) => StatusCode::BAD_REQUEST,
                Refused::NoProof(NoProof::NotSigned | NoProof::TooLong | NoProof::Elsewhere) => StatusCode::CONFLICT,
                Refused::NotRecorded(_) | Refused::Central { .. } => StatusCode::SERVICE_UNAVAILABLE,
                Refused::Keys(_) | Refused::Trail(_) | Refused::NoProof(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            Problem::NotFound(what) => (*what).to_owned(),
            Problem::Method(methods) => format!("allowed here: {methods}"),
            Problem::Malformed(what) => what.clone(),
            Problem::TooLong => "a question has 16 KiB at most".to_owned(),
            Problem::Unauthorized => "send a token of `[[admin.token]]` as `Authorization: Bearer …`".to_owned(),
            Problem::TooMany(seconds) => format!("too many questions: wait for {seconds} s"),
            Problem::Internal => "this is a bug; the log says more".to_owned(),
            Problem::Refused(refused) => match refused {
                Refused::Trail(TrailError::Output(_)) => "the answer is too long: ask about less".to_owned(),
                Refused::Trail(error @ TrailError::TooFine) => error.to_string(),
                // What these say names files of the machine.
                Refused::NotRecorded(_) => "not answered, since the question cannot be recorded".to_owned(),
                Refused::Central { .. } => "the central store does not answer, and the log says why; \
                    `\"source\": \"journal\"` asks this proxy alone"
                    .to_owned(),
                Refused::Keys(_)
                | Refused::Trail(_)
                | Refused::Retention(RetentionError::Journal(_) | RetentionError::Keys(_)) => {
                    "the ledger cannot be read; the log says why".to_owned()
                }
                refused => refused.to_string(),
            },
        }
    }
}
