//! The built-in catalog: large enough, consistent, and right where others are wrong.

use std::collections::{HashMap, HashSet};

use consentry::config::built_in_catalog;
use consentry::consent::signal::FORMATS;
use consentry::policy::{Host, Purposes, RequestFacts, Url};

fn purpose_of(name: &str, host: &str) -> Option<String> {
    let (catalog, host) = (built_in_catalog(), Host::parse(host.as_bytes()).unwrap());
    catalog.cookie(name.as_bytes(), &host).map(|rule| Purposes::default().name(rule.purpose).to_owned())
}

#[test]
fn it_is_large_enough() {
    let counts: HashMap<_, _> = built_in_catalog().counts().into_iter().collect();
    for (what, least) in [
        ("vendors", 150),
        ("cookies", 600),
        ("storage", 150),
        ("globals", 30),
        ("hosts", 300),
        ("requests", 60),
        ("click_ids", 20),
    ] {
        assert!(counts[what] >= least, "{what}: {}", counts[what]);
    }
}

#[test]
fn every_vendor_says_who_it_is() {
    let catalog = built_in_catalog();
    let mut ids = HashSet::new();
    for vendor in catalog.vendors() {
        assert!(ids.insert(&vendor.id), "{} is there twice", vendor.id);
        assert!(!vendor.about.is_empty(), "{} says nothing about itself", vendor.id);
        assert_eq!(vendor.owner.is_some(), vendor.country.is_some(), "{}: an owner has a country", vendor.id);
        assert_eq!(vendor.owner.is_some(), vendor.privacy.is_some(), "{}: an owner has a privacy policy", vendor.id);
        let country = vendor.country.as_deref().unwrap_or("XX");
        assert!(country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()), "{}: {country}", vendor.id);
        assert!(vendor.privacy.as_deref().is_none_or(|url| url.starts_with("https://")), "{}", vendor.id);
    }
    let chinese = catalog.vendors().iter().filter(|vendor| vendor.country.as_deref() == Some("CN")).count();
    assert!(chinese >= 40, "{chinese}");
}

#[test]
fn no_pattern_has_two_purposes() {
    let catalog = built_in_catalog();
    let mut purposes = HashMap::new();
    for rule in catalog.cookie_rules() {
        let line = rule.origin.to_string();
        // The same name on a vendor's own domain is another cookie.
        let known = purposes
            .entry((rule.text.clone(), rule.vendor.as_ref().map(|vendor| vendor.id)))
            .or_insert((rule.purpose, line.clone()));
        assert_eq!(known.0, rule.purpose, "{} at {} and {line}", rule.text, known.1);
    }
}

