//! The Lantern shop: a sample site that tracks all it can, for `consentry demo` to stand in front of.
//!
//! It knows nothing of consent. Every page sets cookies of each purpose, loads tracking scripts and reports to tracking
//! endpoints, and says what of all that came back to it. Pages and scripts are in `demo/`, its own trackers in
//! [`tracker`], those at hosts of others in [`third_party`]. These hosts are made up, and the shop answers for them. Real
//! ones are only named in header fields, never in a page, and a browser that might follow one is not told: whatever is
//! granted, the demonstration stays on this machine.

mod html;
mod third_party;
mod tracker;
mod visit;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread::JoinHandle;
use std::{fmt::Write, io};

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LINK, LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use tokio::sync::watch;

use self::html::{escape, escape_query, render};
use self::third_party::{Answer, ThirdParties, ThirdParty};
use self::tracker::Trackers;
use self::visit::Visit;
use crate::config::{self, Loaded};
use crate::net::{BindError, Bound, bind, serve_http};
use crate::reload::unix_time;

/// What the demonstration is configured with, but for the ports.
const CONFIGURATION: &str = include_str!("../config/demo.toml");

/// The upstream in that file, which is an example like the rest of it.
const EXAMPLE_UPSTREAM: &str = "http://127.0.0.1:3000";

/// A tracker that redirects onwards.
const BOUNCE: &str = "https://ad.doubleclick.net/ddm/clk/0;0;?url=";

/// As long as trackers like to be remembered, in seconds.
const TWO_YEARS: u64 = 2 * 365 * 86_400;

/// Why the shop cannot open.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// The shop's server, running.
pub struct Shop {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Shop {
    /// Serves the shop on a free port of this machine, on a thread of its own as any other upstream.
    pub fn open() -> Result<Shop, ShopError> {
        let Bound { listener, address } = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let keeper = Shopkeeper::new(address.port());
        let serve = async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => serve_http(listener, keeper, stopped).await,
                Err(error) => log::error!("the shop's listener cannot be used: {error}"),
            }
        };
        let thread = std::thread::Builder::new().name("shop".to_owned()).spawn(move || runtime.block_on(serve))?;
        Ok(Shop { address, stop, thread })
    }

    pub fn close(self) {
        self.stop.send_replace(true);
        // A panic in there was reported when it happened.
        self.thread.join().ok();
    }
}

/// The configuration of the proxy in front of a shop at `shop`.
pub fn configuration(shop: SocketAddr) -> Loaded {
    let text = CONFIGURATION.replace(EXAMPLE_UPSTREAM, &format!("http://{shop}"));
    config::parse(configuration_path(), text.as_bytes(), &|path| std::fs::read(path))
}

/// What the configuration is called in messages. No such file exists, so a reload changes nothing.
pub fn configuration_path() -> &'static Path {
    Path::new("demo.toml (built in)")
}

/// What a person reads in the terminal.
pub fn welcome(traffic: SocketAddr, admin: SocketAddr, shop: SocketAddr) -> String {
    let url = |address: SocketAddr| format!("http://{}", reachable(address));
    // By another name than the proxy, since browsers keep cookies by host name without the port.
    let bare = format!("http://localhost:{}", shop.port());
    let now = unix_time().to_string();
    let values = [("shop", &*url(traffic)), ("admin", &*url(admin)), ("bare", &*bare), ("now", &*now)];
    render(include_str!("demo/welcome.txt"), &values)
}

/// An address to connect to: one that means all of this machine's is only for listening.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}

/// Something to buy.
struct Product {
    slug: &'static str,
    name: &'static str,
    price: &'static str,
    about: &'static str,
}

const PRODUCTS: [Product; 4] = [
    Product {
        slug: "lantern",
        name: "Brass lantern",
        price: "€ 48",
        about: "Burns for nine hours, is seen for a mile, and remembers nobody who passes by.",
    },
    Product {
        slug: "lamp",
        name: "Oil lamp",
        price: "€ 36",
        about: "Blown glass on a heavy foot. Turn the wheel, and the evening gets as bright as you like.",
    },
    Product {
        slug: "candles",
        name: "Beeswax candles",
        price: "€ 12",
        about: "Three of different height, so that they never all go out at once.",
    },
    Product {
        slug: "matches",
        name: "Long matches",
        price: "€ 4",
        about: "Sixty of them. They strike on the box, and only there.",
    },
];

