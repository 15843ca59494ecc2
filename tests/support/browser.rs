//! A real Chromium, driven over the DevTools protocol.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// One browser with one page, and a profile of its own.
pub struct Browser {
    process: Child,
    runtime: tokio::runtime::Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    number: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Knows no host but this machine: a tracker that is asked for must not be found.
    pub fn start() -> Self {
        Self::start_with("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    }

    /// Finds hosts by `rules`, in the syntax of `--host-resolver-rules`.
    pub fn start_with(rules: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = ["chromium", "chromium-browser"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok());
        let mut process = Command::new(program.expect("Chromium is installed: `make test` does that"))
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--host-resolver-rules={rules}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned)).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _) = runtime.block_on(tokio_tungstenite::connect_async(&address)).unwrap();
        let mut browser = Browser { process, runtime, socket, session: String::new(), number: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Calls a method of the protocol and waits for its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let (number, socket) = (self.number, &mut self.socket);
        let answer = async {
            socket.send(message.to_string().into()).await.unwrap();
            loop {
                let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
                let answer: Value = serde_json::from_str(&text).unwrap();
                if answer["id"] == number {
                    return answer;
                }
            }
        };
        let answer =
            self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), answer).await.unwrap() });
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Opens a page and waits until it has loaded, and its scripts have had time to do what they do.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.settle();
    }

    /// Waits for the page that is being loaded.
    pub fn settle(&mut self) {
        std::thread::sleep(Duration::from_millis(300));
        super::eventually("the page has loaded", || {
            let state = self.call("Runtime.evaluate", json!({ "expression": "document.readyState" }));
            state["result"]["value"] == "complete"
        });
        std::thread::sleep(Duration::from_millis(700));
    }

    /// The value of an expression in the page; a promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Names of all cookies in the jar, whatever their place.
    pub fn jar(&mut self) -> BTreeSet<String> {
        let cookies = self.call("Network.getAllCookies", json!({}));
        let names =
            cookies["cookies"].as_array().unwrap().iter().map(|cookie| cookie["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// Puts a cookie into the jar, as a script or an earlier visit would have.
    pub fn put(&mut self, url: &str, name: &str, path: &str) {
        self.call("Network.setCookie", json!({ "url": url, "name": name, "value": "1", "path": path }));
    }

    /// What a person reads on the page.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
