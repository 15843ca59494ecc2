//! A purpose is granted, and single vendors are refused.

use std::sync::{Arc, OnceLock};

use consentry::config;
use consentry::enforce::csp::Admission;
use consentry::enforce::html::{Gate, GateRules, GuardFiles, OwnFile, variant};
use consentry::enforce::{Edit, Judge, ResponseFacts, Tally, edit_request, edit_response};
use consentry::policy::{
    Catalog, Grant, Host, PurposeSet, RequestFacts, ResourceKind, Ruleset, SourceLists, VendorId, VendorSet,
};
use http::HeaderMap;
use proptest::prelude::*;

const CATALOG: &str = r#"
[[vendor]]
id = "first"
name = "First Ads"
gvl = 7
purpose = "marketing"
cookies = ["first_ad", { name = "first_cart", purpose = "necessary" }, "both_*"]
storage = ["first:ad", { name = "first:cart", purpose = "necessary" }]
snippets = ["firstads('start'"]
globals = ["firstads"]
hosts = ["first.example", { host = "shared.example", path = "/first/*" }]
paths = [{ path = "/first/collect" }]
click_ids = ["firstid"]

[[vendor]]
id = "second"
name = "Second Ads"
gvl = 7
purpose = "marketing"
cookies = ["second_ad", "both_*"]
hosts = ["second.example", { host = "shared.example", path = "/second/*" }, "deep.first.example"]

[[vendor]]
id = "criteo"
name = "Criteo, as we use it"
purpose = "marketing"
cookies = ["our_criteo"]
"#;

const SITE: &str = "csp = \"enforce\"\ncsp_vendors = [\"first\", \"second\"]\n";

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let site = crate::support::site(([127, 0, 0, 1], 1).into(), SITE);
        let text = crate::support::TestApp::configuration("[catalog]\nfiles = [\"own.toml\"]\n", &site);
        let loaded = config::parse("c.toml".as_ref(), text.as_bytes(), &|_| Ok(CATALOG.as_bytes().to_vec()));
        loaded.config.unwrap().compile().ruleset
    })
}

fn catalog() -> &'static Catalog {
    &ruleset().catalog
}

fn vendor(id: &str) -> VendorId {
    catalog().vendor_by_id(id).unwrap()
}

/// Everything is granted, but not to these.
fn all_but(ids: &[&str]) -> Grant {
    let purposes = ruleset().sites[0].options.purposes;
    Grant { purposes, refused: ids.iter().map(|id| vendor(id)).collect() }
}

