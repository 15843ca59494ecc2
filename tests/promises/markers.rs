//! AT-14: what visitors brought along is in nothing that is kept or told.

use std::os::unix::fs::PermissionsExt;

use consentry::ledger::journal::verify::verify;

use crate::support::ledger::Place;
use crate::support::markers::{FORWARDED, Markers, WORDS, address_spellings, addresses, place, plant, spellings};
use crate::support::postgres::Postgres;
use crate::support::{eventually, get, send};

/// The searched spellings are those that others write.
#[test]
fn a_marker_is_found_however_it_is_written() {
    let markers = Markers::new(4);
    for text in [
        "x203.0.113.177x",
        "\"ip\":\"cb0071b1\"",
        "::ffff:cb00:71b1",
        "2001:0db8:4711:0017:8a2e:0370:7334:0099",
        "2001:DB8:4711:17::/64",
        "20010db847110017",
        "anna%2Eplanted%40mail%2Eexample",
        "anna.planted%40mail.example",
        // base64 of `x`, `xy` and nothing before the token.
        "eGs5WnpQbGFudGVkVG9rZW5XM3hR",
        "eHlrOVp6UGxhbnRlZFRva2VuVzN4UQ==",
        "azlaelBsYW50ZWRUb2tlblczeFE=",
    ] {
        assert!(!markers.found(text.as_bytes()).is_empty(), "{text}");
    }
    let utf16: Vec<u8> = "planted-inbox/thread-4711".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(!markers.found(&utf16).is_empty());
    assert!(!markers.found(&[0, 203, 0, 113, 205, 1]).is_empty() && !markers.found(&[177, 113, 0, 203]).is_empty());
    assert!(markers.found(b"203.0.114.177 planted cb0071b0 2001:db8:4711:18::").is_empty());
    assert!(spellings(b"ab").len() > 8 && address_spellings(addresses()[0]).len() > 50);
}

fn assert_none(what: &str, bytes: &[u8]) {
    let found = Markers::new(4).found(bytes);
    assert!(found.is_empty(), "{what} of {} bytes: {found:#?}", bytes.len());
}

fn keys(place: &Place) -> Vec<u8> {
    let files = std::fs::read_dir(place.directory.path().join("keys")).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default()).collect()
}

#[test]
fn at_14_no_marker_in_files_logs_metrics_status_exports_or_own_pages() {
    let place = place("");
    let proxy = place.start();
    let answers = plant(proxy.address);
    assert_none("what the proxy or its origin answered", &answers);
    let reached: Vec<u8> =
        place.origin.received().iter().flat_map(|request| format!("{request:?}").into_bytes()).collect();
    for planted in WORDS.iter().chain(&FORWARDED[..2]) {
        assert!(memchr::memmem::find(&reached, planted.as_bytes()).is_some(), "{planted} was not even sent");
    }
    let records = || get(proxy.admin, "/status", &[]).json()["ledger"]["records"].as_u64().unwrap();
    assert!(records() > 20, "{}", records());
    for page in ["/metrics", "/status", "/inventory", "/livez", "/readyz", "/planted"] {
        assert_none(page, &get(proxy.admin, page, &[]).body);
    }
    assert_none("files while it runs", &place.kept());
    let audited = format!("{}\n", crate::support::markers::TOKEN);
    assert!(!place.ask(&["show", "--site", "shop"], &audited).is_empty(), "the token is known by its digest");
    for role in ["auditor", "custodian"] {
        for format in ["jsonl", "csv"] {
            let export = place.trail(&["export", "--format", format, "--role", role], "");
            assert!(export.status.success() && export.stdout.len() > 1000);
            assert_none("an export", &export.stdout);
            assert_none("what is said about an export", &export.stderr);
        }
    }
    for verb in [&["links"][..], &["events"], &["stats", "--by", "referrer"], &["verify"]] {
        assert_none(verb[0], &place.trail(verb, "").stdout);
    }
    let output = || proxy.output();
    eventually("the access log is written", || output().iter().filter(|byte| **byte == b'\n').count() > 200);
    proxy.signal("-HUP");
    proxy.signal("-TERM");
    let log = || {
        let log = output();
        assert!(memchr::memmem::find(&log, b"/s/{token}/files/*").is_some(), "the access log is on");
        log
    };
    assert_none("the logs", &log());
    assert_eq!(proxy.stop(), 0);
    let directory = place.directory.path();
    let report = verify(&directory.join("data/ledger.sqlite"), Some(&directory.join("outside/checkpoints")));
    assert!(report.problems.is_empty());
    let kept = place.kept();
    assert!(memchr::memmem::find(&kept, b"\"verb\":\"export\"").is_some(), "the audit journal is among them");
    assert!(
        memchr::memmem::find(&kept, b"planted-domain.example").is_some(),
        "a referrer's domain is kept, and no more"
    );
    assert_none("files at the end", &kept);
    assert_none("keys and their manifest", &keys(&place));
}

#[test]
fn at_14_no_marker_in_postgresql_or_in_answers_on_the_admin_listener() {
    let server = Postgres::start();
    let token = "custodian-of-this-test-0123456789abcdef";
    let section = "[[admin.token]]\nrole = \"custodian\"\nname = \"one\"\nfile = \"token\"\n";
    let place = place(&format!("{}{section}", server.section()));
    let file = place.directory.path().join("token");
    std::fs::write(&file, token).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    let proxy = place.start();
    plant(proxy.address);
    let central = || get(proxy.admin, "/status", &[]).json()["ledger"]["central"].clone();
    eventually("all of it is shipped", || central()["lag_records"] == 0);
    assert_none("status", central().to_string().as_bytes());
    for (verb, body) in [
        ("links", "{}"),
        ("events", "{}"),
        ("stats", r#"{"by": "referrer"}"#),
        ("affected", r#"{"from": "2020-01-01", "to": "2100-01-01"}"#),
        ("export", r#"{"format": "csv"}"#),
        ("verify", "{}"),
        ("show", "{"),
        ("show", r#"{"site": "shop", "token": "k9ZzPlantedTokenW3xQ", "anna.planted@mail.example": 1}"#),
    ] {
        let length = body.len();
        let head = format!("POST /trail/{verb} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        let answer = send(proxy.admin, format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        assert!([200, 400].contains(&answer.status) && !answer.body.is_empty(), "{verb}: {}", answer.status);
        assert_none(verb, &answer.body);
    }
    assert_none("the logs", &proxy.output());
    assert_eq!(proxy.stop(), 0);
    let dump = server.dump();
    assert!(memchr::memmem::find(&dump, b"planted-domain.example").is_some(), "records are in the dump");
    assert_none("a dump", &dump);
    assert_none("the log of PostgreSQL", &server.log());
    assert_none("files", &place.kept());
}
