use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::erase::{Visitor, Wanted, erase};
use super::super::hold;
use super::super::journal::verify::verify;
use super::super::keys::{Epoch, NoPseudonym};
use super::super::pseudonym::{ClientAddress, LinkDigest, Pseudonym};
use super::super::record::Erasable;
use super::super::service::Ledger;
use super::super::trail::{Filter, Format, Role, Trail, export};
use super::*;
use crate::config::LedgerSettings;

const ADDRESS: &str = "203.0.113.7";

/// Two sites with one journal: `dam` keeps 3 to 6 months, `shop` up to 12.
struct Place {
    directory: tempfile::TempDir,
    settings: LedgerSettings,
    sites: Vec<SiteKeys>,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("data")).unwrap();
        let settings = LedgerSettings {
            path: path("data/ledger.sqlite"),
            keys: path("keys"),
            checkpoints: path("checkpoints"),
            pressure: Default::default(),
            central: None,
        };
        let site = |name: &str, zone: &str, min, max| SiteKeys {
            site: name.into(),
            time_zone: TimeZone::get(zone).unwrap(),
            retention_max_months: max,
            retention_min_months: min,
        };
        let sites = vec![site("dam", "Asia/Shanghai", 3, 6), site("shop", "America/New_York", 0, 12)];
        Place { directory, settings, sites }
    }

    fn path(&self) -> &Path {
        &self.settings.path
    }

    /// The keys, as they must be at `now`.
    fn ring(&self, now: &str) -> KeyRing {
        let mut ring = KeyRing::open(&self.settings.keys, &self.sites).unwrap();
        ring.rotate(now.parse().unwrap()).unwrap();
        ring
    }

    fn guest(&self, now: &str) -> Guest {
        let seed = KeyRing::open(&self.settings.keys, &self.sites).unwrap().signing_seed().unwrap();
        Guest { checkpoints: Some(self.settings.checkpoints.clone()), signing_seed: seed, now_ms: ms(now) }
    }

    /// One address opens a link at each of `times`.
    fn visits(&self, site: &str, link: u8, times: &[&str]) {
        let address = ClientAddress::new(ADDRESS.parse().unwrap());
        let records: Vec<_> = times
            .iter()
            .map(|at| {
                let (epoch, pseudonym) = self.ring(at).visitor(site, ms(at), &address).unwrap();
                NewRecord {
                    link: Some(LinkDigest([link; 16])),
                    epoch: Some(epoch.to_string().into()),
                    erasable: Erasable { visitor: Some(pseudonym), ..Erasable::default() },
                    detail: None,
                    ..NewRecord::of_life(EventKind::Open, site, ms(at), serde_json::Value::Null)
                }
            })
            .collect();
        let now = times.last().unwrap();
        self.guest(now).add(self.path(), &records.iter().collect::<Vec<_>>(), &[]).unwrap();
    }

    fn run(&self, now: &str, before: Option<&str>) -> Result<u64, RetentionError> {
        let progress = &mut |_| ControlFlow::Continue(());
        let purged = run(&self.guest(now), self.path(), &self.sites, before.map(ms), progress)?;
        assert_eq!(verify(self.path(), Some(&self.settings.checkpoints)).problems, []);
        Ok(purged.records)
    }

    /// What is answered about a site: the times of accesses and the pseudonyms.
    fn told(&self, site: &str) -> Vec<(u64, Option<String>)> {
        let mut told = Vec::new();
        let filter = Filter { site: Some(site.into()), ..Filter::default() };
        let each = |access: super::super::trail::Access| {
            told.push((access.at, access.visitor));
            Ok(())
        };
        Trail::open(self.path()).unwrap().accesses(&filter, Role::Custodian, each).unwrap();
        told
    }

    fn days(&self, site: &str) -> Vec<String> {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let day = |at: u64| zone.to_datetime(timestamp(at).unwrap()).date().to_string();
        self.told(site).into_iter().map(|(at, _)| day(at)).collect()
    }

    /// How often the pseudonym of each month is in a file of the journal, in bytes or in an export.
    fn found(&self, site: &str, epoch: &str, pseudonym: [u8; 16]) -> usize {
        let mut all = Vec::new();
        for file in std::fs::read_dir(self.directory.path().join("data")).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let filter = Filter { site: Some(site.into()), ..Filter::default() };
        let mut exported = Vec::new();
        export(
            &mut Trail::open(self.path()).unwrap(),
            &filter,
            Role::Custodian,
            Format::Csv,
            &mut exported,
            &mut |_| {},
        )
        .unwrap();
        let text = super::super::record::hex(&pseudonym);
        let indexed: u64 = rusqlite::Connection::open(self.path())
            .unwrap()
            .query_row("SELECT count(*) FROM record WHERE epoch = ? AND visitor = ?", (epoch, pseudonym), |row| {
                row.get(0)
            })
            .unwrap();
        memchr::memmem::find_iter(&all, &pseudonym).count()
            + memchr::memmem::find_iter(&exported, text.as_bytes()).count()
            + indexed as usize
    }

    fn pseudonym(&self, site: &str, at: &str) -> [u8; 16] {
        let ring = KeyRing::open(&self.settings.keys, &self.sites).unwrap();
        ring.visitor(site, ms(at), &ClientAddress::new(ADDRESS.parse().unwrap()))
            .map(|(_, Pseudonym(p))| p)
            .ok()
            .unwrap()
    }

    fn copy(&self, name: &str, to: &str) {
        let (from, to) = (self.directory.path().join(name), self.directory.path().join(to));
        let _ = std::fs::remove_dir_all(&to);
        assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    }

    fn place_hold(&self, now: &str, link: Option<u8>) -> Box<str> {
        let link = link.map(|link| [link; 16]);
        let request = hold::Request { site: "dam", link, reason: "a case", ticket: "T-7" };
        hold::place(&self.guest(now), self.path(), &request).unwrap()
    }
}

