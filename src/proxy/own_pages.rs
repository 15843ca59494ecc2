//! The pages under the own prefix: the choice, as a form and as JSON; and `gpc.json`.
//!
//! | request | answer |
//! |---|---|
//! | `GET {prefix}/` | the page where visitors choose |
//! | `GET {prefix}/consent` | the consent in force, as JSON |
//! | `POST {prefix}/consent` | stores a choice: `{"purposes": ["analytics"]}`, where `"of": ["analytics", "marketing"]` may say that others stay as they are; or the page's form |
//! | `POST {prefix}/withdraw` | stores that nothing is granted, and erases |
//! | `GET {prefix}/held` | what stands in the place of a frame that is held |
//! | `GET {prefix}/guard-….js`, `…/rules-….js` | the guard that pages load, and its tables |
//! | `GET {prefix}/bridge-….js`, `…/bridge.js` | the bridge that pages load; under the short name for sites that do it themselves |
//! | `POST {prefix}/csp` | takes reports of what the policy that depends on consent stopped |
//! | `{prefix}/blocked` | where redirects to denied trackers end |
//! | `GET /.well-known/gpc.json` | that `Sec-GPC` is honoured (GPC, section 4) |

mod choice;
mod held;
mod violations;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, ORIGIN, SET_COOKIE, VARY,
};
use http::{HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use self::choice::{Choice, Wrong};
use super::context::{Context, judge};
use super::message::{discard_body, own_response, respond, target};
use crate::consent::signal::global_privacy_control;
use crate::consent::{OwnConsent, Source};
use crate::enforce::html::accepts_gzip;
use crate::enforce::{ExpiryScope, Judge, block_answer, expiries};
use crate::policy::{CspMode, Grant, Host, Mode, Purpose, PurposeSet, Url};

/// Longest body of a choice, in bytes.
const MAX_CHOICE: usize = 16 << 10;

const JSON: Option<&str> = Some("application/json");

const NO_SUCH_PAGE: &str = "there is no such page";

const PAGE: &str = include_str!("preferences.html");

/// The page loads nothing, and can be posted only to this site. Its one style is inline.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// Where sites say that they honour `Sec-GPC`.
const GPC_SUPPORT: &[u8] = b"/.well-known/gpc.json";

/// Whether the request may be for one of the own pages.
pub(super) fn concerns(session: &Session, context: &Context) -> bool {
    let (path, _) = target(session.req_header());
    path.starts_with(context.snapshot.consent.prefix.as_bytes()) || path == GPC_SUPPORT
}

/// Answers the request if it is for one of the own pages.
pub(super) async fn answer(session: &mut Session, context: &mut Context) -> Result<bool> {
    let header = session.req_header();
    let (path, _) = target(header);
    let prefix = context.snapshot.consent.prefix.clone();
    let method = header.method.clone();
    let read = method == Method::GET || method == Method::HEAD;
    if path == GPC_SUPPORT && read {
        context.answered = Some("own_page");
        gpc_support(session, context).await?;
        return Ok(true);
    }
    let Some(page) = path.strip_prefix(prefix.as_bytes()).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
    else {
        return Ok(false);
    };
    let page = page.to_vec();
    context.answered = Some("own_page");
    match (page.as_slice(), read, method == Method::POST) {
        (b"/blocked", ..) => blocked(session).await?,
        (b"", true, _) => redirect(session, &format!("{prefix}/"), Vec::new()).await?,
        (b"/", true, _) => preferences(session, context).await?,
        (b"/consent", true, _) => show(session, context).await?,
        (b"/held", true, _) => held::held(session, context).await?,
        (file, true, _) if file.ends_with(b".js") => script(session, context).await?,
        (b"/consent" | b"/withdraw", _, true) if is_cross_site(session, context) => {
            problem(session, 403, "a choice can only be made from the site itself").await?;
        }
        (b"/consent", _, true) => choose(session, context).await?,
        (b"/withdraw", _, true) => {
            let back = choice::read(session, MAX_CHOICE).await?.ok().and_then(|choice| choice.return_to);
            store(session, context, PurposeSet::EMPTY, back, erasure(context)).await?;
        }
        (b"/csp", ..) if context.site().is_none_or(|site| site.options.csp.mode == CspMode::Off) => {
            problem(session, 404, NO_SUCH_PAGE).await?;
        }
        (b"/csp", _, true) => violations::receive(session, context).await?,
        (b"/" | b"", ..) => method_not_allowed(session, "GET, HEAD").await?,
        (b"/consent", ..) => method_not_allowed(session, "GET, HEAD, POST").await?,
        (b"/withdraw" | b"/csp", ..) => method_not_allowed(session, "POST").await?,
        _ => problem(session, 404, NO_SUCH_PAGE).await?,
    }
    Ok(true)
}

async fn problem(session: &mut Session, status: u16, text: &str) -> Result<()> {
    let body = json!({ "error": text }).to_string();
    discard_body(session).await?;
    respond(session, own_response(status, JSON)?, Bytes::from(body)).await
}

async fn method_not_allowed(session: &mut Session, allowed: &'static str) -> Result<()> {
    let mut response = ResponseHeader::build(405, Some(3))?;
    response.insert_header(ALLOW, allowed)?;
    discard_body(session).await?;
    respond(session, response, Bytes::new()).await
}

async fn gpc_support(session: &mut Session, context: &Context) -> Result<()> {
    let date = context.snapshot.since.get(..10).unwrap_or_default();
    let body = json!({ "gpc": true, "lastUpdate": date }).to_string();
    let mut response = ResponseHeader::build(200, Some(4))?;
    response.insert_header(CONTENT_TYPE, "application/json")?;
    response.insert_header(CACHE_CONTROL, "max-age=3600")?;
    respond(session, response, Bytes::from(body)).await
}

async fn blocked(session: &mut Session) -> Result<()> {
    discard_body(session).await?;
    let header = session.req_header();
    let answer = block_answer(header.method.as_str(), b"", &header.headers);
    let response = own_response(answer.status, answer.content_type)?;
    let page = b"<!doctype html><html lang=\"en\"><title>Blocked</title><p>This link led through a tracker that you have not allowed.</p><p><a href=\"./\">Privacy choices</a></p></html>";
    let is_page = answer.content_type.is_some_and(|kind| kind.starts_with("text/html"));
    let body = if is_page { Bytes::from_static(page) } else { Bytes::from_static(answer.body) };
    respond(session, response, body).await
}

async fn redirect(session: &mut Session, to: &str, fields: Vec<(HeaderName, HeaderValue)>) -> Result<()> {
    let mut response = own_response(303, None)?;
    response.insert_header(LOCATION, to)?;
    for (name, value) in fields {
        response.append_header(name, value)?;
    }
    respond(session, response, Bytes::new()).await
}

async fn show(session: &mut Session, context: &Context) -> Result<()> {
    let consent = context.decision.as_ref().map(|decision| decision.consent);
    let granted = consent.map_or(PurposeSet::EMPTY, |consent| consent.granted);
    let body = consent_json(context, granted, None, consent.is_some_and(|consent| consent.capped));
    let mut response = own_response(200, JSON)?;
    response.insert_header(VARY, "Cookie, Sec-GPC")?;
    respond(session, response, Bytes::from(body)).await
}

/// The consent in force; `given_at` if it has only just been given.
fn consent_json(context: &Context, granted: PurposeSet, given_at: Option<u64>, capped: bool) -> String {
    let purposes = &context.snapshot.ruleset.purposes;
    let consent = context.decision.as_ref().map(|decision| decision.consent);
    let source = consent.map_or(Source::Default, |consent| consent.source);
    let decided_at = given_at.or_else(|| consent.and_then(|consent| consent.decided_at));
    let offered = context.site().map_or(PurposeSet::EMPTY, |site| site.options.purposes);
    let version = context.site().and_then(|site| {
        let versions = &site.options.versions;
        versions.get(match given_at {
            Some(at) => versions.at(at)?,
            None => consent?.policy_version?,
        })
    });
    json!({
        "purposes": purposes.names(granted).collect::<Vec<_>>(),
        "offered": purposes.names(offered).collect::<Vec<_>>(),
        "decided": given_at.is_some() || source != Source::Default,
        "source": if given_at.is_some() { "consentry" } else { source.name() },
        "given_at": decided_at,
        "capped_by_gpc": capped,
        "policy_version": version.map(|version| &*version.id),
        "outdated": given_at.is_none() && consent.is_some_and(|consent| consent.outdated),
    })
    .to_string()
}

async fn preferences(session: &mut Session, context: &Context) -> Result<()> {
    let page = page(session, context);
    page_response(session, page, PAGE_POLICY).await
}

async fn page_response(session: &mut Session, page: String, policy: &'static str) -> Result<()> {
    let mut response = own_response(200, Some("text/html; charset=utf-8"))?;
    response.insert_header("content-security-policy", policy)?;
    response.insert_header("referrer-policy", "same-origin")?;
    response.insert_header("x-content-type-options", "nosniff")?;
    respond(session, response, Bytes::from(page)).await
}

/// The guard, its tables or the bridge. Their names hold for their content only; under an old name comes what is in force, for now.
async fn script(session: &mut Session, context: &Context) -> Result<()> {
    let header = session.req_header();
    let path = String::from_utf8_lossy(target(header).0).into_owned();
    let prefix = &*context.snapshot.consent.prefix;
    let named = |name: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(name));
    let files = context.runtime().map(|runtime| &runtime.guard);
    let file = files.and_then(|files| match (named("/guard-"), named("/rules-"), named("/bridge")) {
        (true, ..) => Some(&*files.guard),
        (_, true, _) => Some(&files.rules),
        (.., true) => Some(&*files.bridge),
        _ => None,
    });
    let Some(file) = file else { return problem(session, 404, NO_SUCH_PAGE).await };
    let accepted = header.headers.get_all(ACCEPT_ENCODING).iter().map(|value| value.as_bytes());
    let gzip = accepts_gzip(accepted);
    let mut response = own_response(200, Some("text/javascript; charset=utf-8"))?;
    if *file.path == *path {
        response.insert_header(CACHE_CONTROL, "public, max-age=31536000, immutable")?;
    } else if named("/bridge.js") {
        response.insert_header(CACHE_CONTROL, "public, max-age=300")?;
    }
    response.insert_header(VARY, "Accept-Encoding")?;
    // A sandboxed page is of no origin, and is guarded as well.
    response.insert_header("access-control-allow-origin", "*")?;
    response.insert_header("x-content-type-options", "nosniff")?;
    if gzip {
        response.insert_header(CONTENT_ENCODING, "gzip")?;
    }
    let body = if gzip { &file.gzip } else { &file.text };
    respond(session, response, body.clone()).await
}

