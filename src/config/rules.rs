//! The rules of a site: cookies, trackers, share links.

use std::ops::Range;

use toml::Spanned;

use super::check::{Check, Text};
use super::{ConsentSettings, raw};
use crate::policy::{
    HostPattern, Mode, Origin, Pattern, Purpose, QueryShape, RequestShape, Rule, ShareEvent, ShareLink,
};

/// The share link that `share` describes.
pub(super) fn share_link(check: &mut Check<'_>, share: &Spanned<raw::Share>) -> Option<ShareLink> {
    let raw = share.get_ref();
    let Some(path) = &raw.path else {
        check.error(share.span(), "the share link has no path", "add `path = \"/s/{token}\"`");
        return None;
    };
    let template = path.get_ref();
    if !template.starts_with('/') || template.matches("{token}").count() != 1 || template.contains('*') {
        check.error(
            path.span(),
            format!("`{template}` is not a share link"),
            "write a path with exactly one `{token}`, such as `/s/{token}`",
        );
        return None;
    }
    let events = [("open", ShareEvent::Open), ("download", ShareEvent::Download)];
    let event = check.choice(raw.event.as_ref(), &events).unwrap_or(ShareEvent::Open);
    let pattern = Pattern::new(&template.replace("{token}", "*")).ok()?;
    Some(ShareLink { template: template.as_str().into(), path: pattern, event })
}

fn rule(
    check: &mut Check<'_>,
    whole: &Range<usize>,
    text: &str,
    purpose: Option<&Text>,
    mode: Option<&Text>,
) -> Option<Rule> {
    let Some(purpose) = purpose else {
        check.error(whole.clone(), "the rule has no purpose", "add `purpose = \"analytics\"`, or another");
        return None;
    };
    let purpose = check.purpose(purpose.get_ref(), purpose.span())?;
    let mode = check.choice(mode, &[("observe", Mode::Observe), ("enforce", Mode::Enforce), ("off", Mode::Off)]);
    Some(Rule { purpose, text: text.into(), vendor: None, origin: check.origin(whole), mode })
}

/// The operator's cookie rules, after those that keep the own cookie and the banner's that the site names in `records`:
/// without its record, a banner asks for ever.
pub(super) fn cookie_rules(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::NameRule>>,
    consent: &ConsentSettings,
    records: &[(Box<str>, Origin)],
) -> Vec<(Pattern, Rule)> {
    let own = &*consent.cookie.name;
    let own_origin = Origin { file: "the own consent cookie".into(), line: 0 };
    let kept = std::iter::once((own, &own_origin)).chain(records.iter().map(|(name, origin)| (&**name, origin)));
    let keeps = |(name, origin): (&str, &Origin)| {
        let rule =
            Rule { purpose: Purpose::NECESSARY, text: name.into(), vendor: None, origin: origin.clone(), mode: None };
        Some((Pattern::new(name).ok()?, rule))
    };
    let mut rules: Vec<_> = kept.filter_map(keeps).collect();
    for cookie in raw {
        let Some((pattern, rule, span)) = name_rule(check, cookie, "cookie") else { continue };
        if pattern.matches(own.as_bytes()) && rule.purpose != Purpose::NECESSARY {
            let message =
                format!("`{}` also names `{own}`, the own consent cookie, which would be dropped", pattern.as_str());
            check.error(span, message, "make the pattern narrower, or rename the own cookie under `[consent]`");
            continue;
        }
        add_name_rule(check, &mut rules, pattern, rule, span);
    }
    rules
}

/// The operator's rules for keys of `localStorage` and `sessionStorage`.
pub(super) fn storage_rules(check: &mut Check<'_>, raw: Vec<Spanned<raw::NameRule>>) -> Vec<(Pattern, Rule)> {
    let mut rules = Vec::new();
    for key in raw {
        let Some((pattern, rule, span)) = name_rule(check, key, "storage") else { continue };
        add_name_rule(check, &mut rules, pattern, rule, span);
    }
    rules
}

/// One rule by name, and where the name stands.
fn name_rule(check: &mut Check<'_>, raw: Spanned<raw::NameRule>, what: &str) -> Option<(Pattern, Rule, Range<usize>)> {
    let span = raw.span();
    let raw = raw.into_inner();
    let Some(name) = &raw.name else {
        check.error(span, format!("the {what} rule has no name"), "add `name = \"cart_*\"`");
        return None;
    };
    let pattern = check.pattern(name);
    let rule = rule(check, &span, name.get_ref(), raw.purpose.as_ref(), raw.mode.as_ref());
    Some((pattern?, rule?, name.span()))
}

