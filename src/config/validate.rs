//! What was written, checked against what can be meant.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use ipnet::IpNet;
use toml::Spanned;

use super::check::{Check, Text};
use super::consent::consent;
use super::csp::csp;
use super::diagnostic::{Diagnostic, LineIndex};
use super::https::{Ways, https};
use super::rules::{cookie_rules, storage_rules, tracker_rules};
use super::share::share_link;
use super::signals::{by_country, record_names, signals};
use super::tls::server_tls;
use super::upstream_tls::upstream_tls;
use super::versions::versions;
use super::{Config, ConsentSettings, FileSet, Limits, Listen, Server, SiteConfig, UpstreamAddress, UpstreamScheme};
use super::{admin, catalog, filter_lists, ledger, raw};
use crate::policy::{
    Catalog, CookieLifetimes, ForwardedAddress, Host, HostPattern, Jurisdiction, Mode, OperatorRules, Purpose,
    PurposeSet, Purposes, SiteOptions, UnknownCookies, Unrewritable,
};

const DAY: u64 = 86_400;

pub(super) const JURISDICTIONS: [(&str, Jurisdiction); 3] =
    [("opt-in", Jurisdiction::OptIn), ("opt-out", Jurisdiction::OptOut), ("notice", Jurisdiction::Notice)];

const FORWARDED: [(&str, ForwardedAddress); 3] =
    [("full", ForwardedAddress::Full), ("truncated", ForwardedAddress::Truncated), ("none", ForwardedAddress::None)];

/// The configuration that `raw` means. What is wrong is reported, and the result then not to be used.
pub(super) fn validate(
    raw: raw::Config,
    file: &Arc<str>,
    text: &str,
    files: &mut FileSet<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Config> {
    let mut purposes = Purposes::default();
    declare_purposes(&raw.site, file, text, &mut purposes, diagnostics);
    let own_files = read_catalogs(&raw.catalog, file, text, files, diagnostics);
    let built_in = raw.catalog.built_in.unwrap_or(true).then(catalog::built_in);
    let catalog = match built_in {
        Some(built_in) if own_files.is_empty() => built_in,
        fallback => Arc::new(catalog::compile(&own_files, fallback, &mut purposes, diagnostics)),
    };
    let mut check =
        Check { file, text, lines: LineIndex::new(text), diagnostics, purposes: &mut purposes, offered: None };
    let ledger = ledger::ledger(&mut check, raw.ledger, files.base);
    let tls_place = raw.listen.traffic_tls.first().map(Spanned::span);
    let listen = listen(&mut check, raw.listen);
    let tls = server_tls(&mut check, raw.tls, raw.certificate, tls_place, files);
    let server = server(&mut check, raw.server);
    let limits = limits(&mut check, raw.limits);
    let consent = consent(&mut check, raw.consent, files);
    let filter_lists = filter_lists::read(&mut check, raw.filter_list, files);
    let shared = Shared { consent: &consent, catalog: &catalog, https: Ways::new(listen.as_ref(), &server) };
    let mut sites = sites(&mut check, raw.site, shared, files);
    sites.iter_mut().for_each(|site| site.rules.filter_lists.clone_from(&filter_lists));
    let names: Vec<_> = sites.iter().map(|site| site.options.name.clone()).collect();
    let address = listen.as_ref().map(|listen| listen.admin);
    let admin_tokens = admin::tokens(&mut check, raw.admin.token, address, &names, files);
    Some(Config {
        listen: listen?,
        tls,
        server,
        limits,
        access_log: raw.log.access.unwrap_or(true),
        consent,
        sites,
        catalog,
        filter_lists,
        ledger,
        admin_tokens,
        hash: files.hash(),
        files: files.paths(),
        purposes,
    })
}

fn declare_purposes(
    sites: &[Spanned<raw::Site>],
    file: &Arc<str>,
    text: &str,
    purposes: &mut Purposes,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for declared in sites.iter().flat_map(|site| &site.get_ref().purpose) {
        let Some(name) = &declared.get_ref().name else { continue };
        let word = name.get_ref();
        let plain = !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
        let problem = if plain {
            purposes.declare(word).err().map(|error| error.to_string())
        } else {
            Some(format!("`{word}` cannot name a purpose"))
        };
        if let Some(problem) = problem {
            let help = "use few purposes, named by lower-case letters, digits, `-` and `_`";
            diagnostics.push(Diagnostic::at(file, text, name.span(), problem).help(help));
        }
    }
}

fn read_catalogs(
    raw: &raw::Catalog,
    file: &Arc<str>,
    text: &str,
    files: &mut FileSet<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(Arc<str>, String)> {
    let mut catalogs = Vec::new();
    for name in &raw.files {
        let read = files.read(name.get_ref()).map_err(|error| error.to_string());
        match read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())) {
            Ok(catalog) => catalogs.push((name.get_ref().as_str().into(), catalog)),
            Err(error) => {
                let message = format!("the catalog file `{}` cannot be read: {error}", name.get_ref());
                diagnostics
                    .push(Diagnostic::at(file, text, name.span(), message).help("paths are relative to this file"));
            }
        }
    }
    catalogs
}

