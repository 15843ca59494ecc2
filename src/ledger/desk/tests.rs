use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::ledger::journal::{Guest, Pressure};
use crate::ledger::pseudonym::{ClientAddress, LinkDigest};
use crate::ledger::record::{Actor, Erasable, EventKind, NewRecord};

const SITE: &str = "shop";
/// 2026-03-02T09:00:30Z.
const NOON: u64 = 1_772_442_030_000;
const DAY: u64 = 86_400_000;

struct Place {
    _directory: tempfile::TempDir,
    desk: Desk,
    now: Arc<AtomicU64>,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let settings = LedgerSettings {
            path: at("ledger.sqlite"),
            keys: at("keys"),
            checkpoints: at("checkpoints"),
            pressure: Pressure::Refuse,
            central: None,
        };
        let site = |name: &str| SiteKeys {
            site: name.into(),
            time_zone: TimeZone::UTC,
            retention_max_months: 6,
            retention_min_months: 0,
        };
        let now = Arc::new(AtomicU64::new(NOON));
        let clock = now.clone();
        let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let place = Place {
            desk: Desk { settings, sites: vec![site(SITE), site("other")], clock },
            now,
            _directory: directory,
        };
        place.ring().rotate(Timestamp::from_millisecond(NOON as i64).unwrap()).unwrap();
        place
    }

    fn ring(&self) -> KeyRing {
        KeyRing::open(&self.desk.settings.keys, &self.desk.sites).unwrap()
    }

    /// Records an open of the link `token` by `address` at `at_ms`.
    fn open(&self, site: &str, token: &str, address: &str, at_ms: u64) {
        let ring = self.ring();
        let (epoch, visitor) = ring.visitor(site, at_ms, &ip(address)).unwrap();
        let record = NewRecord {
            link: ring.link(site, token.as_bytes()).map(|link| LinkDigest(link.0)),
            actor: Actor::Anonymous,
            epoch: Some(epoch.to_string().into()),
            erasable: Erasable { visitor: Some(visitor), ..Erasable::default() },
            detail: None,
            ..NewRecord::of_life(EventKind::Open, site, at_ms, json!(null))
        };
        self.add(&record);
    }

    fn add(&self, record: &NewRecord) {
        let settings = &self.desk.settings;
        let checkpoints = Some(settings.checkpoints.clone());
        let guest = Guest { checkpoints, signing_seed: self.ring().signing_seed().unwrap(), now_ms: record.at_ms };
        guest.add(&settings.path, &[record], &[]).unwrap();
    }

    fn ask(&self, asker: &Asker, question: Question) -> Result<Vec<serde_json::Value>, Refused> {
        let mut out = Vec::new();
        self.desk.ask(asker, None, question, &mut out, &mut |_| {})?;
        Ok(out.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect())
    }

    /// What was recorded of questions.
    fn asked(&self) -> Vec<serde_json::Value> {
        let path = of_questions(&self.desk.settings.path);
        let Ok(connection) = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        else {
            return Vec::new();
        };
        let mut statement = connection.prepare("SELECT core FROM record WHERE event = 'audit' ORDER BY seq").unwrap();
        let cores = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        cores
            .map(|core| serde_json::from_slice::<serde_json::Value>(&core.unwrap()).unwrap()["detail"].take())
            .collect()
    }
}

fn ip(text: &str) -> ClientAddress {
    ClientAddress::new(text.parse().unwrap())
}

fn as_role(role: Role) -> Asker {
    Asker { role, who: "somebody".into(), via: Via::Admin, sites: None }
}

fn check(address: &str) -> Question {
    let words = |text: &str| text.to_owned();
    Question::Check(Check {
        site: words(SITE),
        address: ip(address),
        from: NOON - 40 * DAY,
        to: NOON + DAY,
        reason: words("court order"),
        ticket: words("T-7"),
    })
}

