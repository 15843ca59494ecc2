//! One request, each step of the decision.

use http::HeaderMap;

use super::seen::{Seen, names};
use crate::config::Compiled;
use crate::consent::{CookiePair, Resolver, cookie_pairs};
use crate::enforce::{Judge, SetCookie, is_signed};
use crate::policy::{
    Country, Grant, Host, Jurisdiction, Mode, RequestFacts, RequestRule, ResourceKind, Ruleset, Url, Verdict,
    decode_percent, query_pairs,
};

/// A request, and as much of its response as counts.
pub(super) struct Request {
    pub url: String,
    pub method: String,
    pub headers: HeaderMap,
    pub body: Option<String>,
    /// What an address at another host is fetched as.
    pub kind: ResourceKind,
    pub set_cookies: Vec<String>,
    pub country: Option<Country>,
    /// The host of the site that is asked, or whose page asks.
    pub host: Option<Host>,
    /// Unix time in seconds.
    pub time: u64,
}

/// A step of the decision.
pub(super) struct Step {
    pub text: String,
    /// Whether something is denied, or would be.
    pub denies: bool,
}

/// What is decided, and why.
pub(super) struct Explanation<'r> {
    ruleset: &'r Ruleset,
    /// The site, and what its visitor agreed to.
    pub consent: Vec<String>,
    pub steps: Vec<Step>,
}

/// Explains `request`; an error is a sentence for whoever asked.
pub(super) fn explain<'r>(request: &Request, compiled: &'r Compiled) -> Result<Explanation<'r>, String> {
    let Compiled { ruleset, signals, consent: settings, .. } = compiled;
    let url = Url::parse(request.url.as_bytes()).filter(|url| url.host.is_some());
    let url = url.ok_or_else(|| format!("`{}` is not an address such as https://shop.example/cart", request.url))?;
    let asked: Option<Host> = url.host;
    let host = request.host.or(asked).ok_or("the address has no host")?;
    let position = ruleset.site_at(&host);
    let found = position.and_then(|position| Some((ruleset.sites.get(position)?, signals.get(position)?)));
    let Some((site, signals)) = found else {
        return Err(format!("no site is configured for `{}`: it would be answered with 421", host.as_str()));
    };
    let mut explanation = Explanation { ruleset, consent: Vec::new(), steps: Vec::new() };
    let (name, mode) = (&site.options.name, site.options.mode.as_str());
    let hash = ruleset.hash.get(..12).unwrap_or(&ruleset.hash);
    explanation.consent.push(format!("site      {name} ({mode} mode, ruleset {hash})"));
    if site.options.mode == Mode::Off {
        explanation.consent.push("nothing is judged: the site is passed on as it is".to_owned());
        return Ok(explanation);
    }
    let resolver =
        Resolver { site, signals, own: &settings.cookie, purposes: &ruleset.purposes, catalog: &ruleset.catalog };
    let granted = explanation.resolve(&resolver, request);
    let judge = Judge { catalog: &ruleset.catalog, site, host: &host, granted };
    explanation.judge(&judge, request, &url);
    Ok(explanation)
}