#[test]
fn what_lives_in_the_page_has_one_purpose() {
    let catalog = built_in_catalog();
    let mut keys = HashMap::new();
    for (key, rule) in catalog.storage_rules() {
        let known = keys.entry(key.as_str()).or_insert(rule.purpose);
        assert_eq!(*known, rule.purpose, "{} at {}", rule.text, rule.origin);
        let literals = key.as_str().bytes().filter(|b| *b != b'*').count();
        assert!(literals >= 3, "{} at {} is far too short", rule.text, rule.origin);
    }
    let mut names = HashSet::new();
    for (name, ..) in catalog.globals() {
        assert!(names.insert(name), "{name} is there twice");
    }
    for (key, purpose) in [("_hj*", "analytics"), ("ajs_*", "analytics"), ("_gcl_ls", "marketing")] {
        assert_eq!(keys.get(key).map(|known| Purposes::default().name(*known).to_owned()).as_deref(), Some(purpose));
    }
    for name in ["gtag", "fbq", "hj", "clarity", "lintrk", "snaptr", "pintrk", "twq", "ym", "gio"] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn listings_hold_every_fact_the_own_ones_first() {
    let own = br#"
[[vendor]]
id = "own"
name = "Own"
purpose = "preferences"
cookies = ["own_*", { name = "own_id", domain = "own.example" }]
storage = ["own:*", { name = "own:ads", purpose = "marketing" }]
globals = ["own$track"]
hosts = ["own.example", { host = "cdn.example", path = "/own/*", purpose = "analytics" }]
"#;
    let text = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n[catalog]\nfiles = [\"own.toml\"]\n[[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\nupstream = [\"http://127.0.0.1:1\"]\n";
    let loaded = consentry::config::parse("c.toml".as_ref(), text.as_bytes(), &|_| Ok(own.to_vec()));
    let catalog = loaded.config.unwrap().catalog;
    let name = |purpose| Purposes::default().name(purpose).to_owned();
    let cookies: Vec<_> = catalog.cookie_patterns().take(2).map(|(name, _, domain)| (name.as_str(), domain)).collect();
    assert_eq!(cookies, [("own_*", None), ("own_id", Some("own.example"))]);
    let keys: Vec<_> = catalog.storage_rules().take(2).map(|(key, rule)| (key.as_str(), name(rule.purpose))).collect();
    assert_eq!(keys, [("own:*", "preferences".into()), ("own:ads", "marketing".into())]);
    let (global, purpose, _) = catalog.globals().next().unwrap();
    assert_eq!((global, name(purpose).as_str()), ("own$track", "preferences"));
    let hosts: Vec<_> = catalog.host_facts().take(2).collect();
    assert_eq!(
        (hosts[0].0, hosts[0].1.is_none(), name(hosts[0].2.purpose).as_str()),
        ("own.example", true, "preferences")
    );
    assert_eq!(
        (hosts[1].0, hosts[1].1.unwrap().as_str(), name(hosts[1].2.purpose).as_str()),
        ("cdn.example", "/own/*", "analytics")
    );
    let lengths = |catalog: &consentry::policy::Catalog| {
        let counts: HashMap<_, _> = catalog.counts().into_iter().collect();
        assert_eq!(catalog.cookie_patterns().count(), counts["cookies"]);
        assert_eq!(catalog.storage_rules().count(), counts["storage"]);
        assert_eq!(catalog.globals().count(), counts["globals"]);
        assert_eq!(catalog.host_facts().count(), counts["hosts"]);
        counts["cookies"] + counts["storage"] + counts["globals"] + counts["hosts"]
    };
    assert_eq!(lengths(&catalog), lengths(&built_in_catalog()) + 7, "the built-in catalog is behind it");
}

#[test]
fn patterns_are_not_far_too_short() {
    for rule in built_in_catalog().cookie_rules().iter().filter(|rule| rule.text.contains('*')) {
        let literals = rule.text.bytes().filter(|b| *b != b'*').count();
        // On the vendor's own domain a short name does no harm.
        let host = Host::parse(b"shop.example").unwrap();
        let sample = rule.text.replace('*', "0");
        let elsewhere =
            built_in_catalog().cookie(sample.as_bytes(), &host).is_some_and(|found| found.text == rule.text);
        let long_enough = literals >= 4 || (literals == 3 && rule.text.starts_with('_'));
        assert!(long_enough || !elsewhere, "{} at {}", rule.text, rule.origin);
    }
}

#[test]
fn known_defects_of_public_lists_are_not_repeated() {
    for (name, purpose) in [
        ("Hm_lvt_0123456789abcdef", Some("analytics")),
        ("Hm_lpvt_0123456789abcdef", Some("analytics")),
        ("_session_id", Some("necessary")),
        ("li_fat_id", Some("marketing")),
        ("li_giant", Some("marketing")),
        ("JSESSIONID", Some("necessary")),
        ("_hjSessionUser_123", Some("analytics")),
        ("_fbp", Some("marketing")),
        ("_uetsid", Some("marketing")),
        ("_clck", Some("analytics")),
        ("hubspotutk", Some("marketing")),
        ("AMP_TOKEN", Some("analytics")),
        ("AMP_0123456789", Some("analytics")),
        ("acw_tc", Some("necessary")),
        ("csrftoken", Some("necessary")),
        ("HWWAFSESID", Some("necessary")),
        ("BIGipServerpool_web", Some("necessary")),
        ("AWSALBCORS", Some("necessary")),
        ("__cf_bm", Some("necessary")),
        ("FPID", Some("analytics")),
        ("FPAU", Some("marketing")),
        ("_gcl_au", Some("marketing")),
        ("_pk_id.1.1fff", Some("analytics")),
        ("zhizhendata2015jssdkcross", Some("analytics")),
        ("abc_gr_session_id", Some("analytics")),
        ("__tea_cookie_tokens_1234", Some("analytics")),
        ("CNZZDATA1234", Some("analytics")),
        ("OptanonConsent", Some("necessary")),
        ("euconsent-v2", Some("necessary")),
        ("s", None),
        ("fr", None),
        ("uid", None),
        ("my_own_thing", None),
    ] {
        assert_eq!(purpose_of(name, "shop.example").as_deref(), purpose, "{name}");
    }
    assert_eq!(purpose_of("fr", "www.facebook.com").as_deref(), Some("marketing"), "on the vendor's own domain");
}

#[test]
fn hosts_of_trackers_are_known_and_those_of_functions_are_not() {
    let catalog = built_in_catalog();
    let purpose = |address: &str| {
        let url = Url::parse(address.as_bytes()).unwrap();
        catalog.url(&url.host.unwrap(), &url).map(|rule| Purposes::default().name(rule.purpose).to_owned())
    };
    for (address, expected) in [
        ("https://www.google-analytics.com/g/collect", Some("analytics")),
        ("https://www.googletagmanager.com/gtm.js", Some("marketing")),
        ("https://stats.g.doubleclick.net/x", Some("marketing")),
        ("https://plbslog.umeng.com/x", Some("analytics")),
        ("https://hm.baidu.com/hm.js?1", Some("analytics")),
        ("https://mcs.snssdk.com/list", Some("analytics")),
        ("https://www.facebook.com/tr?id=1", Some("marketing")),
        ("https://www.facebook.com/shop", None),
        ("https://res.wx.qq.com/connect/zh_CN/htmledition/js/wxLogin.js", Some("preferences")),
        ("https://www.baidu.com/", None),
        ("https://g.alicdn.com/code/lib/react/18/react.js", None),
        ("https://cdn.jsdelivr.net/npm/vue", None),
    ] {
        assert_eq!(purpose(address).as_deref(), expected, "{address}");
    }
}

#[test]
fn ordinary_requests_are_not_taken_for_trackers() {
    let catalog = built_in_catalog();
    for target in [
        "/",
        "/index.html",
        "/products/lantern?colour=red&page=2",
        "/api/send",
        "/api/event",
        "/api/v1/orders?id=7",
        "/collect",
        "/static/script.js",
        "/js/script.js",
        "/assets/app.3f2a.js",
        "/track?no=1Z999",
        "/tracking/orders/7",
        "/events",
        "/e/abc",
        "/i",
        "/batch",
        "/login?return=%2Fcart",
        "/search?q=google+analytics",
        "/wp-admin/admin-ajax.php?action=cart",
        "/graphql",
        "/api/users/me",
        "/socket.io/?EIO=4&transport=websocket",
        "/favicon.ico",
        "/robots.txt",
        "/v1/users",
        "/v1/track-order",
        "/media/pixel-art.gif",
        "/blog/matomo-vs-plausible",
        "/count",
        "/stats",
        "/metrics",
        "/log",
        "/list",
        "/s/3f2a9c",
    ] {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        for (method, body) in [("GET", None), ("POST", Some(r#"{"name":"lantern","type":"order","payload":{"id":7}}"#))]
        {
            let facts =
                RequestFacts { method, path: path.as_bytes(), query: query.as_bytes(), body: body.map(str::as_bytes) };
            let rule = catalog.request(&facts).known();
            assert!(rule.is_none(), "{method} {target} is taken for {}", rule.unwrap());
        }
    }
}

/// Without its record, a banner asks for ever.
#[test]
fn every_banners_record_is_necessary() {
    for name in FORMATS.iter().flat_map(|format| format.cookies) {
        let name = name.replace('*', "x");
        assert_eq!(purpose_of(&name, "www.shop.example").as_deref(), Some("necessary"), "{name}");
    }
}
