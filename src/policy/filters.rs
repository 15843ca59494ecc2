//! Filter lists that operators supply, in the syntax of Adblock Plus (EasyList, EasyPrivacy).
//!
//! The rules are read and matched by the crate `adblock`. Its engine takes microseconds and a lock for each URL, and
//! most URLs are named by no rule: [`Candidates`] tells those apart first. The engine looks at the clock to forget
//! regular expressions that were not needed for long; no answer depends on that.

mod candidates;

use std::fmt;
use std::sync::Arc;

use adblock::filters::network::NetworkFilterMaskHelper;
use adblock::lists::{ParseOptions, ParsedLine, RuleTypes, parse_filter};
use adblock::request::{Request, RequestType};
use adblock::{Engine, FilterSet};

use self::candidates::Candidates;
use super::hosts::Host;
use super::resource::ResourceKind;
use super::url::{Url, normal_path};
use super::verdict::Rule;

/// A filter list and what the requests that it names are for.
#[derive(Debug)]
pub struct FilterList {
    /// Stands for every rule of the list.
    pub rule: Rule,
    pub filters: Arc<Filters>,
}

/// The rules of one filter list, compiled.
pub struct Filters {
    engine: Engine,
    candidates: Candidates,
    rules: usize,
    unusable: usize,
}

impl Filters {
    /// Compiles the list `text`. Lines that say nothing about requests, or in no known form, are left out and counted.
    pub fn new(text: String) -> Self {
        let options = ParseOptions { rule_types: RuleTypes::NetworkOnly, ..ParseOptions::default() };
        let (mut candidates, mut rules, mut unusable) = (Candidates::builder(), 0, 0);
        for line in text.lines().map(str::trim).filter(|line| !is_comment(line)) {
            match parse_filter(line, false, options) {
                // These change pages or addresses, and block nothing.
                Ok(ParsedLine::Network(filter))
                    if filter.is_csp() || filter.is_removeparam() || filter.is_generic_hide() =>
                {
                    unusable += 1;
                }
                Ok(ParsedLine::Network(filter)) => {
                    rules += 1;
                    if !filter.mask.is_exception() && !filter.is_badfilter() {
                        candidates.add(&filter);
                    }
                }
                Ok(ParsedLine::Cosmetic(_)) | Err(_) => unusable += 1,
            }
        }
        let mut set = FilterSet::new(false);
        set.add_filter_list(text, options);
        Filters { engine: Engine::new_with_filter_set(set), candidates: candidates.build(), rules, unusable }
    }

    /// Rules that block requests or make exceptions.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// Lines that are neither blank, nor a comment, nor one of [`Filters::rules`].
    pub fn unusable(&self) -> usize {
        self.unusable
    }

    /// Whether the list blocks `url`, fetched as `kind` by a page at `own_host`, and makes no exception. Without a host
    /// of its own, a URL is not one that lists name. Neither scheme nor port are known: the scheme counts as the
    /// encrypted one, and rules that name another, or a port, do not match.
    pub fn matches(&self, url: &Url<'_>, own_host: &Host, kind: ResourceKind) -> bool {
        let Some(host) = &url.host else { return false };
        let (address, kind) = (address(host, url, kind), request_type(kind));
        self.candidates.hold(host, &address, &kind) && self.engine_blocks(host, &address, own_host, kind)
    }

    fn engine_blocks(&self, host: &Host, address: &str, own_host: &Host, kind: RequestType) -> bool {
        let third_party = host.registrable_domain() != own_host.registrable_domain();
        let method = if kind == RequestType::Ping { "POST" } else { "GET" };
        let mut request = Request::preparsed(address, host.as_str(), own_host.as_str(), "", third_party, method);
        request.request_type = kind;
        self.engine.check_network_request(&request).should_block()
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({} rules)", self.rules)
    }
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with(['!', '['])
}

fn request_type(kind: ResourceKind) -> RequestType {
    match kind {
        ResourceKind::Document => RequestType::Document,
        ResourceKind::Frame => RequestType::Subdocument,
        ResourceKind::Script => RequestType::Script,
        ResourceKind::Stylesheet => RequestType::Stylesheet,
        ResourceKind::Image => RequestType::Image,
        ResourceKind::Font => RequestType::Font,
        ResourceKind::Media => RequestType::Media,
        ResourceKind::Object => RequestType::Object,
        ResourceKind::Fetch => RequestType::Xmlhttprequest,
        ResourceKind::Websocket => RequestType::Websocket,
        ResourceKind::Ping => RequestType::Ping,
        ResourceKind::Other => RequestType::Other,
    }
}

