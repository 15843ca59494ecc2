//! Starting, being watched, and stopping without losing anybody.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::client::request;
use crate::support::origin::read_request;
use crate::support::tls::Authority;
use crate::support::{Client, Origin, TestApp, eventually, get, respond, send, site};

fn slow_origin(milliseconds: u64) -> Origin {
    Origin::start(move |request| {
        if request.target == "/slow" {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
        respond(200, "done")
    })
}

/// The program itself, as a process.
struct Program {
    child: Child,
    traffic: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    _directory: tempfile::TempDir,
}

impl Program {
    fn start(server: &str, origin: std::net::SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consentry.toml");
        std::fs::write(&path, TestApp::configuration(server, &site(origin, ""))).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["run", "--config"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("listens")).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let message = serde_json::from_str::<serde_json::Value>(&line).unwrap()["message"].as_str().unwrap().to_owned();
        let after = |word: &str| message.split(word).nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        let program =
            Program { traffic: after("traffic on "), admin: after("admin on "), child, _directory: directory };
        eventually("the program is ready", || get(program.admin, "/readyz", &[]).status == 200);
        program
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success()
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn bind_conflict_exits_non_zero_before_serving() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consentry.toml");
    let text = format!(
        "[listen]\ntraffic = [\"{}\"]\nadmin = \"127.0.0.1:0\"\n{}",
        taken.local_addr().unwrap(),
        site(taken.local_addr().unwrap(), "")
    );
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_consentry")).args(["run", "--config"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("cannot listen on") && message.contains("another process listens there"), "{message}");
}

#[test]
fn sigterm_serves_new_connections_during_lame_duck_then_refuses() {
    let origin = slow_origin(0);
    let mut program = Program::start("[server]\nlame_duck_seconds = 2\ndrain_seconds = 5\n", origin.address);
    assert_eq!(get(program.traffic, "/", &[]).status, 200);
    program.signal("TERM");
    eventually("readiness is withdrawn", || get(program.admin, "/readyz", &[]).status == 503);
    assert!(get(program.admin, "/readyz", &[]).text().contains("draining"));
    assert_eq!(get(program.admin, "/livez", &[]).status, 200);
    assert_eq!(get(program.traffic, "/", &[]).status, 200, "still served in the meantime");
    let begin = Instant::now();
    let status = program.child.wait().unwrap();
    assert!(status.success() && begin.elapsed() < Duration::from_secs(6), "{status} after {:?}", begin.elapsed());
    assert!(std::net::TcpStream::connect(program.traffic).is_err());
}

#[test]
fn sighup_reloads_and_a_second_signal_forces() {
    let origin = slow_origin(20_000);
    let mut program = Program::start("[server]\nlame_duck_seconds = 0\ndrain_seconds = 60\n", origin.address);
    let attempts = |program: &Program| {
        let text = get(program.admin, "/metrics", &[]).text();
        text.lines().find(|line| line.starts_with("consentry_reloads_total{action=\"success\"}")).unwrap().to_owned()
    };
    let before = attempts(&program);
    program.signal("HUP");
    eventually("the configuration is read again", || attempts(&program) != before);
    let mut stuck = Client::connect(program.traffic);
    stuck.write(request("GET", "/slow", &[]));
    eventually("the request is at the origin", || origin.count() == 1);
    let begin = Instant::now();
    program.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(program.child.try_wait().unwrap().is_none(), "it waits for the request");
    program.signal("TERM");
    let status = program.child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "a request was cut");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn drain_returns_as_soon_as_in_flight_is_zero() {
    let origin = slow_origin(800);
    let mut app =
        TestApp::start_with("[server]\nlame_duck_seconds = 0\ndrain_seconds = 30\n", &site(origin.address, ""));
    let mut idle = Client::connect(app.address);
    idle.write(request("GET", "/", &[]));
    idle.response(false).unwrap();
    let mut busy = Client::connect(app.address);
    busy.write(request("GET", "/slow", &[]));
    eventually("the request is at the origin", || origin.count() == 2);
    let begin = Instant::now();
    let drain = app.drain();
    assert!(idle.is_closed(), "nobody waits for idle connections");
    let response = busy.response(false).unwrap();
    assert_eq!((response.status, response.text()), (200, "done".to_owned()));
    assert_eq!(drain.join().unwrap(), 0);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    let log = app.access_log();
    assert_eq!(log.lines().count(), 2, "nothing of the log is lost: {log}");
}

#[test]
fn deadline_cuts_what_does_not_end() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        std::thread::sleep(Duration::from_secs(30));
    });
    let mut app =
        TestApp::start_with("[server]\nlame_duck_seconds = 0\ndrain_seconds = 1\n", &site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/", &[]));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(app.drain().join().unwrap(), 1);
    assert!(client.is_closed());
}

#[test]
fn readiness_names_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let text =
        TestApp::configuration("", "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"http://localhost:1\"]\n");
    let app = TestApp::start_in(directory, &text);
    assert_eq!(get(app.admin, "/readyz", &[]).text(), "ready\n");
    let _blocker = app_readiness(&app);
    let answer = get(app.admin, "/readyz", &[]);
    assert_eq!((answer.status, answer.text()), (503, "not ready: certificates\n".to_owned()));
}

fn app_readiness(app: &TestApp) -> consentry::readiness::Blocker {
    app.readiness().block("certificates")
}