fn ms(text: &str) -> u64 {
    text.parse::<Timestamp>().unwrap().as_millisecond() as u64
}

const AUGUST: [&str; 5] = [
    "2026-08-28T04:00:00Z",
    "2026-08-30T04:00:00Z",
    "2026-08-31T04:00:00Z",
    // In Shanghai, September has begun; in New York it has not.
    "2026-08-31T16:00:00Z",
    "2026-09-02T04:00:00Z",
];

#[test]
fn at_18_nothing_goes_too_soon_and_nothing_stays_too_long() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    place.visits("shop", 1, &AUGUST);
    let refused = place.run("2026-11-29T04:00:00Z", Some("2026-08-30T00:00:00Z")).unwrap_err().to_string();
    assert!(refused.contains("`dam` keeps its records for 3 months at least"), "{refused}");
    assert!(refused.contains("from 2026-08-28T16:00:00Z on"), "{refused}");
    assert_eq!(place.days("dam").len() + place.days("shop").len(), 10, "nothing was done");
    assert_eq!(place.run("2027-02-28T15:59:59Z", None).unwrap(), 0);
    let august = place.pseudonym("dam", AUGUST[0]);
    assert!(place.found("dam", "2026-08", august) > 3);
    let plans = plan(place.path(), &place.sites, ms("2027-02-28T16:00:00Z")).unwrap();
    let next = |plan: &Plan| plan.next.unwrap().to_string();
    let planned: Vec<_> = plans.iter().map(|plan| (&*plan.site, plan.due, plan.held, next(plan))).collect();
    assert_eq!(planned, [("dam", 3, 0, "2027-03-02".into()), ("shop", 0, 0, "2027-08-29".into())]);
    assert_eq!(place.run("2027-02-28T16:00:00Z", None).unwrap(), 3);
    assert_eq!(place.found("dam", "2026-08", august), 0);
    assert_eq!(place.days("dam"), ["2026-09-01", "2026-09-02"]);
    assert_eq!(place.days("shop").len(), 5, "another site keeps them for longer");
    let refused = place.run("2027-08-29T12:00:00Z", Some("2027-08-01T00:00:00Z")).unwrap_err().to_string();
    assert!(refused.contains("dam"), "{refused}");
    assert_eq!(place.run("2027-08-29T12:00:00Z", None).unwrap(), 3, "the rest of one, the first of the other");
}

#[test]
fn at_18_on_demand_more_goes_down_to_what_must_stay() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    assert_eq!(place.run("2026-12-01T00:00:00Z", Some("2026-08-31T00:00:00Z")).unwrap(), 2);
    let shop = std::slice::from_ref(&place.sites[1]);
    place.visits("shop", 2, &["2026-11-30T23:00:00Z"]);
    let now = "2026-12-01T00:00:00Z";
    let purge =
        |before: &str| run(&place.guest(now), place.path(), shop, Some(ms(before)), &mut |_| ControlFlow::Continue(()));
    assert!(purge("2026-12-01T00:00:01Z").is_err(), "nothing is removed ahead");
    assert_eq!(purge(now).unwrap().records, 1, "no floor");
}