/// The URL as a browser would ask for it (WHATWG URL, section 4.4), but in lower case: no rule that is used looks at
/// the case. ASCII only, whatever the URL holds, since the engine cuts it at positions in bytes.
fn address(host: &Host, url: &Url<'_>, kind: ResourceKind) -> String {
    let scheme = if kind == ResourceKind::Websocket { "wss://" } else { "https://" };
    let mut text = String::with_capacity(scheme.len() + host.as_str().len() + url.path.len() + url.query.len() + 2);
    text.push_str(scheme);
    text.push_str(host.as_str());
    if url.path.is_empty() {
        text.push('/');
    }
    if memchr::memmem::find(url.path, b"/.").is_some() || url.path.contains(&b'\\') {
        push_encoded(&mut text, &normal_path(url.path));
    } else {
        push_encoded(&mut text, url.path);
    }
    if !url.query.is_empty() {
        text.push('?');
        push_encoded(&mut text, url.query);
    }
    text
}

fn push_encoded(text: &mut String, part: &[u8]) {
    for byte in part {
        match byte {
            b'!'..=b'~' => text.push(char::from(byte.to_ascii_lowercase())),
            _ => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(list: &str, address: &str, kind: ResourceKind) -> bool {
        let own = Host::parse(b"www.shop.example").unwrap();
        Filters::new(list.to_owned()).matches(&Url::parse(address.as_bytes()).unwrap(), &own, kind)
    }

    #[test]
    fn rules_are_read_as_their_syntax_says() {
        use ResourceKind::{Document, Fetch, Frame, Image, Object, Other, Ping, Script, Websocket};
        for (list, address, kind, blocked) in [
            ("", "https://t.example/", Script, false),
            ("||t.example^", "https://t.example/x", Script, true),
            ("||t.example^", "https://a.t.example", Other, true),
            ("||t.example^", "//T.Example:8443/x", Image, true),
            ("||t.example^", "https://nott.example/", Script, false),
            ("||t.example^", "https://t.example.net/", Script, false),
            ("||t.example^", "https://t.example/", Document, true),
            ("||t.example^$script", "https://t.example/", Document, false),
            ("||t.example^$script", "https://t.example/x", Image, false),
            ("||t.example^$~script", "https://t.example/x", Image, true),
            ("||t.example^$subdocument", "https://t.example/x", Frame, true),
            ("||t.example^$object", "https://t.example/x", Object, true),
            ("||t.example^$xmlhttprequest", "https://t.example/x", Fetch, true),
            ("||t.example^$websocket", "wss://t.example/x", Websocket, true),
            ("||t.example^$third-party", "https://t.example/x", Script, true),
            ("||cdn.shop.example^$third-party", "https://cdn.shop.example/x", Script, false),
            ("||cdn.shop.example^$~third-party", "https://cdn.shop.example/x", Script, true),
            ("||t.example^$domain=shop.example", "https://t.example/x", Script, true),
            ("||t.example^$domain=other.example", "https://t.example/x", Script, false),
            ("||t.example/a/", "https://t.example/a/x", Script, true),
            ("||t.example/a/", "https://t.example/b/../a/x", Script, true),
            ("||t.example/a/", "https://t.example/b\\..\\a\\x", Script, true),
            ("||t.example/a/", "https://t.example/b/a/x", Script, false),
            ("||t.example/*/px.gif?", "https://t.example/a/px.gif?id=1", Image, true),
            ("||t.example^*px.gif", "https://t.example/a/px.gif", Image, true),
            ("||ads.", "https://ads.example/", Script, true),
            ("||track*.example^", "https://track9.example/", Script, true),
            ("/Collect?v=", "https://cdn.example/collect?v=1", Ping, true),
            ("&tid=", "https://cdn.example/x?a=1&tid=2", Image, true),
            ("/px^", "https://cdn.example/px", Image, true),
            ("/px|", "https://cdn.example/px?1", Image, false),
            ("|https://cdn.example/t", "https://cdn.example/t.js", Script, true),
            ("$ping,third-party", "https://cdn.example/x", Ping, true),
            ("$ping,third-party", "https://cdn.example/x", Script, false),
            ("||t.example^\n@@||t.example/ok/", "https://t.example/ok/x", Script, false),
            ("||t.example^\n@@||t.example/ok/$image", "https://t.example/ok/x", Script, true),
            ("||t.example^$important\n@@||t.example/ok/", "https://t.example/ok/x", Script, true),
            ("||t.example^\n||t.example^$badfilter", "https://t.example/x", Script, false),
            ("! ||t.example^\n[Adblock Plus 2.0]", "https://t.example/x", Script, false),
            ("||t.example^$csp=script-src none", "https://t.example/x", Frame, false),
        ] {
            assert_eq!(blocks(list, address, kind), blocked, "`{list}` and {address} as {}", kind.as_str());
        }
    }

    #[test]
    fn what_lines_were_good_for_is_counted() {
        let list = "! comment\n[Adblock]\n\n||a.example^\n@@||a.example/x\n##.ad\n/^https?:/$script\n||b^$nonsense\n$csp=x,domain=y";
        let filters = Filters::new(list.to_owned());
        assert_eq!((filters.rules(), filters.unusable()), (2, 4));
    }

    fn agrees(filters: &Filters, address: &[u8], own: &Host, kind: ResourceKind) {
        let Some(url) = Url::parse(address) else { return };
        let Some(host) = url.host else { return };
        let alone = filters.engine_blocks(&host, &super::address(&host, &url, kind), own, request_type(kind));
        assert_eq!(filters.matches(&url, own, kind), alone, "{}", String::from_utf8_lossy(address));
    }

    prop_compose! {
        fn rule()(
            exception in prop_oneof![4 => Just(""), 1 => Just("@@")],
            start in prop_oneof![3 => "\\|\\|([abc]\\.){0,3}[abcx]?", 1 => Just("|https://a".to_owned()), 2 => Just(String::new())],
            pattern in "[/ab.^*?=&-]{0,7}",
            end in prop_oneof![3 => Just(""), 2 => Just("^"), 1 => Just("|")],
            options in prop_oneof![
                3 => Just(""), 1 => Just("$script"), 1 => Just("$~image,third-party"), 1 => Just("$ping"),
                1 => Just("$domain=shop.example"), 1 => Just("$document"), 1 => Just("$important"), 1 => Just("$badfilter"),
            ],
        ) -> String {
            format!("{exception}{start}{pattern}{end}{options}")
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_told_apart_cheaply_the_engine_would_not_block(
            rules in proptest::collection::vec(rule(), 1..6),
            urls in proptest::collection::vec(("([abc]\\.){0,3}[abcx]", "(/[/ab.?=&-]{0,9})?", 0..ResourceKind::ALL.len()), 8),
        ) {
            let filters = Filters::new(rules.join("\n"));
            let own = Host::parse(b"shop.example").unwrap();
            for (host, path, kind) in urls {
                agrees(&filters, format!("https://{host}{path}").as_bytes(), &own, ResourceKind::ALL[kind]);
            }
        }

        #[test]
        fn no_list_and_no_url_makes_it_panic(
            list in proptest::collection::vec("(\\|\\|)?\\PC{0,24}(\\$\\PC{0,12})?", 0..8),
            path in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let filters = Filters::new(list.join("\n"));
            let own = Host::parse(b"shop.example").unwrap();
            agrees(&filters, &[b"https://t.example/", &*path].concat(), &own, ResourceKind::Script);
        }
    }

    /// For the real thing, which is not part of this repository.
    #[test]
    fn the_list_in_the_environment_loads() {
        let Some(path) = std::env::var_os("EASYPRIVACY") else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let filters = Filters::new(text.clone());
        assert!(filters.rules() > 40_000, "{}", filters.rules());
        assert!(filters.unusable() * 100 < filters.rules(), "{} unusable", filters.unusable());
        let own = Host::parse(b"www.shop.example").unwrap();
        let host_rules = text.lines().filter_map(|line| line.strip_prefix("||")?.split_once('^'));
        let (mut asked, mut blocked) = (0, 0);
        for (host, options) in host_rules.step_by(101) {
            let address = format!("https://{host}/x.js");
            let Some(url) = Url::parse(address.as_bytes()) else { continue };
            agrees(&filters, address.as_bytes(), &own, ResourceKind::Script);
            if matches!(options, "" | "$third-party") {
                asked += 1;
                blocked += usize::from(filters.matches(&url, &own, ResourceKind::Script));
            }
        }
        assert!(asked > 300 && blocked * 100 >= asked * 99, "{blocked} of {asked}");
        for address in [
            "https://cdn.jsdelivr.net/npm/vue",
            "https://fonts.gstatic.com/s/inter.woff2",
            "https://www.paypal.com/sdk/js",
        ] {
            assert!(
                !filters.matches(&Url::parse(address.as_bytes()).unwrap(), &own, ResourceKind::Script),
                "{address}"
            );
        }
    }
}
