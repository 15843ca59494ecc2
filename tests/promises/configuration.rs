//! Bad configurations get the error that a person needs, each with its place.

use std::path::Path;

use consentry::config::{self, Severity};
use consentry::consent::signal::FORMATS;

use crate::support::country_file::country_file;
use crate::support::tls::Authority;

const HEAD: &str = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n";
const SITE: &str = "[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\nupstream = [\"http://127.0.0.1:3000\"]\n";

/// All diagnostics as lines, without help.
fn problems(text: &str) -> Vec<String> {
    let read = |path: &Path| {
        match path.to_str() {
        Some("conf/short.key") => Ok(b"short".to_vec()),
        Some("conf/catalog.toml") => {
            Ok(b"[[vendor]]\nid = \"x\"\nname = \"X\"\npurpose = \"magic\"\n[[vendor]]\ncokies = []\n".to_vec())
        }
        Some("conf/binary.txt") => Ok(vec![b'|', 0xff]),
        Some("conf/page.toml") => Ok(
            b"[[vendor]]\nid = \"x\"\nname = \"X\"\npurpose = \"analytics\"\nglobals = [\"fbq\", \"a-b\"]\nstorage = [\"\", { name = \"k\", purpose = \"magic\" }]\n"
                .to_vec(),
        ),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    }
    };
    let loaded = config::parse(Path::new("conf/c.toml"), text.as_bytes(), &read);
    let failed = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), failed, "a configuration is there exactly if nothing is wrong");
    for diagnostic in &loaded.diagnostics {
        assert!(
            diagnostic.help.is_some()
                || diagnostic.message.contains("TOML")
                || diagnostic.message.contains("invalid type"),
            "{diagnostic} helps nobody"
        );
    }
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.to_string().lines().next().unwrap().to_owned()).collect()
}

