//! The house stays as it was drawn.

use std::path::{Path, PathBuf};

pub fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn module(name: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = sources(&root.join(name));
    files.push(root.join(format!("{name}.rs")));
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn policy_module_has_no_io_dependencies() {
    let forbidden = [
        "pingora",
        "tokio",
        "prometheus",
        "log::warn",
        "log::info",
        "log::error",
        "log::debug",
        "std::fs",
        "std::io",
        "std::env",
        "std::thread",
        "std::process",
        "SystemTime",
        "Instant",
        "TcpStream",
        "UdpSocket",
        "rand",
    ];
    for name in ["policy", "consent", "enforce"] {
        for (path, text) in module(name) {
            for word in forbidden {
                assert!(!code(&text).contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn dependencies_point_downwards_only() {
    let layers =
        [("policy", &["crate::consent", "crate::enforce"][..]), ("consent", &["crate::enforce"]), ("enforce", &[])];
    let upper = [
        "crate::config",
        "crate::proxy",
        "crate::net",
        "crate::reload",
        "crate::app",
        "crate::admin",
        "crate::metrics",
        "crate::cli",
        "crate::ledger",
    ];
    for (name, above) in layers {
        for (path, text) in module(name) {
            for word in above.iter().chain(&upper) {
                assert!(!code(&text).contains(word), "{} uses {word}", path.display());
            }
        }
    }
    for (path, text) in module("config") {
        for word in ["crate::proxy", "crate::net", "crate::reload", "crate::app", "crate::admin"] {
            assert!(!code(&text).contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn what_holds_values_of_visitors_has_no_output() {
    let holders = [
        "CookiePair",
        "SetCookie",
        "RequestFacts",
        "Url",
        "HeaderChange",
        "RequestEdits",
        "OwnCookie",
        "Context",
        "Violation",
        "TcString",
        "VendorIds",
        "Restriction",
        "Publisher",
        "GppString",
        "UsSection",
        "UsPrivacy",
        "ClientAddress",
        "Pseudonym",
        "KeyRing",
        "Scope",
        "Question",
        "Check",
        "Asked",
        "AdminToken",
    ];
    for (path, text) in
        ["policy", "consent", "enforce", "proxy", "inventory", "ledger", "admin", "config"].into_iter().flat_map(module)
    {
        let mut derives = "";
        for line in text.lines() {
            if line.starts_with("#[derive(") {
                derives = line;
            } else if let Some(name) =
                line.strip_prefix("pub struct ").and_then(|rest| rest.split([' ', '<', '(']).next())
            {
                let shown = derives.contains("Debug") || derives.contains("Display") || derives.contains("Serialize");
                assert!(!shown || !holders.contains(&name), "{name} in {} can be printed", path.display());
                derives = "";
            }
        }
    }
}

#[test]
fn files_can_be_read_without_scrolling_for_ever() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&root) {
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= 25_000, "{} has {size} bytes", path.display());
    }
}