fn listen(check: &mut Check<'_>, raw: raw::Listen) -> Option<Listen> {
    let help = "write an address with a port, such as `0.0.0.0:8080`; port 0 takes any that is free";
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut address = |check: &mut Check<'_>, text: &Text| {
        let parsed: Option<SocketAddr> = text.get_ref().parse().ok();
        match parsed {
            None => check.error(text.span(), format!("`{}` is not an address to listen on", text.get_ref()), help),
            Some(known) if known.port() != 0 && seen.contains(&known) => {
                check.error(text.span(), format!("{known} is listened on twice"), "remove one");
            }
            Some(fresh) => seen.push(fresh),
        }
        parsed
    };
    let traffic: Vec<_> = raw.traffic.iter().filter_map(|text| address(check, text)).collect();
    let traffic_tls: Vec<_> = raw.traffic_tls.iter().filter_map(|text| address(check, text)).collect();
    let default_admin = SocketAddr::from(([127, 0, 0, 1], 9900));
    let admin = raw.admin.as_ref().map_or(Some(default_admin), |text| address(check, text));
    if raw.traffic.is_empty() && raw.traffic_tls.is_empty() {
        check.error(0..0, "nothing to listen on", "add `[listen]` with `traffic = [\"127.0.0.1:8080\"]`");
    }
    Some(Listen { traffic, traffic_tls, admin: admin? })
}

fn server(check: &mut Check<'_>, raw: raw::Server) -> Server {
    let trusted = raw.trusted_proxies.iter().filter_map(|text| {
        let network =
            text.get_ref().parse::<IpNet>().or_else(|_| text.get_ref().parse::<std::net::IpAddr>().map(IpNet::from));
        network
            .map_err(|_| {
                check.error(
                    text.span(),
                    format!("`{}` is not a network", text.get_ref()),
                    "write `10.0.0.0/8` or `::1`",
                )
            })
            .ok()
    });
    Server {
        trusted_proxies: trusted.collect(),
        threads: raw.threads.map(|threads| usize::try_from(check.number(Some(threads), 1, 1..=1024)).unwrap_or(1)),
        lame_duck: check.seconds(raw.lame_duck_seconds, 5, 0..=3600),
        drain: check.seconds(raw.drain_seconds, 20, 0..=86_400),
    }
}

fn limits(check: &mut Check<'_>, raw: raw::Limits) -> Limits {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        header_bytes: size(check.number(raw.header_bytes, 64 << 10, 1024..=1 << 20)),
        header_time: check.seconds(raw.header_seconds, 10, 1..=3600),
        idle: check.seconds(raw.idle_seconds, 60, 1..=86_400),
        body_bytes: check.number(raw.body_bytes, 1 << 30, 0..=u64::MAX >> 1),
        connections: size(check.number(raw.connections, 20_000, 1..=10_000_000)),
        requests_per_connection: u32::try_from(check.number(
            raw.requests_per_connection,
            10_000,
            1..=u64::from(u32::MAX),
        ))
        .unwrap_or(u32::MAX),
        connect: check.seconds(raw.connect_seconds, 5, 1..=3600),
        io: check.seconds(raw.io_seconds, 60, 1..=86_400),
        upstream_idle: check.seconds(raw.upstream_idle_seconds, 30, 1..=86_400),
    }
}

/// What the settings of all sites refer to.
#[derive(Clone, Copy)]
struct Shared<'a> {
    consent: &'a ConsentSettings,
    catalog: &'a Catalog,
    https: Ways,
}