#[test]
fn each_mistake_has_its_message_and_place() {
    for (text, expected) in [
        ("", &["conf/c.toml:1:1: error: nothing to listen on", "conf/c.toml:1:1: error: no site is configured"][..]),
        (
            &format!("{HEAD}[[site]]\n"),
            &["the site has no name", "the site has no hosts", "the site `` has no upstream"],
        ),
        (&format!("{HEAD}{SITE}mode = \"strict\"\n"), &["conf/c.toml:7:8: error: `strict` is not possible here"]),
        (
            &format!("{HEAD}{SITE}{}", SITE.replace("\"shop\"", "\"two\"")),
            &["conf/c.toml:9:10: error: `shop.example` belongs to the site `shop` already"],
        ),
        (
            &format!("{HEAD}{SITE}{}", SITE.replace("shop.example", "b.example")),
            &["conf/c.toml:7:1: error: a site called `shop` is configured twice"],
        ),
        (
            &format!("{HEAD}{SITE}[[site.cookie]]\nname = \"consent*\"\npurpose = \"marketing\"\n"),
            &[
                "conf/c.toml:8:8: error: `consent*` also names `consentry`, the own consent cookie, which would be dropped",
            ],
        ),
        (
            &format!("{HEAD}{SITE}[[site.cookie]]\nname = \"a\"\npurpose = \"fun\"\n"),
            &["conf/c.toml:9:11: error: unknown purpose `fun`"],
        ),
        (
            &format!(
                "{HEAD}{SITE}[[site.cookie]]\nname = \"a\"\npurpose = \"analytics\"\n[[site.cookie]]\nname = \"a\"\npurpose = \"marketing\"\n"
            ),
            &["conf/c.toml:11:8: error: `a` has two purposes"],
        ),
        (
            &format!(
                "{HEAD}{SITE}[[site.storage]]\nname = \"a\"\npurpose = \"analytics\"\n[[site.storage]]\nname = \"a\"\npurpose = \"marketing\"\n"
            ),
            &["conf/c.toml:11:8: error: `a` has two purposes"],
        ),
        (&format!("{HEAD}{SITE}[[site.storage]]\npurpose = \"analytics\"\n"), &["the storage rule has no name"]),
        (
            &format!("{HEAD}{SITE}[[site.tracker]]\npath = \"/.consentry/*\"\npurpose = \"analytics\"\n"),
            &["would block the own pages under `/.consentry`"],
        ),
        (
            &format!("{HEAD}{SITE}[[site.tracker]]\npath = \"/*\"\npurpose = \"analytics\"\n"),
            &["the rule matches every request"],
        ),
        (&format!("{HEAD}{SITE}[[site.tracker]]\npath = \"/x\"\n"), &["the rule has no purpose"]),
        (&format!("{HEAD}{SITE}[[site.share]]\npath = \"/s/token\"\n"), &["`/s/token` is not a share link"]),
        (
            &format!("{HEAD}{SITE}time_zone = \"Mars/Olympus\"\n"),
            &["conf/c.toml:7:13: error: `Mars/Olympus` is not a time zone"],
        ),
        (
            &format!("{HEAD}{SITE}[site.retention]\nshare_months_min = 12\nshare_months_max = 6\n"),
            &["conf/c.toml:9:20: error: records cannot be kept 12 months at least and 6 at most"],
        ),
        (
            &format!("{HEAD}{SITE}[site.retention]\nshare_months_max = 0\n"),
            &["conf/c.toml:8:20: error: 0 is out of range"],
        ),
        (
            &format!("{HEAD}{SITE}[ledger]\npath = \"l.sqlite\"\n"),
            &["conf/c.toml:7:1: error: the ledger needs a database and a directory for keys"],
        ),
        (
            &format!("{HEAD}{SITE}[ledger]\npath = \"l/l.sqlite\"\nkeys = \"l\"\n"),
            &["are in one directory tree: whoever copies one would have both"],
        ),
        (
            &format!(
                "{HEAD}{SITE}[[site.share]]\npath = \"/s/{{token}}\"\nopen_window_minutes = 0\nrecord = \"later\"\n"
            ),
            &["0 is out of range", "`later` is not possible here"],
        ),
        (&format!("{HEAD}{SITE}forward_client_ip = \"some\"\n"), &["`some` is not possible here"]),
        (
            &format!("{HEAD}{SITE}max_age_days = {{ necessary = 5 }}\n"),
            &["conf/c.toml:7:18: error: the life of necessary cookies cannot be capped"],
        ),
        (
            &format!("{HEAD}{SITE}signals = [\"consentry\", \"telepathy\"]\n"),
            &["conf/c.toml:7:25: error: unknown signal `telepathy`"],
        ),
        (
            &format!(
                "{HEAD}{SITE}csp = \"on\"\ncsp_hosts = [\"cdn.example\", \"https://a.example\", \"*\", \"a.example:x\"]\ncsp_vendors = [\"stripe\", \"nobody\"]\n"
            ),
            &[
                "conf/c.toml:7:7: error: `on` is not possible here",
                "conf/c.toml:8:29: error: `https://a.example` is not a host",
                "conf/c.toml:8:50: error: `*` is not a host",
                "conf/c.toml:8:55: error: `a.example:x` is not a host",
                "conf/c.toml:9:26: error: the catalog has no vendor `nobody`",
            ],
        ),
        (
            &format!("{HEAD}{SITE}csp = \"enforce\"\n"),
            &["conf/c.toml:7:7: warning: the policy names every vendor of the catalog"],
        ),
        (&format!("{HEAD}{SITE}[limits]\nheader_bytes = 1\n"), &["conf/c.toml:8:16: error: 1 is out of range"]),
        (
            &format!("{HEAD}{SITE}[server]\ntrusted_proxies = [\"all\"]\n"),
            &["conf/c.toml:8:20: error: `all` is not a network"],
        ),
        (
            &format!("{HEAD}{SITE}[consent]\nsigning_key = \"short.key\"\n"),
            &["conf/c.toml:8:15: error: the signing key is too short"],
        ),
        (
            &format!("{HEAD}{SITE}[consent]\nsigning_key = \"none.key\"\nprefix = \"consentry\"\ncookie = \"a b\"\n"),
            &["the signing key cannot be read", "`consentry` cannot be the prefix", "`a b` cannot name a cookie"],
        ),
        (
            &format!("{HEAD}{SITE}[catalog]\nfiles = [\"catalog.toml\", \"gone.toml\"]\n"),
            &[
                "the catalog file `gone.toml` cannot be read",
                "catalog.toml:4:11: error: unknown purpose `magic`",
                "catalog.toml:5:1: error: a vendor needs `id`, `name` and `purpose`",
                "catalog.toml:6:1: error: unknown key `cokies`",
            ],
        ),
        (
            &format!(
                "{HEAD}{SITE}[[filter_list]]\npath = \"gone.txt\"\npurpose = \"magic\"\n[[filter_list]]\npath = \"binary.txt\"\n[[filter_list]]\npath = \"binary.txt\"\npurpose = \"analytics\"\n"
            ),
            &[
                "conf/c.toml:8:8: error: the filter list `gone.txt` cannot be read: ",
                "conf/c.toml:9:11: error: unknown purpose `magic`",
                "conf/c.toml:10:1: error: a filter list needs `path` and `purpose`",
                "conf/c.toml:13:8: error: the filter list `binary.txt` cannot be read: it is not UTF-8",
            ],
        ),
        (
            &format!("{HEAD}{SITE}[catalog]\nfiles = [\"page.toml\"]\n"),
            &[
                "page.toml:5:19: error: `a-b` cannot name a function of a page",
                "page.toml:6:12: error: a pattern must not be empty",
                "page.toml:6:16: error: unknown purpose `magic`",
            ],
        ),
        (
            "[listen]\ntraffic = [\"127.0.0.1:80\", \"127.0.0.1:80\"]\nadmin = 5\nadmn = 1\n",
            &[
                "conf/c.toml:2:28: error: 127.0.0.1:80 is listened on twice",
                "conf/c.toml:3:9: error: invalid type: integer `5`",
                "conf/c.toml:4:1: error: unknown key `admn`",
                "no site is configured",
            ],
        ),
    ] {
        let found = problems(text);
        for part in expected {
            assert!(found.iter().any(|line| line.contains(part)), "{part}\nin {found:#?}\nfor\n{text}");
        }
        assert_eq!(found.len(), expected.len(), "nothing else is reported: {found:#?}");
    }
    for upstream in [
        "127.0.0.1:3000",
        "ftp://a",
        "http://",
        "http://a/b",
        "http://user@a",
        "http://a:0",
        "https://:443",
        "http://a b",
    ] {
        let text = format!("{HEAD}{}", SITE.replace("http://127.0.0.1:3000", upstream));
        let found = problems(&text);
        assert!(
            found.len() == 1 && found[0].contains(":6:13: error:") && found[0].contains("is not an upstream"),
            "{upstream}: {found:?}"
        );
    }
}

