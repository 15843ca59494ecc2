//! The pure core: `cargo bench`. Ratios to a named peer in the same run are what counts; see README.md beside this.

mod trail;

use std::collections::HashMap;
use std::sync::OnceLock;

use consentry::config::{self, built_in_catalog};
use consentry::consent::{OwnCookie, Resolver, SiteSignals};
use consentry::enforce::html::{
    Coding, DecodeError, Decoder, Encoder, Gate, GateRules, MAX_DECODED, PagePlan, PageStream, Treatment, neutralise,
};
use consentry::enforce::{Edit, Judge, ResponseFacts, Tally, cap_lifetime, edit_cookie, edit_request, edit_response};
use consentry::policy::{Filters, Host, NameIndex, Pattern, PurposeSet, RequestFacts, ResourceKind, Ruleset, Url};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue};

mod ledger;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const CONFIG: &str = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n[[site]]\nname = \"s\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:1\"]\n";

/// 14 cookies, 9 of which need consent.
const COOKIES: &str = "_ga=GA1.1.1234567890.1700000000; _ga_ABCDEF1234=GS1.1.1700000000.1.1.1700000100.0.0.0; PHPSESSID=abcdefghijklmnopqrstuvwxyz; _gid=GA1.2.987654321.1700000000; csrftoken=0123456789abcdef0123456789abcdef; _fbp=fb.1.1700000000000.1234567890; _gcl_au=1.1.1234567890.1700000000; _hjSessionUser_12345=eyJpZCI6IjEyMzQ1Njc4In0; cf_clearance=abcdefghijklmnopqrstuvwxyz012345; _uetsid=0123456789abcdef0123456789abcdef; _clck=abc123|2|fxx|0|1234; Hm_lvt_0123456789abcdef=1700000000; JSESSIONID=0123456789ABCDEF; AWSALB=abcdefghijklmnop";

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let loaded = config::parse("c.toml".as_ref(), CONFIG.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.map(|config| config.compile().ruleset).unwrap_or_else(|| std::process::abort())
    })
}

fn host() -> Host {
    Host::parse(b"www.shop.example").unwrap_or_else(|| std::process::abort())
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn response_headers() -> HeaderMap {
    let mut headers =
        headers(&[("content-type", "text/html"), ("cache-control", "no-cache"), ("server", "x"), ("date", "x")]);
    for line in [
        "_ga=1; Path=/; Max-Age=63072000",
        "PHPSESSID=2; HttpOnly",
        "_fbp=3; Path=/",
        "csrftoken=4; Secure",
        "_gid=5",
        "AWSALB=6",
        "_uetsid=7; Path=/",
        "_clck=8",
    ] {
        headers.append("set-cookie", HeaderValue::from_static(line));
    }
    headers
}

fn judge(granted: PurposeSet, host: &Host) -> Option<Judge<'_>> {
    let ruleset = ruleset();
    Some(Judge { catalog: &ruleset.catalog, site: ruleset.sites.first()?, host, granted: granted.into() })
}

/// The `Cookie` editor alone.
#[divan::bench_group]
mod cookie_editor {
    use super::*;

    #[divan::bench]
    fn nothing_goes(bencher: Bencher) {
        bencher.bench(|| edit_cookie(black_box(COOKIES.as_bytes()), |_| true));
    }

    #[divan::bench]
    fn every_other_goes(bencher: Bencher) {
        bencher.bench(|| {
            let mut odd = false;
            edit_cookie(black_box(COOKIES.as_bytes()), |_| {
                odd = !odd;
                odd
            })
        });
    }

    /// The peer: split, collect, join.
    #[divan::bench]
    fn peer_split_and_join(bencher: Bencher) {
        bencher.bench(|| {
            let mut odd = false;
            let kept = black_box(COOKIES).split("; ").filter(|_| {
                odd = !odd;
                odd
            });
            Edit::Replaced(kept.collect::<Vec<_>>().join("; ").into_bytes())
        });
    }
}