fn judging<T>(granted: Grant, ask: impl FnOnce(&Judge<'_>) -> T) -> T {
    let host = Host::parse(b"www.shop.example").unwrap();
    ask(&Judge { catalog: catalog(), site: &ruleset().sites[0], host: &host, granted })
}

#[test]
fn vendors_are_numbered_over_all_catalogs() {
    let host = Host::parse(b"shop.example").unwrap();
    let whose = |cookie: &str| catalog().cookie(cookie.as_bytes(), &host).unwrap().vendor.clone().unwrap();
    assert_eq!(whose("first_ad").id, vendor("first"));
    assert_eq!(&*whose("first_ad").name, "First Ads");
    assert_eq!(whose("_fbp").id, vendor("meta_pixel"));
    // Who is described anew is still the same vendor.
    assert_eq!(whose("our_criteo").id, vendor("criteo"));
    assert_eq!(whose("cto_bundle").id, vendor("criteo"));
    assert_eq!(catalog().vendor_by_id("nobody"), None);
    let distinct: VendorSet = catalog().gvl_vendors().iter().map(|(_, vendor)| *vendor).collect();
    let gvl = catalog().gvl_vendors();
    assert!(gvl.is_sorted() && distinct.iter().count() == gvl.len(), "{gvl:?}");
    for pair in [(7, vendor("first")), (7, vendor("second")), (91, vendor("criteo")), (755, vendor("google_ads"))] {
        assert!(gvl.contains(&pair), "{pair:?}");
    }
    assert_eq!(config::built_in_catalog().gvl_vendors().len() + 2, gvl.len());
}

#[test]
fn cookies_requests_addresses_and_scripts_of_a_refused_vendor_are_denied() {
    // Each with whether it is allowed while nobody, the first or the second of the vendors is refused.
    type Ask = fn(&Judge<'_>) -> bool;
    let asks: [(&str, Ask, [bool; 3]); 13] = [
        ("cookie", |judge| judge.cookie(b"first_ad").allowed, [true, false, true]),
        ("necessary cookie", |judge| judge.cookie(b"first_cart").allowed, [true, true, true]),
        ("cookie of whoever is first", |judge| judge.cookie(b"both_x").allowed, [true, false, true]),
        ("cookie of the other", |judge| judge.cookie(b"second_ad").allowed, [true, true, false]),
        ("unknown cookie", |judge| judge.cookie(b"mystery").allowed, [true, true, true]),
        ("own cookie", |judge| judge.cookie(b"consentry").allowed, [true, true, true]),
        ("request", |judge| request(judge, b"/first/collect"), [true, false, true]),
        ("click id", |judge| judge.parameter(b"firstid").unwrap().allowed, [true, false, true]),
        ("address", |judge| address(judge, "https://first.example/a.js"), [true, false, true]),
        ("more precise address", |judge| address(judge, "https://deep.first.example/a.js"), [true, true, false]),
        ("address by path", |judge| address(judge, "https://shared.example/first/a.js"), [true, false, true]),
        ("script", |judge| script(judge, "firstads('start')"), [true, false, true]),
        ("script with an address", |judge| script(judge, "load('//second.example/b')"), [true, true, false]),
    ];
    for (what, ask, expected) in asks {
        let found = [&[][..], &["first"], &["second"]].map(|refused| judging(all_but(refused), ask));
        assert_eq!(found, expected, "{what}");
    }
    let refused = judging(all_but(&["first"]), |judge| judge.cookie(b"first_ad").refused);
    let denied = judging(PurposeSet::NECESSARY.into(), |judge| judge.cookie(b"first_ad").refused);
    assert!(refused && !denied, "the verdict tells a refusal from a purpose that is not granted");
}

fn request(judge: &Judge<'_>, path: &[u8]) -> bool {
    let facts = RequestFacts { method: "GET", path, query: b"", body: None };
    judge.request(&facts).known().unwrap().allowed
}

fn address(judge: &Judge<'_>, url: &str) -> bool {
    judge.url(url.as_bytes(), ResourceKind::Script).unwrap().allowed
}

fn script(judge: &Judge<'_>, text: &str) -> bool {
    let mut allowed = Vec::new();
    judge.verdicts_in(text.as_bytes(), &mut |verdict| allowed.push(verdict.allowed));
    assert!(!allowed.is_empty(), "{text}");
    allowed.iter().all(|allowed| *allowed)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn headers_of_a_refused_vendor_go_both_ways() {
    let asked = headers(&[("cookie", "first_ad=1; second_ad=2; first_cart=3")]);
    let answered = headers(&[
        ("content-type", "text/html"),
        ("link", "<https://first.example/a.js>; rel=preload; as=script, <https://second.example/b.js>; rel=preload"),
        ("set-cookie", "first_ad=1; Path=/"),
    ]);
    judging(all_but(&["first"]), |judge| {
        assert!(!judge.grants_everything());
        let mut tally = Tally::default();
        let edits = edit_request(judge, &asked, b"firstid=1&page=2", &mut tally);
        assert!(matches!(edits.cookie, Edit::Replaced(ref line) if line == b"second_ad=2; first_cart=3"));
        assert_eq!(edits.query.as_deref(), Some(&b"page=2"[..]));
        let facts = ResponseFacts {
            status: 200,
            headers: &answered,
            request: &asked,
            path: b"/",
            secure: true,
            now: 0,
            blocked_path: "/.consentry/blocked",
            consent_header: "x-consent-purposes",
            by_consent: false,
            is_page: true,
        };
        let changes = edit_response(judge, &facts, &mut tally);
        let values = |name: &str| -> Vec<String> {
            let named = changes.iter().filter(|change| change.name == *name).flat_map(|change| &change.values);
            named.map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(values("link"), ["<https://second.example/b.js>; rel=preload"]);
        let cookies = values("set-cookie");
        assert!(
            !cookies.is_empty() && cookies.iter().all(|line| line.starts_with("first_ad=; Max-Age=0")),
            "{cookies:?}"
        );
        let policy = values("content-security-policy").concat();
        assert!(!policy.contains(" first.example") && policy.contains(" second.example"), "{policy}");
    });
    assert!(judging(all_but(&[]), |judge| judge.grants_everything()));
}

#[test]
fn the_policy_leaves_out_the_sources_of_refused_vendors() {
    let sources: &SourceLists = &ruleset().sites[0].sources;
    let hosts = |granted: Grant| -> Vec<String> {
        let text: String = sources.hosts(&granted).collect();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    let with = hosts(all_but(&[]));
    let has = |list: &[String], source: &str| list.iter().any(|known| known == source);
    for (source, without_first, without_second) in [
        ("first.example", false, true),
        ("*.first.example", false, true),
        ("shared.example/first/", false, true),
        ("shared.example/second/", true, false),
        ("second.example", true, false),
        ("deep.first.example", true, false),
    ] {
        assert!(has(&with, source), "{source} in {with:?}");
        assert_eq!(has(&hosts(all_but(&["first"])), source), without_first, "{source}");
        assert_eq!(has(&hosts(all_but(&["second"])), source), without_second, "{source}");
    }
    let sockets: String = sources.sockets(&all_but(&["first"])).collect();
    assert!(sockets.contains(" ws://second.example") && !sockets.contains("ws://first.example"), "{sockets}");
    assert!(hosts(all_but(&["first", "second"])).iter().all(|source| !source.ends_with(".example")));
    // By parts it is the same as in one piece.
    assert_eq!(hosts(all_but(&["meta_pixel"])), with);
}

fn gated(page: &str, granted: Grant) -> String {
    judging(granted, |judge| {
        let rules = GateRules {
            judge: *judge,
            purposes: &ruleset().purposes,
            prefix: "/.consentry",
            secure: true,
            authority: "www.shop.example",
            path: "/",
            guard: None,
            language: "en",
        };
        let (mut gate, mut tally, mut output) = (Gate::new(false), Tally::default(), Vec::new());
        gate.write(&rules, &mut tally, page.as_bytes(), &mut output).unwrap();
        gate.finish(&rules, &mut tally, &mut output);
        String::from_utf8(output).unwrap()
    })
}

#[test]
fn pages_name_what_no_purpose_can_free() {
    let mark = "data-consentry=\"!vendor\" data-consentry-vendor=\"First Ads\"";
    for (page, expected) in [
        ("<img src=//first.example/p>", format!("<img {mark} data-consentry-src=//first.example/p>")),
        ("<img src=//second.example/p>", "<img src=//second.example/p>".to_owned()),
        (
            "<script>firstads('start')</script>",
            format!("<script {mark} type=\"text/plain\">firstads('start')</script>"),
        ),
    ] {
        assert_eq!(gated(page, all_but(&["first"])), expected);
        assert_eq!(gated(page, all_but(&[])), page);
    }
    let nothing = Grant { purposes: PurposeSet::NECESSARY, ..all_but(&["first"]) };
    assert_eq!(
        gated("<img srcset='//first.example/p 1x, //second.example/p 2x'>", nothing),
        "<img data-consentry=\"marketing !vendor\" data-consentry-vendor=\"First Ads\" data-consentry-srcset='//first.example/p 1x, //second.example/p 2x'>"
    );
    // What is too long to be looked through may be the refused vendor's.
    let long = format!("<script>{}</script>", "x();".repeat(300_000));
    assert!(gated(&long, all_but(&["first"])).starts_with("<script data-consentry=\"!vendor\" type=\"text/plain\">"));
}

#[test]
fn validators_tell_refusals_apart() {
    let names =
        [&[][..], &["first"], &["second"], &["first", "second"]].map(|ids| variant("0123456789", &all_but(ids)));
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    assert_eq!(names[0], "01234567f", "as before vendors could be refused");
}

#[test]
fn the_guard_is_told_who_is_refused_and_what_they_have() {
    let ruleset = ruleset();
    let scripts = (Arc::new(OwnFile::guard("/.consentry")), Arc::new(OwnFile::bridge("/.consentry")));
    let names = ("/.consentry", "consentry");
    let files = GuardFiles::new(scripts, &ruleset.sites[0], catalog(), &ruleset.purposes, names);
    let text = String::from_utf8(files.rules.text.to_vec()).unwrap();
    let json = text.strip_prefix("self.__consentry=").unwrap().trim_end().strip_suffix(';').unwrap();
    let tables: serde_json::Value = serde_json::from_str(json).unwrap();
    let of = |id: &str| tables["vendors"][vendor(id).number().to_string()].clone();
    assert_eq!(
        of("first"),
        serde_json::json!({
            "hosts": "first.example shared.example/first/*",
            "cookies": "first_ad both_*",
            "storage": "first:ad",
            "globals": "firstads",
        })
    );
    let second = "second.example shared.example/second/* deep.first.example";
    assert_eq!(of("second"), serde_json::json!({ "hosts": second, "cookies": "second_ad" }), "`both_*` is the first's");
    assert_eq!(of("meta_pixel"), serde_json::Value::Null, "nothing could refuse it alone");
    assert_eq!(tables["purposes"][31], "!vendor");
    for kind in ["hosts", "cookies", "storage", "globals"] {
        assert_eq!(tables[kind][1][31], "", "{kind}");
    }
    let admission = Admission { nonce: None, integrity: false, changes: Vec::new() };
    let tags = |granted: &Grant| files.tags(&admission, &ruleset.purposes, (granted, PurposeSet::EMPTY), false);
    let number = vendor("first").number();
    assert!(tags(&all_but(&["first"])).contains(&format!(" data-refused=\"{number}\" data-reload></script>")));
    assert!(!tags(&all_but(&[])).contains("data-re"));
}

#[test]
fn there_can_be_so_many_vendors_and_no_more() {
    let problems = |count: usize, gvl: &str| {
        let vendors: String = (0..count)
            .map(|number| format!("[[vendor]]\nid = \"v{number}\"\nname = \"V\"\npurpose = \"analytics\"\n{gvl}\n"))
            .collect();
        let site = crate::support::site(([127, 0, 0, 1], 1).into(), "");
        let own = "[catalog]\nfiles = [\"own.toml\"]\nbuilt_in = false\n";
        let text = crate::support::TestApp::configuration(own, &site);
        let loaded = config::parse("c.toml".as_ref(), text.as_bytes(), &|_| Ok(vendors.as_bytes().to_vec()));
        loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(problems(1024, ""), [""; 0]);
    let [problem] = &problems(1025, "")[..] else { panic!("one vendor is too many") };
    assert!(problem.starts_with("own.toml:5121:1: error: more than 1024 vendors in all"), "{problem}");
    for (gvl, number) in [("gvl = 0", "0"), ("gvl = 65536", "65536")] {
        let [problem] = &problems(1, gvl)[..] else { panic!("{gvl} is a mistake") };
        assert!(problem.starts_with(&format!("own.toml:5:7: error: {number} is no number of the Global Vendor List")));
    }
    assert_eq!(problems(3, "gvl = 65535"), [""; 0], "products of one company share a number");
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let count = catalog().gvl_vendors().len();
    let refused = proptest::collection::vec(0..count, 0..9);
    let purposes = proptest::sample::subsequence(vec!["preferences", "analytics", "marketing"], 0..=3);
    (purposes, refused).prop_map(|(purposes, refused)| Grant {
        purposes: purposes.iter().map(|name| ruleset().purposes.get(name).unwrap()).collect(),
        refused: refused.iter().map(|at| catalog().gvl_vendors()[*at].1).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn refusing_vendors_takes_away_exactly_what_is_theirs(grant in any_grant()) {
        let purposes_only = Grant::from(grant.purposes);
        for rule in catalog().cookie_rules().iter().chain(config::built_in_catalog().cookie_rules()) {
            let site = &ruleset().sites[0];
            let (with, without) = (site.verdict(rule, &grant).allowed, site.verdict(rule, &purposes_only).allowed);
            let theirs = rule.vendor.as_ref().is_some_and(|vendor| grant.refused.contains(vendor.id));
            prop_assert!(without || !with, "{rule} is allowed because somebody is refused");
            prop_assert!(theirs || with == without, "{rule} is nobody's who was refused");
        }
        for (host, _, rule) in catalog().host_facts() {
            let url = format!("https://{host}/");
            let ask = |judge: &Judge<'_>| judge.url(url.as_bytes(), ResourceKind::Image).map(|verdict| verdict.allowed);
            prop_assert!(judging(purposes_only, ask) >= judging(grant, ask), "{rule}");
        }
    }
}