fn question(verb: Verb) -> Question {
    let scope = || Scope { site: Some(SITE.into()), from: Some(0), to: Some(NOON + DAY), ..Scope::default() };
    match verb {
        Verb::Links => Question::Links(scope()),
        Verb::Show => Question::Show(Scope { token: Some(b"t1\n".to_vec().into()), ..scope() }),
        Verb::Events => Question::Events(scope()),
        Verb::Stats => Question::Stats { scope: scope(), by: Dimension::Agent },
        Verb::Affected => Question::Affected(scope()),
        Verb::Export => Question::Export { scope: scope(), format: Format::Jsonl },
        Verb::Verify => Question::Verify,
        Verb::Prove => Question::Prove { seq: 2, writer: None },
        Verb::Erase => erase(Some(vec![2]), None, None),
        Verb::PlaceHold => {
            Question::Keep(Keep::PlaceHold { site: SITE.into(), token: None, reason: "r".into(), ticket: "t".into() })
        }
        Verb::ListHolds => Question::Keep(Keep::ListHolds),
        Verb::ReleaseHold => Question::Keep(Keep::ReleaseHold { id: "none".into(), reason: "r".into() }),
        Verb::Plan => Question::Keep(Keep::Plan),
        Verb::Run => Question::Keep(Keep::Run { before: None }),
        Verb::Check => check("203.0.113.7"),
    }
}

fn erase(seqs: Option<Vec<u64>>, token: Option<&str>, visitor: Option<&str>) -> Question {
    let token = token.map(|token| Zeroizing::new(token.as_bytes().to_vec()));
    let visitor = visitor.map(str::to_owned);
    let reason = "asked for".into();
    Question::Keep(Keep::Erase(Erase { site: SITE.into(), seqs, token, visitor, consent: None, reason }))
}

#[test]
fn every_verb_has_a_word_and_a_role() {
    for verb in Verb::all() {
        assert_eq!(Verb::from_word(verb.as_str()), Some(verb));
        assert_eq!(question(verb).verb(), verb);
    }
    assert_eq!(Verb::from_word(""), None);
}

/// AT-21: by role and verb, what is answered is recorded, and what is refused is neither.
#[test]
fn each_role_asks_what_its_work_needs_and_each_question_is_recorded_once() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 1000);
    let roles = [Role::Owner, Role::Auditor, Role::Custodian];
    for (verb, may) in [
        (Verb::Links, [true, true, true]),
        (Verb::Show, [true, true, true]),
        (Verb::Events, [true, true, true]),
        (Verb::Stats, [true, true, true]),
        (Verb::Affected, [true, true, true]),
        (Verb::Export, [false, true, true]),
        (Verb::Verify, [false, true, true]),
        (Verb::Prove, [false, true, true]),
        (Verb::Erase, [false, true, true]),
        (Verb::Plan, [false, true, true]),
        (Verb::Run, [false, true, true]),
        (Verb::PlaceHold, [false, true, true]),
        (Verb::ListHolds, [false, true, true]),
        (Verb::ReleaseHold, [false, true, true]),
        (Verb::Check, [false, false, true]),
    ] {
        for (role, may) in roles.into_iter().zip(may) {
            let question = match verb {
                Verb::ReleaseHold => {
                    let id = place.ask(&as_role(Role::Auditor), question(Verb::PlaceHold)).unwrap()[0]["id"].clone();
                    Question::Keep(Keep::ReleaseHold { id: id.as_str().unwrap().into(), reason: "r".into() })
                }
                verb => question(verb),
            };
            let before = place.asked().len();
            let answer = place.ask(&as_role(role), question);
            assert_eq!(answer.is_ok(), may, "{verb:?} {role:?}: {:?}", answer.err());
            assert!(may || matches!(answer, Err(Refused::Role { .. })));
            let asked = place.asked().split_off(before);
            // What was found of an address is recorded beside that it was asked about.
            let expected = if !may { 0 } else { 1 + usize::from(verb == Verb::Check) };
            assert_eq!(asked.len(), expected, "{verb:?} {role:?}");
            for entry in asked {
                let fields = ["verb", "role", "who", "via"].map(|name| entry[name].as_str().unwrap().to_owned());
                assert_eq!(fields, [verb.as_str(), role.as_str(), "somebody", "admin"]);
            }
        }
    }
}