fn add_name_rule(
    check: &mut Check<'_>,
    rules: &mut Vec<(Pattern, Rule)>,
    pattern: Pattern,
    rule: Rule,
    span: Range<usize>,
) {
    let other = rules.iter().find(|(known, known_rule)| *known == pattern && known_rule.purpose != rule.purpose);
    if let Some((_, earlier)) = other {
        let help = format!("the other rule is at {}; remove one", earlier.origin);
        return check.error(span, format!("`{}` has two purposes", pattern.as_str()), help);
    }
    rules.push((pattern, rule));
}

type RequestRules = Vec<(RequestShape, Rule)>;
type HostRules = Vec<(HostPattern, Pattern, Rule)>;

/// The operator's tracker rules: by request, and by host.
pub(super) fn tracker_rules(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::Tracker>>,
    consent: &ConsentSettings,
) -> (RequestRules, HostRules) {
    let (mut requests, mut hosts) = (Vec::new(), Vec::new());
    for tracker in raw {
        let span = tracker.span();
        let raw = tracker.into_inner();
        let text = |text: &Option<Text>| text.as_ref().map_or("", |text| text.get_ref()).to_owned();
        let (host, path) = (text(&raw.host), text(&raw.path));
        let Some(rule) = rule(check, &span, &format!("{host}{path}"), raw.purpose.as_ref(), raw.mode.as_ref()) else {
            continue;
        };
        let Some(host) = &raw.host else {
            let own_pages = format!("{}/consent", consent.prefix);
            let shape = request_shape(check, span.clone(), raw.path, raw.query, raw.method, raw.body);
            match shape {
                Some(shape) if shape.query.is_empty() && shape.path.matches(own_pages.as_bytes()) => {
                    check.error(
                        span,
                        format!("`{path}` would block the own pages under `{}`", consent.prefix),
                        "make the path narrower",
                    );
                }
                Some(shape) => requests.push((shape, rule)),
                None => {}
            }
            continue;
        };
        if !raw.query.is_empty() || !raw.body.is_empty() || raw.method.is_some() {
            check.error(
                span,
                "a rule with a host can only have a path beside it",
                "leave out `host` to match requests to the site itself by query, method or body",
            );
            continue;
        }
        let patterns =
            HostPattern::parse(&host.get_ref().to_ascii_lowercase()).filter(|pattern| *pattern != HostPattern::Any);
        let Some(pattern) = patterns else {
            check.error(
                host.span(),
                format!("`{}` is not a host", host.get_ref()),
                "write `metrics.shop.example` or `*.tracker.example`",
            );
            continue;
        };
        if let Some(path) = raw.path.as_ref().filter(|path| !path.get_ref().starts_with(['/', '*'])) {
            check.error(path.span(), format!("`{}` is not a path", path.get_ref()), "begin it with `/` or `*`");
            continue;
        }
        let path = raw.path.as_ref().and_then(|path| check.pattern(path));
        let path = path.or_else(|| Pattern::new("*").ok());
        hosts.extend(path.map(|path| (pattern, path, rule)));
    }
    (requests, hosts)
}

/// The shape of a request to a site's own host, from its parts.
pub(super) fn request_shape(
    check: &mut Check<'_>,
    whole: Range<usize>,
    path: Option<Text>,
    query: Vec<Text>,
    method: Option<Text>,
    body: Vec<Text>,
) -> Option<RequestShape> {
    let path_text = path.as_ref().map_or("*", |path| path.get_ref());
    if let Some(path) = path.as_ref().filter(|path| !path.get_ref().starts_with(['/', '*'])) {
        check.error(
            path.span(),
            format!("`{}` is not a path", path.get_ref()),
            "begin it with `/`, or with `*` for any prefix",
        );
        return None;
    }
    let pattern = Pattern::new(path_text).ok()?;
    if pattern.literals() < 2 && query.is_empty() && body.is_empty() {
        check.error(whole, "the rule matches every request", "add a `path`, or what its `query` or `body` holds");
        return None;
    }
    let mut shapes = Vec::new();
    for parameter in &query {
        let (key, value) = match parameter.get_ref().split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (parameter.get_ref().as_str(), None),
        };
        let value = value.map(Pattern::new).transpose();
        match value {
            Ok(value) if !key.is_empty() => shapes.push(QueryShape { key: key.into(), value }),
            _ => {
                check.error(
                    parameter.span(),
                    format!("`{}` is not a parameter", parameter.get_ref()),
                    "write `key=value`, `key=begin*` or `key`",
                );
                return None;
            }
        }
    }
    Some(RequestShape {
        path: pattern,
        query: shapes,
        method: method.map(|method| method.into_inner().to_ascii_uppercase().into()),
        body: body.into_iter().map(|literal| literal.into_inner().into_bytes().into()).collect(),
    })
}
