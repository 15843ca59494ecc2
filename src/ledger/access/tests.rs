use http::{HeaderMap, Method};

use super::*;
use crate::policy::ShareEvent;

const WINDOW: u64 = 30 * 60 * 1000;

/// A visitor and a ledger that only counts.
struct Visit {
    tracker: AccessTracker,
    visitor: &'static str,
    now: u64,
    records: Vec<Event>,
    completions: Vec<(Option<u64>, u64, bool)>,
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

impl Visit {
    fn new(capacity: usize) -> Self {
        let tracker = AccessTracker::new(capacity);
        Visit { tracker, visitor: "one", now: 1, records: Vec::new(), completions: Vec::new() }
    }

    fn key(&self, event: Event, link: u8) -> AccessKey {
        let object = (event == Event::Download).then_some(ObjectDigest([7; 16]));
        let visitor = self.tracker.visitor(self.visitor.as_bytes());
        AccessKey { site: "shop".into(), visitor, link: LinkDigest([link; 16]), object, event }
    }

    /// One request, from its header to the end of its body after `sent` bytes.
    fn ask(
        &mut self,
        share: ShareEvent,
        (method, request): (&Method, &[(&'static str, &str)]),
        (status, response): (u16, &[(&'static str, &str)]),
        sent: u64,
    ) {
        let (request, response) = (headers(request), headers(response));
        let request = RequestFacts { method, headers: &request };
        let response = ResponseFacts { status, headers: &response, refused: false };
        let Some(event) = Event::of(share, &request, &response) else { return };
        let ticket = match self.tracker.decide(self.key(event, 1), WINDOW, self.now) {
            Decision::Record(mut ticket) => {
                self.records.push(event);
                ticket.recorded(Some(self.records.len() as u64));
                ticket
            }
            Decision::Known(ticket) => ticket,
            Decision::Wait(_) => panic!("nothing is pending"),
        };
        let completion = ticket.finish(&Part::of(&response), sent, true, self.now);
        self.note(completion);
    }

    fn note(&mut self, completions: impl IntoIterator<Item = Completion>) {
        self.completions.extend(completions.into_iter().map(|done| (done.of, done.bytes, done.complete)));
    }

    fn range(&mut self, first: u64, sent: u64) {
        let range = format!("bytes {first}-{}/3000", first + 99);
        self.ask(ShareEvent::Download, (&Method::GET, &[]), (206, &[("content-range", &range)]), sent);
    }

    fn open(&mut self, request: &[(&'static str, &str)]) {
        self.ask(ShareEvent::Open, (&Method::GET, request), (200, &[]), 10);
    }
}

/// AT-13.
#[test]
fn a_visit_with_ranges_and_retries_is_one_open_and_one_download() {
    let mut visit = Visit::new(1000);
    visit.open(&[]);
    for part in 0..30 {
        visit.now += 1000;
        let sent = if part == 12 { 40 } else { 100 };
        visit.range(part * 100, sent);
    }
    assert_eq!(visit.completions, [], "a range is not whole yet");
    visit.range(1200, 100);
    visit.ask(ShareEvent::Download, (&Method::HEAD, &[]), (200, &[("content-length", "3000")]), 0);
    visit.open(&[("sec-purpose", "prefetch;prerender")]);
    assert_eq!(visit.records, [Event::Open, Event::Download]);
    assert_eq!(visit.completions, [(Some(2), 3000, true)]);
    let left = visit.tracker.sweep(visit.now + WINDOW * 3);
    assert!(left.is_empty(), "what is complete is told once");
}

#[test]
fn what_nobody_looks_at_is_not_counted() {
    for fields in [
        [("sec-purpose", "prefetch")],
        [("sec-purpose", "Prefetch; anonymous-client-ip")],
        [("purpose", "prefetch")],
        [("x-purpose", "preview")],
        [("x-moz", "prefetch")],
    ] {
        let mut visit = Visit::new(10);
        visit.open(&fields);
        assert_eq!(visit.records, [], "{fields:?}");
        visit.open(&[]);
        assert_eq!(visit.records, [Event::Open], "it does not stand in the way of the real one: {fields:?}");
    }
}

#[test]
fn statuses_say_what_an_access_is() {
    let (none, open, download) = (HeaderMap::new(), ShareEvent::Open, ShareEvent::Download);
    for (share, method, status, expected) in [
        (open, Method::GET, 200, Some(Event::Open)),
        (open, Method::GET, 304, Some(Event::Open)),
        (open, Method::GET, 302, None),
        (open, Method::GET, 500, None),
        (open, Method::POST, 200, None),
        (open, Method::GET, 404, Some(Event::Denied)),
        (open, Method::POST, 403, Some(Event::Denied)),
        (open, Method::HEAD, 404, None),
        (open, Method::OPTIONS, 403, None),
        (download, Method::GET, 200, Some(Event::Download)),
        (download, Method::GET, 206, Some(Event::Download)),
        (download, Method::GET, 304, Some(Event::Download)),
        (download, Method::GET, 204, None),
        (download, Method::GET, 416, None),
        (download, Method::GET, 410, Some(Event::Denied)),
        (download, Method::GET, 401, Some(Event::Denied)),
    ] {
        let request = RequestFacts { method: &method, headers: &none };
        let response = ResponseFacts { status, headers: &none, refused: false };
        assert_eq!(Event::of(share, &request, &response), expected, "{share:?} {method} {status}");
    }
    let request = RequestFacts { method: &Method::GET, headers: &none };
    let response = ResponseFacts { status: 451, headers: &none, refused: true };
    assert_eq!(Event::of(open, &request, &response), Some(Event::Denied));
}

#[test]
fn windows_and_visitors_are_told_apart() {
    let mut visit = Visit::new(1000);
    visit.open(&[]);
    visit.now += WINDOW - 1;
    visit.open(&[]);
    assert_eq!(visit.records.len(), 1);
    visit.visitor = "two";
    visit.open(&[]);
    assert_eq!(visit.records.len(), 2);
    visit.visitor = "one";
    visit.now += 1;
    visit.open(&[]);
    assert_eq!(visit.records.len(), 3, "the window began with its first access");
}

#[test]
fn the_parts_of_a_long_download_hold_its_window_open() {
    let mut visit = Visit::new(1000);
    for part in 0..5 {
        visit.range(part * 100, 100);
        visit.now += WINDOW - 1;
    }
    assert_eq!((visit.records.len(), visit.completions.len()), (1, 0));
    let early = visit.tracker.sweep(visit.now);
    assert!(early.is_empty());
    let late = visit.tracker.sweep(visit.now + 1);
    visit.note(late);
    assert_eq!(visit.completions, [(Some(1), 500, false)]);
}

#[test]
fn whole_responses_complete_a_download() {
    for (status, fields, sent, expected) in [
        (200, &[("content-length", "50")][..], 50, Some((Some(1), 50, true))),
        (200, &[("content-length", "50")], 49, None),
        (200, &[], 50, Some((Some(1), 50, true))),
        (304, &[], 0, Some((Some(1), 0, true))),
        (206, &[("content-range", "bytes 0-49/50")], 50, Some((Some(1), 50, true))),
        (206, &[("content-range", "bytes 0-49/*")], 50, None),
        (206, &[("content-type", "multipart/byteranges; boundary=x")], 50, None),
        (206, &[("content-range", "bytes x")], 50, None),
        (200, &[("content-length", "0")], 0, Some((Some(1), 0, true))),
    ] {
        let mut visit = Visit::new(10);
        visit.ask(ShareEvent::Download, (&Method::GET, &[]), (status, fields), sent);
        assert_eq!(visit.completions.first().copied(), expected, "{status} {fields:?} {sent}");
        assert_eq!(visit.records, [Event::Download]);
    }
}

#[test]
fn what_could_not_be_recorded_was_not_seen() {
    let visit = Visit::new(10);
    let decide = || visit.tracker.decide(visit.key(Event::Open, 1), WINDOW, 1);
    let Decision::Record(first) = decide() else { panic!() };
    let Decision::Wait(waiting) = decide() else { panic!("another request waits for the first") };
    assert!(waiting.has_changed().is_ok());
    drop(first);
    assert!(waiting.has_changed().is_err(), "those who wait are told");
    let Decision::Record(mut second) = decide() else { panic!() };
    let Decision::Wait(waiting) = decide() else { panic!() };
    second.recorded(Some(1));
    assert!(waiting.has_changed().is_err());
    assert!(matches!(decide(), Decision::Known(_)));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let mut visit = Visit::new(SHARDS * 4);
    visit.range(0, 100);
    let names: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    for name in &names {
        let visitor = visit.tracker.visitor(name.as_bytes());
        let key = AccessKey { visitor, ..visit.key(Event::Open, 1) };
        let Decision::Record(mut ticket) = visit.tracker.decide(key, WINDOW, 2) else { panic!() };
        ticket.recorded(None);
    }
    let shards = std::iter::once(&visit.tracker.shards.first).chain(&visit.tracker.shards.others);
    for shard in shards {
        let (entries, order) = lock(shard).len();
        assert!(entries <= 4 && order <= 17, "{entries} {order}");
    }
    let left = visit.tracker.sweep(2);
    visit.note(left);
    assert_eq!(visit.completions, [(Some(1), 100, false)], "what is known of an unfinished download is not lost");
}
