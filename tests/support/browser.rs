//! A real Chromium, driven over the DevTools protocol.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Arguments that keep a browser still: it does nothing of its own accord, and what it loads is not held back.
const ARGUMENTS: [&str; 19] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-popup-blocking",
    "--ignore-certificate-errors",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
];

/// Third parties may set cookies: nothing but the proxy prevents them.
const PREFERENCES: &str = r#"{ "profile": { "cookie_controls_mode": 0, "block_third_party_cookies": false } }"#;

/// Hosts that a browser calls for itself, whatever page is open and whatever it is told.
const OWN_HOSTS: [&str; 7] = [
    "accounts.google.com",
    "clients*.google.com",
    "content-autofill.googleapis.com",
    "optimizationguide-pa.googleapis.com",
    "safebrowsing*.googleapis.com",
    "update.googleapis.com",
    "*.gvt1.com",
];

/// One browser with one page, and a profile of its own. (A page in a context made for it would be in another kind of
/// private window, in which no connection is made in advance: a browser for each visitor it is.)
pub struct Browser {
    process: Child,
    runtime: tokio::runtime::Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    number: u64,
    _profile: tempfile::TempDir,
}

/// A cookie in the jar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JarCookie {
    pub name: String,
    pub domain: String,
}

impl Browser {
    /// A browser for which nothing exists but this machine: a tracker that is asked for must not be found.
    pub fn start() -> Self {
        Self::start_with("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    }

    /// A browser for which every host of the world is at `trackers`, whatever the port; only 127.0.0.1 and names below
    /// `localhost` are themselves.
    pub fn in_world(trackers: SocketAddr) -> Self {
        let idle: String = OWN_HOSTS.iter().map(|host| format!("MAP {host} ~NOTFOUND, ")).collect();
        Self::start_with(&format!("EXCLUDE 127.0.0.1, MAP *.localhost 127.0.0.1, {idle}MAP * {trackers}"))
    }

    /// Finds hosts by `rules`, in the syntax of `--host-resolver-rules`.
    pub fn start_with(rules: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        std::fs::create_dir(profile.path().join("Default")).unwrap();
        std::fs::write(profile.path().join("Default/Preferences"), PREFERENCES).unwrap();
        let program = ["chromium", "chromium-browser"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok());
        let mut process = Command::new(program.expect("Chromium is installed: `make test` does that"))
            .args(ARGUMENTS)
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
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.try_call(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method of the protocol and waits for its result.
    fn try_call(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
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
        let answer = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), answer).await });
        let answer = answer.map_err(|_| format!("{method} was not answered in time: {parameters}"))?;
        if answer["error"].is_null() { Ok(answer["result"].clone()) } else { Err(answer["error"].to_string()) }
    }

    /// Begins to load a page; returns as soon as the browser has its header.
    pub fn go(&mut self, url: &str) {
        let result = self.call("Page.navigate", &json!({ "url": url }));
        assert!(result["errorText"].is_null(), "{url}: {}", result["errorText"]);
    }

    /// Opens a page and waits until it has loaded, and its scripts have had time to do what they do.
    pub fn open(&mut self, url: &str) {
        self.go(url);
        self.settle();
    }

    /// Waits for the page that is being loaded.
    pub fn settle(&mut self) {
        std::thread::sleep(Duration::from_millis(300));
        super::eventually("the page has loaded", || self.is_loaded());
        std::thread::sleep(Duration::from_millis(700));
    }

    /// Whether the page and all it consists of has been loaded.
    pub fn is_loaded(&mut self) -> bool {
        self.try_evaluate("document.readyState").is_ok_and(|state| state == "complete")
    }

    /// The value of an expression in the page; a promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// As [`Browser::evaluate`], where the page may be gone before it answers.
    pub fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.try_call("Runtime.evaluate", &parameters)?;
        if result["exceptionDetails"].is_null() {
            Ok(result["result"]["value"].clone())
        } else {
            Err(result.to_string())
        }
    }

    /// Names of all cookies in the jar, whatever their place.
    pub fn jar(&mut self) -> BTreeSet<String> {
        self.cookies().into_iter().map(|cookie| cookie.name).collect()
    }

    /// All cookies in the jar, of this site and of every other.
    pub fn cookies(&mut self) -> BTreeSet<JarCookie> {
        let all = self.call("Network.getAllCookies", &json!({}));
        let text = |cookie: &Value, key: &str| cookie[key].as_str().unwrap().to_owned();
        let cookies = all["cookies"].as_array().unwrap().iter();
        cookies.map(|cookie| JarCookie { name: text(cookie, "name"), domain: text(cookie, "domain") }).collect()
    }

    /// Puts a cookie into the jar, as a script or an earlier visit would have.
    pub fn put(&mut self, url: &str, name: &str, path: &str) {
        self.put_value(url, name, "1", path);
    }

    /// As [`Browser::put`], with a value that matters.
    pub fn put_value(&mut self, url: &str, name: &str, value: &str, path: &str) {
        self.call("Network.setCookie", &json!({ "url": url, "name": name, "value": value, "path": path }));
    }

    /// Takes a cookie out of the jar.
    pub fn take(&mut self, cookie: &JarCookie) {
        self.call("Network.deleteCookies", &json!({ "name": cookie.name, "domain": cookie.domain }));
    }

    /// Takes all cookies out of the jar.
    pub fn clear_cookies(&mut self) {
        self.call("Network.clearBrowserCookies", &json!({}));
    }

    /// Sends this field with every request of the page from now on.
    pub fn send_header(&mut self, name: &str, value: &str) {
        self.call("Network.enable", &json!({}));
        self.call("Network.setExtraHTTPHeaders", &json!({ "headers": { name: value } }));
    }

    /// Runs no script of any page from now on.
    pub fn disable_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
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
