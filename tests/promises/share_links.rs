//! What is recorded of accesses to share links, between a visitor and an origin.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use consentry::ledger::access::AccessTracker;
use consentry::ledger::agent::AgentClass;
use consentry::ledger::journal::Pressure;
use consentry::ledger::pseudonym::{ClientAddress, ConsentDigest, LinkDigest, ObjectDigest, Pseudonym};
use consentry::ledger::record::{Actor, EventKind, NewRecord, NoVisitor};
use consentry::ledger::recording::Recording;
use consentry::ledger::{NotRecorded, Pseudonyms, Recorder};

use crate::support::{Client, Origin, TestApp, eventually, get, respond, respond_with, site};

/// Keeps records in memory, as long as it works.
#[derive(Default)]
struct Memory {
    records: Mutex<Vec<NewRecord>>,
    broken: AtomicBool,
}

#[async_trait]
impl Recorder for Memory {
    async fn record(&self, record: NewRecord) -> Result<u64, NotRecorded> {
        self.try_record(record)?;
        Ok(self.records.lock().unwrap().len() as u64)
    }

    fn try_record(&self, record: NewRecord) -> Result<(), NotRecorded> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(NotRecorded);
        }
        self.records.lock().unwrap().push(record);
        Ok(())
    }
}

/// Digests that can be read.
struct Plain;

fn head(text: &[u8]) -> [u8; 16] {
    std::array::from_fn(|at| text.get(at).copied().unwrap_or_default())
}

impl Pseudonyms for Plain {
    fn visitor(&self, _site: &str, _at_ms: u64, _address: &ClientAddress) -> Option<(Box<str>, Pseudonym)> {
        Some(("2026-11".into(), Pseudonym([7; 16])))
    }

    fn consent(&self, _site: &str, _at_ms: u64, id: &[u8]) -> Option<ConsentDigest> {
        Some(ConsentDigest(head(id)))
    }

    fn link(&self, _site: &str, token: &[u8]) -> Option<LinkDigest> {
        Some(LinkDigest(head(token)))
    }

    fn object(&self, _site: &str, path: &[u8]) -> Option<ObjectDigest> {
        Some(ObjectDigest(head(path)))
    }
}

struct Shop {
    app: TestApp,
    memory: Arc<Memory>,
    recording: Arc<Recording>,
}

const SHARES: &str = "[[site.share]]\npath = \"/s/{token}/files/*\"\nevent = \"download\"\n\
                      [[site.share]]\npath = \"/s/{token}\"\nsession_cookies = [\"session\"]";