fn page(session: &Session, context: &Context) -> String {
    let purposes = &context.snapshot.ruleset.purposes;
    let (Some(site), Some(decision)) = (context.site(), &context.decision) else { return String::new() };
    let optional = site.options.purposes.without(PurposeSet::NECESSARY);
    let rows: String = optional.iter().map(|purpose| {
        let checked = if decision.consent.granted.contains(purpose) { " checked" } else { "" };
        let (title, about) = words(purpose, purposes.name(purpose));
        let name = escape(purposes.name(purpose));
        format!("<label><input type=\"checkbox\" name=\"purposes\" value=\"{name}\"{checked}> <span>{}</span><small>{}</small></label>\n", escape(&title), escape(about))
    }).collect();
    let note = if decision.consent.capped || global_privacy_control(&session.req_header().headers) {
        "<p class=\"note\">Your browser sends Global Privacy Control. Marketing stays off, whatever is chosen here.</p>"
    } else {
        ""
    };
    let state = match decision.consent.source {
        Source::Default => "You have not chosen yet.",
        Source::Format(_) => "This is what you have chosen.",
    };
    PAGE.replace("{{purposes}}", &rows)
        .replace("{{note}}", note)
        .replace("{{state}}", state)
        .replace("{{prefix}}", &context.snapshot.consent.prefix)
        .replace("{{return}}", &escape(&return_path(session, context, None)))
}