/// Editors with the verdicts of the built-in catalog: what one request and one response cost.
#[divan::bench_group]
mod request_and_response {
    use super::*;

    #[divan::bench(args = ["refused", "granted"])]
    fn request_cookies(bencher: Bencher, consent: &str) {
        let (host, request) = (host(), headers(&[("cookie", COOKIES)]));
        let granted = if consent == "granted" { ruleset().purposes.all() } else { PurposeSet::NECESSARY };
        bencher.bench(|| {
            judge(granted, &host).map(|judge| edit_request(&judge, black_box(&request), b"", &mut Tally::default()))
        });
    }

    #[divan::bench(args = ["refused", "granted"])]
    fn response_cookies(bencher: Bencher, consent: &str) {
        let (host, request, response) = (host(), HeaderMap::new(), response_headers());
        let granted = if consent == "granted" { ruleset().purposes.all() } else { PurposeSet::NECESSARY };
        let facts = ResponseFacts {
            status: 200,
            headers: &response,
            request: &request,
            path: b"/products/lantern",
            secure: true,
            now: 1_700_000_000,
            blocked_path: "/.consentry/blocked",
            consent_header: "x-consent-purposes",
            by_consent: false,
            is_page: false,
        };
        bencher.bench(|| {
            judge(granted, &host).map(|judge| edit_response(&judge, black_box(&facts), &mut Tally::default()))
        });
    }

    #[divan::bench]
    fn cap_a_lifetime(bencher: Bencher) {
        let line = b"_ga=GA1.1.1; Path=/; Expires=Wed, 09 Jun 2038 10:18:14 GMT; Secure";
        bencher.bench(|| cap_lifetime(black_box(line), 3600, 1_700_000_000));
    }
}

/// What a request costs until it is known what its visitor agreed to.
#[divan::bench_group]
mod consent {
    use super::*;

    fn signals() -> &'static SiteSignals {
        static SIGNALS: OnceLock<SiteSignals> = OnceLock::new();
        SIGNALS.get_or_init(|| SiteSignals::new(&[], &HashMap::new(), "consentry", &ruleset().purposes))
    }

    /// Cookies that say nothing about consent, as most sites have them.
    const OTHERS: &str = "PHPSESSID=abcdefghijklmnop; csrftoken=0123456789abcdef; cart=17; _ga=GA1.1.1.1700000000";

    /// A TC string of 1 KiB that speaks of 800 vendors, every third consented to: a bit for each.
    const TC_BITS: &str = include_str!("tc_string_bits.txt");

    /// The same with vendors as ranges.
    const TC_RANGES: &str = include_str!("tc_string_ranges.txt");

    const CASES: [(&str, &str); 7] = [
        ("no_cookie", ""),
        ("tc_string_bits", TC_BITS),
        ("tc_string_ranges", TC_RANGES),
        ("no_banner", ""),
        ("own", "; consentry=1~analytics~~1700000000~receipt"),
        (
            "cookiebot",
            "; CookieConsent={stamp:%27Zm9vYmFyYmF6cXV4+/ab0==%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:true%2Cmarketing:false%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1700000000120%2Cregion:%27de%27}",
        ),
        (
            "onetrust",
            "; OptanonConsent=isGpcEnabled=0&datestamp=Tue+Nov+14+2023+23%3A13%3A20+GMT%2B0100+(Central+European+Standard+Time)&version=202501.1.0&browserGpcFlag=0&isIABGlobal=false&hosts=&genVendors=&consentId=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71&interactionCount=1&isAnonUser=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A0&AwaitingReconsent=false&geolocation=FR%3BIDF; OptanonAlertBoxClosed=2023-11-14T22:13:20.120Z",
        ),
    ];

    fn resolve_each(bencher: Bencher, request: &HeaderMap) {
        let (own, ruleset) = (OwnCookie::new("consentry", None), ruleset());
        let resolver = ruleset.sites.first().map(|site| Resolver {
            site,
            signals: signals(),
            own: &own,
            purposes: &ruleset.purposes,
            catalog: &ruleset.catalog,
        });
        bencher.bench(|| resolver.map(|resolver| resolver.resolve(black_box(request), None, 1_700_000_100, &mut ())));
    }

    #[divan::bench(args = CASES.map(|(name, _)| name))]
    fn resolve(bencher: Bencher, case: &str) {
        let banner = CASES.iter().find(|(name, _)| *name == case).map_or("", |(_, cookies)| cookies);
        let cookies = format!("{OTHERS}{}", banner.trim_ascii_end());
        let mut request = headers(&[("accept", "*/*")]);
        if let Some(value) = cookies.parse().ok().filter(|_| case != "no_cookie") {
            request.insert("cookie", value);
        }
        resolve_each(bencher, &request);
    }

    /// As much as a request may carry: 4,000 cookies that say nothing about consent, or as many that claim to.
    #[divan::bench(args = ["others", "claims"])]
    fn four_thousand_cookies(bencher: Bencher, kind: &str) {
        let name = if kind == "others" { "cookie" } else { "OptanonConsent" };
        let cookies: Vec<_> = (0..4000).map(|number| format!("{name}={number:05}")).collect();
        let mut request = HeaderMap::new();
        cookies.join("; ").parse().into_iter().for_each(|value| _ = request.insert("cookie", value));
        resolve_each(bencher, &request);
    }
}

