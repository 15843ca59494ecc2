//! `consentry explain`: one request, each step of the decision.

use std::path::PathBuf;
use std::process::ExitCode;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::BAD_CONFIGURATION;
use crate::config::{self, Compiled, ConsentSettings, Loaded};
use crate::consent::{CookiePair, Reading, cookie_pairs, resolve};
use crate::enforce::{Judge, SetCookie, is_signed};
use crate::policy::{
    Grant, Host, Mode, PurposeSet, RequestFacts, RequestRule, ResourceKind, Ruleset, Site, Url, Verdict,
    decode_percent, query_pairs,
};
use crate::reload::unix_time;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The address that is asked for, with scheme and host.
    #[arg(long, value_name = "URL")]
    url: String,
    /// A header field of the request, such as `Cookie: a=1`; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "FIELD")]
    headers: Vec<String>,
    /// The method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// What an address at another host is fetched as.
    #[arg(long, value_name = "KIND", default_value = "script", value_parser = parse_kind)]
    kind: ResourceKind,
    /// The payload of the request.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A Set-Cookie value of the response; may be repeated.
    #[arg(long = "set-cookie", value_name = "VALUE")]
    set_cookies: Vec<String>,
}

fn parse_kind(word: &str) -> Result<ResourceKind, String> {
    let names = || ResourceKind::ALL.map(ResourceKind::as_str).join(", ");
    let kind = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| format!("known are {}", names()))
}

