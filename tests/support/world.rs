//! The trackers of the world: one server on loopback that answers for the host of every vendor, over TLS and in the
//! clear, in the kind that is asked for, and keeps a record. What it serves does what such vendors do: its scripts set
//! first-party cookies, write storage keys and report back, and every answer sets a third-party cookie.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::origin::{Request, read_request, serve};

/// A request that reached a tracker.
#[derive(Clone, Debug)]
pub struct Hit {
    pub method: String,
    pub host: String,
    /// Path and query.
    pub target: String,
    /// What the browser wanted it for (`Sec-Fetch-Dest`).
    pub kind: String,
}

impl Hit {
    /// Host, path and query.
    pub fn address(&self) -> String {
        format!("{}{}", self.host, self.target)
    }
}

/// A script that is served at an address, which is a host and the beginning of a path.
pub type VendorScript = (&'static str, &'static str);

/// All trackers there are.
pub struct World {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    hits: Mutex<Vec<Hit>>,
    /// Hosts to which a TLS connection was made, whether anything was asked of them or not.
    greeted: Mutex<Vec<String>>,
}

impl World {
    pub fn start(scripts: Vec<VendorScript>) -> Self {
        let seen = Arc::<Seen>::default();
        let (config, log) = (tls(), seen.clone());
        let address = serve(move |stream| {
            // Both kinds of connection come to the same port: a TLS record begins with 22.
            let mut first = [0];
            if !matches!(stream.peek(&mut first), Ok(1)) {
                return;
            }
            if first == [22] {
                greet(stream, config.clone(), &scripts, &log);
            } else {
                talk(BufReader::new(stream), false, &scripts, &log);
            }
        });
        World { address, seen }
    }

    pub fn hits(&self) -> Vec<Hit> {
        self.seen.hits.lock().unwrap().clone()
    }

    pub fn greeted(&self) -> Vec<String> {
        self.seen.greeted.lock().unwrap().clone()
    }

    /// How much has happened; it only grows until [`World::forget`].
    pub fn count(&self) -> usize {
        self.seen.hits.lock().unwrap().len() + self.seen.greeted.lock().unwrap().len()
    }

    pub fn forget(&self) {
        self.seen.hits.lock().unwrap().clear();
        self.seen.greeted.lock().unwrap().clear();
    }
}

/// One certificate for everybody; the browser is told not to mind.
fn tls() -> Arc<ServerConfig> {
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["tracker.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(key_pair.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap())
}

fn greet(mut stream: TcpStream, config: Arc<ServerConfig>, scripts: &[VendorScript], seen: &Seen) {
    let mut tls = ServerConnection::new(config).unwrap();
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream).is_err() {
            return;
        }
    }
    seen.greeted.lock().unwrap().push(tls.server_name().unwrap_or_default().to_owned());
    talk(BufReader::new(StreamOwned::new(tls, stream)), true, scripts, seen);
}

/// Answers the requests of one connection.
fn talk<S: Read + Write>(mut reader: BufReader<S>, secure: bool, scripts: &[VendorScript], seen: &Seen) {
    while let Some(request) = read_request(&mut reader) {
        let field = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let host = field("host").split(':').next().unwrap_or_default().to_owned();
        let hit =
            Hit { method: request.method.clone(), host, target: request.target.clone(), kind: field("sec-fetch-dest") };
        seen.hits.lock().unwrap().push(hit.clone());
        if field("upgrade").eq_ignore_ascii_case("websocket") {
            let key = derive_accept_key(field("sec-websocket-key").as_bytes());
            let fields = format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}");
            write!(reader.get_mut(), "HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n").ok();
            reader.get_mut().flush().ok();
            // What the page says is of no interest; the connection stays until the page is closed.
            while reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                let length = reader.buffer().len();
                reader.consume(length);
            }
            return;
        }
        let answer = answer(&hit, &request, secure, scripts);
        if reader.get_mut().write_all(&answer).is_err() || reader.get_mut().flush().is_err() {
            return;
        }
    }
}

fn answer(hit: &Hit, request: &Request, secure: bool, scripts: &[VendorScript]) -> Vec<u8> {
    let path = hit.target.split('?').next().unwrap_or_default();
    let address = format!("{}{path}", hit.host);
    let script = scripts.iter().find(|(begin, _)| address.starts_with(begin)).map(|(_, text)| (*text).to_owned());
    let (kind, body) = match script {
        Some(script) => ("text/javascript", script.into_bytes()),
        None => content(hit, path),
    };
    let name: String = hit.host.chars().filter(char::is_ascii_alphanumeric).collect();
    let cookie =
        if secure { format!("Set-Cookie: tp_{name}=1; Path=/; Secure; SameSite=None\r\n") } else { String::new() };
    let origin = request.header("origin").unwrap_or("*");
    let status = if body.is_empty() && kind != "text/css" { "204 No Content" } else { "200 OK" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{cookie}\
         Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n\
         Access-Control-Allow-Headers: content-type\r\n\
         Access-Control-Allow-Private-Network: true\r\nCross-Origin-Resource-Policy: cross-origin\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// What is served where no vendor's own script is: by the ending of the path, else by what the browser wants it for.
fn content(hit: &Hit, path: &str) -> (&'static str, Vec<u8>) {
    let (folder, file) = path.rsplit_once('/').unwrap_or_default();
    let (name, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let ending = match (ending, hit.kind.as_str()) {
        ("js" | "mjs", _) if folder != "/m" => "empty",
        ("js" | "mjs" | "css" | "gif" | "svg" | "html" | "events" | "beacon", _) => ending,
        (_, "script") => "empty",
        (_, "image") => "gif",
        (_, "iframe" | "frame" | "document" | "embed" | "object") => "html",
        (_, "style") => "css",
        _ => "",
    };
    match ending {
        "js" => ("text/javascript", tracking_script(&hit.host, name).into_bytes()),
        "mjs" => ("text/javascript", (tracking_script(&hit.host, name) + "export {};").into_bytes()),
        "empty" => ("text/javascript", b"/* nothing more */".to_vec()),
        "css" => ("text/css", Vec::new()),
        "gif" => ("image/gif", PIXEL.to_vec()),
        "svg" => ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>".to_vec()),
        "html" => ("text/html", b"<!doctype html><title>Tracker</title><script>if (opener) close()</script>".to_vec()),
        "events" => ("text/event-stream", b"retry: 600000\ndata: 1\n\n".to_vec()),
        _ => ("text/plain", Vec::new()),
    }
}

/// A transparent GIF of one pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

/// The cookie and the storage key of the mechanism called `name`: such as the vendors of its purpose use, which the last
/// letter of the name tells (`a`: analytics, `m`: marketing).
pub fn traces(name: &str) -> (String, String) {
    let (cookie, key) = if name.ends_with("-a") { ("_ga_", "_hjSession_") } else { ("_gcl_", "_gcl_ls_") };
    (format!("{cookie}{name}"), format!("{key}{name}"))
}

/// What an unnamed vendor's script does, also in a worker, where there is less to do.
fn tracking_script(host: &str, name: &str) -> String {
    let (cookie, key) = traces(name);
    format!(
        "if (self.document) {{\n\
           document.cookie = '{cookie}=1; Path=/; Max-Age=86400';\n\
           try {{ localStorage.setItem('{key}', '1'); sessionStorage.setItem('{key}', '1'); }} catch {{}}\n\
           navigator.sendBeacon('https://{host}/m/{name}.beacon');\n\
         }} else {{\n\
           fetch('https://{host}/m/{name}.beacon', {{ mode: 'no-cors' }}).catch(() => 0);\n\
         }}\n"
    )
}