#[test]
fn an_incomplete_question_is_neither_answered_nor_recorded() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 1000);
    let custodian = as_role(Role::Custodian);
    let scope = Scope::default;
    let token = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
    let change = |change: fn(&mut Check)| {
        let Question::Check(mut question) = check("203.0.113.7") else { unreachable!() };
        change(&mut question);
        Question::Check(question)
    };
    for (at, question) in [
        Question::Show(scope()),
        Question::Show(Scope { site: Some(SITE.into()), ..scope() }),
        Question::Show(Scope { token: token("t1"), ..scope() }),
        Question::Show(Scope { site: Some(SITE.into()), token: token(" \n"), ..scope() }),
        Question::Show(Scope { site: Some("nowhere".into()), token: token("t1"), ..scope() }),
        Question::Affected(scope()),
        Question::Affected(Scope { from: Some(0), ..scope() }),
        change(|check| check.reason = " ".into()),
        change(|check| check.ticket.clear()),
        change(|check| check.site = "nowhere".into()),
        change(|check| check.from = check.to),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(matches!(place.ask(&custodian, question), Err(Refused::Incomplete(_))), "{at}");
    }
    assert_eq!(place.asked(), Vec::<serde_json::Value>::new());
}

#[test]
fn addresses_are_asked_about_ten_times_a_minute_by_all_together() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 1000);
    let custodian = as_role(Role::Custodian);
    for at in 0..CHECKS {
        place.now.store(NOON + at * 100, Ordering::Relaxed);
        assert!(place.ask(&custodian, check("203.0.113.7")).is_ok(), "{at}");
    }
    assert!(matches!(place.ask(&custodian, check("203.0.113.7")), Err(Refused::TooMany)));
    assert!(place.ask(&custodian, question(Verb::Links)).is_ok(), "only of addresses");
    place.now.store(NOON + 62_000, Ordering::Relaxed);
    assert!(place.ask(&custodian, check("203.0.113.7")).is_ok(), "a minute later");
}

const CHECKS: u64 = 10;

#[test]
fn what_was_asked_about_is_known_again_and_not_known() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 1000);
    let custodian = as_role(Role::Custodian);
    let found = place.ask(&custodian, check("203.0.113.7")).unwrap();
    let months: Vec<_> = found.iter().map(|month| (month["epoch"].as_str(), month["key"].as_str())).collect();
    assert_eq!(
        months,
        [(Some("2026-01"), Some("none")), (Some("2026-02"), Some("none")), (Some("2026-03"), Some("there"))]
    );
    assert_eq!(found[2]["records"].as_array().unwrap().len(), 1);
    for address in ["203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"] {
        place.ask(&custodian, check(address)).unwrap();
    }
    let asked = place.asked();
    let digests: Vec<_> = asked.iter().filter_map(|entry| entry["asked"].as_str()).collect();
    assert!(digests[0] == digests[1] && digests[0] == digests[2] && digests[0] != digests[3], "{digests:?}");
    let counts: Vec<_> = asked.iter().filter_map(|entry| entry["found"].as_u64()).collect();
    assert_eq!(counts, [1, 1, 1, 0]);
    let (_, visitor) = place.ring().visitor(SITE, NOON, &ip("203.0.113.7")).unwrap();
    assert_ne!(digests[0], visitor.to_hex(), "whoever reads both journals without the key finds nothing");
}

#[test]
fn a_token_for_one_site_hears_of_no_other() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 2000);
    place.open("other", "t2", "203.0.113.7", NOON - 1000);
    let sites: Arc<[Box<str>]> = [SITE.into()].into();
    let asker = |role| Asker { sites: Some(sites.clone()), ..as_role(role) };
    let links = place.ask(&asker(Role::Owner), Question::Links(Scope::default())).unwrap();
    assert!(links.len() == 1 && links[0]["site"] == SITE, "{links:?}");
    let named = Scope { site: Some("other".into()), ..Scope::default() };
    assert!(matches!(place.ask(&asker(Role::Owner), Question::Links(named)), Err(Refused::Site)));
    assert!(matches!(place.ask(&asker(Role::Auditor), Question::Verify), Err(Refused::Site)));
    assert!(place.ask(&asker(Role::Auditor), Question::Prove { seq: 2, writer: None }).is_ok());
    let other = place.ask(&asker(Role::Auditor), Question::Prove { seq: 3, writer: None });
    assert!(matches!(other, Err(Refused::NoProof(NoProof::NotThere))), "as if it were not there");
    let of_other = match check("203.0.113.7") {
        Question::Check(question) => Question::Check(Check { site: "other".into(), ..question }),
        _ => unreachable!(),
    };
    assert!(matches!(place.ask(&asker(Role::Custodian), of_other), Err(Refused::Site)));
}

