//! Which responses are pages, and what their header says once the body is rewritten.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Version};
use ring::digest::{SHA256, digest};

use super::codec::{Coding, UPSTREAM_ACCEPT_ENCODING, Unsupported, content_coding, negotiate};
use super::rules::language_tag;
use super::stream::Outcome;
use super::validator::{for_variant, with_variant};
use crate::enforce::cache::{has_directive, is_storable, vary};
use crate::enforce::change::HeaderChange;
use crate::enforce::judge::Judge;
use crate::policy::{Grant, Mode};

/// Fields that are about exactly the bytes that the upstream sent.
const ABOUT_BYTES: [&str; 6] =
    ["content-md5", "digest", "content-digest", "repr-digest", "signature", "signature-input"];

/// Codings that can be read if an upstream uses them.
const READABLE: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];

/// What is known of a response when its header is there.
pub struct PageFacts<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// The request's, as the visitor sent them.
    pub request: &'a HeaderMap,
    pub version: Version,
    /// Names what the page is made for.
    pub variant: &'a dyn Fn() -> String,
}

/// What happens to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// What is denied is parked.
    Rewrite,
    /// What would be parked is counted.
    Observe,
}

/// How a response's body is to be taken.
pub struct PagePlan {
    /// Whether what the visitor sees depends on consent.
    pub is_page: bool,
    /// `None`: the body passes as it is.
    pub treatment: Option<Treatment>,
    /// Why a page passes as it is although something in it may be denied.
    pub skipped: Option<Outcome>,
    /// As the upstream sends it, and as the visitor gets it.
    pub codings: (Coding, Coding),
    /// Whether it is XML.
    pub xml: bool,
    /// Whether only its beginning will tell whether it is HTML.
    pub sniff: bool,
    /// Whether it is more than a piece of a page that a script asked for.
    pub whole: bool,
    pub changes: Vec<HeaderChange>,
}

impl PagePlan {
    /// The body is left alone.
    pub fn pass(is_page: bool) -> Self {
        PagePlan {
            is_page,
            treatment: None,
            skipped: None,
            codings: (Coding::Identity, Coding::Identity),
            xml: false,
            sniff: false,
            whole: true,
            changes: Vec::new(),
        }
    }
}

/// How the response is to be taken. Without an allocation, if it is no page or nothing has to be done.
pub fn page_plan(judge: &Judge<'_>, facts: &PageFacts<'_>) -> PagePlan {
    let Some(kind) = kind_of(facts.headers).filter(|kind| {
        // Only who opens a page looks at its beginning to find out what it is.
        facts.status >= 200 && (*kind != Kind::Unknown || is_navigation(facts.request))
    }) else {
        return PagePlan::pass(false);
    };
    if !judge.reads_pages() {
        return PagePlan::pass(judge.enforces() && is_storable(facts.headers));
    }
    // With everything granted it only lacks the bridge, and nothing is amiss.
    let gated = !judge.grants_everything();
    let skip = |outcome| PagePlan { skipped: Some(outcome).filter(|_| gated), ..PagePlan::pass(judge.enforces()) };
    let treatment = match judge.site.options.mode {
        Mode::Off => return PagePlan::pass(false),
        Mode::Observe => Treatment::Observe,
        Mode::Enforce => Treatment::Rewrite,
    };
    if matches!(facts.status, 204 | 205) {
        return PagePlan::pass(judge.enforces());
    }
    if facts.status == 206 {
        return skip(Outcome::Partial);
    }
    if has_directive(facts.headers, "no-transform") {
        return skip(Outcome::NoTransform);
    }
    let lines = facts.headers.get_all(CONTENT_ENCODING).into_iter().map(|line| line.as_bytes());
    let coding = match content_coding(lines) {
        Ok(coding) => coding,
        // Browsers take no notice of a name that they do not know, and show the page.
        Err(Unsupported::Unknown) => Coding::Identity,
        Err(Unsupported::Stacked) => return skip(Outcome::Coding),
    };
    let whole = !is_fetched_by_script(facts.request);
    let plan = PagePlan {
        treatment: Some(treatment).filter(|_| facts.status != 304),
        xml: kind == Kind::Xml,
        sniff: kind == Kind::Unknown,
        whole,
        ..PagePlan::pass(judge.enforces())
    };
    match treatment {
        Treatment::Observe => PagePlan { codings: (coding, coding), ..plan },
        Treatment::Rewrite => {
            let accepted = facts.request.get_all(ACCEPT_ENCODING).into_iter().map(|line| line.as_bytes());
            let codings = (coding, negotiate(accepted));
            PagePlan { codings, changes: rewritten_header(facts, codings.1), ..plan }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Xml,
    /// Browsers look at the beginning of the body (MIME Sniffing Standard, section 7).
    Unknown,
}

fn kind_of(headers: &HeaderMap) -> Option<Kind> {
    let disposition = headers.get(CONTENT_DISPOSITION).map_or(&b""[..], |value| value.as_bytes());
    if disposition.trim_ascii_start().get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"attachment")) {
        return None;
    }
    let Some(value) = headers.get_all(CONTENT_TYPE).iter().next_back() else { return Some(Kind::Unknown) };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    if is("text/html") {
        Some(Kind::Html)
    } else if is("application/xhtml+xml") {
        Some(Kind::Xml)
    } else {
        let unknown = is("unknown/unknown") || is("application/unknown") || is("*/*") || !essence.contains(&b'/');
        unknown.then_some(Kind::Unknown)
    }
}