/// Matching must not cost more when there are more patterns.
#[divan::bench_group]
mod cookie_names {
    use super::*;

    const NAMES: [&str; 8] =
        ["_ga", "_ga_ABCDEF", "PHPSESSID", "mystery_cookie", "_hjSessionUser_1", "Hm_lvt_1", "x_gr_y", "cart"];

    fn patterns(count: usize) -> Vec<Pattern> {
        let catalog = built_in_catalog();
        let all = catalog.cookie_rules().iter().filter_map(|rule| Pattern::new(&rule.text).ok());
        all.cycle()
            .enumerate()
            .take(count)
            .map(|(number, pattern)| match number {
                0..3000 => pattern,
                // Beyond what the catalog has: the same shapes under other names.
                _ => Pattern::new(&format!("{number}{}", pattern.as_str())).unwrap_or(pattern),
            })
            .collect()
    }

    #[divan::bench(args = [100, 1000, 3000, 30_000])]
    fn eight_names_among(bencher: Bencher, count: usize) {
        let index = NameIndex::new(&patterns(count));
        bencher.bench(|| NAMES.map(|name| index.find(black_box(name.as_bytes()), |_| true)));
    }

    /// The peer: try one pattern after the other.
    #[divan::bench(args = [100, 1000, 3000])]
    fn peer_one_after_the_other(bencher: Bencher, count: usize) {
        let patterns = patterns(count);
        bencher.bench(|| {
            NAMES.map(|name| patterns.iter().position(|pattern| pattern.matches(black_box(name.as_bytes()))))
        });
    }
}

/// Deciding whether a request is one of the catalog's trackers.
#[divan::bench_group]
mod requests {
    use super::*;

    #[divan::bench(args = [
        "/products/lantern?colour=red&page=2", "/assets/app.3f2a9c1e.js", "/metrics/g/collect?v=2&tid=G-ABC&cid=1.2", "/a/%2e%2e/g//collect",
    ])]
    fn find(bencher: Bencher, target: &str) {
        let catalog = built_in_catalog();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        bencher.bench(|| {
            let facts =
                RequestFacts { method: "GET", path: black_box(path.as_bytes()), query: query.as_bytes(), body: None };
            catalog.request(&facts).known().map(|rule| rule.purpose)
        });
    }
}

/// A page of 60 KiB as it comes from an upstream and goes to a client.
#[divan::bench_group]
mod bodies {
    use super::*;

    const CODINGS: [&str; 3] = ["zstd", "gzip", "br"];