fn sites(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::Site>>,
    shared: Shared<'_>,
    files: &mut FileSet<'_>,
) -> Vec<SiteConfig> {
    if raw.is_empty() {
        check.error(0..0, "no site is configured", "add `[[site]]` with `name`, `hosts` and `upstream`");
    }
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut hosts: HashMap<HostPattern, String> = HashMap::new();
    let mut sites = Vec::new();
    for site in raw {
        let span = site.span();
        let site = site.into_inner();
        let name = site_name(check, &site, &span);
        let line = check.lines.line(span.start);
        if let Some(earlier) = names.insert(name.clone(), line) {
            check.error(
                span.clone(),
                format!("a site called `{name}` is configured twice"),
                format!("the other is in line {earlier}; rename one"),
            );
        }
        let patterns = site_hosts(check, &site, &span);
        for (pattern, text_span) in &patterns {
            if let Some(owner) = hosts.insert(pattern.clone(), name.clone()) {
                check.error(
                    text_span.clone(),
                    format!("`{pattern}` belongs to the site `{owner}` already"),
                    "let each host belong to one site",
                );
            }
        }
        let hosts = patterns.into_iter().map(|(pattern, _)| pattern).collect();
        sites.extend(one_site(check, site, &span, name, hosts, shared, files));
    }
    sites
}

fn site_name(check: &mut Check<'_>, site: &raw::Site, span: &Range<usize>) -> String {
    let Some(name) = &site.name else {
        check.error(span.clone(), "the site has no name", "add `name = \"shop\"`: metrics and logs call it that");
        return String::new();
    };
    let word = name.get_ref();
    if word.is_empty() || word.len() > 64 || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        check.error(
            name.span(),
            format!("`{word}` cannot name a site"),
            "use up to 64 letters, digits, `-`, `_` and `.`",
        );
    }
    word.clone()
}

fn site_hosts(check: &mut Check<'_>, site: &raw::Site, span: &Range<usize>) -> Vec<(HostPattern, Range<usize>)> {
    if site.hosts.is_empty() {
        check.error(span.clone(), "the site has no hosts", "add `hosts = [\"shop.example\"]`, or `[\"*\"]` for any");
    }
    let mut patterns = Vec::new();
    for host in &site.hosts {
        match HostPattern::parse(&host.get_ref().to_ascii_lowercase()) {
            Some(pattern) => patterns.push((pattern, host.span())),
            None => check.error(
                host.span(),
                format!("`{}` is not a host", host.get_ref()),
                "write `shop.example`, `*.shop.example` or `*`, without scheme and port",
            ),
        }
    }
    patterns
}

fn one_site(
    check: &mut Check<'_>,
    mut raw: raw::Site,
    span: &Range<usize>,
    name: String,
    hosts: Vec<HostPattern>,
    shared: Shared<'_>,
    files: &mut FileSet<'_>,
) -> Option<SiteConfig> {
    if raw.upstream.is_empty() {
        check.error(
            span.clone(),
            format!("the site `{name}` has no upstream"),
            "add `upstream = [\"http://127.0.0.1:3000\"]`",
        );
    }
    let upstreams: Vec<_> = raw.upstream.iter().filter_map(|text| upstream(check, text)).collect();
    let https = https(check, &raw, shared.https);
    let upstream_tls = upstream_tls(check, raw.upstream_tls.take(), &upstreams, files);
    let modes = [("observe", Mode::Observe), ("enforce", Mode::Enforce), ("off", Mode::Off)];
    let unknown =
        [("block", UnknownCookies::Block), ("report", UnknownCookies::Report), ("allow", UnknownCookies::Allow)];
    let unrewritable = [("pass", Unrewritable::Pass), ("refuse", Unrewritable::Refuse)];
    let (purposes, gpc_caps) = site_purposes(check, &raw.purpose);
    check.offered = Some(purposes);
    let csp = csp(check, &raw, shared.consent, shared.catalog);
    let options = SiteOptions {
        name: name.into(),
        hosts,
        mode: check.choice(raw.mode.as_ref(), &modes).unwrap_or_default(),
        jurisdiction: check.choice(raw.jurisdiction.as_ref(), &JURISDICTIONS).unwrap_or_default(),
        jurisdictions: by_country(check, raw.jurisdictions),
        unknown_cookies: check.choice(raw.unknown_cookies.as_ref(), &unknown).unwrap_or_default(),
        purposes,
        gpc_caps,
        validity: check.number(raw.validity_days, 180, 1..=3650) * DAY,
        versions: versions(check, raw.version, raw.on_refusal.as_ref(), &raw.always_paths, shared.catalog),
        lifetimes: lifetimes(check, raw.max_age_days),
        shares: raw.share.iter().filter_map(|share| share_link(check, share)).collect(),
        on_unrewritable: check.choice(raw.on_unrewritable.as_ref(), &unrewritable).unwrap_or_default(),
        lazy_attributes: lazy_attributes(check, &raw.lazy_attributes),
        csp,
        clear_site_data: raw.clear_site_data,
        bridge: raw.bridge,
        https,
        forward_client_ip: check.choice(raw.forward_client_ip.as_ref(), &FORWARDED).unwrap_or_default(),
    };
    let records = record_names(check, &raw.signal);
    let signals = signals(check, &raw.signals, raw.signal, &shared.consent.cookie.name);
    let cookies = cookie_rules(check, raw.cookie, shared.consent, &records);
    let storage = storage_rules(check, raw.storage);
    let (requests, hosts) = tracker_rules(check, raw.tracker, shared.consent);
    check.offered = None;
    let time_zone = ledger::time_zone(check, raw.time_zone.as_ref());
    let share_retention = ledger::share_retention(check, raw.retention);
    let rules = OperatorRules { cookies, storage, requests, hosts, filter_lists: Vec::new() };
    Some(SiteConfig { options, rules, signals, upstreams, upstream_tls, time_zone, share_retention })
}