#[test]
fn admin_shows_status_and_nothing_else() {
    let origin = slow_origin(0);
    let app = TestApp::start(&site(origin.address, ""));
    let status = app.status();
    assert_eq!(status["listen"]["traffic"][0], app.address.to_string());
    assert_eq!(status["listen"]["admin"], app.admin.to_string());
    assert_eq!(status["ruleset"]["hash"].as_str().unwrap().len(), 64);
    assert!(status["catalog"]["vendors"].as_u64().unwrap() >= 150);
    assert_eq!(get(app.admin, "/metrics", &[]).header("content-type"), Some("text/plain; version=0.0.4"));
    assert_eq!(get(app.admin, "/secrets", &[]).status, 404);
    assert_eq!(get(app.admin, "/-/reload", &[]).status, 405);
    assert_eq!(send(app.admin, "HEAD /status HTTP/1.1\r\nHost: a\r\n\r\n").body, b"");
}

#[test]
fn metrics_match_golden() {
    let origin = slow_origin(0);
    let app = TestApp::start(&site(origin.address, ""));
    // One of everything, so that families without fixed labels show up.
    get(app.address, "/", &[("Cookie", "_ga=1")]);
    send(app.address, "GET / HTTP/1.1\r\n\r\n");
    let dead = TestApp::start("[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:1\"]\n");
    get(dead.address, "/", &[]);
    let secure = Authority::new().app(&["shop.example"], "", &site(origin.address, ""));
    let text = [&app, &dead, &secure].map(|app| get(app.admin, "/metrics", &[]).text()).concat();
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels: Vec<_> = if line.contains('{') {
            rest.split('}')
                .next()
                .unwrap()
                .split(',')
                .map(|label| label.split('=').next().unwrap())
                .filter(|label| *label != "le")
                .collect()
        } else {
            Vec::new()
        };
        let name = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        families.insert(format!("{name}{{{}}}", labels.join(",")));
    }
    let found: Vec<_> = families.iter().map(String::as_str).collect();
    let golden: Vec<_> = include_str!("../golden/metrics.txt").lines().collect();
    assert_eq!(found, golden, "metrics changed: update the golden file and docs/operations.md");
}

#[test]
fn logs_hold_nothing_personal() {
    let origin = slow_origin(0);
    let app = TestApp::start(&site(origin.address, "[[site.share]]\npath = \"/s/{token}\"\nevent = \"open\""));
    let fields = [
        ("Cookie", "PHPSESSID=secret-session; _ga=secret-ga"),
        ("User-Agent", "secret-agent"),
        ("Referer", "https://secret-referer/"),
    ];
    get(app.address, "/s/secret-token?key=secret-query", &fields);
    get(app.address, "/cart?key=secret-query", &fields);
    eventually("both lines are written", || app.access_log().lines().count() == 2);
    let log = app.access_log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["path"], &lines[1]["path"]), (&"/s/{token}".into(), &"/cart".into()));
    assert_eq!(
        (&lines[1]["site"], &lines[1]["status"], &lines[1]["ruleset"]),
        (&"shop".into(), &200.into(), &1.into())
    );
    let metrics = get(app.admin, "/metrics", &[]).text() + &get(app.admin, "/status", &[]).text();
    for text in [&log, &metrics] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(!log.contains("127.0.0.1"), "{log}");
}

/// A proxy like ours in everything that matters here, but with a bug.
struct Buggy {
    upstream: std::net::SocketAddr,
    in_flight: prometheus::IntGauge,
}

#[async_trait::async_trait]
impl pingora::proxy::ProxyHttp for Buggy {
    type CTX = consentry::proxy::InFlight;

    fn new_ctx(&self) -> Self::CTX {
        consentry::proxy::InFlight::enter(&self.in_flight)
    }

    async fn request_filter(&self, session: &mut pingora::proxy::Session, _: &mut Self::CTX) -> pingora::Result<bool> {
        assert!(session.req_header().uri.path() != "/bug", "on purpose");
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _: &mut pingora::proxy::Session,
        _: &mut Self::CTX,
    ) -> pingora::Result<Box<pingora::upstreams::peer::HttpPeer>> {
        Ok(Box::new(pingora::upstreams::peer::HttpPeer::new(self.upstream, false, String::new())))
    }
}

#[test]
fn panic_in_filter_keeps_server_and_gauge_correct() {
    let origin = slow_origin(0);
    let app = TestApp::start(&site(origin.address, ""));
    let limits = consentry::config::load(&app.config).config.unwrap().limits;
    let (metrics, connections) = (app.metrics(), std::sync::Arc::<consentry::net::Connections>::default());
    consentry::telemetry::watch_panics(metrics.panics.clone());
    let bound = consentry::net::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let conf = std::sync::Arc::new(pingora::server::configuration::ServerConf::default());
    let proxy = || {
        let buggy = Buggy { upstream: origin.address, in_flight: metrics.requests_in_flight.clone() };
        pingora::proxy::http_proxy(&conf, buggy)
    };
    let ignore = std::sync::Arc::new(|_: &'static str| {});
    let _workers = consentry::net::Workers::start(
        1,
        &[consentry::net::Listener { socket: bound.listener, tls: None }],
        &limits,
        connections.clone(),
        ignore,
        proxy,
    )
    .unwrap();
    for round in 1..=3 {
        let mut client = Client::connect(bound.address);
        client.write(request("GET", "/bug", &[]));
        assert!(client.is_closed(), "this connection is lost");
        assert_eq!(get(bound.address, "/", &[]).status, 200, "and no other");
        app.expect_metric("consentry_panics_total", f64::from(round));
    }
    app.expect_metric("consentry_requests_in_flight", 0.0);
    eventually("no connection is counted any more", || connections.open() == 0);
}