/// AT-17: a copy of the keys from before a destruction answers nothing.
#[test]
fn keys_that_were_destroyed_and_came_back_are_not_asked() {
    let place = Place::new();
    let custodian = as_role(Role::Custodian);
    place.open(SITE, "t1", "203.0.113.7", NOON);
    assert!(place.ask(&custodian, check("203.0.113.7")).is_ok());
    let kid = place.ring().status(Timestamp::from_millisecond(NOON as i64).unwrap())[0].key.kid.clone();
    let told = NewRecord::of_life(EventKind::KeyDestroyed, SITE, NOON, json!({ "kid": kid }));
    place.add(&told);
    let refused = place.ask(&custodian, check("203.0.113.7"));
    assert!(matches!(refused, Err(Refused::Retention(RetentionError::Keys(KeyError::Restored { .. })))));
}

#[test]
fn what_an_incident_touched_is_counted_by_link() {
    let place = Place::new();
    for (token, address, at) in [
        ("t1", "203.0.113.7", NOON - DAY),
        ("t1", "203.0.113.7", NOON - 5000),
        ("t1", "203.0.113.8", NOON - 4000),
        ("t2", "203.0.113.7", NOON - 3000),
        ("t2", "203.0.113.9", NOON + 1000),
    ] {
        place.open(SITE, token, address, at);
    }
    place.add(&NewRecord::of_life(
        EventKind::Gap,
        "",
        NOON + 2000,
        json!({"count": 3, "from": NOON - 9000, "to": NOON - 6000, "why": "disk"}),
    ));
    let ask = |role, from, to| {
        let scope = Scope { from: Some(from), to: Some(to), ..Scope::default() };
        place.ask(&as_role(role), Question::Affected(scope)).unwrap().remove(0)
    };
    let report = ask(Role::Custodian, NOON - 6000, NOON);
    let counts = |report: &serde_json::Value, names: &[&str]| -> Vec<u64> {
        names.iter().map(|name| report["totals"][name].as_u64().unwrap()).collect()
    };
    assert_eq!(counts(&report, &["links", "opens", "downloads", "visitors_by_link", "visitors"]), [2, 3, 0, 3, 2]);
    let links: Vec<_> = report["links"].as_array().unwrap().iter().map(|link| link["opens"].as_u64()).collect();
    assert_eq!(links, [Some(1), Some(2)], "used last first");
    assert_eq!(report["gaps"][0]["count"], 3);
    let keys: Vec<_> = report["keys"].as_array().unwrap().iter().map(|key| (&key["epoch"], &key["key"])).collect();
    assert_eq!(keys.len(), 2, "March of both sites, and not April: {keys:?}");
    assert!(keys.iter().all(|(epoch, key)| *epoch == "2026-03" && *key == "there"), "{keys:?}");
    assert_eq!(ask(Role::Owner, NOON - 5999, NOON)["gaps"].as_array().unwrap().len(), 0, "it ended before");
    let owner = ask(Role::Owner, NOON - 6000, NOON);
    assert!(owner["totals"]["visitors"].is_null(), "that one visitor used two links is for the custodian");
    assert!(owner["links"].as_array().unwrap().iter().all(|link| link["first"].as_u64().unwrap() % 60_000 == 0));
}

