//! A real Chromium, driven over the DevTools protocol.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
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

/// One browser with a profile of its own. It has one page from the beginning, and can open more.
pub struct Browser {
    process: Child,
    connection: Rc<RefCell<Connection>>,
    page: Page,
    _profile: tempfile::TempDir,
}

/// A tab.
pub struct Page {
    connection: Rc<RefCell<Connection>>,
    session: String,
    /// Pages of one context share cookies and storage; others do not see them.
    context: Option<String>,
}

/// A cookie in the jar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JarCookie {
    pub name: String,
    pub domain: String,
}

struct Connection {
    runtime: tokio::runtime::Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    number: u64,
}

impl Connection {
    /// Calls a method of the protocol and waits for its result.
    fn call(&mut self, session: &str, method: &str, parameters: &Value) -> Result<Value, String> {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !session.is_empty() {
            message["sessionId"] = session.into();
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
}

impl Browser {
    /// A browser for which nothing exists but this machine: a tracker that is asked for must not be found.
    pub fn start() -> Self {
        Self::launch("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    }

    /// A browser for which every host of the world is at `trackers`, whatever the port; only 127.0.0.1 and names below
    /// `localhost` are themselves.
    pub fn in_world(trackers: SocketAddr) -> Self {
        Self::launch(&format!("EXCLUDE 127.0.0.1, MAP *.localhost 127.0.0.1, MAP * {trackers}"))
    }

    fn launch(hosts: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = ["chromium", "chromium-browser"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok());
        let mut process = Command::new(program.expect("Chromium is installed: `make test` does that"))
            .args(ARGUMENTS)
            .arg(format!("--host-resolver-rules={hosts}"))
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
        let connection = Rc::new(RefCell::new(Connection { runtime, socket, number: 0 }));
        let page = Page::create(connection.clone(), None);
        Browser { process, connection, page, _profile: profile }
    }

    /// A page that shares no cookie and no storage with any other.
    pub fn fresh_page(&self) -> Page {
        let created = self.connection.borrow_mut().call("", "Target.createBrowserContext", &json!({})).unwrap();
        Page::create(self.connection.clone(), created["browserContextId"].as_str().map(str::to_owned))
    }
}

impl Deref for Browser {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl DerefMut for Browser {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Page {
    fn create(connection: Rc<RefCell<Connection>>, context: Option<String>) -> Self {
        let mut page = Page { connection, session: String::new(), context };
        let mut wanted = json!({ "url": "about:blank" });
        if let Some(context) = &page.context {
            wanted["browserContextId"] = context.as_str().into();
        }
        let target = page.call("Target.createTarget", &wanted)["targetId"].clone();
        let attached = page.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        page
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let result = self.connection.borrow_mut().call(&self.session, method, parameters);
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
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

    /// As [`Page::evaluate`], where the page may be gone before it answers.
    pub fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.connection.borrow_mut().call(&self.session, "Runtime.evaluate", &parameters)?;
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
        let parameters = self.context.as_ref().map_or(json!({}), |context| json!({ "browserContextId": context }));
        let all = self.connection.borrow_mut().call("", "Storage.getCookies", &parameters).unwrap();
        let text = |cookie: &Value, key: &str| cookie[key].as_str().unwrap().to_owned();
        let cookies = all["cookies"].as_array().unwrap().iter();
        cookies.map(|cookie| JarCookie { name: text(cookie, "name"), domain: text(cookie, "domain") }).collect()
    }

    /// Puts a cookie into the jar, as a script or an earlier visit would have.
    pub fn put(&mut self, url: &str, name: &str, path: &str) {
        self.put_value(url, name, "1", path);
    }

    /// As [`Page::put`], with a value that matters.
    pub fn put_value(&mut self, url: &str, name: &str, value: &str, path: &str) {
        self.call("Network.setCookie", &json!({ "url": url, "name": name, "value": value, "path": path }));
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