/// Answers what is asked of the shop, and of the third parties that it plays.
struct Shopkeeper {
    /// Where it listens, which is where its pages look for third parties.
    port: u16,
    trackers: Trackers,
    third_parties: ThirdParties,
}

#[async_trait]
impl ServeHttp for Shopkeeper {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let visit = Visit::read(session).await;
        let mut answer = self.answer(&visit);
        let length = HeaderValue::from(answer.body().len());
        answer.headers_mut().insert(CONTENT_LENGTH, length);
        // A tracking script that a browser keeps would still run after consent was withdrawn.
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if visit.is_head {
            answer.body_mut().clear();
        }
        answer
    }
}

impl Shopkeeper {
    fn new(port: u16) -> Self {
        Shopkeeper { port, trackers: Trackers::default(), third_parties: ThirdParties::default() }
    }

    fn answer(&self, visit: &Visit) -> Response<Vec<u8>> {
        if let Some(party) = self.third_parties.at(&visit.host) {
            return self.answer_for(party, visit);
        }
        if let Some(endpoint) = self.trackers.at(&visit.path) {
            return content(endpoint.content_type, endpoint.answer(!visit.is_head));
        }
        let path: Vec<&str> = visit.path.split('/').skip(1).collect();
        if visit.is_read { self.read(visit, &path) } else { self.change(visit, &path) }
    }

    fn answer_for(&self, party: &ThirdParty, visit: &Visit) -> Response<Vec<u8>> {
        let Answer { content_type, body, cookie } = party.answer(&visit.path, self.port, !visit.is_head);
        let mut answer = content(content_type, body);
        if let Some(cookie) = cookie {
            set(&mut answer, SET_COOKIE, cookie);
        }
        answer
    }

    fn read(&self, visit: &Visit, path: &[&str]) -> Response<Vec<u8>> {
        match path {
            [""] => self.front(visit),
            ["product", slug] => self.product(visit, slug),
            ["cart"] => self.cart(visit),
            ["login"] => self.login(visit),
            ["s", token] => {
                self.page(visit, "A shared wish list", include_str!("demo/share.html"), &[("token", &escape(token))])
            }
            ["s", _, "wish-list.txt"] => wish_list(),
            ["out"] => self.out(visit),
            ["tracker-log"] => self.tracker_log(visit),
            ["third-parties.json"] => content("application/json", self.third_parties.counts().into_bytes()),
            ["shop.css"] => content("text/css", include_bytes!("demo/shop.css").to_vec()),
            ["shop.js"] => content("text/javascript", include_bytes!("demo/shop.js").to_vec()),
            ["art.svg"] => content("image/svg+xml", include_bytes!("demo/art.svg").to_vec()),
            ["favicon.svg" | "favicon.ico"] => content("image/svg+xml", include_bytes!("demo/favicon.svg").to_vec()),
            _ => self.missing(visit),
        }
    }