/// Names of attributes from which scripts take addresses.
fn lazy_attributes(check: &mut Check<'_>, names: &[Text]) -> Vec<Box<str>> {
    let plain = |name: &str| {
        let rest = name.strip_prefix("data-").unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    for name in names.iter().filter(|name| !plain(name.get_ref())) {
        let message = format!("`{}` is no attribute that scripts take addresses from", name.get_ref());
        check.error(name.span(), message, "write it as pages do, in small letters: `data-src`, `data-srcset`");
    }
    names.iter().map(|name| name.get_ref().as_str().into()).collect()
}

fn upstream(check: &mut Check<'_>, text: &Text) -> Option<UpstreamAddress> {
    let parsed = parse_upstream(text.get_ref());
    let help = "write `http://host:port`, `https://host` or `h2c://host:port`, without path";
    parsed
        .map_err(|problem| {
            check.error(text.span(), format!("`{}` is not an upstream: {problem}", text.get_ref()), help)
        })
        .ok()
}

fn parse_upstream(text: &str) -> Result<UpstreamAddress, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let (scheme, default_port) = match scheme {
        "http" => (UpstreamScheme::Http, 80),
        "https" => (UpstreamScheme::Https, 443),
        "h2c" => (UpstreamScheme::H2c, 80),
        _ => return Err("its scheme is not known"),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let parsed: http::uri::Authority = authority.parse().map_err(|_| "it has a path, or no host")?;
    let (host, port) = (parsed.host(), parsed.port_u16().unwrap_or(default_port));
    if Host::parse(host.as_bytes()).is_none() || authority.contains('@') || port == 0 || (authority.ends_with(':')) {
        return Err("its host or port is not possible");
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(UpstreamAddress { scheme, host: host.into(), port })
}

fn site_purposes(check: &mut Check<'_>, declared: &[Spanned<raw::Purpose>]) -> (PurposeSet, PurposeSet) {
    let (mut all, mut caps) = (Purposes::BUILT_IN, PurposeSet::of(Purpose::MARKETING));
    for declared in declared {
        let Some(name) = &declared.get_ref().name else {
            check.error(declared.span(), "the purpose has no name", "add `name = \"personalisation\"`");
            continue;
        };
        let Some(purpose) = check.purposes.get(name.get_ref()) else { continue };
        all = all.with(purpose);
        if declared.get_ref().sale {
            caps = caps.with(purpose);
        }
    }
    (all, caps.without(PurposeSet::NECESSARY))
}

fn lifetimes(check: &mut Check<'_>, raw: std::collections::BTreeMap<Text, Spanned<u64>>) -> CookieLifetimes {
    let mut lifetimes = CookieLifetimes::default();
    for (name, days) in raw {
        let Some(purpose) = check.purpose(name.get_ref(), name.span()) else { continue };
        if purpose == Purpose::NECESSARY {
            check.error(
                name.span(),
                "the life of necessary cookies cannot be capped",
                "they are never altered; remove this",
            );
            continue;
        }
        let seconds = check.number(Some(days), 400, 1..=3650) * DAY;
        lifetimes.set(purpose, u32::try_from(seconds).unwrap_or(u32::MAX));
    }
    lifetimes
}
