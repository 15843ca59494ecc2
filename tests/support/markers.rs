//! Planted values, in every spelling in which one may come out again, and a load that plants them everywhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::client::request;
use super::ledger::Place;
use super::{Client, Origin, Request, respond, respond_with};

/// What identifies somebody or opens something, and must not be kept.
pub const TOKEN: &str = "k9ZzPlantedTokenW3xQ";
pub const E_MAIL: &str = "anna.planted@mail.example";
pub const REFERRER_PATH: &str = "planted-inbox/thread-4711";
pub const SESSION: &str = "planted5e55ion0123456789abcdef";
pub const AGENT: &str =
    "Mozilla/5.0 (X11; PlantedOS x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.4711.99 Safari/537.36";
pub const FILE: &str = "planted-salary-list.pdf";

/// Said by a trusted proxy.
pub const FORWARDED: [&str; 5] = [
    "203.0.113.177",
    "198.51.100.223",
    "::ffff:203.0.113.205",
    "2001:db8:4711:17:8a2e:370:7334:99",
    "2001:db8:beef:feed::7e57",
];

/// A peer that is no trusted proxy.
pub const DIRECT: Ipv4Addr = Ipv4Addr::new(127, 77, 188, 199);

/// The words of a marker that is text.
pub const WORDS: [&str; 6] = [TOKEN, E_MAIL, REFERRER_PATH, SESSION, "PlantedOS", FILE];

pub fn addresses() -> Vec<IpAddr> {
    let forwarded = FORWARDED.iter().map(|address| address.parse().unwrap());
    forwarded.chain([DIRECT.into()]).collect()
}

/// All ways to write `bytes` as text that are looked for, itself included.
pub fn spellings(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut all = BTreeSet::from([bytes.to_vec(), bytes.to_ascii_lowercase(), bytes.to_ascii_uppercase()]);
    for text in [hex, percent] {
        all.insert(text.to_uppercase().into_bytes());
        all.insert(text.into_bytes());
    }
    all.insert(bytes.iter().flat_map(|byte| [*byte, 0]).collect());
    all.insert(bytes.iter().flat_map(|byte| [0, *byte]).collect());
    for unreserved in [&b"-._~"[..], b"-_", b"/"] {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || unreserved.contains(byte);
        let spell = |byte: &u8| if plain(byte) { vec![*byte] } else { format!("%{byte:02X}").into() };
        all.insert(bytes.iter().flat_map(spell).collect());
    }
    // What goes before moves the digits: each alignment, without those that belong to neighbours, too.
    for before in 0..3 {
        let shifted = [&[0_u8, 0][..before.min(2)], bytes].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            let first = (before * 8).div_ceil(6);
            let whole = shifted.len() * 8 / 6;
            all.insert(text.as_bytes()[first..whole].to_vec());
        }
    }
    all
}

/// All ways to write an address.
pub fn address_spellings(address: IpAddr) -> BTreeSet<Vec<u8>> {
    let mut texts = BTreeSet::new();
    let mut all = BTreeSet::new();
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            texts.extend([
                v4.to_string(),
                v4.to_ipv6_mapped().to_string(),
                format!("{d}.{c}.{b}.{a}"),
                format!("{a:03}.{b:03}.{c:03}.{d:03}"),
            ]);
            texts.extend([format!("{}", v4.to_bits()), format!("{a:02x}{b:02x}:{c:02x}{d:02x}")]);
            for octets in [[a, b, c, d], [d, c, b, a]] {
                all.extend(spellings(&octets).into_iter().filter(|spelling| spelling.len() >= 4));
            }
        }
        IpAddr::V6(v6) => {
            let groups = v6.segments();
            let joined = |groups: &[u16], wide: bool| {
                let group = |group: &u16| if wide { format!("{group:04x}") } else { format!("{group:x}") };
                groups.iter().map(group).collect::<Vec<_>>().join(":")
            };
            texts.extend([v6.to_string(), joined(&groups, true), joined(&groups, false)]);
            // The network alone is enough.
            texts.extend([joined(&groups[..4], true), joined(&groups[..4], false)]);
            let octets = v6.octets();
            for part in [&octets[..], &octets[..8]] {
                all.extend(spellings(part));
                all.extend(spellings(&part.iter().rev().copied().collect::<Vec<_>>()));
            }
        }
    }
    all.extend(texts.iter().flat_map(|text| spellings(text.as_bytes())));
    // A digest without a key is the address to anybody who tries them all.
    all.extend(texts.iter().flat_map(|text| digests(text.as_bytes())));
    all
}