fn words(purpose: Purpose, name: &str) -> (String, &'static str) {
    match purpose {
        Purpose::PREFERENCES => {
            ("Preferences".to_owned(), "Remember choices that make visits easier: language, videos, chat.")
        }
        Purpose::ANALYTICS => ("Analytics".to_owned(), "Measure how the site is used, so that it can be improved."),
        Purpose::MARKETING => {
            ("Marketing".to_owned(), "Show advertising that fits, and follow across sites whether it works.")
        }
        _ => (name.to_owned(), "A purpose that this site has named itself."),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

async fn choose(session: &mut Session, context: &mut Context) -> Result<()> {
    let Choice { purposes: named, of, all, return_to, .. } = match choice::read(session, MAX_CHOICE).await? {
        Ok(choice) if choice.made => choice,
        Ok(_) => return problem(session, 400, "the form says nothing about `purposes` or `choice`").await,
        Err(Wrong { status, problem: text }) => return problem(session, status, text).await,
    };
    let registry = &context.snapshot.ruleset.purposes;
    let offered = context.site().map_or(PurposeSet::EMPTY, |site| site.options.purposes);
    let known = |name: &String| registry.get(name).filter(|purpose| offered.contains(*purpose));
    if let Some(unknown) = named.iter().chain(of.iter().flatten()).find(|name| known(name).is_none()) {
        let text = format!(
            "unknown purpose {unknown:?}; offered are: {}",
            registry.names(offered).collect::<Vec<_>>().join(", ")
        );
        return problem(session, 400, &text).await;
    }
    let granted: PurposeSet = if all { offered } else { named.iter().filter_map(known).collect() };
    let decided = of.map_or(offered, |of| of.iter().filter_map(known).collect());
    let in_force = context.decision.as_ref().map_or(PurposeSet::EMPTY, |decision| decision.consent.granted);
    let granted = granted.union(in_force.without(decided));
    store(session, context, granted, return_to, None).await
}

/// What makes the browser erase the site's storage on withdrawal, where the site wants that. Browsers obey it only over
/// a connection that nobody else can write into (Clear Site Data, section 3.1).
fn erasure(context: &Context) -> Option<(HeaderName, HeaderValue)> {
    context.site().filter(|site| site.options.clear_site_data && site.options.mode == Mode::Enforce)?;
    let host = context.decision.as_ref()?.host;
    let local = host.is_within("localhost") || host.as_str() == "127.0.0.1" || host.as_str() == "[::1]";
    (context.secure || local)
        .then(|| (HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"storage\"")))
}

/// Answers with the cookie that keeps the choice, and with the deletion of everything that it does not allow.
async fn store(
    session: &mut Session,
    context: &mut Context,
    granted: PurposeSet,
    return_to: Option<String>,
    erasure: Option<(HeaderName, HeaderValue)>,
) -> Result<()> {
    let to_come = context.site().map(|site| site.options.versions.to_come(context.now).0);
    let optional = granted.without(PurposeSet::NECESSARY).without(to_come.unwrap_or_default());
    let caps = context.site().map_or(PurposeSet::EMPTY, |site| site.options.gpc_caps);
    let capped = global_privacy_control(&session.req_header().headers) && !optional.intersection(caps).is_empty();
    let effective = if capped { optional.without(caps) } else { optional }.with(Purpose::NECESSARY);
    let cookies = choice_cookies(session, context, optional, effective).into_iter();
    let fields: Vec<_> = cookies.map(|cookie| (SET_COOKIE, cookie)).chain(erasure).collect();
    if let Some(runtime) = context.runtime() {
        if optional.is_empty() { runtime.metrics.withdrawn.inc() } else { runtime.metrics.given.inc() }
    }
    let accept = session.req_header().headers.get(http::header::ACCEPT).map_or(&b""[..], |value| value.as_bytes());
    if memchr::memmem::find(accept, b"text/html").is_some() {
        let back = return_path(session, context, return_to);
        return redirect(session, &back, fields).await;
    }
    let mut response = own_response(200, JSON)?;
    for (name, value) in fields {
        response.append_header(name, value)?;
    }
    let body = consent_json(context, effective, Some(context.now), capped);
    respond(session, response, Bytes::from(body)).await
}

/// The cookie that keeps what was `granted`, and deletions of what is not allowed by what is `effective`.
fn choice_cookies(
    session: &Session,
    context: &Context,
    granted: PurposeSet,
    effective: PurposeSet,
) -> Vec<HeaderValue> {
    let (Some(site), Some(decision)) = (context.site(), &context.decision) else { return Vec::new() };
    let own = &context.snapshot.consent.cookie;
    let receipt_id = receipt_id();
    let versions = &site.options.versions;
    let policy_version = versions.at(context.now).and_then(|at| versions.get(at)).map_or("", |version| &version.id);
    let consent = OwnConsent { granted, policy_version, given_at: context.now, receipt_id: &receipt_id };
    let value = own.format(&consent, &context.snapshot.ruleset.purposes);
    let secure = if context.secure { "; Secure" } else { "" };
    let cookie = format!("{}={value}; Path=/; Max-Age={}; SameSite=Lax{secure}", own.name, site.options.validity);
    let mut lines = vec![cookie.into_bytes()];
    if let Some(judge) = judge(&context.snapshot, decision) {
        let judge = Judge { granted: Grant { purposes: effective, ..judge.granted }, ..judge };
        let denied: Vec<_> = judge.blocked_cookies(&session.req_header().headers).collect();
        let scope = ExpiryScope { host: &decision.host, path: b"/", secure: context.secure, now: context.now };
        lines.extend(expiries(&denied, &scope));
    }
    lines.into_iter().filter_map(|line| HeaderValue::from_bytes(&line).ok()).collect()
}

/// Tells one choice from another in a receipt; says nothing about the visitor.
fn receipt_id() -> String {
    let mut random = [0u8; 10];
    // Without randomness the id is constant, which breaks no promise: it only tells receipts apart.
    SystemRandom::new().fill(&mut random).ok();
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter)).collect()
}

