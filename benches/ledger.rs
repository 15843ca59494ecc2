//! What the ledger of share links costs.

/// What it costs that a visitor gets an answer only after the record is on disk.
#[divan::bench_group(sample_count = 40, sample_size = 1)]
mod journal {
    use std::io::Write;
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::sync::Arc;

    use consentry::ledger::agent::AgentClass;
    use consentry::ledger::journal::{Guest, Journal, JournalOptions, Pressure};
    use consentry::ledger::keys::SiteKeys;
    use consentry::ledger::pseudonym::{LinkDigest, Pseudonym};
    use consentry::ledger::record::{Actor, Erasable, EventKind, NewRecord};
    use consentry::ledger::retention;
    use divan::Bencher;
    use divan::counter::ItemsCount;
    use jiff::tz::TimeZone;

    /// Visitors at once, and how many links each opens one after the other.
    const VISITORS: u64 = 64;
    const VISITS: u64 = 8;

    const NOW: u64 = 1_772_442_930_000;

    fn open(number: u64) -> NewRecord {
        // Pseudonyms are spread evenly.
        let pseudonym = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
        let erasable = Erasable {
            visitor: Some(Pseudonym(pseudonym.to_be_bytes())),
            agent_name: Some("chrome/desktop".into()),
            referrer: Some("mail.example".into()),
            ..Erasable::default()
        };
        NewRecord {
            link: Some(LinkDigest([(number % 7) as u8; 16])),
            rule: Some("/s/{token}".into()),
            actor: Actor::Anonymous,
            agent: AgentClass::Human,
            epoch: Some("2026-03".into()),
            status: Some(200),
            detail: None,
            erasable,
            ..NewRecord::of_life(EventKind::Open, "shop", NOW, serde_json::Value::Null)
        }
    }

    fn options(queue: usize) -> JournalOptions {
        JournalOptions {
            queue,
            pressure: Pressure::Refuse,
            checkpoints: None,
            checkpoint_every_ms: u64::MAX,
            signing_seed: [7; 32].into(),
            clock: Arc::new(|| NOW),
        }
    }

    #[divan::bench]
    fn group_commit(bencher: Bencher) {
        let (Ok(directory), Ok(runtime)) = (tempfile::tempdir(), tokio::runtime::Builder::new_current_thread().build())
        else {
            return;
        };
        let Ok(journal) = Journal::open(&directory.path().join("j.sqlite"), options(1024), NOW) else { return };
        let next = std::cell::Cell::new(0);
        bencher.counter(ItemsCount::new(VISITORS * VISITS)).bench_local(|| {
            let visitor = |_| async {
                for _ in 0..VISITS {
                    next.set(next.get() + 1);
                    journal.record(open(next.get())).await.ok();
                }
            };
            runtime.block_on(futures_util::future::join_all((0..VISITORS).map(visitor)))
        });
    }

    /// The limit: as many groups, each one write and one flush of as many bytes as the write-ahead log takes for it.
    #[divan::bench]
    fn limit_flush_of_each_group(bencher: Bencher) {
        let Ok(mut file) = tempfile::tempfile() else { return };
        let group = vec![7; 96 << 10];
        bencher.counter(ItemsCount::new(VISITORS * VISITS)).bench_local(|| {
            (0..VISITS).for_each(|_| _ = file.write_all(&group).and_then(|()| file.sync_data()));
        });
    }

    /// Records of each of twelve months.
    const MONTHLY: u64 = 20_000;
    const MONTH_MS: u64 = 30 * 86_400_000;

    /// What a year leaves.
    fn a_year(path: &Path) -> Option<()> {
        let journal = Journal::open(path, options((12 * MONTHLY) as usize + 1), NOW).ok()?;
        for number in 0..12 * MONTHLY {
            let at_ms = NOW + number * (MONTH_MS / MONTHLY);
            journal.try_record(NewRecord { at_ms, ..open(number) }).ok()?;
        }
        tokio::runtime::Builder::new_current_thread().build().ok()?.block_on(journal.flush()).ok()
    }

    /// The first month of twelve leaves: emptied, cut off, and out of the log and the unused pages, too.
    #[divan::bench(sample_count = 5)]
    fn purge_of_one_month(bencher: Bencher) {
        let Ok(directory) = tempfile::tempdir() else { return };
        let (year, path) = (directory.path().join("year.sqlite"), directory.path().join("j.sqlite"));
        if a_year(&year).is_none() {
            return;
        }
        let site = SiteKeys {
            site: "shop".into(),
            time_zone: TimeZone::UTC,
            retention_min_months: 0,
            retention_max_months: 6,
        };
        // The ceiling of six months has come for what is a month old in the year.
        let guest =
            Guest { checkpoints: None, signing_seed: [7; 32].into(), now_ms: NOW + MONTH_MS + 184 * 86_400_000 };
        let copy = || {
            for of in ["-wal", "-shm"] {
                std::fs::remove_file(directory.path().join(format!("j.sqlite{of}"))).ok();
            }
            std::fs::copy(&year, &path)
        };
        bencher.counter(ItemsCount::new(MONTHLY)).with_inputs(copy).bench_local_values(|_| {
            let purged =
                retention::run(&guest, &path, std::slice::from_ref(&site), None, &mut |_| ControlFlow::Continue(()));
            assert!(purged.is_ok_and(|purged| purged.records.abs_diff(MONTHLY) < MONTHLY / 10));
        });
    }