fn digests(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    let heads = [&SHA256, &SHA1_FOR_LEGACY_USE_ONLY].map(|kind| digest(kind, bytes).as_ref()[..8].to_vec());
    heads.iter().flat_map(|head| spellings(head)).collect()
}

/// All markers in all their spellings.
pub struct Markers {
    names: Vec<String>,
    spellings: AhoCorasick,
}

impl Markers {
    /// Spellings of fewer than `least` bytes are left out: among enough other bytes, they come about by chance.
    pub fn new(least: usize) -> Self {
        let words = WORDS.map(|word| {
            let all: BTreeSet<_> = spellings(word.as_bytes()).into_iter().chain(digests(word.as_bytes())).collect();
            (word.to_owned(), all)
        });
        let addresses = addresses().into_iter().map(|address| (address.to_string(), address_spellings(address)));
        let all = words.into_iter().chain(addresses);
        let (names, spellings): (Vec<_>, Vec<_>) = all
            .flat_map(|(name, all)| all.into_iter().map(move |spelling| (name.clone(), spelling)))
            .filter(|(_, spelling)| spelling.len() >= least)
            .unzip();
        Markers { names, spellings: AhoCorasick::new(spellings).unwrap() }
    }

    /// Which markers are in `bytes`, and between what.
    pub fn found(&self, bytes: &[u8]) -> Vec<String> {
        let found = self.spellings.find_overlapping_iter(bytes).map(|hit| {
            let around = &bytes[hit.start().saturating_sub(40)..(hit.end() + 40).min(bytes.len())];
            let name = &self.names[hit.pattern()];
            format!("{name} as {:?} in {:?}", text(&bytes[hit.range()]), text(around))
        });
        found.collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', ".")
}

/// An origin that answers as the address asks it to.
pub fn origin() -> Origin {
    Origin::start(|request: &Request| {
        let target = &*request.target;
        let range = request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
        match () {
            () if target.contains("broken") => Vec::new(),
            () if target.contains("denied") => respond(403, "no"),
            () if target.contains("gone") => respond(410, "gone"),
            () if target.contains("missing") => respond(404, "none"),
            () if target.contains("socket") => {
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec()
            }
            () if request.method == "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n".to_vec(),
            () if range.is_some() => {
                let first = range.unwrap_or_default();
                respond_with(206, &[("Content-Range", &format!("bytes {first}-{}/3000", first + 99))], &"x".repeat(100))
            }
            () => respond_with(200, &[("Content-Type", "text/html"), ("Set-Cookie", "session=new")], "<p>hello</p>"),
        }
    })
}

/// Sends each kind of request, with markers wherever one can stand. What came back of the proxy's own making.
pub fn plant(address: SocketAddr) -> Vec<u8> {
    let referrer = format!("https://webmail.planted-domain.example/{REFERRER_PATH}?to={E_MAIL}");
    let cookies = format!("session={SESSION}; mail={E_MAIL}; consentry=1~analytics~~1700000000~{SESSION}");
    let share = format!("/s/{TOKEN}?mail={E_MAIL}&sid={SESSION}");
    let targets = [
        share.clone(),
        format!("/s/{TOKEN}/files/{FILE}?mail={E_MAIL}"),
        format!("/s/{TOKEN}-denied"),
        format!("/s/{TOKEN}-gone"),
        format!("/s/{TOKEN}-missing"),
        format!("/s/{TOKEN}-broken"),
        format!("/page?missing={TOKEN}&mail={E_MAIL}"),
        format!("/broken?{E_MAIL}"),
        format!("/g/collect?v=2&tid=G-ABCDEF1234&cid=1.2&uid={E_MAIL}"),
        format!("/.consentry/preferences?from={E_MAIL}"),
        format!("/.consentry/other?{TOKEN}"),
    ];
    let mut own = Vec::new();
    for forwarded in FORWARDED {
        let fields = [("X-Forwarded-For", forwarded), ("User-Agent", AGENT), ("Referer", &*referrer)];
        for target in &targets {
            for more in [&[][..], &[("Cookie", &*cookies)], &[("Range", "bytes=100-199")], &[("Purpose", "prefetch")]] {
                own.extend(exchange(connect(address), request("GET", target, &[&fields, more].concat()).as_bytes()));
            }
            own.extend(exchange(connect(address), request("HEAD", target, &fields).as_bytes()));
        }
        for start in (0..30).map(|part| format!("bytes={}-", part * 100)) {
            let more = [("Range", &*start)];
            exchange(connect(address), request("GET", &targets[1], &[&fields[..], &more].concat()).as_bytes());
        }
        let body = format!("mail={E_MAIL}&token={TOKEN}");
        let length = body.len().to_string();
        let post = request("POST", &share, &[&fields[..], &[("Content-Length", &*length)]].concat()) + &body;
        own.extend(exchange(connect(address), post.as_bytes()));
        let huge = format!("{E_MAIL}{TOKEN}").repeat(4000);
        own.extend(exchange(
            connect(address),
            request("GET", &share, &[&fields[..], &[("X-Huge", &*huge)]].concat()).as_bytes(),
        ));
        for line in ["X-Odd : {}", "X-Odd: \0{}", "Host: {} {}", "Content-Length: {}", "X-Forwarded-For: {},,,{}"] {
            let odd = line.replace("{}", TOKEN);
            let odd =
                format!("GET {share} HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {forwarded}\r\n{odd}\r\n\r\n");
            own.extend(exchange(connect(address), odd.as_bytes()));
        }
        own.extend(exchange(connect(address), format!("{TOKEN} {E_MAIL} {forwarded}\r\n\r\n").as_bytes()));
        let upgrade = [&fields[..], &[("Connection", "Upgrade"), ("Upgrade", "websocket")]].concat();
        let mut socket = connect(address);
        socket.try_write(request("GET", &format!("/socket?{E_MAIL}"), &upgrade));
        socket.head();
        socket.try_write(format!("{TOKEN} {E_MAIL} {SESSION}"));
    }
    for target in &targets {
        let fields = [("User-Agent", AGENT), ("Referer", &*referrer)];
        own.extend(exchange(connect_from(DIRECT, address), request("GET", target, &fields).as_bytes()));
    }
    own
}

fn connect(address: SocketAddr) -> Client {
    Client::connect(address)
}

fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    Client::over(TcpStream::from(socket))
}

/// The answer to `request`, header and body, if there is one.
fn exchange(mut client: Client, request: &[u8]) -> Vec<u8> {
    let is_head = request.starts_with(b"HEAD ");
    client.try_write(request);
    let Some(response) = client.response(is_head) else { return Vec::new() };
    // The path of a cookie that goes is told to whoever asked for that path.
    let fields = response.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
    let fields = fields.flat_map(|(name, value)| format!("{name}: {value}\n").into_bytes());
    fields.chain(response.body.iter().copied()).collect()
}

/// A place before [`origin`], for [`plant`], with `more` sections in its configuration.
pub fn place(more: &str) -> Place {
    Place::before(origin(), more)
}
