//! Rules change while requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::client::request;
use crate::support::{Client, Origin, TestApp, eventually, get, respond_with, send, site};

/// A site in whose answers the cookie called `cookie` is necessary, and nothing else is known.
fn rules(origin: &Origin, cookie: &str) -> String {
    site(origin.address, &format!("[[site.cookie]]\nname = \"{cookie}\"\npurpose = \"necessary\""))
}

fn origin() -> Origin {
    Origin::with_headers(&[("Set-Cookie", "one=1"), ("Set-Cookie", "two=2")])
}

fn sets(app: &TestApp) -> Vec<String> {
    get(app.address, "/", &[]).sets().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_in_place_write_and_an_atomic_rename_are_detected() {
    let origin = origin();
    let app = TestApp::start(&rules(&origin, "one"));
    assert_eq!(sets(&app), ["one"]);
    std::fs::write(&app.config, TestApp::configuration("", &rules(&origin, "two"))).unwrap();
    eventually("the write is noticed", || sets(&app) == ["two"]);
    let fresh = app.directory.path().join("fresh.toml");
    std::fs::write(&fresh, TestApp::configuration("", &rules(&origin, "one"))).unwrap();
    std::fs::rename(&fresh, &app.config).unwrap();
    eventually("the rename is noticed", || sets(&app) == ["one"]);
    assert_eq!(app.version(), 3);
}

#[test]
fn configmap_symlink_swap_is_detected() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    // As the kubelet does it: the file is a link through `..data`, which is swapped by a rename.
    for (version, cookie) in [("..v1", "one"), ("..v2", "two")] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("consentry.toml"), TestApp::configuration("", &rules(&origin, cookie)))
            .unwrap();
    }
    std::os::unix::fs::symlink("..v1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/consentry.toml", at("consentry.toml")).unwrap();
    let path = at("consentry.toml");
    let app = TestApp::start_file(directory, path);
    assert_eq!(sets(&app), ["one"]);
    std::os::unix::fs::symlink("..v2", app.directory.path().join("..data_tmp")).unwrap();
    std::fs::rename(app.directory.path().join("..data_tmp"), app.directory.path().join("..data")).unwrap();
    std::fs::remove_dir_all(app.directory.path().join("..v1")).unwrap();
    eventually("the swap is noticed", || sets(&app) == ["two"]);
}

#[test]
fn catalog_files_are_part_of_it() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let vendor = |cookie: &str| {
        format!("[[vendor]]\nid = \"own\"\nname = \"Own\"\npurpose = \"necessary\"\ncookies = [\"{cookie}\"]\n")
    };
    std::fs::write(directory.path().join("own.toml"), vendor("one")).unwrap();
    let app = TestApp::start_in(
        directory,
        &TestApp::configuration("[catalog]\nfiles = [\"own.toml\"]\n", &site(origin.address, "")),
    );
    assert_eq!(sets(&app), ["one"]);
    std::fs::write(app.directory.path().join("own.toml"), vendor("two")).unwrap();
    eventually("the catalog file is noticed", || sets(&app) == ["two"]);
}

#[test]
fn an_operators_catalog_comes_before_the_built_in_one() {
    let origin =
        Origin::with_headers(&[("Set-Cookie", "_ga=1"), ("Set-Cookie", "_gid=2"), ("Set-Cookie", "PHPSESSID=3")]);
    let directory = tempfile::tempdir().unwrap();
    let vendor = "[[vendor]]\nid = \"own\"\nname = \"Own\"\npurpose = \"necessary\"\ncookies = [\"_g*\"]\n";
    std::fs::write(directory.path().join("own.toml"), vendor).unwrap();
    let sections = "[catalog]\nfiles = [\"own.toml\"]\n";
    let app = TestApp::start_in(directory, &TestApp::configuration(sections, &site(origin.address, "")));
    assert_eq!(sets(&app), ["_ga", "_gid", "PHPSESSID"], "less precise, but the operator's");
    let alone = format!("{sections}built_in = false\n");
    app.reconfigure(&alone, &site(origin.address, ""));
    assert_eq!(sets(&app), ["_ga", "_gid"], "and nothing else is known");
}

