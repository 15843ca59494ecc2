//! The trail of share links, with the real program, keys and database.

use std::process::Command;

use consentry::ledger::journal::verify::verify;

use crate::support::get;
use crate::support::ledger::{Place, TOKEN, open};

#[test]
fn the_path_of_a_link_is_known_and_nobodys_address_is_kept() {
    let place = Place::new();
    let proxy = place.start();
    let share = format!("/s/{TOKEN}");
    let (first, second) = ("203.0.113.77", "198.51.100.23");
    let referrer = [("Referer", "https://mail.marked.example/inbox/secret-path?id=7")];
    assert_eq!(open(&proxy, &share, first, &referrer), 200);
    assert_eq!(open(&proxy, &share, first, &[]), 200, "within the window, that is the same visit");
    assert_eq!(open(&proxy, &share, second, &[]), 200);
    assert_eq!(open(&proxy, &share, "192.0.2.9", &[("Cookie", "session=alice@marked.example")]), 200);
    assert_eq!(open(&proxy, &format!("{share}/files/plan.pdf"), first, &[]), 200);
    assert_eq!(open(&proxy, "/s/other", second, &[]), 200);
    let status = get(proxy.admin, "/status", &[]).json()["ledger"].clone();
    assert!(status["records"].as_u64() >= Some(6) && status["failing"].is_null(), "{status:#}");
    let metrics = get(proxy.admin, "/metrics", &[]).text();
    assert!(metrics.contains("consentry_ledger_failing 0") && metrics.contains("consentry_ledger_lost 0"), "{metrics}");
    assert_eq!(proxy.stop(), 0);

    let links = place.ask(&["links"], "");
    assert_eq!(links.len(), 2, "{links:#?}");
    let shown = &place.ask(&["show", "--site", "shop"], &format!("{TOKEN}\n"))[0];
    let counts = ["opens", "downloads", "visitors", "members"].map(|name| shown[name].as_u64().unwrap());
    assert_eq!(counts, [3, 1, 2, 1], "{shown:#}");
    let events = place.ask(&["events", "--role", "custodian"], "");
    let visitor = |at: usize| events[at]["visitor"].as_str();
    assert_eq!((visitor(0), events[2]["actor"].as_str(), visitor(2)), (visitor(3), Some("member"), None));
    assert!(visitor(0).is_some() && visitor(0) != visitor(1) && visitor(1) == visitor(events.len() - 1), "{events:#?}");
    assert_eq!((events[0]["referrer"].as_str(), events[0]["agent"].as_str()), (Some("marked.example"), Some("human")));
    let groups = place.ask(&["stats", "--by", "referrer"], "");
    assert!(groups.iter().all(|group| group["value"].is_null() && group["visitors"] == 0), "too few: {groups:?}");

    let verified = place.trail(&["verify"], "");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let kept = place.kept();
    for marker in [first, second, TOKEN, "alice", "secret-path", "plan.pdf", "mail.marked", "Mozilla"] {
        assert!(memchr::memmem::find(&kept, marker.as_bytes()).is_none(), "{marker} is kept");
    }
    for address in [[203, 0, 113, 77], [198, 51, 100, 23]] {
        let hex: String = address.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(memchr::memmem::find(&kept, hex.as_bytes()).is_none());
    }
}

#[test]
fn each_question_is_written_down_before_it_is_answered() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.77", &[]), 200);
    assert_eq!(place.ask(&["links", "--role", "auditor"], "").len(), 1, "while the proxy goes on");
    let audit = place.directory.path().join("data/ledger.sqlite.audit");
    let asked = |count: u64| {
        let report = verify(&audit, None);
        assert_eq!((report.records, report.problems.len()), (count + 1, 0), "{:?}", report.problems);
    };
    asked(1);
    assert!(place.trail(&["show", "--site", "shop"], "nobody\n").stdout.is_empty());
    asked(2);
    let kept = place.kept();
    assert!(
        memchr::memmem::find(&kept, b"nobody").is_none() && memchr::memmem::find(&kept, b"\"verb\":\"show\"").is_some()
    );
    std::fs::remove_file(&audit).unwrap();
    std::fs::create_dir(&audit).unwrap();
    let refused = place.trail(&["links"], "");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not answered"));
    assert_eq!(proxy.stop(), 0);
}

#[test]
fn exports_come_with_a_manifest_that_fits() {
    let place = Place::new();
    let proxy = place.start();
    (1..=3).for_each(|host| assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), &format!("203.0.113.{host}"), &[]), 200));
    assert_eq!(proxy.stop(), 0);
    let out = place.directory.path().join("export");
    let done = place.trail(&["export", "--format", "csv", "--role", "auditor", "--out", out.to_str().unwrap()], "");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (csv, manifest) =
        (std::fs::read(out.join("records.csv")).unwrap(), std::fs::read(out.join("manifest.json")).unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digest = ring_digest(&csv);
    assert_eq!((manifest["records"].as_u64(), manifest["sha256"].as_str()), (Some(3), Some(&*digest)));
    let again = place.trail(&["export", "--format", "csv", "--role", "auditor"], "");
    assert_eq!(again.stdout, csv);
}

fn ring_digest(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// AT-17, as far as destruction goes: with the key, the visitors of its month are gone for good.
#[test]
fn a_destroyed_key_leaves_visitors_that_nobody_can_name() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.77", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    let config = place.directory.path().join("c.toml");
    let keys = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .arg("keys")
            .arg(arguments[0])
            .arg("--config")
            .arg(&config)
            .args(&arguments[1..])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let status = keys(&["status"]);
    let kid =
        status.split_whitespace().find(|word| word.starts_with("shop-visitor-")).expect("the month's key").to_owned();
    keys(&["destroy", "--kid", &kid, "--reason", "test", "--by", "tester", "--active"]);
    let proxy = place.start();
    assert_eq!(open(&proxy, &format!("/s/{TOKEN}"), "203.0.113.77", &[]), 200);
    assert_eq!(proxy.stop(), 0);
    let events = place.ask(&["events", "--role", "custodian"], "");
    assert_eq!((events.len(), events[0]["visitor"].is_string(), events[1]["visitor"].is_null()), (2, true, true));
}
