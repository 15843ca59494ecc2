//! What watches the proxy: its metrics by Prometheus' own checks, the alerts, and each question of the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::deployment::{root, script, succeeds};
use crate::support::ledger::Proxy;
use crate::support::{Origin, TestApp, eventually, everything, get, respond_with, send};

#[test]
fn each_alert_fires_and_stays_quiet() {
    script("alerts.py");
}

/// A page that tracks, with a cookie that no rule knows.
fn origin() -> Origin {
    let page =
        "<!doctype html><title>shop</title><script src=\"https://www.google-analytics.com/analytics.js\"></script>";
    let fields = [("Content-Type", "text/html; charset=utf-8"), ("Set-Cookie", "mystery=1"), ("Set-Cookie", "_ga=1")];
    Origin::start(move |_| respond_with(200, &fields, page))
}

/// A proxy with a ledger: one site that enforces and has a share link, one that observes, one whose upstream is gone.
fn proxy(origin: SocketAddr) -> (TempDir, Proxy) {
    let site = |name: &str, upstream: &str, mode: &str, more: &str| {
        let hosts = format!("hosts = [\"{name}.example\"]\nupstream = [\"http://{upstream}\"]");
        format!("[[site]]\nname = \"{name}\"\n{hosts}\nmode = \"{mode}\"\n{more}")
    };
    let (directory, origin) = (tempfile::tempdir().unwrap(), origin.to_string());
    fs::create_dir(directory.path().join("data")).unwrap();
    let ledger = "[ledger]\npath = \"data/ledger.sqlite\"\nkeys = \"keys\"\n";
    let sites = [
        site("shop", &origin, "enforce", "[[site.share]]\npath = \"/s/{token}\"\n"),
        site("blog", &origin, "observe", ""),
        site("gone", "127.0.0.1:1", "enforce", ""),
    ];
    let path = directory.path().join("consentry.toml");
    fs::write(&path, TestApp::configuration(ledger, &sites.concat())).unwrap();
    let proxy = Proxy::start(&path);
    eventually("the proxy is ready", || get(proxy.admin, "/readyz", &[]).status == 200);
    (directory, proxy)
}

/// Requests of every kind, once.
fn visit(address: SocketAddr) {
    let yes = everything();
    for host in ["shop.example", "blog.example"] {
        get(address, "/", &[("Host", host), ("Cookie", &yes)]);
        get(address, "/?gclid=1", &[("Host", host), ("Cookie", "_ga=1; mystery=2")]);
        get(address, "/collect?v=1&tid=UA-1-1&cid=1&t=pageview", &[("Host", host)]);
    }
    get(address, "/s/q7XpL2vRk9Tz", &[]);
    get(address, "/", &[("Host", "gone.example")]);
    get(address, "/", &[("Host", "unknown.example")]);
    send(address, "GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn metrics_are_as_prometheus_wants_them() {
    let origin = origin();
    let (_directory, proxy) = proxy(origin.address);
    visit(proxy.address);
    let metrics = get(proxy.admin, "/metrics", &[]).body;
    proxy.stop();
    let mut check = Command::new("promtool");
    let mut check = check
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(&metrics).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Prometheus of Debian's package, which scrapes one proxy every second, with our rules.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let rules = root().join("config/prometheus");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/*.yaml']\n\
             scrape_configs: [{{job_name: consentry-admin, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        succeeds(Command::new("promtool").args(["check", "config"]).arg(&config));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Prometheus is installed: `make test` does that");
        Prometheus { process, address, _directory: directory }
    }

    /// The values of all series that `query` finds now; none before the server listens.
    fn values(&self, query: &str) -> Vec<f64> {
        if std::net::TcpStream::connect(self.address).is_err() {
            return Vec::new();
        }
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.address, &format!("/api/v1/query?query={encoded}"), &[]);
        if answer.status == 503 {
            return Vec::new();
        }
        let answer = answer.json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn dashboard() -> Value {
    serde_json::from_slice(&fs::read(root().join("config/grafana/consentry.json")).unwrap()).unwrap()
}

/// All questions of the dashboard, with what Grafana puts in the place of its variables.
fn questions() -> BTreeSet<String> {
    let dashboard = dashboard();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled =
        |target: &Value| target["expr"].as_str().unwrap().replace("$site", ".*").replace("$__rate_interval", "10s");
    let questions: BTreeSet<_> = targets.map(filled).collect();
    assert!(questions.iter().all(|question| !question.contains('$')), "{questions:#?}");
    questions
}

/// What the recording rules make.
fn recorded() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("config/prometheus/recording.yaml")).unwrap();
    text.lines().filter_map(|line| line.trim().strip_prefix("- record: ").map(str::to_owned)).collect()
}

#[test]
fn every_question_of_the_dashboard_has_an_answer() {
    let origin = origin();
    let (_directory, proxy) = proxy(origin.address);
    let prometheus = Prometheus::start(proxy.admin);
    let (address, go_on) = (proxy.address, Arc::new(AtomicBool::new(true)));
    let visitor = std::thread::spawn({
        let go_on = go_on.clone();
        move || {
            while go_on.load(Ordering::Relaxed) {
                visit(address);
            }
        }
    });
    let mut unanswered: Vec<_> = questions().into_iter().chain(recorded()).collect();
    assert!(unanswered.len() > 50, "{unanswered:#?}");
    // Rates need two scrapes, and rules one more round.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !unanswered.is_empty() && Instant::now() < deadline {
        unanswered.retain(|question| !prometheus.values(question).iter().any(|value| value.is_finite()));
        std::thread::sleep(Duration::from_millis(200));
    }
    go_on.store(false, Ordering::Relaxed);
    visitor.join().unwrap();
    proxy.stop();
    assert!(unanswered.is_empty(), "no data for: {unanswered:#?}");
    assert!(prometheus.values("site_purpose:consentry_grants:ratio_rate1h{purpose=\"marketing\"} < 0.9").len() >= 2);
    assert!(prometheus.values("no_such_metric").is_empty());
    assert!(prometheus.values("ALERTS{alertname=\"ConsentryDown\"}").is_empty());
}

#[test]
fn panels_of_the_dashboard_do_not_overlap() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} lies over another panel", panel["title"]);
        }
    }
}