#[test]
fn invalid_reload_keeps_old_policy_and_sets_metric() {
    let origin = origin();
    let app = TestApp::start(&rules(&origin, "one"));
    let hash = app.status()["ruleset"]["hash"].clone();
    for broken in ["[listen", "", "[[site]]\nname = 1\n"] {
        std::fs::write(&app.config, broken).unwrap();
        let answer = send(app.admin, "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.status, 422, "{broken}");
        let status = app.status();
        assert_eq!((&status["ruleset"]["hash"], &status["reload"]["successful"]), (&hash, &false.into()));
        let diagnostic = &status["reload"]["diagnostics"][0];
        assert!(
            diagnostic["file"].as_str().unwrap().ends_with("consentry.toml")
                && !diagnostic["message"].as_str().unwrap().is_empty()
        );
        app.expect_metric("consentry_config_last_reload_successful", 0.0);
        assert_eq!(sets(&app), ["one"]);
    }
    assert!(app.metric("consentry_reloads_total{action=\"failure\"}") >= 3.0);
    app.reconfigure("", &rules(&origin, "two"));
    app.expect_metric("consentry_config_last_reload_successful", 1.0);
    assert_eq!(sets(&app), ["two"]);
}

#[test]
fn bad_cert_on_reload_keeps_old_cert() {
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.path().join("ca.pem"), certificate.cert.pem()).unwrap();
    let sites = format!("{}\n[site.upstream_tls]\nca = \"ca.pem\"\n", site(origin.address, ""));
    let app = TestApp::start_in(directory, &TestApp::configuration("", &sites));
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(app.directory.path().join("ca.pem"), broken).unwrap();
        let answer = send(app.admin, "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains("holds no usable certificate"), "{}", answer.text());
        assert_eq!((app.version(), get(app.address, "/", &[]).status), (1, 200));
    }
    std::fs::remove_file(app.directory.path().join("ca.pem")).unwrap();
    let answer = send(app.admin, "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.text().contains("`ca.pem` cannot be read"), "{}", answer.text());
}

#[test]
fn what_needs_a_restart_is_said() {
    let origin = origin();
    let app = TestApp::start(&rules(&origin, "one"));
    app.reconfigure("[limits]\nidle_seconds = 7\n", &rules(&origin, "two"));
    assert_eq!(app.status()["reload"]["restart_needed"], true);
    assert_eq!(sets(&app), ["two"], "the rules apply all the same");
}

#[test]
fn reload_mid_request_keeps_one_policy_for_the_whole_request() {
    let gate = Arc::new(AtomicBool::new(false));
    let origin = Origin::start({
        let gate = gate.clone();
        move |request| {
            while request.target == "/slow" && !gate.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(10));
            }
            respond_with(
                200,
                &[("Set-Cookie", "one=1"), ("Set-Cookie", "two=2")],
                request.header("cookie").unwrap_or_default(),
            )
        }
    });
    let app = TestApp::start(&rules(&origin, "one"));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/slow", &[("Cookie", "one=1; two=2")]));
    eventually("the origin has the request", || origin.count() == 1);
    app.reconfigure("", &rules(&origin, "two"));
    assert_eq!(sets(&app), ["two"]);
    gate.store(true, Ordering::Release);
    let response = client.response(false).unwrap();
    assert_eq!(
        (response.text(), response.sets()),
        ("one=1".to_owned(), vec!["one"]),
        "request and response by the same rules"
    );
}

#[test]
fn under_load_no_request_fails_and_each_has_one_ruleset() {
    let origin = Origin::start(|request| {
        respond_with(
            200,
            &[("Set-Cookie", "one=1"), ("Set-Cookie", "two=2")],
            request.header("cookie").unwrap_or_default(),
        )
    });
    let app = TestApp::start(&rules(&origin, "one"));
    let (stop, served, mixed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop, served, mixed) = (app.address, stop.clone(), served.clone(), mixed.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Acquire) {
                    client.write(request("GET", "/", &[("Cookie", "one=1; two=2"), ("Sec-Fetch-Dest", "image")]));
                    let response = client.response(false).expect("no request fails");
                    assert_eq!(response.status, 200);
                    served.fetch_add(1, Ordering::AcqRel);
                    let agree = matches!(
                        (response.text().as_str(), response.sets().as_slice()),
                        ("one=1", ["one"]) | ("two=2", ["two"])
                    );
                    mixed.fetch_add(usize::from(!agree), Ordering::AcqRel);
                }
            })
        })
        .collect();
    for turn in 0..30 {
        app.reconfigure("", &rules(&origin, if turn % 2 == 0 { "two" } else { "one" }));
    }
    eventually("there was load", || served.load(Ordering::Acquire) > 300);
    stop.store(true, Ordering::Release);
    visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
    assert_eq!(mixed.load(Ordering::Acquire), 0);
    assert_eq!(app.version(), 31);
}