#[test]
fn at_18_a_hold_keeps_until_it_is_released() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    place.visits("dam", 2, &AUGUST);
    let id = place.place_hold("2026-10-01T00:00:00Z", Some(2));
    let holds = hold::list(place.path()).unwrap();
    assert_eq!((holds.len(), &holds[0].id, holds[0].link, &*holds[0].ticket), (1, &id, Some([2; 16]), "T-7"));
    let now = "2027-03-10T00:00:00Z";
    let plans = plan(place.path(), &place.sites, ms(now)).unwrap();
    assert_eq!((plans[0].due, plans[0].held), (5, 5));
    assert_eq!(place.run(now, None).unwrap(), 5);
    assert_eq!(place.days("dam").len(), 5);
    assert!(matches!(
        hold::release(&place.guest(now), place.path(), "other", "closed"),
        Err(RetentionError::NoHold { .. })
    ));
    assert!(matches!(hold::release(&place.guest(now), place.path(), &id, " "), Err(RetentionError::NoReason)));
    hold::release(&place.guest(now), place.path(), &id, "closed").unwrap();
    assert_eq!(place.run(now, None).unwrap(), 5);
    assert!(place.days("dam").is_empty() && hold::list(place.path()).unwrap().is_empty());
}

#[test]
fn a_site_that_is_not_configured_any_more_is_told() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    let plans = plan(place.path(), &place.sites[1..], ms("2030-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        plans.iter().map(|plan| (&*plan.site, plan.cutoff_ms.is_some())).collect::<Vec<_>>(),
        [("shop", true), ("dam", false)]
    );
}

#[test]
fn at_41_what_is_erased_is_found_nowhere() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    place.visits("dam", 2, &AUGUST);
    let visitor = place.pseudonym("dam", AUGUST[0]);
    let (now, path) = ("2026-09-03T00:00:00Z", place.path());
    let wanted = |link: Option<u8>| Wanted {
        site: "dam".into(),
        link: link.map(|link| [link; 16]),
        visitor: Some(Visitor::OfMonth(visitor)),
        ..Wanted::default()
    };
    let id = place.place_hold(now, Some(2));
    let refused = erase(&place.guest(now), path, &wanted(None), "request 9").unwrap_err();
    assert!(matches!(&refused, RetentionError::Held { id: by, .. } if *by == id), "{refused}");
    assert_eq!(erase(&place.guest(now), path, &wanted(Some(1)), "request 9").unwrap(), [2, 3, 4]);
    hold::release(&place.guest(now), path, &id, "closed").unwrap();
    assert!(place.found("dam", "2026-08", visitor) > 3);
    assert_eq!(erase(&place.guest(now), path, &wanted(None), "request 9").unwrap().len(), 3);
    assert_eq!(place.found("dam", "2026-08", visitor), 0);
    assert_eq!(place.told("dam").iter().filter(|(_, visitor)| visitor.is_some()).count(), 4, "September is another");
    assert!(erase(&place.guest(now), path, &wanted(None), "again").unwrap().is_empty());
    let september = |seqs| Wanted { site: "dam".into(), seqs, from_ms: Some(ms(AUGUST[4])), ..Wanted::default() };
    assert_eq!(erase(&place.guest(now), path, &september(Some(vec![2, 6])), "by number").unwrap(), [6]);
    assert_eq!(erase(&place.guest(now), path, &september(None), "by time").unwrap().len(), 1);
    assert_eq!(verify(path, Some(&place.settings.checkpoints)).problems, []);
    assert_eq!(place.run("2027-04-01T00:00:00Z", None).unwrap(), 10, "what was erased is purged like all else");
}

/// The pseudonym of the address in August, as a custodian asks for it.
fn check(place: &Place) -> Result<[u8; 16], NoPseudonym> {
    let ring = KeyRing::open(&place.settings.keys, &place.sites).unwrap();
    let address = ClientAddress::new(ADDRESS.parse().unwrap());
    let [(epoch, found)] = &ring.check("dam", &address, ms(AUGUST[0]), ms(AUGUST[2]))[..] else { panic!() };
    assert_eq!(*epoch, "2026-08".parse::<Epoch>().unwrap());
    found.as_ref().map(|pseudonym| pseudonym.0).map_err(|why| *why)
}