    /// Does what a form asks for, and sends the browser on, so that loading the page again does not do it again.
    fn change(&self, visit: &Visit, path: &[&str]) -> Response<Vec<u8>> {
        match path {
            ["cart"] => {
                let items = if visit.field("empty").is_some() { 0 } else { visit.cart_items().saturating_add(1) };
                see_other("/cart", &cart_cookie(items))
            }
            ["login"] if visit.field("do") == Some("out") => {
                see_other("/login", "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
            }
            ["login"] => see_other("/login", &session_cookie(&format!("member-{}", unix_time()))),
            ["theme"] => {
                let theme = visit::theme(visit.field("theme"));
                see_other(visit.back(), &theme_cookie(theme))
            }
            _ => self.missing(visit),
        }
    }

    fn tracker_log(&self, visit: &Visit) -> Response<Vec<u8>> {
        let values = [
            ("theme", visit.theme()),
            ("rows", &*self.trackers.rows()),
            ("third_parties", &*self.third_parties.rows()),
            ("total", &*(self.trackers.total() + self.third_parties.total()).to_string()),
        ];
        content(HTML, render(include_str!("demo/tracker-log.html"), &values).into_bytes())
    }

    fn front(&self, visit: &Visit) -> Response<Vec<u8>> {
        let card = |product: &Product| {
            let values = [("slug", product.slug), ("name", product.name), ("price", product.price)];
            render(include_str!("demo/card.html"), &values)
        };
        let products: String = PRODUCTS.iter().map(card).collect();
        // Without Consentry there is nobody to take an answer.
        let banner = if visit.is_guarded() { include_str!("demo/banner.html") } else { "" };
        let port = self.port.to_string();
        let values = [("banner", banner), ("products", &*products), ("port", &*port)];
        self.page(visit, "Light for long evenings", include_str!("demo/front.html"), &values)
    }

    fn product(&self, visit: &Visit, slug: &str) -> Response<Vec<u8>> {
        let Some(product) = PRODUCTS.iter().find(|product| product.slug == slug) else { return self.missing(visit) };
        let values =
            [("slug", product.slug), ("name", product.name), ("about", product.about), ("price", product.price)];
        self.page(visit, product.name, include_str!("demo/product.html"), &values)
    }

    fn cart(&self, visit: &Visit) -> Response<Vec<u8>> {
        let count = match visit.cart_items() {
            0 => "is nothing".to_owned(),
            1 => "is one thing".to_owned(),
            many => format!("are {many} things"),
        };
        self.page(visit, "Your cart", include_str!("demo/cart.html"), &[("count", &count)])
    }

    fn login(&self, visit: &Visit) -> Response<Vec<u8>> {
        let values = if visit.is_member() {
            let text = "The cookie <code>session</code> says so. It is necessary, and passes whatever you choose.";
            [("heading", "You are logged in"), ("text", text), ("action", "out"), ("button", "Log out")]
        } else {
            let text = "No name and no password: one click sets the cookie <code>session</code>.";
            [("heading", "Log in"), ("text", text), ("action", "in"), ("button", "Log in")]
        };
        self.page(visit, "Log in", include_str!("demo/login.html"), &values)
    }

    /// Leads to a tracker that leads back here.
    fn out(&self, visit: &Visit) -> Response<Vec<u8>> {
        let back = format!("http://{}/product/lamp?from=partner", visit.host);
        let target = format!("{BOUNCE}{}", escape_query(&back));
        if would_follow(visit) {
            let why =
                if visit.purposes.is_some() { "You allow marketing." } else { "Consentry does not stand in between." };
            let values = [("why", why), ("target", &*escape(&target))];
            return self.page(visit, "Stopped here", include_str!("demo/stopped.html"), &values);
        }
        let mut answer = status(StatusCode::FOUND);
        set(&mut answer, LOCATION, &target);
        answer
    }

    fn missing(&self, visit: &Visit) -> Response<Vec<u8>> {
        let mut answer = self.page(visit, "Not in stock", include_str!("demo/missing.html"), &[]);
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    }

    /// A page with everything around it: `main` is a template that `values` fill.
    fn page(&self, visit: &Visit, title: &str, main: &str, values: &[(&str, &str)]) -> Response<Vec<u8>> {
        let main = render(main, values);
        let (guarded, unguarded) = (include_str!("demo/guarded.html"), include_str!("demo/unguarded.html"));
        let lead = if visit.is_guarded() { guarded } else { unguarded };
        let here = escape(&visit.target);
        let frame = [
            ("title", title),
            ("theme", visit.theme()),
            ("port", &*self.port.to_string()),
            ("member", if visit.is_member() { "Logged in" } else { "Log in" }),
            ("cart", &*visit.cart_items().to_string()),
            ("main", &*main),
            ("here", &*here),
            ("lead", &*render(lead, &[("here", &here)])),
            ("cookies", &*cookie_list(visit)),
            ("purposes", &*purpose_chips(visit)),
            ("request", &*escape(&format!("{} {}", visit.method, visit.target))),
            ("third_parties", &*self.third_parties.rows_with_purpose()),
        ];
        let mut answer = content(HTML, render(include_str!("demo/layout.html"), &frame).into_bytes());
        set_cookies(&mut answer, visit);
        set_tracking_fields(&mut answer, visit);
        answer
    }
}

fn wish_list() -> Response<Vec<u8>> {
    let mut answer = content("text/plain; charset=utf-8", b"A brass lantern\nSix beeswax candles\n".to_vec());
    set(&mut answer, HeaderName::from_static("content-disposition"), "attachment; filename=\"wish-list.txt\"");
    answer
}

/// Whether a tracker named to this visitor would be contacted: by a browser, with nothing in between to prevent it.
fn would_follow(visit: &Visit) -> bool {
    visit.is_browser
        && visit.purposes.as_deref().is_none_or(|purposes| purposes.split(',').any(|purpose| purpose == "marketing"))
}

const HTML: &str = "text/html; charset=utf-8";

fn cookie_list(visit: &Visit) -> String {
    if visit.cookies.is_empty() {
        return "<p class=\"none\">none at all</p>".to_owned();
    }
    let mut list = "<ul class=\"cookies\">".to_owned();
    for (name, value) in &visit.cookies {
        let about = tracker::about(name);
        // Writing to a string does not fail.
        _ = write!(list, "<li><code>{}={}</code> <small>{about}</small></li>", escape(name), escape(value));
    }
    list + "</ul>"
}

fn purpose_chips(visit: &Visit) -> String {
    match &visit.purposes {
        None => "<span class=\"none\">nothing: nobody stands in front of the shop</span>".to_owned(),
        Some(purposes) => {
            purposes.split(',').map(|purpose| format!("<span class=\"chip\">{}</span>", escape(purpose))).collect()
        }
    }
}

/// What the shop would like a browser to keep. What it has already is given a longer life.
fn set_cookies(answer: &mut Response<Vec<u8>>, visit: &Visit) {
    let mut lines = vec![cart_cookie(visit.cart_items()), theme_cookie(visit.theme())];
    lines.extend(visit.cookie("session").map(session_cookie));
    for (name, value) in tracker::cookies(unix_time()) {
        let value = visit.cookie(name).unwrap_or(&value);
        lines.push(format!("{name}={value}; Path=/; Max-Age={TWO_YEARS}; SameSite=Lax"));
    }
    for line in lines {
        if let Ok(line) = HeaderValue::try_from(line) {
            answer.headers_mut().append(SET_COOKIE, line);
        }
    }
}

fn cart_cookie(items: u32) -> String {
    format!("cart_items={items}; Path=/; Max-Age=2592000; SameSite=Lax")
}

fn session_cookie(value: &str) -> String {
    format!("session={value}; Path=/; HttpOnly; SameSite=Lax")
}

fn theme_cookie(theme: &str) -> String {
    format!("theme={theme}; Path=/; Max-Age={TWO_YEARS}; SameSite=Lax")
}

/// Fields that make a browser contact somebody, report to somebody or tell more about itself.
fn set_tracking_fields(answer: &mut Response<Vec<u8>>, visit: &Visit) {
    let report_to =
        r#"{"group":"default","max_age":86400,"endpoints":[{"url":"https://reports.lantern.invalid/nel"}]}"#;
    set(answer, HeaderName::from_static("report-to"), report_to);
    set(answer, HeaderName::from_static("nel"), r#"{"report_to":"default","max_age":86400}"#);
    set(answer, HeaderName::from_static("accept-ch"), "Sec-CH-UA-Full-Version-List, Sec-CH-UA-Model");
    if !would_follow(visit) {
        set(answer, LINK, "<https://www.googletagmanager.com>; rel=preconnect");
    }
}

fn see_other(to: &str, cookie: &str) -> Response<Vec<u8>> {
    let mut answer = status(StatusCode::SEE_OTHER);
    set(&mut answer, LOCATION, to);
    set(&mut answer, SET_COOKIE, cookie);
    answer
}

fn content(content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut answer = Response::new(body);
    set(&mut answer, CONTENT_TYPE, content_type);
    answer
}

fn status(status: StatusCode) -> Response<Vec<u8>> {
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = status;
    answer
}

/// A value that cannot stand in a header section is left out.
fn set(answer: &mut Response<Vec<u8>>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_configuration_is_valid_and_leads_to_the_shop() {
        let loaded = configuration("127.0.0.1:4711".parse().unwrap());
        assert_eq!(loaded.diagnostics, []);
        let config = loaded.config.unwrap();
        let ports: Vec<_> =
            config.sites.iter().flat_map(|site| &site.upstreams).map(|upstream| upstream.port).collect();
        assert_eq!(ports, [4711]);
    }

    #[test]
    fn welcome_names_addresses_to_connect_to() {
        let address = |text: &str| text.parse().unwrap();
        let text = welcome(address("0.0.0.0:81"), address("[::]:82"), address("127.0.0.1:83"));
        for url in ["http://127.0.0.1:81/", "http://[::1]:82/status", "http://localhost:83/"] {
            assert!(text.contains(url), "{url} is missing in:\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }
}