    fn coding(name: &str) -> Coding {
        let coding = consentry::enforce::html::content_coding([name.as_bytes()]);
        coding.unwrap_or_else(|_| std::process::abort())
    }

    /// Neither all the same nor all different, as lists of goods are.
    fn page() -> Vec<u8> {
        let mut page = String::new();
        for number in 1_u64.. {
            let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (id, name, price) = (hash >> 40, hash >> 24, hash % 997);
            page += &format!(
                "<li class=\"item\"><a href=\"/p/{id:x}\"><img src=\"/i/{id:x}.jpg\" alt=\"\">{name:x}</a> {price} €</li>\n"
            );
            if page.len() >= 60 * 1024 {
                break;
            }
        }
        page.into_bytes()
    }

    fn encoded(coding: Coding, page: &[u8]) -> Option<Vec<u8>> {
        let (mut encoder, mut body) = (Encoder::new(coding)?, Vec::new());
        encoder.encode(page, &mut body).and_then(|()| encoder.finish(&mut body)).ok()?;
        Some(body)
    }

    #[divan::bench(args = CODINGS)]
    fn encode(bencher: Bencher, name: &str) {
        let (coding, page) = (coding(name), page());
        bencher.bench(|| encoded(coding, black_box(&page)));
    }

    #[divan::bench(args = CODINGS)]
    fn decode(bencher: Bencher, name: &str) {
        let coding = coding(name);
        let body = encoded(coding, &page()).unwrap_or_else(|| std::process::abort());
        bencher.bench(|| {
            let mut length = 0;
            let mut decoder = Decoder::new(coding, MAX_DECODED)?;
            let sink = |piece: &[u8]| -> Result<(), DecodeError> {
                length += piece.len();
                Ok(())
            };
            decoder.decode(black_box(&body), sink).and_then(|()| decoder.finish()).ok()?;
            Some(length)
        });
    }

    #[divan::bench]
    fn style_sheet_of_8_kib(bencher: Bencher) {
        let rule = "a.b > c { color: red; background: url(/own/image.png) no-repeat; margin: 0 auto }\n";
        let sheet = rule.repeat(100);
        bencher.bench(|| neutralise(black_box(&sheet), &mut |url| url.contains("tracker")));
    }
}

/// The page of the side-by-side run: 60 KiB, 40 tags with addresses, 15 of which are denied.
#[divan::bench_group]
mod gate {
    use lol_html::{HtmlRewriter, Settings, element};

    use super::*;

    const DENIED_HOSTS: [&str; 11] = [
        "www.googletagmanager.com",
        "connect.facebook.net",
        "static.hotjar.com",
        "www.clarity.ms",
        "snap.licdn.com",
        "bat.bing.com",
        "cdn.segment.com",
        "www.facebook.com",
        "px.ads.linkedin.com",
        "www.google-analytics.com",
        "www.youtube.com",
    ];

    /// As pages.py makes it.
    fn page() -> Vec<u8> {
        let mut template = include_str!("side_by_side/page.html").to_owned();
        let places = template.matches("@goods@").count();
        let mut goods = vec![String::new(); places];
        let mut length = template.len();
        for number in 1_u64.. {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (id, name, left, days, price) = (mixed >> 40, mixed >> 24, mixed % 97, mixed % 7, mixed % 997);
            let item = format!(
                "<li class=\"item\" id=\"p{id:x}\"><a href=\"/p/{id:x}\" class=\"card\"><h3>{name:x}</h3>\
                 <p class=\"text\">Made by hand; {left} left, sent within {days} days.</p>\
                 <span class=\"price\">{price} €</span></a></li>\n"
            );
            length += item.len();
            if let Some(goods) = goods.get_mut(number as usize % places) {
                goods.push_str(&item);
            }
            if length >= 60 * 1024 {
                break;
            }
        }
        for goods in goods {
            template = template.replacen("@goods@\n", &goods, 1);
        }
        template.into_bytes()
    }