#[test]
fn syntax_errors_are_all_reported_with_their_place() {
    let found = problems("[listen\ntraffic = [\"127.0.0.1:0\"]\nx = = 1\n");
    assert!(found.iter().filter(|line| line.contains("not valid TOML")).count() >= 2, "{found:#?}");
    assert!(found[0].starts_with("conf/c.toml:1:"), "{found:#?}");
}

#[test]
fn the_contract_is_accepted_as_it_is_written() {
    let contract = r#"
[listen]
traffic = ["127.0.0.1:8080"]
admin = "127.0.0.1:9900"

[[site]]
name = "shop"
hosts = ["shop.example", "*.shop.example"]
upstream = ["http://127.0.0.1:3000"]
mode = "enforce"
jurisdiction = "opt-in"
unknown_cookies = "block"
signals = ["consentry", "cookiebot", "tcf"]

[[site.cookie]]
name = "cart_*"
purpose = "necessary"

[[site.tracker]]
path = "/ingest/*"
purpose = "analytics"

[[site.share]]
path = "/s/{token}"
event = "open"
session_cookies = ["session"]

[ledger]
path = "var/ledger.sqlite"
keys = "var/keys"
"#;
    let found = problems(contract);
    assert!(!found.iter().any(|line| line.contains("signal")), "{found:#?}");
    assert!(found.iter().all(|line| line.contains("warning")), "{found:#?}");
    let warned = |words: &str| found.iter().any(|line| line.contains(words));
    assert!(warned("checkpoints are copied to a file beside the database"), "{found:#?}");
    assert!(warned("the keys are below the directory that the ledger is in"), "{found:#?}");
}

