//! Questions to the ledger: by the command line, and on the admin listener with a token.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry::config;
use consentry::ledger::journal::Guest;
use consentry::ledger::journal::verify::verify;
use consentry::ledger::keys::KeyRing;
use consentry::ledger::pseudonym::LinkDigest;
use consentry::ledger::record::{EventKind, NewRecord};
use serde_json::{Value, json};

use crate::support::ledger::{Place, Proxy, TOKEN, open};
use crate::support::{Response, get, send};

const ROLES: [&str; 3] = ["owner", "auditor", "custodian"];

/// A ledger that one with the token of each role may ask.
fn place() -> Place {
    let token =
        |role: &str| format!("[[admin.token]]\nrole = \"{role}\"\nname = \"{role} one\"\nfile = \"tokens/{role}\"\n");
    let place = Place::with(&ROLES.map(token).concat());
    fs::create_dir(place.directory.path().join("tokens")).unwrap();
    ROLES.iter().for_each(|role| write_token(&place, role, &token_of(role)));
    place
}

fn token_of(role: &str) -> String {
    format!("{role:-<32}s3cr3t")
}

fn write_token(place: &Place, role: &str, token: &str) {
    let path = place.directory.path().join("tokens").join(role);
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
}

fn post(admin: SocketAddr, verb: &str, token: Option<&str>, body: &str) -> Response {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    send(
        admin,
        format!(
            "POST /trail/{verb} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn ask(admin: SocketAddr, verb: &str, role: &str, body: &Value) -> Response {
    post(admin, verb, Some(&token_of(role)), &body.to_string())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many questions were recorded.
fn asked(place: &Place) -> u64 {
    let audit = place.directory.path().join("data/ledger.sqlite.audit");
    let report = verify(&audit, Some(&place.directory.path().join("outside/checkpoints.audit")));
    if audit.exists() {
        assert_eq!(report.problems, []);
    }
    report.records.saturating_sub(1)
}

fn visited(place: &Place) -> Proxy {
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.77", &[]), 200);
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "198.51.100.23", &[]), 200);
    assert_eq!(open(&proxy, "/s/other", "203.0.113.77", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    place.start()
}

fn refusals(proxy: &Proxy, reason: &str) -> u64 {
    let metrics = get(proxy.admin, "/metrics", &[]).text();
    let name = format!("consentry_questions_refused_total{{reason=\"{reason}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

/// AT-21: without, with a wrong and with the right token; who may ask what; each answer is recorded once.
#[test]
fn at_21_each_token_asks_what_its_role_may_and_each_read_is_recorded() {
    let place = place();
    let proxy = visited(&place);
    let time = json!({ "from": "2000-01-01", "to": "2100-01-01" });
    let check = json!({ "site": "shop", "ip": "203.0.113.77", "from": "2020-01-01", "to": "2100-01-01", "reason": "r", "ticket": "t" });
    let questions = [
        ("links", json!({}), [200, 200, 200]),
        ("show", json!({ "site": "shop", "token": TOKEN }), [200, 200, 200]),
        ("events", json!({}), [200, 200, 200]),
        ("stats", json!({ "by": "country" }), [200, 200, 200]),
        ("affected", time, [200, 200, 200]),
        ("export", json!({ "format": "csv" }), [403, 200, 200]),
        ("verify", json!({}), [403, 200, 200]),
        ("prove", json!({ "seq": 2 }), [403, 200, 200]),
        ("erase", json!({ "site": "shop", "seqs": [9999], "reason": "r" }), [403, 200, 200]),
        ("hold/place", json!({ "site": "shop", "reason": "r", "ticket": "t" }), [403, 200, 200]),
        ("hold/list", json!({}), [403, 200, 200]),
        ("hold/release", json!({ "id": "nothing", "reason": "r" }), [403, 404, 404]),
        ("retention/plan", json!({}), [403, 200, 200]),
        ("retention/run", json!({}), [403, 200, 200]),
        ("check", check, [403, 403, 200]),
    ];
    let (mut expected, mut forbidden) = (0, 0);
    for (at, (verb, body, statuses)) in questions.iter().enumerate() {
        for (role, status) in ROLES.into_iter().zip(statuses) {
            let answer = ask(proxy.admin, verb, role, body);
            assert_eq!(answer.status, *status, "{verb} as {role}: {}", answer.text());
            if *status != 403 {
                expected += 1 + u64::from(*verb == "check");
            } else {
                forbidden += 1;
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            }
        }
        // One each: whoever fails more often is slowed down.
        let cut = token_of("owner").split_off(1);
        let wrong = [None, Some("wrong"), Some(&*cut)][at % 3];
        let answer = post(proxy.admin, verb, wrong, &body.to_string());
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{verb}");
        assert!(!answer.text().contains(TOKEN));
    }
    assert_eq!(asked(&place), expected, "once each, and nothing of what was refused");
    assert_eq!((refusals(&proxy, "forbidden"), refusals(&proxy, "unauthorized")), (forbidden, 15));
    assert_eq!(proxy.stop(), 0);
    for name in ["data/ledger.sqlite", "data/ledger.sqlite.audit", "outside/checkpoints", "outside/checkpoints.audit"] {
        let mode = fs::metadata(place.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is for its owner only");
    }
    let keys = fs::read_dir(place.directory.path().join("keys")).unwrap();
    keys.for_each(|key| assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0));
    let kept = place.kept();
    for marker in [TOKEN, "203.0.113.77", "s3cr3t"] {
        assert!(memchr::memmem::find(&kept, marker.as_bytes()).is_none(), "{marker} is kept");
    }
}

#[test]
fn answers_over_http_are_those_of_the_command_line() {
    let place = place();
    let proxy = visited(&place);
    let by_line = |arguments: &[&str], input: &str| String::from_utf8(place.trail(arguments, input).stdout).unwrap();
    for (verb, body, arguments, input) in [
        ("links", json!({}), &["links", "--role", "custodian"][..], ""),
        ("show", json!({ "site": "shop", "token": TOKEN }), &["show", "--site", "shop", "--role", "custodian"], TOKEN),
        ("events", json!({ "site": "shop" }), &["events", "--role", "custodian"], ""),
        ("stats", json!({ "by": "agent" }), &["stats", "--by", "agent", "--role", "custodian"], ""),
        ("export", json!({ "format": "csv" }), &["export", "--format", "csv", "--role", "custodian"], ""),
        ("prove", json!({ "seq": 3 }), &["prove", "3", "--role", "custodian"], ""),
    ] {
        let answer = ask(proxy.admin, verb, "custodian", &body);
        assert_eq!((answer.status, answer.text()), (200, by_line(arguments, input)), "{verb}");
        assert!(!answer.body.is_empty(), "{verb}");
    }
    let authorization = format!("Bearer {}", token_of("auditor"));
    let read = |target: &str| get(proxy.admin, target, &[("Authorization", &authorization)]);
    let verified = read("/trail/verify").json();
    assert!(verified["holds"] == true && verified["chains"][0]["records"].as_u64() > Some(3), "{verified}");
    assert_eq!(lines(&read("/trail/links?site=shop&from=2020-01-01").text()).len(), 2);
    assert_eq!(read("/trail/stats?by=agent").status, 200);
    assert_eq!((read("/trail/events").status, read("/trail/events").header("allow")), (405, Some("POST")));
    assert_eq!((read("/trail/nothing").status, read("/trail/links?by=agent").status), (404, 400));
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn many_records_come_in_pages() {
    let place = place();
    let proxy = place.start();
    (1..=5).for_each(|host| assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), &format!("203.0.113.{host}"), &[]), 200));
    let (mut after, mut seen, mut pages) = (0, Vec::new(), 0);
    loop {
        let body = json!({ "format": "jsonl", "limit": 2, "after": after });
        let page = ask(proxy.admin, "export", "auditor", &body);
        let digest = ring::digest::digest(&ring::digest::SHA256, &page.body);
        let digest = STANDARD.encode(digest);
        assert_eq!(page.header("repr-digest"), Some(&*format!("sha-256=:{digest}:")));
        seen.extend(lines(&page.text()).iter().map(|record| record["seq"].as_u64().unwrap()));
        pages += 1;
        let Some(next) = page.header("consentry-next") else { break };
        after = next.parse().unwrap();
    }
    let all = lines(&ask(proxy.admin, "events", "auditor", &json!({})).text());
    let all: Vec<_> = all.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!((seen.len(), pages, seen), (5, 3, all));
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn what_must_not_be_in_a_url_or_is_too_much_is_refused_without_being_said_back() {
    let place = place();
    let proxy = place.start();
    let authorization = format!("Bearer {}", token_of("owner"));
    for target in ["/trail/links?token=m4rk3r", "/trail/show?site=shop&token=m4rk3r", "/trail/links?m4rk3r"] {
        let answer = get(proxy.admin, target, &[("Authorization", &authorization)]);
        assert_eq!(answer.status, 400, "{target}");
        assert!(!answer.text().contains("m4rk3r"), "{}", answer.text());
    }
    let answer = post(proxy.admin, "show?token=m4rk3r", Some(&token_of("owner")), "{}");
    assert!(answer.status == 400 && answer.text().contains("URL") && !answer.text().contains("m4rk3r"));
    for (body, status) in [
        (r#"{"m4rk3r": 1}"#.to_owned(), 400),
        (r#"{"site": "shop", "token": "m4rk3r""#.to_owned(), 400),
        (r#"{"seq": 1, "token": "m4rk3r"}"#.to_owned(), 400),
        (format!("{{\"token\": \"{}m4rk3r\"}}", "x".repeat(17_000)), 413),
    ] {
        let answer = post(proxy.admin, "show", Some(&token_of("owner")), &body);
        assert_eq!(answer.status, status);
        assert!(!answer.text().contains("m4rk3r"), "{}", answer.text());
    }
    assert_eq!(asked(&place), 0);
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn whoever_guesses_is_slowed_down_and_others_are_not() {
    let place = place();
    let proxy = place.start();
    let slowed = (0..500).map(|_| post(proxy.admin, "links", Some("guess"), "")).find(|answer| answer.status != 401);
    let slowed = slowed.expect("that was too often");
    assert!(slowed.status == 429 && slowed.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(ask(proxy.admin, "links", "owner", &json!({})).status, 200);
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn tokens_are_read_again_and_must_be_private() {
    let place = place();
    let proxy = place.start();
    let fresh = "f".repeat(40);
    fs::remove_file(place.directory.path().join("tokens/owner")).unwrap();
    write_token(&place, "owner", &fresh);
    assert_eq!(send(proxy.admin, "POST /-/reload HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 200);
    assert_eq!(post(proxy.admin, "links", Some(&fresh), "").status, 200);
    assert_eq!(post(proxy.admin, "links", Some(&token_of("owner")), "").status, 401);
    assert_eq!(proxy.stop(), 0);

    let said = || {
        let output =
            Command::new(env!("CARGO_BIN_EXE_consentry")).args(["run", "--config"]).arg(place.config()).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let path = place.directory.path().join("tokens/owner");
    for (mode, text, why) in [
        (0o440, &*fresh, "others may read or change"),
        (0o404, &fresh, "others may read or change"),
        (0o400, "short", "this is no token"),
        (0o400, &format!("{fresh} {fresh}"), "this is no token"),
        (0o400, &token_of("auditor"), "another token is the same"),
    ] {
        fs::remove_file(&path).ok();
        write_token(&place, "owner", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (code, errors) = said();
        assert!(code == Some(78) && errors.contains(why), "{mode:o}: {errors}");
        assert!(!errors.contains(&fresh) && !errors.contains("s3cr3t"), "{errors}");
    }
}

#[test]
fn without_tokens_nobody_may_ask_and_is_told_what_to_do() {
    let place = Place::new();
    let proxy = place.start();
    let answer = post(proxy.admin, "links", Some(&token_of("owner")), "");
    assert!(answer.status == 404 && answer.text().contains("[[admin.token]]"), "{}", answer.text());
    assert_eq!(proxy.stop(), 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// AT-17: exactly the rows of an address, for a reason that is recorded first; and once the key is gone, none, whatever
/// copy of the data is put back.
#[test]
fn at_17_an_address_is_found_while_its_key_exists_and_never_after() {
    let place = place();
    visited(&place).stop();
    let check = |address: &str, more: &[&str], input: &str| {
        let base = ["check", "--site", "shop", "--from", "2020-01-01", "--to", "2100-01-01", "--ip", address];
        place.trail(&[&base, more].concat(), input)
    };
    let why = ["--reason", "court order 7", "--ticket", "T-7"];
    let records = |output: &std::process::Output| -> Vec<Value> {
        let months = lines(&String::from_utf8(output.stdout.clone()).unwrap());
        months.iter().flat_map(|month| month["records"].as_array().unwrap().clone()).collect()
    };
    let found = check("203.0.113.77", &why, "");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let events = place.ask(&["events", "--role", "custodian"], "");
    let marked = &events[0]["visitor"];
    let rows = |list: &[Value]| -> Vec<_> { list.iter().map(|r| (r["seq"].clone(), r["link"].clone())).collect() };
    let expected: Vec<_> = events.iter().filter(|event| event["visitor"] == *marked).cloned().collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(rows(&records(&found)), rows(&expected), "exactly these");
    let by_input = check("-", &why, "203.0.113.77\n");
    assert_eq!(by_input.stdout, found.stdout, "and no list of processes shows the address");
    assert_eq!(records(&check("203.0.113.78", &why, "")), Vec::<Value>::new());

    let before = asked(&place);
    for refused in
        [check("203.0.113.77", &["--reason", " ", "--ticket", "T"], ""), check("203.0.113.77", &why[..2], "")]
    {
        assert!(!refused.status.success() && refused.stdout.is_empty());
    }
    let owner = check("203.0.113.77", &[&why[..], &["--role", "auditor"]].concat(), "");
    assert!(!owner.status.success() && owner.stdout.is_empty());
    assert_eq!(asked(&place), before);
    let kept = place.kept();
    for (marker, is_there) in [("court order 7", true), ("T-7", true), ("203.0.113.77", false), ("cb00714d", false)] {
        assert_eq!(memchr::memmem::find(&kept, marker.as_bytes()).is_some(), is_there, "{marker}");
    }

    let data = place.directory.path().join("data");
    let audit = data.join("ledger.sqlite.audit");
    let aside = place.directory.path().join("aside");
    copy(&data, &aside);
    fs::read_dir(&data)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".audit"))
        .for_each(|path| fs::remove_file(path).unwrap());
    fs::create_dir(&audit).unwrap();
    let refused = check("203.0.113.77", &why, "");
    assert!(!refused.status.success() && refused.stdout.is_empty(), "what cannot be recorded is not answered");
    fs::remove_dir(&audit).unwrap();
    copy(&aside, &data);

    let keys = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.args(["keys", arguments[0], "--config"]).arg(place.config()).args(&arguments[1..]).output().unwrap()
    };
    let status = String::from_utf8(keys(&["status"]).stdout).unwrap();
    let kid = status.split_whitespace().find(|word| word.starts_with("shop-visitor-")).unwrap();
    let destroyed = keys(&["destroy", "--kid", kid, "--reason", "test", "--by", "tester", "--active"]);
    assert!(destroyed.status.success());
    copy(&aside, &data);
    let gone = check("203.0.113.77", &why, "");
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    let months = lines(&String::from_utf8(gone.stdout.clone()).unwrap());
    assert!(months.iter().any(|month| month["key"] == "destroyed"), "{months:?}");
    assert_eq!(records(&gone), Vec::<Value>::new(), "an old copy of the data says no more");
}

/// AT-34: the report of an incident is what a count by hand comes to, and no token is in it.
#[test]
fn at_34_what_an_incident_touched_equals_a_count_by_hand() {
    let place = place();
    let proxy = place.start();
    let visits = [
        ("/s/one", "203.0.113.1"),
        ("/s/one", "203.0.113.2"),
        ("/s/one", "203.0.113.1"),
        ("/s/two", "203.0.113.1"),
        ("/s/two/files/plan.pdf", "203.0.113.3"),
    ];
    visits.iter().for_each(|(target, address)| assert_eq!(open(&proxy, target, address, &[]), 200));
    let body = json!({ "from": "2020-01-01", "to": "2100-01-01" });
    let answer = ask(proxy.admin, "affected", "owner", &body);
    let report = answer.json();
    let totals =
        ["links", "opens", "downloads", "denied", "visitors_by_link"].map(|name| report["totals"][name].as_u64());
    assert_eq!(totals, [Some(2), Some(3), Some(1), Some(0), Some(4)], "{report:#}");
    let of_link = |token: &str| {
        let body = json!({ "from": "2020-01-01", "to": "2100-01-01", "site": "shop", "token": token });
        ask(proxy.admin, "affected", "owner", &body).json()
    };
    let (one, two) = (of_link("one"), of_link("two"));
    let counts =
        |report: &Value| ["opens", "downloads", "visitors"].map(|name| report["links"][0][name].as_u64().unwrap());
    assert_eq!((counts(&one), counts(&two)), ([2, 0, 2], [1, 1, 2]));
    assert_eq!(report["links"].as_array().unwrap().len(), 2);
    assert!(report["keys"].as_array().unwrap().iter().any(|key| key["key"] == "there"), "{report:#}");
    let text = [answer.text(), one.to_string(), two.to_string()].concat();
    assert!(!text.contains("\"one\"") && !text.contains("\"two\"") && !text.contains("203.0"), "{text}");
    let empty = ask(proxy.admin, "affected", "owner", &json!({ "from": "2020-01-01", "to": "2020-02-01" })).json();
    assert_eq!(empty["totals"]["links"], 0);
    assert_eq!(ask(proxy.admin, "affected", "owner", &json!({ "from": "2020-01-01" })).status, 400);
    assert_eq!(proxy.stop(), 0);
}

/// Two days of records: the first day is closed by a signed root, the second is not.
fn two_days(place: &Place) -> String {
    let config = config::load(&place.config()).config.unwrap();
    let (settings, sites) = (config.ledger.clone().unwrap(), config.site_keys());
    let ring = KeyRing::open(&settings.keys, &sites).unwrap();
    let seed = ring.signing_seed().unwrap();
    const NOON: u64 = 1_772_442_000_000;
    for at in [0, 1, 2, 3, 4, 86_400_000, 86_400_001, 86_400_002] {
        let record = |link: u8| NewRecord {
            link: Some(LinkDigest([link; 16])),
            detail: None,
            ..NewRecord::of_life(EventKind::Open, "shop", NOON + at, json!(null))
        };
        let mut second = record(2);
        second.erasable.referrer = Some("mail.example".into());
        let guest =
            Guest { checkpoints: Some(settings.checkpoints.clone()), signing_seed: seed.clone(), now_ms: NOON + at };
        guest.add(&settings.path, &[&record(1), &second, &record(3)], &[]).unwrap();
    }
    let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&*seed).unwrap();
    let key: &[u8] = ring::signature::KeyPair::public_key(&key).as_ref();
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the script that stands in the documentation takes this for a proof.
fn holds(place: &Place, proof: &str, key: &str) -> bool {
    let path = place.directory.path().join("proof.json");
    fs::write(&path, proof).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify-proof.py");
    let output = Command::new("python3").arg(script).arg(&path).arg(key).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.starts_with("the proof does not hold"), "{said}");
    output.status.success()
}

#[test]
fn a_proof_holds_without_the_product_and_an_altered_one_does_not() {
    let place = place();
    let key = two_days(&place);
    let verified = place.trail(&["verify"], "");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let prove = |seq: u64, role: &str| {
        let output = place.trail(&["prove", &seq.to_string(), "--role", role], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut kinds = Vec::new();
    for seq in [1, 3, 16, 17, 25] {
        let proof = prove(seq, "custodian");
        assert!(holds(&place, &proof, &key), "{seq}: {proof}");
        let parsed: Value = serde_json::from_str(&proof).unwrap();
        kinds.push(parsed.get("tree").is_some());
    }
    assert!(
        kinds.contains(&true) && kinds.contains(&false),
        "of a day that is closed, and of one that is not: {kinds:?}"
    );

    let (closed, not_closed) = (prove(3, "custodian"), prove(18, "custodian"));
    assert!(closed.contains("mail.example") && !prove(3, "auditor").contains("mail.example"), "for the custodian");
    assert!(!holds(&place, &closed, &"0".repeat(64)), "another key");
    let altered = |proof: &str, pointer: &str, value: Value| {
        let mut proof: Value = serde_json::from_str(proof).unwrap();
        *proof.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        holds(&place, &proof.to_string(), &key)
    };
    let core = |proof: &str| serde_json::from_str::<Value>(proof).unwrap()["core"].as_str().unwrap().to_owned();
    let other_hash = || json!("00".repeat(32));
    for proof in [&closed, &not_closed] {
        assert!(!altered(proof, "/core", core(proof).replace("\"by\":0", "\"by\":1").into()));
        assert!(!altered(proof, "/seq", json!(4)));
        assert!(!altered(proof, "/previous", other_hash()));
        assert!(!altered(proof, "/writer", json!("00".repeat(16))));
        assert!(!altered(proof, "/checkpoint/at", json!(1)));
        assert!(!altered(proof, "/checkpoint/h", other_hash()));
        assert!(!altered(proof, "/checkpoint/sig", json!("00".repeat(64))));
    }
    assert!(!altered(&closed, "/erasable/part", json!("{\"ref\":\"direct\"}")));
    assert!(!altered(&closed, "/tree/index", json!(3)));
    assert!(!altered(&closed, "/tree/path/0", other_hash()));
    assert!(!altered(&not_closed, "/chain/0", json!(core(&closed))));
    assert_eq!(place.trail(&["prove", "99"], "").status.code(), Some(1));
}

/// AT-41 and AT-18, by the command line: held, erased, planned, while the proxy goes on.
#[test]
fn records_are_held_and_erased_while_the_proxy_goes_on() {
    let place = place();
    let proxy = visited(&place);
    let auditor = |arguments: &[&str], input: &str| place.ask(arguments, input);
    let id = auditor(&["hold", "place", "--site", "shop", "--reason", "court", "--ticket", "T-9"], "")[0]["id"].clone();
    let visitor = auditor(&["events", "--role", "auditor"], "")[0]["visitor"].as_str().unwrap().to_owned();
    let erase = ["erase", "--site", "shop", "--token-stdin", "--visitor", &visitor, "--reason", "asked for"];
    let held = place.trail(&erase, TOKEN);
    assert!(!held.status.success() && String::from_utf8_lossy(&held.stderr).contains("held"));
    assert_eq!(auditor(&["hold", "list"], "").len(), 1);
    auditor(&["hold", "release", id.as_str().unwrap(), "--reason", "over"], "");
    assert_eq!(auditor(&erase, TOKEN)[0]["erased"].as_array().unwrap().len(), 1);
    let events = auditor(&["events", "--role", "custodian"], "");
    assert_eq!(events.iter().filter(|event| event["visitor"].is_string()).count(), 2);
    assert_eq!(auditor(&["retention", "plan"], "")[0]["due"], 0);
    assert_eq!(auditor(&["retention", "run"], "")[0]["purged"], 0);
    assert_eq!(open(&proxy, "/s/later", "203.0.113.77", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    let verified = place.trail(&["verify"], "");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
