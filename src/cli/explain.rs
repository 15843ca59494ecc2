//! `consentry explain`: one request, each step of the decision.

use std::path::PathBuf;
use std::process::ExitCode;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::BAD_CONFIGURATION;
use crate::config::{self, Compiled, Loaded};
use crate::consent::signal::{FORMATS, Signal};
use crate::consent::{CookiePair, Fate, Observer, Resolver, cookie_pairs};
use crate::enforce::{Judge, SetCookie, is_signed};
use crate::policy::{
    Country, Host, Jurisdiction, Mode, PurposeSet, Purposes, RequestFacts, RequestRule, ResourceKind, Ruleset, Url,
    Verdict, decode_percent, query_pairs,
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
    /// The country from which the visitor comes, as two letters.
    #[arg(long, value_name = "CODE", value_parser = parse_country)]
    country: Option<Country>,
    /// A Set-Cookie value of the response; may be repeated.
    #[arg(long = "set-cookie", value_name = "VALUE")]
    set_cookies: Vec<String>,
}

fn parse_kind(word: &str) -> Result<ResourceKind, String> {
    let names = || ResourceKind::ALL.map(ResourceKind::as_str).join(", ");
    let kind = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| format!("known are {}", names()))
}

fn parse_country(code: &str) -> Result<Country, String> {
    Country::parse(code.as_bytes()).ok_or_else(|| "write two letters (ISO 3166-1), such as DE".to_owned())
}

pub(super) fn explain(arguments: &Arguments) -> ExitCode {
    let Loaded { config, diagnostics, .. } = config::load(&arguments.config);
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let Some(config) = config else { return ExitCode::from(BAD_CONFIGURATION) };
    match explanation(arguments, &config.compile()) {
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

fn explanation(arguments: &Arguments, compiled: &Compiled) -> Result<String, String> {
    let Compiled { ruleset, signals, consent: settings, .. } = compiled;
    let headers = parse_headers(&arguments.headers)?;
    let url = Url::parse(arguments.url.as_bytes()).filter(|url| url.host.is_some());
    let url = url.ok_or_else(|| format!("`{}` is not an address such as https://shop.example/cart", arguments.url))?;
    let asked: Option<Host> = url.host;
    let addressed = headers.get(http::header::HOST).and_then(|host| Host::parse(host.as_bytes())).or(asked);
    let host = addressed.ok_or("the address has no host")?;
    let position = ruleset.site_at(&host);
    let found = position.and_then(|position| Some((ruleset.sites.get(position)?, signals.get(position)?)));
    let Some((site, signals)) = found else {
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
    let resolver = Resolver { site, signals, own: &settings.cookie, purposes: &ruleset.purposes };
    let granted = text.consent(&resolver, &headers, arguments.country);
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

fn names(purposes: &Purposes, set: PurposeSet) -> String {
    let names: Vec<_> = purposes.names(set).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Every signal that a request carries, and what became of it.
struct Seen<'r> {
    purposes: &'r Purposes,
    lines: Vec<String>,
}

impl Observer for Seen<'_> {
    fn is_thorough(&self) -> bool {
        true
    }

    fn signal(&mut self, format: &'static str, signal: &Signal<'_>, fate: Fate) {
        let fate = match fate {
            Fate::Used => "it counts",
            Fate::Overruled => "overruled: sources before it have decided that",
            Fate::Undecided => "ignored: it holds no choice",
            Fate::Opaque => "ignored: only the page can read it (`bridge = true` lets it tell)",
            Fate::Expired => "ignored: older than the site's validity",
            Fate::FromTheFuture => "ignored: given in the future",
            Fate::OnlyImplied => "ignored: set by the banner itself, where silence is a refusal",
            Fate::OlderPolicy => "ignored: given under an older version of the policy",
            Fate::Problem(problem) => problem.as_str(),
        };
        let (granted, denied) = (names(self.purposes, signal.granted), names(self.purposes, signal.denied));
        let strength = signal.strength.as_str();
        self.lines.push(format!("signal    {format} ({strength}): grants {granted}; denies {denied}; {fate}"));
    }

    fn unmapped(&mut self, position: usize, id: &[u8]) {
        let format = FORMATS.get(position).map_or("unknown", |format| format.name);
        let id = String::from_utf8_lossy(id);
        self.lines.push(format!("signal    {format}: `{id}` is mapped to no purpose, and grants nothing"));
    }

    fn conflict(&mut self) {
        self.lines.push("signal    sources of equal rank disagree: the most restrictive holds".to_owned());
    }
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

    /// Writes each signal and what came of it; returns what is granted.
    fn consent(&mut self, resolver: &Resolver<'_>, headers: &HeaderMap, country: Option<Country>) -> PurposeSet {
        let mut seen = Seen { purposes: &self.ruleset.purposes, lines: Vec::new() };
        let consent = resolver.resolve(headers, country, unix_time(), &mut seen);
        if seen.lines.is_empty() {
            seen.lines.push("signal    none".to_owned());
        }
        seen.lines.iter().for_each(|line| self.line(line));
        let options = &resolver.site.options;
        if consent.capped {
            let caps = names(&self.ruleset.purposes, options.gpc_caps);
            self.line(&format!("signal    Sec-GPC: 1 caps {caps}"));
        }
        let silence = match consent.jurisdiction {
            Jurisdiction::OptIn => "silence is a refusal",
            Jurisdiction::OptOut => "silence is consent, until an opt-out",
            Jurisdiction::Notice => "silence is consent",
        };
        let whose = country.map_or("the site's".to_owned(), |country| format!("for {}", country.as_str()));
        self.line(&format!("default   {whose}: {silence}"));
        if let Some(version) = consent.policy_version.and_then(|position| options.versions.get(position)) {
            let state = if consent.outdated { "; a later one has added something since" } else { "" };
            self.line(&format!("policy    version {} was agreed to{state}", version.id));
        }
        let granted = names(&self.ruleset.purposes, consent.granted);
        self.line(&format!("consent   {granted} (source: {})", consent.source.name()));
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
        let rule = verdict.rule.map_or("no rule knows it".to_owned(), |rule| format!("rule {rule}"));
        self.line(&format!("{what} {name}: {outcome}; {purpose}; {rule}"));
    }
}
