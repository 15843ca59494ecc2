//! The proxy, in this process, on free ports, with its configuration in a directory of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use consentry::app::App;
use consentry::config;
use consentry::ledger::recording::Recording;
use tempfile::TempDir;

use super::client::get;

/// A running proxy.
pub struct TestApp {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub traffic_tls: Option<SocketAddr>,
    pub directory: TempDir,
    pub config: PathBuf,
    log: SharedLog,
    app: Option<App>,
}

#[derive(Clone, Default)]
struct SharedLog(Arc<Mutex<Vec<u8>>>);

impl Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A site called `shop` for any host, in front of `origin`, with more settings in `extra`.
pub fn site(origin: SocketAddr, extra: &str) -> String {
    format!("[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"http://{origin}\"]\n{extra}\n")
}

impl TestApp {
    /// Starts with the sites in `sites`; the rest of the configuration suits tests.
    pub fn start(sites: &str) -> Self {
        Self::start_with("", sites)
    }

    /// As [`TestApp::start`], with further sections such as `[limits]`.
    pub fn start_with(sections: &str, sites: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, &Self::configuration(sections, sites))
    }

    /// The whole text of a configuration for a test.
    pub fn configuration(sections: &str, sites: &str) -> String {
        let server = if sections.contains("[server]") {
            ""
        } else {
            "[server]\nthreads = 2\nlame_duck_seconds = 0\ndrain_seconds = 5\n"
        };
        format!("[listen]\ntraffic = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n{server}{sections}\n{sites}")
    }

    pub fn start_in(directory: TempDir, text: &str) -> Self {
        let config = directory.path().join("consentry.toml");
        std::fs::write(&config, text).unwrap();
        Self::start_file(directory, config)
    }

    /// Starts with a configuration that is written already.
    pub fn start_file(directory: TempDir, path: PathBuf) -> Self {
        Self::start_recording(directory, path, None)
    }

    /// The same, with the accesses to share links going to `recording`.
    pub fn start_recording(directory: TempDir, path: PathBuf, recording: Option<Arc<Recording>>) -> Self {
        let loaded = config::load(&path);
        let problems: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let config = loaded.config.unwrap_or_else(|| panic!("the configuration is not valid: {problems:#?}"));
        let log = SharedLog::default();
        let app = App::start(&path, config, loaded.diagnostics, log.clone(), recording).unwrap();
        let app = TestApp {
            address: app.traffic.first().or(app.traffic_tls.first()).copied().unwrap(),
            admin: app.admin,
            traffic_tls: app.traffic_tls.first().copied(),
            directory,
            config: path,
            log,
            app: Some(app),
        };
        super::eventually("the proxy is ready", || get(app.admin, "/readyz", &[]).status == 200);
        app
    }

    /// Replaces the configuration in place and waits until the new one is in force.
    pub fn reconfigure(&self, sections: &str, sites: &str) {
        let before = self.version();
        std::fs::write(&self.config, Self::configuration(sections, sites)).unwrap();
        super::send(self.admin, "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(self.version(), before + 1, "{}", self.status());
    }

    pub fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&get(self.admin, "/status", &[]).body).unwrap()
    }

    pub fn version(&self) -> u64 {
        self.status()["ruleset"]["version"].as_u64().unwrap()
    }

    /// The value of the metric whose series begins with `series`, labels included; 0 if there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let text = String::from_utf8(get(self.admin, "/metrics", &[]).body).unwrap();
        let line = text.lines().find(|line| line.starts_with(series) && line[series.len()..].starts_with(' '));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Waits until the metric has this value: a request is counted only after its answer has gone out.
    pub fn expect_metric(&self, series: &str, value: f64) {
        super::eventually(&format!("{series} is {value}"), || (self.metric(series) - value).abs() < f64::EPSILON);
    }

    /// As [`TestApp::expect_metric`], for cookies.
    pub fn expect_cookies(&self, direction: &str, purpose: &str, action: &str, value: f64) {
        super::eventually(&format!("{value} {purpose} cookies of the {direction}: {action}"), || {
            (self.cookies(direction, purpose, action) - value).abs() < f64::EPSILON
        });
    }

    /// Counts of cookies by direction, purpose and action.
    pub fn cookies(&self, direction: &str, purpose: &str, action: &str) -> f64 {
        self.metric(&format!(
            "consentry_cookies_total{{action=\"{action}\",direction=\"{direction}\",purpose=\"{purpose}\",site=\"shop\"}}"
        ))
    }

    pub fn access_log(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    pub fn readiness(&self) -> &consentry::readiness::Readiness {
        &self.app.as_ref().unwrap().readiness
    }

    pub fn metrics(&self) -> std::sync::Arc<consentry::metrics::Metrics> {
        self.app.as_ref().unwrap().metrics.clone()
    }

    /// Drains, on a thread of its own; the result is the number of connections that were cut.
    pub fn drain(&mut self) -> std::thread::JoinHandle<usize> {
        let app = self.app.take().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (_keep, forced) = tokio::sync::watch::channel(false);
            runtime.block_on(app.drain(forced))
        })
    }
}
