//! The keys of the ledger, by the program itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::{TestApp, site};

struct Ledger {
    directory: tempfile::TempDir,
}

impl Ledger {
    fn new(keys: &str, path: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let section = format!("[ledger]\npath = \"{path}\"\nkeys = \"{keys}\"\n");
        let text =
            TestApp::configuration(&section, &site(([127, 0, 0, 1], 3000).into(), "time_zone = \"Asia/Shanghai\""));
        fs::write(directory.path().join("consentry.toml"), text).unwrap();
        Ledger { directory }
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("consentry.toml")
    }

    /// `consentry keys`; exit code, output, errors.
    fn keys(&self, command: &str, more: &[&str]) -> (Option<i32>, String, String) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
        said(process.args(["keys", command, "--config"]).arg(self.config()).args(more).output().unwrap())
    }
}

fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn keys_are_made_listed_and_destroyed() {
    let ledger = Ledger::new("var/keys", "var/ledger.sqlite");
    let (code, made, _) = ledger.keys("rotate", &[]);
    assert_eq!(code, Some(0));
    let made: Vec<serde_json::Value> = made.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(made.len(), 4);
    assert!(made.iter().all(|event| event["event"] == "key.made" && event["site"] == "shop"));
    assert_eq!(ledger.keys("rotate", &[]), (Some(0), String::new(), String::new()));
    let (code, listed, _) = ledger.keys("status", &[]);
    assert!(code == Some(0) && listed.lines().count() == 4, "{listed}");
    let kid = |state: &str| {
        let line = listed.lines().find(|line| line.contains("shop-visitor") && line.contains(state)).unwrap();
        line.split(' ').next().unwrap().to_owned()
    };
    let (active, next) = (kid(" active "), kid(" next "));
    let destroy = |kid: &str, more: &[&str]| {
        ledger.keys("destroy", &[&["--kid", kid, "--reason", "a test", "--by", "custodian"], more].concat())
    };
    let (code, _, refused) = destroy(&active, &[]);
    assert!(code == Some(1) && refused.contains("--active"), "{refused}");
    for (kid, more) in [(&next, &[][..]), (&active, &["--active"])] {
        let (code, certificate, _) = destroy(kid, more);
        let certificate: serde_json::Value = serde_json::from_str(&certificate).unwrap();
        assert_eq!(code, Some(0));
        assert!(certificate["event"] == "key.destroyed" && certificate["key"]["kid"] == kid.as_str());
        assert!(certificate["key"]["by"] == "custodian" && certificate["key"]["because"] == "a test");
    }
    let (code, _, refused) = destroy(&next, &[]);
    assert!(code == Some(1) && refused.contains("was destroyed before"), "{refused}");
    let (code, _, refused) = destroy("nothing", &[]);
    assert!(code == Some(1) && refused.contains("there is no key `nothing`"), "{refused}");
    let (_, listed, _) = ledger.keys("status", &[]);
    assert_eq!(listed.matches("by custodian: a test").count(), 2, "{listed}");
    assert_eq!(ledger.keys("destroy", &["--kid", &active]).0, Some(2), "a reason and a name are required");
}

#[test]
fn at_39_keys_and_ledger_in_one_tree_are_refused() {
    for (keys, path) in [("var", "var/ledger.sqlite"), ("var/ledger/keys", "var/ledger")] {
        let ledger = Ledger::new(keys, path);
        for command in ["run", "keys"] {
            let (code, _, refused) = match command {
                "keys" => ledger.keys("rotate", &[]),
                _ => said(
                    Command::new(env!("CARGO_BIN_EXE_consentry"))
                        .args(["run", "--config"])
                        .arg(ledger.config())
                        .output()
                        .unwrap(),
                ),
            };
            assert!(code == Some(78) && refused.contains("in one directory tree"), "{command}: {refused}");
        }
    }
}

#[test]
fn a_key_that_others_can_read_stops_the_start() {
    let ledger = Ledger::new("var/keys", "var/ledger.sqlite");
    ledger.keys("rotate", &[]);
    let key = ledger.directory.path().join("var/keys/shop.link.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o444)).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let (code, _, refused) = said(process.args(["run", "--config"]).arg(ledger.config()).output().unwrap());
    assert!(code == Some(1) && refused.contains("shop.link.key may be used by others"), "{refused}");
    assert_eq!(ledger.keys("status", &[]).0, Some(1));
}

#[test]
fn without_a_ledger_there_are_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consentry.toml");
    fs::write(&path, TestApp::configuration("", &site(([127, 0, 0, 1], 3000).into(), ""))).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let (code, _, refused) = said(process.args(["keys", "status", "--config"]).arg(&path).output().unwrap());
    assert!(code == Some(78) && refused.contains("has no [ledger]"), "{refused}");
}