#[test]
fn every_example_config_passes_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let loaded = config::load(&root.join("config/consentry.toml"));
    let problems: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(loaded.config.is_some() && problems.is_empty(), "{problems:#?}");
    let issued = Authority::new().issue(&["shop.example"]);
    // What documentation shows is real: each TOML block that configures a site is loaded.
    for name in
        ["README.md", "docs/configuration.md", "docs/consent.md", "docs/from-ingress-nginx.md", "docs/ledger.md"]
    {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        for block in blocks {
            let listen = if block.contains("[listen]") { "" } else { HEAD };
            let site = if block.contains("[[site]]") { "" } else { SITE };
            let loaded =
                config::parse(&root.join("config/x.toml"), format!("{listen}{site}{block}").as_bytes(), &|path| {
                    Ok(match path.extension().and_then(|extension| extension.to_str()) {
                        Some("mmdb") => country_file(&[]),
                        Some("crt" | "pem") => issued.chain.clone().into_bytes(),
                        Some("key") => issued.key.clone().into_bytes(),
                        _ => vec![b'0'; 64],
                    })
                });
            let problems: Vec<_> =
                loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{name}:\n{block}\n{problems:#?}");
        }
    }
}

#[test]
fn the_table_of_formats_is_that_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/consent.md")).unwrap();
    let table = text.split("## Formats").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), FORMATS.len());
    for format in FORMATS {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", format.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in the table", format.name));
        for cookie in format.cookies {
            assert!(row.contains(cookie.trim_end_matches('*')), "{cookie} in {row}");
        }
    }
}

#[test]
fn a_central_store_is_checked_before_anybody_connects() {
    let with = |section: &str| {
        let ledger =
            "[ledger]\npath = \"data/ledger.sqlite\"\nkeys = \"keys\"\ncheckpoints = \"outside/checkpoints\"\n";
        problems(&format!("{HEAD}{SITE}{ledger}[ledger.postgres]\n{section}"))
    };
    for (section, expected) in [
        ("", &["conf/c.toml:11:1: error: the central store has no `connection`"][..]),
        (
            "connection = \"user=edge\"",
            &["conf/c.toml:12:14: error: this is no connection to PostgreSQL: there is no `host`"],
        ),
        ("connection = \"host=db\"", &["this is no connection to PostgreSQL: there is no `user`"]),
        (
            "connection = \"host=db user=edge sslmode=verify-full\"",
            &["this is no connection to PostgreSQL: invalid value for option `sslmode`"],
        ),
        ("connection = \"host=db user=edge sslmode=require\"", &[]),
        ("connection = \"host=localhost user=edge\"", &[]),
        ("connection = \"host=/run/postgresql user=edge\"", &[]),
        ("connection = \"host=db hostaddr=127.0.0.1 user=edge\"", &[]),
        ("connection = \"host=db user=edge\"", &["warning: records may go to the central store in the clear"]),
        (
            "connection = \"hostaddr=192.0.2.1 user=edge\"",
            &["warning: records may go to the central store in the clear"],
        ),
        (
            "connection = \"postgres://edge:Sesame@localhost/trail\"",
            &["warning: the password of the central store is in the configuration"],
        ),
    ] {
        let found = with(section);
        assert_eq!(found.len(), expected.len(), "{section}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{section}: {found}");
        }
    }
}