impl Explanation<'_> {
    fn step(&mut self, text: String) {
        self.steps.push(Step { text, denies: false });
    }

    /// Tells each signal and what came of it; returns what is granted.
    fn resolve(&mut self, resolver: &Resolver<'_>, request: &Request) -> Grant {
        let purposes = &self.ruleset.purposes;
        let mut seen = Seen { purposes, lines: Vec::new() };
        let consent = resolver.resolve(&request.headers, request.country, request.time, &mut seen);
        if seen.lines.is_empty() {
            seen.lines.push("signal    none".to_owned());
        }
        self.consent.append(&mut seen.lines);
        let options = &resolver.site.options;
        if consent.capped {
            self.consent.push(format!("signal    Sec-GPC: 1 caps {}", names(purposes, options.gpc_caps)));
        }
        let silence = match consent.jurisdiction {
            Jurisdiction::OptIn => "silence is a refusal",
            Jurisdiction::OptOut => "silence is consent, until an opt-out",
            Jurisdiction::Notice => "silence is consent",
        };
        let whose = request.country.map_or("the site's".to_owned(), |country| format!("for {}", country.as_str()));
        self.consent.push(format!("default   {whose}: {silence}"));
        if let Some(version) = consent.policy_version.and_then(|position| options.versions.get(position)) {
            let state = if consent.outdated { "; a later one has added something since" } else { "" };
            self.consent.push(format!("policy    version {} was agreed to{state}", version.id));
        }
        let granted = names(purposes, consent.granted);
        self.consent.push(format!("consent   {granted} (source: {})", consent.source.name()));
        consent.grant()
    }

    fn judge(&mut self, judge: &Judge<'_>, request: &Request, url: &Url<'_>) {
        self.request(judge, request, url);
        if url.host.as_ref().is_some_and(|host| host.as_str() != judge.host.as_str()) {
            return;
        }
        for CookiePair { name, .. } in cookie_pairs(&request.headers) {
            self.verdict("cookie", name, Some(&judge.cookie(name)), "stripped from the request");
        }
        if is_signed(url.query) {
            self.step("query     signed, so nothing is taken out of it".to_owned());
        } else {
            for key in query_pairs(url.query).map(|(key, _)| decode_percent(key)) {
                if let Some(verdict) = judge.parameter(&key) {
                    self.verdict("click id", &key, Some(&verdict), "removed from the query");
                }
            }
        }
        for value in &request.set_cookies {
            let cookie = SetCookie::new(value.as_bytes());
            let name = cookie.name();
            if cookie.is_deletion(request.time) {
                self.step(format!("set-cookie {}: allowed, because it deletes", String::from_utf8_lossy(name)));
            } else {
                self.verdict("set-cookie", name, Some(&judge.cookie(name)), "dropped from the response");
            }
        }
    }

    fn request(&mut self, judge: &Judge<'_>, request: &Request, url: &Url<'_>) {
        let own_site = url.host.as_ref().is_none_or(|host| host.as_str() == judge.host.as_str());
        let facts = RequestFacts {
            method: &request.method,
            path: if url.path.is_empty() { b"/" } else { url.path },
            query: url.query,
            body: request.body.as_deref().map(str::as_bytes),
        };
        let (url, answered) = (request.url.as_bytes(), "answered without the upstream");
        if !own_site {
            return self.verdict("request", url, judge.url(url, request.kind).as_ref(), "taken out of responses");
        }
        match judge.request(&facts) {
            RequestRule::None => self.verdict("request", url, None, answered),
            RequestRule::Known(verdict) => self.verdict("request", url, Some(&verdict), answered),
            RequestRule::IfBodyMatches(verdict) => {
                self.verdict("request", url, Some(&verdict), answered);
                let more = "        … if the payload is what the rule describes: add --method POST --body '…' to see";
                self.step(more.to_owned());
            }
        }
    }

    fn verdict(&mut self, what: &str, name: &[u8], verdict: Option<&Verdict<'_>>, consequence: &str) {
        let name = String::from_utf8_lossy(name);
        let Some(verdict) = verdict else { return self.step(format!("{what} {name}: allowed, no rule knows it")) };
        let purpose = verdict.purpose.map_or("unknown purpose", |purpose| self.ruleset.purposes.name(purpose));
        let outcome = match (verdict.allowed, verdict.enforced) {
            (true, _) => "allowed".to_owned(),
            (false, true) => format!("denied, {consequence}"),
            (false, false) => format!("would be denied, {consequence} (only observed)"),
        };
        let but = if verdict.refused { ", but not for a vendor who was refused" } else { "" };
        let rule = verdict.rule.map_or("no rule knows it".to_owned(), |rule| format!("rule {rule}"));
        let text = format!("{what} {name}: {outcome}; {purpose}{but}; {rule}");
        self.steps.push(Step { text, denies: !verdict.allowed });
    }
}
