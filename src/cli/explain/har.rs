//! A recorded browser session (HTTP Archive, version 1.2), request by request.

use std::collections::BTreeSet;
use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::request::{Request, Step, explain};
use crate::config::Compiled;
use crate::consent::signal::iso_time;
use crate::policy::{Country, Host, ResourceKind, Url};

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    started_date_time: String,
    request: EntryRequest,
    #[serde(default)]
    response: EntryResponse,
    /// As Chromium's developer tools call what it was fetched as.
    #[serde(default, rename = "_resourceType")]
    resource_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    cookies: Vec<Pair>,
    post_data: Option<PostData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EntryResponse {
    headers: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
}

/// Explains all requests of the recording `text`. `now` is for those that tell no time.
pub(super) fn session(text: &[u8], compiled: &Compiled, country: Option<Country>, now: u64) -> Result<String, String> {
    let archive: Archive = serde_json::from_slice(text).map_err(|error| format!("this is no HTTP archive: {error}"))?;
    let mut report = Report::default();
    let mut page: Option<Page> = None;
    for entry in &archive.log.entries {
        let request = entry.request(page.as_ref(), country, now);
        let third_party = request.host.is_some();
        let Ok(explanation) = explain(&request, compiled) else {
            report.elsewhere += 1;
            continue;
        };
        if let Some(host) = host_of(&request.url).filter(|_| !third_party) {
            page = Some(Page { host, headers: request.headers.clone() });
        }
        report.add(&request, &explanation.consent, &explanation.steps);
    }
    Ok(report.finish(archive.log.entries.len()))
}

/// Where the visitor is, and what was last sent to there: it says what third parties may do.
struct Page {
    host: Host,
    headers: HeaderMap,
}

fn host_of(url: &str) -> Option<Host> {
    Url::parse(url.as_bytes()).and_then(|url| url.host)
}

impl Entry {
    /// What is explained. What `page` fetched from another site is explained as a part of it.
    fn request(&self, page: Option<&Page>, country: Option<Country>, now: u64) -> Request {
        let headers = self.headers();
        let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let referrer = field("referer").and_then(host_of);
        let cross_site = match field("sec-fetch-site") {
            Some(relation) => relation == "cross-site" && field("sec-fetch-mode") != Some("navigate"),
            None => {
                referrer.is_some_and(|from| host_of(&self.request.url).is_some_and(|to| to.as_str() != from.as_str()))
            }
        };
        let page = page.filter(|_| cross_site);
        Request {
            url: without_fragment(&self.request.url).to_owned(),
            method: self.request.method.clone(),
            body: self.request.post_data.as_ref().and_then(|data| data.text.clone()),
            kind: kind(&self.resource_type),
            set_cookies: self.set_cookies(),
            country,
            host: page.map(|page| page.host),
            time: iso_time(&self.started_date_time).unwrap_or(now),
            headers: page.map_or(headers, |page| page.headers.clone()),
        }
    }

    /// The fields of the request, without those that HTTP/2 adds. Some recordings list cookies only apart from them.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let fields = self.request.headers.iter().filter(|field| !field.name.starts_with(':'));
        for field in fields {
            if let (Ok(name), Ok(value)) = (field.name.parse::<HeaderName>(), HeaderValue::from_str(&field.value)) {
                headers.append(name, value);
            }
        }
        if !headers.contains_key("cookie") && !self.request.cookies.is_empty() {
            let pairs: Vec<_> = self.request.cookies.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
            if let Ok(value) = HeaderValue::from_str(&pairs.join("; ")) {
                headers.insert("cookie", value);
            }
        }
        headers
    }

    /// Chromium joins fields of one name by line feeds.
    fn set_cookies(&self) -> Vec<String> {
        let fields = self.response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("set-cookie"));
        fields.flat_map(|field| field.value.split('\n')).map(str::to_owned).collect()
    }
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

/// As what it was fetched, by the word of Chromium's developer tools.
fn kind(name: &str) -> ResourceKind {
    let name = match name {
        "xhr" => "fetch",
        "texttrack" => "media",
        other => other,
    };
    ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == name).unwrap_or(ResourceKind::Other)
}

/// What has come together.
#[derive(Default)]
struct Report {
    text: String,
    /// As it was last told.
    consent: Vec<String>,
    changes: usize,
    denied: BTreeSet<String>,
    elsewhere: usize,
    with_cookies: bool,
}

impl Report {
    /// Tells about a request: the consent if it is another than before, and what is denied.
    fn add(&mut self, request: &Request, consent: &[String], steps: &[Step]) {
        self.with_cookies |= request.headers.contains_key("cookie") || !request.set_cookies.is_empty();
        let changed = self.consent != consent;
        let denied: Vec<_> = steps.iter().filter(|step| step.denies).collect();
        if !changed && denied.is_empty() {
            return;
        }
        // Queries hold what visitors typed, and are not repeated.
        let address = request.url.split('?').next().unwrap_or_default();
        // Writing to a string does not fail.
        _ = writeln!(self.text, "\n{} {address}", request.method);
        if changed {
            self.changes += 1;
            self.consent = consent.to_vec();
            consent.iter().for_each(|line| _ = writeln!(self.text, "  {line}"));
        }
        for step in denied {
            let text = step.text.replace(&request.url, address);
            _ = writeln!(self.text, "  {text}");
            self.denied.insert(text.split(": ").next().unwrap_or_default().to_owned());
        }
    }

    fn finish(mut self, requests: usize) -> String {
        if !self.with_cookies {
            let hint =
                "the recording holds no cookies: export it with sensitive data, or nothing can be said of consent";
            _ = writeln!(self.text, "\n{hint}");
        }
        _ = writeln!(
            self.text,
            "\n{requests} requests, {} of them to hosts of no site; consent changed {} times; denied:",
            self.elsewhere,
            self.changes.saturating_sub(1),
        );
        if self.denied.is_empty() {
            self.text.push_str("  nothing\n");
        }
        self.denied.iter().for_each(|name| _ = writeln!(self.text, "  {name}"));
        self.text
    }
}