impl Shop {
    fn start(pressure: Pressure) -> Self {
        let origin = Origin::start(|request| {
            let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
            let first = range.and_then(|range| range.split('-').next()?.parse::<usize>().ok());
            match (&*request.target, first) {
                ("/s/gone", _) => respond(410, "gone"),
                _ if request.method == "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n".to_vec(),
                (_, Some(first)) => {
                    let range = format!("bytes {first}-{}/3000", first + 99);
                    respond_with(206, &[("Content-Range", &range)], &"x".repeat(100))
                }
                _ => respond(200, "hello"),
            }
        });
        let memory = Arc::<Memory>::default();
        let recording = Arc::new(Recording {
            recorder: memory.clone(),
            pseudonyms: Arc::new(Plain),
            accesses: AccessTracker::new(1000),
            pressure,
            clock: Arc::new(|| 1_793_000_000_000),
            lost: AtomicU64::new(0),
            central: None,
            strangers: AtomicU64::new(0),
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consentry.toml");
        std::fs::write(&path, TestApp::configuration("", &site(origin.address, SHARES))).unwrap();
        let app = TestApp::start_recording(directory, path, Some(recording.clone()));
        Shop { app, memory, recording }
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> u16 {
        get(self.app.address, target, fields).status
    }

    fn events(&self) -> Vec<EventKind> {
        self.memory.records.lock().unwrap().iter().map(|record| record.event).collect()
    }
}

/// AT-13.
#[test]
fn a_visit_is_one_open_and_one_download() {
    let shop = Shop::start(Pressure::Refuse);
    assert_eq!(
        shop.get("/s/aB3", &[("User-Agent", "curl/8.5.0"), ("Referer", "https://mail.example.org/inbox?id=1")]),
        200
    );
    for part in (0..30).chain([12]) {
        let range = format!("bytes={}-{}", part * 100, part * 100 + 99);
        assert_eq!(shop.get("/s/aB3/files/plan.pdf", &[("Range", &range)]), 206);
    }
    let mut client = Client::connect(shop.app.address);
    client.write("HEAD /s/aB3/files/plan.pdf HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.response(true).unwrap().status, 200);
    shop.get("/s/aB3", &[("Sec-Purpose", "prefetch")]);
    shop.get("/S//%61B3/", &[]);
    eventually("the download is complete", || shop.events().len() == 3);
    assert_eq!(shop.events(), [EventKind::Open, EventKind::Download, EventKind::Download]);
    let records = shop.memory.records.lock().unwrap();
    let (open, begun, done) = (&records[0], &records[1], &records[2]);
    assert!(open.link == Some(LinkDigest(head(b"aB3"))) && begun.link == open.link && done.link == open.link);
    assert!(open.erasable.visitor == Some(Pseudonym([7; 16])) && open.no_visitor.is_none());
    assert_eq!((open.actor, open.agent, open.status), (Actor::Anonymous, AgentClass::Script, Some(200)));
    assert_eq!(open.erasable.referrer.as_deref(), Some("example.org"));
    assert_eq!((open.rule.as_deref(), open.erasable.agent_name.as_deref()), (Some("/s/{token}"), Some("curl")));
    assert_eq!((begun.complete, begun.bytes, &begun.detail), (false, 0, &None));
    assert_eq!((done.complete, done.bytes), (true, 3000));
    assert_eq!(done.detail, Some(serde_json::json!({ "of": 2 })));
}

/// AT-15.
#[test]
fn who_has_a_consent_id_can_be_found_by_it() {
    let shop = Shop::start(Pressure::Refuse);
    let own = |value: &str| format!("consentry={value}");
    let cookies = [
        own("1~~~1772442930~k3f9q2"),
        own("broken") + "; " + &own("1~analytics~~1772442930~zz81"),
        own("1~~~1772442930~k3f9q2") + "; session=alice",
        "theme=dark".into(),
        own("1~~~1772442930~"),
    ];
    for (position, cookie) in cookies.iter().enumerate() {
        assert_eq!(shop.get(&format!("/s/link{position}"), &[("Cookie", cookie)]), 200);
    }
    let records = shop.memory.records.lock().unwrap();
    let found: Vec<_> = records.iter().map(|record| record.erasable.consent).collect();
    let id = |id: &[u8]| Some(ConsentDigest(head(id)));
    assert!(found == [id(b"k3f9q2"), id(b"zz81"), None, None, None], "a member leaves none");
}

#[test]
fn a_member_leaves_no_pseudonym() {
    let shop = Shop::start(Pressure::Refuse);
    shop.get("/s/aB3", &[("Cookie", "session=one")]);
    shop.get("/s/aB3", &[("Cookie", "session=one")]);
    shop.get("/s/aB3", &[("Cookie", "session=")]);
    let records = shop.memory.records.lock().unwrap();
    let (member, anonymous) = (&records[0], &records[1]);
    assert_eq!((records.len(), member.actor, member.no_visitor), (2, Actor::Member, Some(NoVisitor::Member)));
    assert!(member.erasable.visitor.is_none() && member.epoch.is_none());
    assert_eq!(anonymous.actor, Actor::Anonymous, "an empty cookie is no session");
}

#[test]
fn what_is_denied_is_recorded_once() {
    let shop = Shop::start(Pressure::Refuse);
    assert_eq!([shop.get("/s/gone", &[]), shop.get("/s/gone", &[]), shop.get("/other", &[])], [410, 410, 200]);
    assert_eq!(shop.events(), [EventKind::Denied]);
}

#[test]
fn what_cannot_be_recorded_is_refused_or_counted() {
    let shop = Shop::start(Pressure::Refuse);
    shop.memory.broken.store(true, Ordering::Relaxed);
    assert_eq!([shop.get("/s/aB3", &[]), shop.get("/other", &[])], [503, 200]);
    shop.app.expect_metric("consentry_rejected_total{reason=\"not_recorded\"}", 1.0);
    shop.memory.broken.store(false, Ordering::Relaxed);
    assert_eq!(shop.get("/s/aB3", &[]), 200);
    assert_eq!(shop.events(), [EventKind::Open], "it was not seen before");

    let shop = Shop::start(Pressure::Drop);
    shop.memory.broken.store(true, Ordering::Relaxed);
    assert_eq!(shop.get("/s/aB3", &[]), 200);
    assert_eq!((shop.recording.lost.load(Ordering::Relaxed), shop.events().len()), (1, 0));
}

#[test]
fn a_download_that_is_given_up_is_recorded_as_it_is() {
    let shop = Shop::start(Pressure::Refuse);
    shop.get("/s/aB3/files/plan.pdf", &[("Range", "bytes=0-99")]);
    eventually("the request is over", || {
        shop.recording.sweep(u64::MAX);
        shop.events().len() == 2
    });
    let records = shop.memory.records.lock().unwrap();
    assert_eq!((records[1].complete, records[1].bytes), (false, 100));
}