/// Whether another site made the browser send this. Nobody else may consent for a visitor.
fn is_cross_site(session: &Session, context: &Context) -> bool {
    let headers = &session.req_header().headers;
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let own = context.decision.as_ref().map(|decision| decision.host.as_str());
    headers.get(ORIGIN).is_some_and(|origin| {
        let host: Option<Host> = Url::parse(origin.as_bytes()).and_then(|url| url.host);
        host.as_ref().map(Host::as_str) != own
    })
}

/// A path on this site: what was asked for, else where the visitor came from, else the front page.
fn return_path(session: &Session, context: &Context, asked: Option<String>) -> String {
    let prefix = &*context.snapshot.consent.prefix;
    let safe = |path: &String| {
        let local = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        local && !path.starts_with(prefix) && path.bytes().all(|b| b.is_ascii_graphic())
    };
    let referer = || {
        let value = session.req_header().headers.get(http::header::REFERER)?.to_str().ok()?;
        let host = Url::parse(value.as_bytes())?.host?;
        let same = context.decision.as_ref().is_some_and(|decision| decision.host.as_str() == host.as_str());
        let (_, rest) = value.split_once("://")?;
        rest.find('/').filter(|_| same).and_then(|slash| rest.get(slash..)).map(str::to_owned)
    };
    asked.filter(safe).or_else(|| referer().filter(safe)).unwrap_or_else(|| "/".to_owned())
}