fn rewritten_header(facts: &PageFacts<'_>, to: Coding) -> Vec<HeaderChange> {
    let headers = facts.headers;
    let about_bytes = ABOUT_BYTES.map(HeaderName::from_static);
    let gone = [CONTENT_LENGTH, ACCEPT_RANGES, LAST_MODIFIED, TRAILER].into_iter().chain(about_bytes);
    let mut changes: Vec<_> = gone.filter(|name| headers.contains_key(name)).map(HeaderChange::remove).collect();
    if let Some(tag) = headers.get(ETAG) {
        changes.push(HeaderChange::set(ETAG, with_variant(tag.as_bytes(), &(facts.variant)())));
    }
    if facts.status == 304 {
        return changes;
    }
    let present = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
    match to.name() {
        name if present == name.map(str::as_bytes) => {}
        Some(name) => changes.push(HeaderChange::set(CONTENT_ENCODING, name.into())),
        None => changes.push(HeaderChange::remove(CONTENT_ENCODING)),
    }
    vary(headers, ["Accept-Encoding"], &mut changes);
    // HTTP/1.0 knows no chunks: there, the end is where the connection closes.
    if facts.version == Version::HTTP_11 && !headers.contains_key(TRANSFER_ENCODING) {
        changes.push(HeaderChange::set(TRANSFER_ENCODING, b"chunked".to_vec()));
    }
    changes
}

/// What has to change in the request, so that a page that may come can be rewritten and is the right one.
pub fn edit_page_request(judge: &Judge<'_>, headers: &HeaderMap, variant: &dyn Fn() -> String) -> Vec<HeaderChange> {
    if !judge.enforces() || !may_be_page(headers) {
        return Vec::new();
    }
    let gated = judge.reads_pages();
    let mut changes = Vec::new();
    if let Some(tags) = headers.get(IF_NONE_MATCH) {
        let variant = gated.then(variant);
        let held = for_variant(tags.as_bytes(), variant.as_deref());
        changes.push(held.map_or(HeaderChange::remove(IF_NONE_MATCH), |tags| HeaderChange::set(IF_NONE_MATCH, tags)));
    }
    if !gated {
        return changes;
    }
    let navigation = is_navigation(headers);
    let gone = [Some(IF_MODIFIED_SINCE), navigation.then_some(RANGE), navigation.then_some(IF_RANGE)];
    changes.extend(gone.into_iter().flatten().filter(|name| headers.contains_key(name)).map(HeaderChange::remove));
    if headers.contains_key(ACCEPT_ENCODING) {
        let value = if navigation { UPSTREAM_ACCEPT_ENCODING.to_owned() } else { readable(headers) };
        changes.push(HeaderChange::set(ACCEPT_ENCODING, value.into_bytes()));
    }
    changes
}

/// The codings that the visitor accepts and that can be read here.
fn readable(headers: &HeaderMap) -> String {
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let known = |member: &&str| {
        let name = member.split(';').next().unwrap_or_default().trim();
        READABLE.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let members: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).filter(known).collect();
    if members.is_empty() { UPSTREAM_ACCEPT_ENCODING.to_owned() } else { members.join(", ") }
}

/// Whether the answer may be a page: browsers say what they want it for (Fetch Metadata, section 2.1), others what they
/// accept.
fn may_be_page(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-dest").map(|value| value.as_bytes()) {
        Some(
            b"script" | b"style" | b"image" | b"font" | b"audio" | b"video" | b"track" | b"manifest" | b"worker"
            | b"sharedworker" | b"serviceworker" | b"report" | b"xslt",
        ) => false,
        Some(_) => true,
        None => headers.get(ACCEPT).is_none_or(|value| {
            let value = value.as_bytes();
            memchr::memmem::find(value, b"html").is_some() || memchr::memmem::find(value, b"*/*").is_some()
        }),
    }
}

/// Names what a page is made for: by the ruleset with this hash, for who granted `granted`.
pub fn variant(hash: &str, granted: &Grant) -> String {
    let bits = granted.purposes.iter().fold(0u32, |bits, purpose| bits | 1 << purpose.index());
    let mut variant = format!("{}{bits:x}", hash.get(..8).unwrap_or(hash));
    if !granted.refused.is_empty() {
        let digest = digest(&SHA256, &granted.refused.to_bytes());
        variant.push('.');
        variant.extend(digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    variant
}

/// The first of the languages that the visitor accepts; English where there is none.
pub fn preferred_language(headers: &HeaderMap) -> String {
    let field = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = field.split([',', ';']).next().unwrap_or_default();
    language_tag(first.as_bytes()).unwrap_or_else(|| "en".to_owned())
}

/// Whether a visitor opens a page, in a window or a frame.
fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-dest").map(|value| value.as_bytes()) {
        Some(destination) => {
            matches!(destination, b"document" | b"iframe" | b"frame" | b"fencedframe" | b"object" | b"embed")
        }
        None => headers.get(ACCEPT).is_some_and(|value| memchr::memmem::find(value.as_bytes(), b"html").is_some()),
    }
}

/// Whether a script asks, and not the visitor's browser for a page of its own.
fn is_fetched_by_script(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-dest") {
        Some(destination) => destination == "empty",
        None => headers.contains_key("x-requested-with"),
    }
}