    fn with_rules<T>(granted: PurposeSet, action: impl FnOnce(&GateRules<'_>) -> T) -> Option<T> {
        let host = host();
        let rules = GateRules {
            judge: judge(granted, &host)?,
            purposes: &ruleset().purposes,
            prefix: "/.consentry",
            secure: true,
            authority: "www.shop.example",
            path: "/lanterns",
            guard: Some("<script src=\"/.consentry/guard.js\"></script>"),
            language: "en",
        };
        Some(action(&rules))
    }

    fn parked(mut gate: Gate, rules: &GateRules<'_>, page: &[u8], piece: usize) -> Vec<u8> {
        let (mut tally, mut output) = (Tally::default(), Vec::with_capacity(page.len()));
        for piece in page.chunks(piece) {
            gate.write(rules, &mut tally, piece, &mut output).unwrap_or_else(|_| std::process::abort());
        }
        gate.finish(rules, &mut tally, &mut output);
        output
    }

    #[divan::bench(args = [64, 16, 4])]
    fn in_pieces_of_kib(bencher: Bencher, piece: usize) {
        let page = page();
        let bencher = bencher.counter(BytesCount::of_slice(&page));
        with_rules(PurposeSet::NECESSARY, |rules| {
            bencher.bench_local(|| parked(Gate::new(false), rules, black_box(&page), piece << 10));
        });
    }

    #[divan::bench]
    fn thorough(bencher: Bencher) {
        let page = page();
        let bencher = bencher.counter(BytesCount::of_slice(&page));
        with_rules(PurposeSet::NECESSARY, |rules| {
            bencher.bench_local(|| parked(Gate::thorough(), rules, black_box(&page), page.len()));
        });
    }

    /// The peer: lol_html as its documentation shows it, with a list of the hosts of this page.
    #[divan::bench]
    fn peer_lol_html_with_four_selectors(bencher: Bencher) {
        let page = page();
        bencher.counter(BytesCount::of_slice(&page)).bench_local(|| {
            let mut output = Vec::with_capacity(page.len());
            let park = |element: &mut lol_html::html_content::Element<'_, '_>, name: &str| {
                let address = element.get_attribute(name).unwrap_or_default();
                let host = address.split_once("//").and_then(|(_, rest)| rest.split(['/', '?']).next());
                if host.is_some_and(|host| DENIED_HOSTS.contains(&host)) {
                    element.remove_attribute(name);
                    element.set_attribute(&format!("data-{name}"), &address)?;
                }
                Ok(())
            };
            let settings = Settings::new()
                .append_element_content_handler(element!("script[src]", |element| park(element, "src")))
                .append_element_content_handler(element!("img[src]", |element| park(element, "src")))
                .append_element_content_handler(element!("iframe[src]", |element| park(element, "src")))
                .append_element_content_handler(element!("link[href]", |element| park(element, "href")));
            let mut rewriter = HtmlRewriter::new(settings, |piece: &[u8]| output.extend_from_slice(piece));
            rewriter.write(black_box(&page)).and_then(|()| rewriter.end()).unwrap_or_else(|_| std::process::abort());
            output
        });
    }

    /// The whole way of a page, from what an upstream sends to what a client gets.
    #[divan::bench(args = ["identity to identity", "identity to gzip", "identity to zstd", "gzip to identity", "gzip to gzip"])]
    fn stream(bencher: Bencher, names: &str) {
        let coding = |name: &str| consentry::enforce::html::content_coding([name.as_bytes()]).ok();
        let codings = names.split_once(" to ").and_then(|(from, to)| Some((coding(from)?, coding(to)?)));
        let codings = codings.unwrap_or_else(|| std::process::abort());
        let page = page();
        let body = match Encoder::new(codings.0) {
            None => page.clone(),
            Some(mut encoder) => {
                let mut body = Vec::new();
                encoder.encode(&page, &mut body).and_then(|()| encoder.finish(&mut body)).ok();
                body
            }
        };
        let bencher = bencher.counter(BytesCount::of_slice(&page));
        with_rules(PurposeSet::NECESSARY, |rules| {
            bencher.bench_local(|| {
                let plan = PagePlan { treatment: Some(Treatment::Rewrite), codings, ..PagePlan::pass(true) };
                let mut stream = PageStream::new(&plan, Some(b"text/html; charset=utf-8"), false)?;
                let mut output = Vec::with_capacity(body.len());
                stream
                    .write(rules, black_box(&body), &mut output)
                    .and_then(|()| stream.finish(rules, &mut output))
                    .ok()?;
                Some(output)
            });
        });
    }
}

/// URLs at other hosts against filter lists: more rules must not cost more. `EASYPRIVACY` names a file with the real one.
#[divan::bench_group]
mod filter_lists {
    use super::*;

