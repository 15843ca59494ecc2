//! What requests and responses say about an access.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, Method};

use super::Event;
use crate::policy::ShareEvent;

/// Fields by which browsers say that nobody is looking yet (Sec-Purpose: Fetch Standard; the others are older).
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// What is asked.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
}

/// What is answered.
#[derive(Clone, Copy)]
pub struct ResponseFacts<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// Whether the proxy itself refused the request.
    pub refused: bool,
}

impl RequestFacts<'_> {
    fn is_ahead_of_time(&self) -> bool {
        let lines = PURPOSES.iter().flat_map(|name| self.headers.get_all(*name));
        let words = [&b"prefetch"[..], b"prerender", b"preview"];
        let tells = |line: &[u8]| words.iter().any(|word| memchr::memmem::find(line, word).is_some());
        lines.into_iter().any(|line| tells(&line.as_bytes().to_ascii_lowercase()))
    }
}

impl Event {
    /// The event that this request for a share link is, if it is one.
    pub fn of(share: ShareEvent, request: &RequestFacts<'_>, response: &ResponseFacts<'_>) -> Option<Event> {
        if [Method::HEAD, Method::OPTIONS].contains(request.method) || request.is_ahead_of_time() {
            return None;
        }
        if response.refused || matches!(response.status, 401 | 403 | 404 | 410) {
            return Some(Event::Denied);
        }
        match (share, response.status) {
            _ if request.method != Method::GET => None,
            (ShareEvent::Open, 200..=299 | 304) => Some(Event::Open),
            (ShareEvent::Download, 200 | 206 | 304) => Some(Event::Download),
            _ => None,
        }
    }
}

/// What part of a file a response carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins; `None` if that is not known.
    pub start: Option<u64>,
    /// Bytes of the whole file, if known.
    pub total: Option<u64>,
    /// Whether it is the whole file.
    pub whole: bool,
    /// Whether the visitor says to have the file already (304).
    pub held: bool,
}

impl Part {
    /// Reads the header section of a response (RFC 9110, sections 8.6, 14.4, 15.3.7 and 15.4.5). Of several ranges in
    /// one response the places stand in the body, and are not known here.
    pub fn of(response: &ResponseFacts<'_>) -> Part {
        let text = |name| response.headers.get(name).and_then(|value| value.to_str().ok());
        let range = || text(CONTENT_RANGE).and_then(read_range);
        let (start, total) = match response.status {
            206 => range().map_or((None, None), |(start, total)| (Some(start), total)),
            304 => (None, None),
            _ => (Some(0), text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok())),
        };
        Part { start, total, whole: response.status == 200, held: response.status == 304 }
    }
}

/// The first byte and the whole length.
fn read_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let first = first.trim().parse().ok()?;
    unit.eq_ignore_ascii_case("bytes").then(|| (first, total.trim().parse().ok()))
}