    /// The peer: the same database and durability, a transaction for each record.
    #[divan::bench(sample_count = 10)]
    fn peer_one_transaction_each(bencher: Bencher) {
        let Ok(directory) = tempfile::tempdir() else { return };
        let Ok(database) = rusqlite::Connection::open(directory.path().join("p.sqlite")) else { return };
        let schema = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE record (seq INTEGER PRIMARY KEY, core BLOB)";
        database.execute_batch(schema).ok();
        bencher.counter(ItemsCount::new(VISITORS)).bench_local(|| {
            for _ in 0..VISITORS {
                database.execute("INSERT INTO record (core) VALUES (zeroblob(400))", []).ok();
            }
        });
    }
}

/// What a share link costs a worker with `record = "async"`, and with what it shares of that with a plain request.
#[divan::bench_group(sample_count = 100, sample_size = 100)]
mod share_link {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use consentry::config::LedgerSettings;
    use consentry::ledger::access::{self, AccessKey, Event, Part};
    use consentry::ledger::agent::Agent;
    use consentry::ledger::journal::Pressure;
    use consentry::ledger::keys::SiteKeys;
    use consentry::ledger::record::{Erasable, EventKind, NewRecord};
    use consentry::ledger::recording::{Identity, Recording};
    use consentry::ledger::service::Ledger;
    use consentry::policy::{Durability, ShareEvent, ShareLink};
    use divan::{Bencher, black_box};
    use futures_util::FutureExt;
    use http::Method;

    use crate::headers;

    const NOW: u64 = 1_772_442_930_000;
    const AGENT: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

    fn shares() -> Vec<ShareLink> {
        let shares = [("/s/{token}/files/*", ShareEvent::Download), ("/s/{token}", ShareEvent::Open)];
        shares.into_iter().filter_map(|(template, event)| ShareLink::new(template, event)).collect()
    }

    /// What a worker does, in its order: find the link, its digests, the access; and of a new one, make the record and
    /// queue it.
    fn pass(recording: &Recording, shares: &[ShareLink], path: &str, visitor: u32) -> Option<()> {
        let shared = shares.iter().find_map(|share| share.find(path.as_bytes(), b""))?;
        let (request, response) = (headers(&[]), headers(&[]));
        let response = access::ResponseFacts { status: 200, headers: &response, refused: false };
        let request = access::RequestFacts { method: &Method::GET, headers: &request };
        let event = Event::of(shared.share.event, &request, &response)?;
        let link = recording.pseudonyms.link("shop", &shared.token)?;
        let object = (event == Event::Download).then(|| recording.pseudonyms.object("shop", &shared.object)).flatten();
        let identity = Identity::Address(IpAddr::V4(Ipv4Addr::from_bits(visitor)));
        let key = AccessKey { site: "shop".into(), visitor: recording.key(&identity), link, object, event };
        let mut ticket = recording.claim(&key, shared.share.window_ms, NOW).now_or_never()?;
        if ticket.is_new() {
            let visitor = recording.visitor("shop", NOW, &identity);
            let agent = Agent::of(AGENT.as_bytes());
            let record = NewRecord {
                link: Some(link),
                rule: Some(shared.share.template.clone()),
                actor: visitor.actor,
                agent: agent.class,
                epoch: visitor.epoch,
                status: Some(200),
                detail: None,
                erasable: Erasable {
                    visitor: visitor.pseudonym,
                    object,
                    agent_name: agent.name,
                    referrer: Some("direct".into()),
                    ..Erasable::default()
                },
                ..NewRecord::of_life(EventKind::from(event), "shop", NOW, serde_json::Value::Null)
            };
            recording.record(&mut ticket, Durability::Async, record).now_or_never()?.ok()?;
        }
        ticket.finish(&Part::of(&response), 100, true, NOW);
        Some(())
    }

    #[divan::bench(args = ["no share link", "known open", "known download", "new open", "new download"])]
    fn record_async(bencher: Bencher, case: &str) {
        let Ok(directory) = tempfile::tempdir() else { return };
        let at = |name| directory.path().join(name);
        let settings = LedgerSettings {
            path: at("ledger.sqlite"),
            keys: at("keys"),
            checkpoints: at("checkpoints"),
            pressure: Pressure::Refuse,
            central: None,
        };
        let site = SiteKeys {
            site: "shop".into(),
            time_zone: jiff::tz::TimeZone::UTC,
            retention_min_months: 0,
            retention_max_months: 6,
        };
        let Ok(ledger) = Ledger::start(&settings, vec![site], Arc::new(|| NOW)) else { return };
        let (recording, shares) = (ledger.recording.clone(), shares());
        let path = match case {
            "no share link" => "/products/lantern/reviews",
            _ if case.ends_with("open") => "/s/q7XpL2vRk9Tz",
            _ => "/s/q7XpL2vRk9Tz/files/photos/2026/plan.pdf",
        };
        let mut visitor = 0x0a00_0000;
        // What fails would look cheap.
        assert_eq!(pass(&recording, &shares, path, visitor).is_some(), case != "no share link");
        bencher.bench_local(|| {
            visitor += u32::from(case.starts_with("new"));
            pass(&recording, &shares, black_box(path), visitor)
        });
        let lost = recording.recorder.status().missed;
        assert_eq!(lost, 0);
        ledger.stop();
    }
}