    const BLOCKED: [&str; 4] = [
        "https://host20.tracker20.example/x.js",
        "https://eu.host1200.tracker223.example/collect?id=1",
        "https://cdn.example/metric38/beacon.js",
        "https://cdn.example/js/a-track59.js",
    ];
    const PASSED: [&str; 4] = [
        "https://images.ctfassets.net/a1b2c3/products/lantern-large.webp?w=640&q=80&fm=webp",
        "https://fonts.gstatic.com/s/inter/v13/UcC73FwrK3iLTeHuS_fvQtMwCp50KnMa1ZL7.woff2",
        "https://js.stripe.com/v3/",
        "https://assets.cdn.example/app/main.3f2a9c1e.js",
    ];

    /// Mixed as in EasyPrivacy: mostly whole hosts, some paths and kinds, some rules for any host, few exceptions.
    fn synthetic(count: usize) -> String {
        let mut list = String::new();
        for n in 0..count {
            list += &match n % 20 {
                0..15 => format!("||host{n}.tracker{}.example^\n", n % 977),
                15 => format!("||third{n}.example^$third-party\n"),
                16 | 17 => format!("||site{n}.example/collect/*/px{n}.gif$image\n"),
                18 => format!("/metric{n}/beacon.\n"),
                _ if n % 200 == 19 => format!("@@||host{}.tracker{}.example/allowed/\n", n - 19, (n - 19) % 977),
                _ => format!("-track{n}.js$script,third-party\n"),
            };
        }
        list
    }

    fn text(list: &str) -> String {
        let easyprivacy = || std::env::var_os("EASYPRIVACY").and_then(|path| std::fs::read_to_string(path).ok());
        let count = |words: &str| words.parse().map(synthetic).unwrap_or_default();
        match list.strip_prefix("EasyPrivacy") {
            Some(more) => easyprivacy().unwrap_or_default() + &count(more.trim_start_matches(" + ")),
            None => count(list),
        }
    }

    fn lists() -> &'static [&'static str] {
        match std::env::var_os("EASYPRIVACY") {
            Some(_) => &["10000", "100000", "EasyPrivacy + 10000", "EasyPrivacy + 100000"],
            None => &["10000", "100000"],
        }
    }

    fn ask(bencher: Bencher, list: &str, addresses: [&str; 4]) {
        let (filters, own) = (Filters::new(text(list)), host());
        bencher.bench(|| {
            addresses.map(|address| {
                let url = Url::parse(black_box(address.as_bytes()));
                url.map(|url| filters.matches(&url, &own, ResourceKind::Script))
            })
        });
    }

    #[divan::bench(args = lists())]
    fn four_blocked(bencher: Bencher, list: &str) {
        ask(bencher, list, BLOCKED);
    }

    #[divan::bench(args = lists())]
    fn four_passed(bencher: Bencher, list: &str) {
        ask(bencher, list, PASSED);
    }

    #[divan::bench(args = lists(), sample_count = 5, sample_size = 1)]
    fn compile(bencher: Bencher, list: &str) {
        bencher.with_inputs(|| text(list)).bench_values(Filters::new);
    }
}
