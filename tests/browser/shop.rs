//! The shop: a site with things of its own that must work whatever is denied, and pages that track.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

use super::mechanism::{self, Mechanism};
use super::{policies, vendors};
use crate::support::origin::{Request, read_request, serve};
use crate::support::{TestApp, respond_with, site};

const SHELL: &str = include_str!("pages/shell.html");

/// Cookies that are the shop's own, and needed; `consentry` is the proxy's.
pub const OWN_COOKIES: [&str; 3] = ["session", "cart_items", "consentry"];

/// The shop's server.
pub struct Shop {
    pub address: SocketAddr,
    collected: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    pub fn open() -> Self {
        let turns = Arc::new([mechanism::all(0), mechanism::all(1)]);
        let collected = Arc::<Mutex<Vec<String>>>::default();
        let log = collected.clone();
        Shop { address: serve(move |stream| keep(BufReader::new(stream), &turns, &log)), collected }
    }

    /// The proxy in front of the shop, with more settings for the site in `extra`.
    pub fn behind_proxy(&self, extra: &str) -> TestApp {
        let own = "[[site.cookie]]\nname = \"cart_*\"\npurpose = \"necessary\"\n";
        TestApp::start(&site(self.address, &format!("{extra}\n{own}")))
    }

    /// What came to the collector that the shop runs itself.
    pub fn collected(&self) -> Vec<String> {
        self.collected.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.collected.lock().unwrap().clear();
    }
}

/// The address under which a browser reaches the shop or the proxy: a secure context, as a shop on the web is.
pub fn url(at: SocketAddr, path: &str) -> String {
    format!("http://shop.localhost:{}{path}", at.port())
}

fn keep(mut reader: BufReader<TcpStream>, turns: &[Vec<Mechanism>; 2], collected: &Mutex<Vec<String>>) {
    while let Some(request) = read_request(&mut reader) {
        if request.target == "/own/socket" {
            return echo(&request, reader.into_inner());
        }
        if request.target.starts_with("/matomo.") {
            collected.lock().unwrap().push(request.target.clone());
        }
        if reader.get_mut().write_all(&answer(&request, turns)).is_err() {
            return;
        }
    }
}

fn answer(request: &Request, turns: &[Vec<Mechanism>; 2]) -> Vec<u8> {
    let path = request.target.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let of_turn = |turn: &str| &turns[usize::from(turn == "1")];
    let named = |name: &str| turns.iter().flatten().find(|mechanism| mechanism.name == name);
    match parts[..] {
        ["own", part] => own(request, part),
        ["every", turn] => together(of_turn(turn).iter().filter(|mechanism| !mechanism.is("alone")), ""),
        ["all", turn] => {
            let seen = |mechanism: &&Mechanism| !mechanism.is("alone") && !mechanism.is("csp");
            together(of_turn(turn).iter().filter(seen), "")
        }
        ["alone", name] => named(name).map_or_else(missing, |mechanism| together([mechanism].into_iter(), " data-few")),
        ["bare", name] => named(name).map_or_else(missing, |mechanism| page(&mechanism.fields, &mechanism.markup)),
        ["vendor", name] => vendors::snippet(name).map_or_else(missing, |markup| shell(&[], "", markup, "", "")),
        ["policy", name] => policies::page(name)
            .map_or_else(missing, |strict| shell(&strict.fields, &strict.head, &strict.body, &strict.attributes, "")),
        ["matomo.js"] => respond_with(200, &[("Content-Type", "text/javascript")], include_str!("pages/matomo.js")),
        ["matomo.php"] => respond_with(204, &[], ""),
        _ => missing(),
    }
}

/// A page with several mechanisms.
fn together<'a>(mechanisms: impl Iterator<Item = &'a Mechanism>, parts: &str) -> Vec<u8> {
    let (mut head, mut body, mut fields) = (String::new(), String::new(), Vec::new());
    for mechanism in mechanisms {
        if mechanism.is("frame") {
            let sandbox = if mechanism.is("sandbox") { "sandbox=\"allow-same-origin\" " } else { "" };
            let name = &mechanism.name;
            body += &format!(
                "<iframe {sandbox}src=\"/bare/{name}\" title=\"{name}\" width=\"20\" height=\"20\"></iframe>\n"
            );
            continue;
        }
        fields.extend_from_slice(&mechanism.fields);
        let place = if mechanism.is("head") { &mut head } else { &mut body };
        place.push_str(&mechanism.markup);
        place.push('\n');
    }
    shell(&fields, &head, &body, "", parts)
}

fn shell(fields: &[(String, String)], head: &str, body: &str, nonce: &str, parts: &str) -> Vec<u8> {
    page(fields, &SHELL.replace("$NONCE", nonce).replace("$PARTS", parts).replace("$HEAD", head).replace("$BODY", body))
}

fn page(fields: &[(String, String)], html: &str) -> Vec<u8> {
    let mut all = vec![("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")];
    all.extend(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    respond_with(200, &all, html)
}

fn own(request: &Request, part: &str) -> Vec<u8> {
    let file =
        |kind: &str, text: &str| respond_with(200, &[("Content-Type", kind), ("Cache-Control", "no-store")], text);
    match part {
        "own.js" => file("text/javascript", include_str!("pages/own.js")),
        "part.js" => file("text/javascript", "var ownPart = true;"),
        "worker.js" => file("text/javascript", include_str!("pages/worker.js")),
        "service-worker.js" => file("text/javascript", include_str!("pages/service-worker.js")),
        "style.css" => file("text/css", "#own-title { letter-spacing: 3px }"),
        "image.svg" => file("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'/>"),
        "silence.wav" => file("audio/wav", SILENCE),
        "data.json" => file("application/json", "{\"price\":48}"),
        "form" => file("text/plain", &String::from_utf8_lossy(&request.body)),
        "login" => respond_with(200, &[("Set-Cookie", "session=ada; Path=/; HttpOnly; SameSite=Lax")], "welcome"),
        "account" => {
            let cookies = request.header("cookie").unwrap_or_default();
            file("text/plain", if cookies.contains("session=ada") { "welcome back" } else { "who is it?" })
        }
        _ => missing(),
    }
}

/// Eight samples of 8 bits.
const SILENCE: &str =
    "RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x08\0\0\0@@@@@@@@";

fn missing() -> Vec<u8> {
    respond_with(404, &[("Content-Type", "text/plain")], "there is no such thing")
}

/// Says each message again.
fn echo(request: &Request, mut stream: TcpStream) {
    let key = derive_accept_key(request.header("sec-websocket-key").unwrap_or_default().as_bytes());
    let fields = format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}");
    write!(stream, "HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n").ok();
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    while let Ok(message) = socket.read() {
        if let Ok(text) = message.into_text()
            && socket.send(format!("echo {text}").into()).is_err()
        {
            return;
        }
    }
}