pub(super) fn explain(arguments: &Arguments) -> ExitCode {
    let Loaded { config, diagnostics, .. } = config::load(&arguments.config);
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let Some(config) = config else { return ExitCode::from(BAD_CONFIGURATION) };
    let Compiled { ruleset, consent, .. } = config.compile();
    match explanation(arguments, &ruleset, &consent) {
        Ok(text) => {
            super::print(&text);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn explanation(arguments: &Arguments, ruleset: &Ruleset, settings: &ConsentSettings) -> Result<String, String> {
    let headers = parse_headers(&arguments.headers)?;
    let url = Url::parse(arguments.url.as_bytes()).filter(|url| url.host.is_some());
    let url = url.ok_or_else(|| format!("`{}` is not an address such as https://shop.example/cart", arguments.url))?;
    let asked: Option<Host> = url.host;
    let addressed = headers.get(http::header::HOST).and_then(|host| Host::parse(host.as_bytes())).or(asked);
    let host = addressed.ok_or("the address has no host")?;
    let Some(site) = ruleset.site_at(&host).and_then(|position| ruleset.sites.get(position)) else {
        return Err(format!("no site is configured for `{}`: it would be answered with 421", host.as_str()));
    };
    let mut text = Explanation { text: String::new(), ruleset };
    text.line(&format!(
        "site      {} ({} mode, ruleset {})",
        site.options.name,
        site.options.mode.as_str(),
        short(&ruleset.hash)
    ));
    if site.options.mode == Mode::Off {
        text.line("nothing is judged: the site is passed on as it is");
        return Ok(text.text);
    }
    let granted = Grant::from(text.consent(site, settings, &headers));
    let judge = Judge { catalog: &ruleset.catalog, site, host: &host, granted };
    text.request(&judge, arguments, &url);
    for CookiePair { name, .. } in cookie_pairs(&headers) {
        text.verdict("cookie", name, Some(&judge.cookie(name)), "stripped from the request");
    }
    if is_signed(url.query) {
        text.line("query     signed, so nothing is taken out of it");
    } else {
        for key in query_pairs(url.query).map(|(key, _)| decode_percent(key)) {
            if let Some(verdict) = judge.parameter(&key) {
                text.verdict("click id", &key, Some(&verdict), "removed from the query");
            }
        }
    }
    for value in &arguments.set_cookies {
        let cookie = SetCookie::new(value.as_bytes());
        if cookie.is_deletion(unix_time()) {
            text.line(&format!("set-cookie {}: allowed, because it deletes", String::from_utf8_lossy(cookie.name())));
        } else {
            text.verdict("set-cookie", cookie.name(), Some(&judge.cookie(cookie.name())), "dropped from the response");
        }
    }
    Ok(text.text)
}

fn parse_headers(fields: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) =
            field.split_once(':').ok_or_else(|| format!("`{field}` is not a field such as `Cookie: a=1`"))?;
        let name =
            HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("`{name}` cannot name a field"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("the value of `{name}` is not possible"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

struct Explanation<'r> {
    text: String,
    ruleset: &'r Ruleset,
}

impl Explanation<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn names(&self, set: PurposeSet) -> String {
        let names: Vec<_> = self.ruleset.purposes.names(set).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    /// Writes each signal and what came of it; returns what is granted.
    fn consent(&mut self, site: &Site, settings: &ConsentSettings, headers: &HeaderMap) -> PurposeSet {
        let mut signals = Vec::new();
        let consent =
            resolve(site, &self.ruleset.purposes, &settings.cookie, headers, unix_time(), |name, signal, reading| {
                let fate = match reading {
                    Reading::Used => "it decides",
                    Reading::Expired => "ignored: older than the site's validity",
                    Reading::FromTheFuture => "ignored: given in the future",
                };
                let (granted, denied) = (self.names(signal.granted), self.names(signal.denied));
                signals.push(format!("signal    {name}: grants {granted}; denies {denied}; {fate}"));
            });
        if signals.is_empty() {
            let own = cookie_pairs(headers).any(|pair| pair.name == settings.cookie.name.as_bytes());
            let why = if own { " (the own cookie is there, but malformed or not rightly signed)" } else { "" };
            signals.push(format!("signal    none{why}"));
        }
        signals.iter().for_each(|signal| self.line(signal));
        if consent.capped {
            let caps = self.names(site.options.gpc_caps);
            self.line(&format!("signal    Sec-GPC: 1 caps {caps}"));
        }
        let line = format!("consent   {} (source: {})", self.names(consent.granted), consent.source.name());
        self.line(&line);
        consent.granted
    }

    fn request(&mut self, judge: &Judge<'_>, arguments: &Arguments, url: &Url<'_>) {
        let own_site = url.host.as_ref().is_none_or(|host| host.as_str() == judge.host.as_str());
        let facts = RequestFacts {
            method: &arguments.method,
            path: if url.path.is_empty() { b"/" } else { url.path },
            query: url.query,
            body: arguments.body.as_deref().map(str::as_bytes),
        };
        let (url, answered) = (arguments.url.as_bytes(), "answered without the upstream");
        if !own_site {
            return self.verdict("request", url, judge.url(url, arguments.kind).as_ref(), "taken out of responses");
        }
        match judge.request(&facts) {
            RequestRule::None => self.verdict("request", url, None, answered),
            RequestRule::Known(verdict) => self.verdict("request", url, Some(&verdict), answered),
            RequestRule::IfBodyMatches(verdict) => {
                self.verdict("request", url, Some(&verdict), answered);
                self.line("        … if the payload is what the rule describes: add --method POST --body '…' to see");
            }
        }
    }

    fn verdict(&mut self, what: &str, name: &[u8], verdict: Option<&Verdict<'_>>, consequence: &str) {
        let name = String::from_utf8_lossy(name);
        let Some(verdict) = verdict else { return self.line(&format!("{what} {name}: allowed, no rule knows it")) };
        let purpose = verdict.purpose.map_or("unknown purpose", |purpose| self.ruleset.purposes.name(purpose));
        let outcome = match (verdict.allowed, verdict.enforced) {
            (true, _) => "allowed".to_owned(),
            (false, true) => format!("denied, {consequence}"),
            (false, false) => format!("would be denied, {consequence} (only observed)"),
        };
        let purpose = if verdict.refused {
            format!("{purpose}, but not for a vendor who was refused")
        } else {
            purpose.to_owned()
        };
        let rule = verdict.rule.map_or("no rule knows it".to_owned(), |rule| format!("rule {rule}"));
        self.line(&format!("{what} {name}: {outcome}; {purpose}; {rule}"));
    }
}
