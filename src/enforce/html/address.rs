//! Addresses in a page, read as browsers read them (URL Standard; HTML Standard, section 2.4).

use std::borrow::Cow;
use std::sync::OnceLock;

use htmlize::Context;
use url::Url as WebUrl;

use super::rules::GateRules;
use crate::policy::{ResourceKind, Url, Verdict};

/// The value of an attribute with its character references resolved (HTML Standard, section 13.2.5.72).
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'&', value).is_none() {
        return Cow::Borrowed(value);
    }
    htmlize::unescape_bytes_in(value, Context::Attribute)
}

/// Against what the addresses of a page are resolved.
#[derive(Clone, Default)]
pub(super) struct Addresses {
    /// What `<base href>` says.
    base: Option<WebUrl>,
    /// Where the page is, read only if it is needed.
    page: OnceLock<Option<WebUrl>>,
}

impl Addresses {
    /// Takes the page's first `<base href>`; the others do not count.
    pub(super) fn set_base(&mut self, rules: &GateRules<'_>, href: &[u8]) {
        if self.base.is_none() {
            let base = self.resolve(rules, href);
            self.base = base.filter(|url| !matches!(url.scheme(), "data" | "javascript"));
        }
    }

    /// The verdict on the address `written`, with character references resolved; `None` if no rule knows it.
    pub(super) fn verdict<'r>(&self, rules: &GateRules<'r>, written: &[u8], kind: ResourceKind) -> Option<Verdict<'r>> {
        if self.is_plain(written)
            && let Some(url) = Url::parse(written)
        {
            return rules.judge.parsed_url(&url, kind);
        }
        let url = self.resolve(rules, written)?;
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
            return None;
        }
        let query = url.query().map_or(String::new(), |query| format!("?{query}"));
        let text = format!("//{}{}{query}", url.host_str().unwrap_or_default(), url.path());
        rules.judge.url(text.as_bytes(), kind)
    }

    /// The whole address, as a browser would ask for it.
    pub(super) fn resolve(&self, rules: &GateRules<'_>, written: &[u8]) -> Option<WebUrl> {
        let written = String::from_utf8_lossy(written);
        let page = || self.page.get_or_init(|| WebUrl::parse(&rules.address()).ok()).as_ref();
        WebUrl::options().base_url(self.base.as_ref().or_else(page)).parse(&written).ok()
    }

    /// Whether the address needs none of a browser's corrections: absolute, or from the root of this site.
    fn is_plain(&self, written: &[u8]) -> bool {
        let absolute = [&b"https://"[..], b"http://", b"//"].iter().any(|start| written.starts_with(start));
        let rooted = self.base.is_none() && written.starts_with(b"/");
        (absolute || rooted) && written.iter().all(|b| b.is_ascii_graphic() && *b != b'\\')
    }
}

/// A `data:` address (RFC 2397), opened.
pub(super) struct DataUrl {
    /// Type and subtype.
    pub kind: String,
    pub body: Vec<u8>,
}

impl DataUrl {
    /// `None` if `written` is no such address.
    pub(super) fn parse(written: &[u8]) -> Option<DataUrl> {
        let text = plain(written);
        has_scheme(&text, "data").then_some(())?;
        let url = data_url::DataUrl::process(&text).ok()?;
        let kind = format!("{}/{}", url.mime_type().type_, url.mime_type().subtype);
        Some(DataUrl { kind, body: url.decode_to_vec().ok()?.0 })
    }
}

/// The script in a `javascript:` address.
pub(super) fn javascript(written: &[u8]) -> Option<Vec<u8>> {
    let text = plain(written);
    has_scheme(&text, "javascript").then_some(())?;
    let (_, script) = text.split_once(':')?;
    Some(crate::policy::decode_percent(script.as_bytes()).into_owned())
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.split_once(':').is_some_and(|(before, _)| before.eq_ignore_ascii_case(scheme))
}

/// Without what browsers take out of an address before they read it (URL Standard, section 4.4).
fn plain(written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let text = text.trim_matches(|c: char| c <= ' ');
    text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect()
}