#[test]
fn at_17_without_the_key_nobody_can_tell_even_from_old_copies() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    let august = check(&place).ok().unwrap();
    place.copy("data", "old-data");
    place.copy("keys", "old-keys");
    let end = "2027-02-28T16:00:00Z";
    let destroy = |now: &str| -> Vec<_> {
        place.run(now, None).unwrap();
        let mut ring = place.ring(now);
        destroy_due_keys(&place.guest(now), place.path(), &mut ring, &Default::default()).unwrap()
    };
    assert!(destroy("2027-02-28T15:59:59Z").is_empty() && check(&place).is_ok());
    let events = destroy(end);
    assert_eq!(events.iter().map(|event| event.name()).collect::<Vec<_>>(), ["key.destroyed"]);
    let key = &events[0].key;
    assert_eq!(
        (&*key.site, key.epoch.unwrap().to_string(), key.destroyed_by.as_deref()),
        ("dam", "2026-08".into(), Some("retention"))
    );
    assert_eq!(check(&place).err(), Some(NoPseudonym::Destroyed));
    assert_eq!(Life::of(place.path()).unwrap().destroyed, std::slice::from_ref(&key.kid));

    place.copy("data", "new-data");
    place.copy("old-data", "data");
    assert!(place.found("dam", "2026-08", august) > 0, "the records are back");
    assert_eq!(check(&place).err(), Some(NoPseudonym::Destroyed), "and nobody can ask for an address");
    place.copy("new-data", "data");

    let file = "dam.visitor.2026-08.key";
    std::fs::copy(place.directory.path().join("old-keys").join(file), place.settings.keys.join(file)).unwrap();
    assert!(matches!(KeyRing::open(&place.settings.keys, &place.sites), Err(KeyError::Restored { .. })));
    place.copy("old-keys", "keys");
    let ring = KeyRing::open(&place.settings.keys, &place.sites).unwrap();
    assert!(matches!(refuse_restored(&ring, place.path()), Err(RetentionError::Keys(KeyError::Restored { .. }))));
    let now = ms(end);
    let error = Ledger::start(&place.settings, place.sites.clone(), Arc::new(move || now)).err().unwrap().to_string();
    assert!(error.contains("is back although the key") && error.contains(&*key.kid), "{error}");
}

#[test]
fn the_word_of_destroyed_keys_outlives_the_records_that_say_so() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    let mut ring = place.ring(AUGUST[4]);
    let mut destroyed = HashSet::new();
    for now in ["2027-03-01T00:00:00Z", "2027-04-01T00:00:00Z"] {
        place.run(now, None).unwrap();
        destroyed.extend(
            destroy_due_keys(&place.guest(now), place.path(), &mut ring, &Default::default())
                .unwrap()
                .into_iter()
                .map(|e| e.key.kid),
        );
    }
    assert_eq!(destroyed.len(), 2);
    place.visits("dam", 1, &["2027-04-02T00:00:00Z", "2027-04-03T00:00:00Z"]);
    assert_eq!(place.run("2028-01-01T00:00:00Z", None).unwrap(), 2);
    let events = rusqlite::Connection::open(place.path()).unwrap();
    let left: u64 =
        events.query_row("SELECT count(*) FROM record WHERE event = 'key.destroyed'", [], |row| row.get(0)).unwrap();
    assert_eq!((left, Life::of(place.path()).unwrap().destroyed.into_iter().collect()), (0, destroyed));
}

#[test]
fn a_key_that_a_held_record_needs_stays() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    place.visits("dam", 2, &AUGUST[3..]);
    let now = "2027-04-01T00:00:00Z";
    for link in [Some(2), None, Some(3)] {
        let id = place.place_hold(now, link);
        place.run(now, None).unwrap();
        let mut ring = place.ring(now);
        let events = destroy_due_keys(&place.guest(now), place.path(), &mut ring, &Default::default()).unwrap();
        let destroyed: Vec<_> = events.iter().map(|event| event.key.epoch.unwrap().to_string()).collect();
        let expected: &[&str] = match link {
            // August had the other link only.
            Some(2) => &["2026-08"],
            None => &[],
            _ => &["2026-09"],
        };
        assert_eq!(destroyed, expected, "{link:?}");
        hold::release(&place.guest(now), place.path(), &id, "closed").unwrap();
    }
}

#[test]
fn a_running_ledger_removes_what_is_due() {
    let place = Place::new();
    place.visits("dam", 1, &AUGUST);
    let kid: PathBuf = place.settings.keys.join("dam.visitor.2026-08.key");
    assert!(kid.exists());
    let now = ms("2027-03-05T00:00:00Z");
    let ledger = Ledger::start(&place.settings, place.sites.clone(), Arc::new(move || now)).unwrap();
    let status = loop {
        let status = ledger.recording.recorder.status().retention;
        if status.last_success_ms.is_some() || status.failing.is_some() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!((status.last_success_ms, status.failing, status.purged), (Some(now), None, 5));
    ledger.stop();
    assert!(!kid.exists());
    assert_eq!(verify(&place.settings.path, Some(&place.settings.checkpoints)).problems, []);
}