/// AT-41: a visitor is erased by the name under which a role knows it, and held records are not.
#[test]
fn a_visitor_is_erased_by_link_and_name_or_by_number() {
    let place = Place::new();
    for (token, address) in [("t1", "203.0.113.7"), ("t1", "203.0.113.8"), ("t2", "203.0.113.7"), ("t1", "203.0.113.7")]
    {
        place.open(SITE, token, address, NOON - 1000);
    }
    let (auditor, custodian) = (as_role(Role::Auditor), as_role(Role::Custodian));
    let events = |asker: &Asker| place.ask(asker, question(Verb::Events)).unwrap();
    let name = |asker: &Asker| events(asker)[0]["visitor"].as_str().unwrap().to_owned();
    let erased = |asker: &Asker, question| place.ask(asker, question).map(|answer| answer[0]["erased"].clone());

    let (on_link, of_month) = (name(&auditor), name(&custodian));
    assert!(matches!(erased(&auditor, erase(None, None, None)), Err(Refused::Incomplete(_))), "not all of a site");
    assert!(matches!(erased(&auditor, erase(None, None, Some(&on_link))), Err(Refused::Incomplete(_))));
    let hold = Keep::PlaceHold {
        site: SITE.into(),
        token: Some(b"t1".to_vec().into()),
        reason: "court".into(),
        ticket: "T-9".into(),
    };
    let id = place.ask(&auditor, Question::Keep(hold)).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let held = place.ask(&auditor, question(Verb::ListHolds)).unwrap();
    assert_eq!((held.len(), held[0]["id"].as_str(), held[0]["ticket"].as_str()), (1, Some(&*id), Some("T-9")));
    let refused = erased(&auditor, erase(None, Some("t1"), Some(&on_link)));
    assert!(matches!(refused, Err(Refused::Retention(RetentionError::Held { .. }))));
    assert_eq!(erased(&custodian, erase(Some(vec![4]), None, Some(&of_month))).unwrap(), json!([4]), "on another link");
    place.ask(&auditor, Question::Keep(Keep::ReleaseHold { id, reason: "over".into() })).unwrap();

    assert_eq!(erased(&auditor, erase(None, Some("t1"), Some(&on_link))).unwrap(), json!([2, 5]));
    let left: Vec<_> = events(&custodian).iter().map(|event| event["visitor"].is_string()).collect();
    assert_eq!(left, [false, true, false, false]);
    let verified = place.ask(&auditor, Question::Verify).unwrap();
    assert_eq!(verified[0]["holds"], true, "{verified:?}");
}

#[test]
fn what_is_due_is_planned_and_purged_for_those_sites_that_a_token_is_for() {
    let place = Place::new();
    place.open(SITE, "t1", "203.0.113.7", NOON - 1000);
    place.open("other", "t2", "203.0.113.7", NOON - 1000);
    place.now.store(NOON + 400 * DAY, Ordering::Relaxed);
    let own = Asker { sites: Some([SITE.into()].into()), ..as_role(Role::Auditor) };
    let plans = place.ask(&own, question(Verb::Plan)).unwrap();
    assert_eq!((plans.len(), plans[0]["site"].as_str(), plans[0]["due"].as_u64()), (1, Some(SITE), Some(1)));
    assert_eq!(place.ask(&own, question(Verb::Run)).unwrap()[0]["purged"], 1);
    let all = as_role(Role::Auditor);
    let due: Vec<_> = place.ask(&all, question(Verb::Plan)).unwrap().iter().map(|plan| plan["due"].clone()).collect();
    assert_eq!(due, [json!(0), json!(1)]);
    let before = Some(NOON + 500 * DAY);
    assert!(place.ask(&all, Question::Keep(Keep::Run { before })).is_err(), "nothing that is to come");
}

#[test]
fn long_work_tells_how_far_it_has_come() {
    let place = Place::new();
    (1..=3).for_each(|host| place.open(SITE, "t", &format!("203.0.113.{host}"), NOON - 1000));
    place.now.store(NOON + 400 * DAY, Ordering::Relaxed);
    for (verb, counts) in [
        (Verb::Export, vec![1, 2, 3]),
        (Verb::Events, vec![1, 2, 3]),
        // The journal with its first record, and that of the questions, which has three.
        (Verb::Verify, vec![1, 2, 3, 4, 1, 2, 3, 4]),
        // Emptied, and cut off.
        (Verb::Run, vec![3, 3]),
        (Verb::Links, vec![]),
    ] {
        let mut told = Vec::new();
        let asker = as_role(Role::Custodian);
        let mut progress = |records| told.push(records);
        place.desk.ask(&asker, None, question(verb), &mut std::io::sink(), &mut progress).unwrap();
        assert_eq!(told, counts, "{}", verb.as_str());
    }
}
