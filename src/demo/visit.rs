//! A request as the shop understands it: what really arrived, so that pages can show it.

use http::Method;
use http::header::{ACCEPT, HOST};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use crate::consent::cookie_pairs;
use crate::policy::{decode_form, query_pairs};

/// Longest body of a form or report that is read.
const MAX_BODY: usize = 64 << 10;

/// One request to the shop.
pub(super) struct Visit {
    pub method: Method,
    pub is_read: bool,
    pub is_head: bool,
    pub path: String,
    /// Path and query.
    pub target: String,
    /// Where the visitor reached the shop.
    pub host: String,
    pub cookies: Vec<(String, String)>,
    /// What the proxy says is granted. `None` if there is no proxy.
    pub purposes: Option<String>,
    /// Whether it is a browser that opens a page.
    pub is_browser: bool,
    form: Vec<(String, String)>,
}

impl Visit {
    pub async fn read(session: &mut ServerSession) -> Visit {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = session.read_request_body().await {
            if body.len() + chunk.len() > MAX_BODY {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Visit::new(session.req_header(), &body)
    }

    fn new(header: &RequestHeader, body: &[u8]) -> Visit {
        let field = |name: &str| header.headers.get(name).map(|value| text(value.as_bytes()));
        Visit {
            is_read: header.method == Method::GET || header.method == Method::HEAD,
            is_head: header.method == Method::HEAD,
            method: header.method.clone(),
            path: header.uri.path().to_owned(),
            target: text(header.raw_path()),
            host: field(HOST.as_str()).unwrap_or_default(),
            cookies: cookie_pairs(&header.headers).map(|pair| (text(pair.name), text(pair.value))).collect(),
            purposes: field("x-consent-purposes"),
            is_browser: field(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html")),
            form: form(body),
        }
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn cart_items(&self) -> u32 {
        self.cookie("cart_items").and_then(|items| items.parse().ok()).unwrap_or(0)
    }

    pub fn is_member(&self) -> bool {
        self.cookie("session").is_some_and(|session| !session.is_empty())
    }

    /// Whether the proxy stands in between.
    pub fn is_guarded(&self) -> bool {
        self.purposes.is_some()
    }

    pub fn theme(&self) -> &'static str {
        theme(self.cookie("theme"))
    }

    /// Where a form wants to return to: a path on this site, else the front page.
    pub fn back(&self) -> &str {
        self.field("back").filter(|path| is_local(path)).unwrap_or("/")
    }
}

/// One of the looks that the shop has.
pub(super) fn theme(wanted: Option<&str>) -> &'static str {
    match wanted {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "auto",
    }
}

/// Browsers read `//` and `/\` as the beginning of a host.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|b| b.is_ascii_graphic())
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    query_pairs(body).map(|(name, value)| (decode_form(name), decode_form(value))).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_returns_only_to_this_site() {
        for (body, back) in [
            ("back=%2Fcart%3Fa%3D1&theme=dark", "/cart?a=1"),
            ("back=%2F%2Fevil.example", "/"),
            ("back=%2F%5Cevil.example", "/"),
            ("back=https%3A%2F%2Fevil.example", "/"),
            ("back=%2Fa%0D%0Ab", "/"),
            ("", "/"),
        ] {
            let header = RequestHeader::build("POST", b"/theme", None).unwrap();
            assert_eq!(Visit::new(&header, body.as_bytes()).back(), back, "{body}");
        }
    }
}
