//! The gate alone: pages as bytes, whole and in pieces of every size.

use std::sync::OnceLock;

use consentry::config;
use consentry::enforce::html::{Gate, GateRules};
use consentry::enforce::{Judge, Tally};
use consentry::policy::{Host, PurposeSet, Ruleset};
use proptest::prelude::*;

use crate::support::dom::live;

const CONFIG: &str = r#"
[listen]
traffic = ["127.0.0.1:0"]
[[site]]
name = "shop"
hosts = ["shop.example", "*.shop.example"]
upstream = ["http://127.0.0.1:1"]
lazy_attributes = ["data-src"]
[[site.tracker]]
host = "t.example"
purpose = "analytics"
[[site.tracker]]
host = "ads.example"
purpose = "marketing"
[[site.tracker]]
path = "/own-tracker.js"
purpose = "analytics"
"#;

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let loaded = config::parse("c.toml".as_ref(), CONFIG.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.unwrap().compile().ruleset
    })
}

/// What comes out of the gate when the page goes in as these pieces.
fn pass<'p>(
    mut gate: Gate,
    guard: Option<&str>,
    granted: PurposeSet,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Vec<u8> {
    let ruleset = ruleset();
    let host = Host::parse(b"www.shop.example").unwrap();
    let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: granted.into() };
    let rules = GateRules {
        judge,
        purposes: &ruleset.purposes,
        prefix: "/.consentry",
        secure: true,
        authority: "www.shop.example",
        path: "/a/b",
        guard,
        language: "en",
    };
    let (mut output, mut tally) = (Vec::new(), Tally::default());
    for piece in pieces {
        gate.write(&rules, &mut tally, piece, &mut output).unwrap();
    }
    gate.finish(&rules, &mut tally, &mut output);
    output
}

fn whole(page: &[u8], guard: Option<&str>) -> Vec<u8> {
    pass(Gate::new(false), guard, PurposeSet::NECESSARY, std::iter::once(page))
}

/// The page without consent: whole, and split at every byte, and read by the parser alone.
fn gated(page: &str) -> String {
    let expected = whole(page.as_bytes(), None);
    for at in 0..page.len() {
        let (head, tail) = page.as_bytes().split_at(at);
        let split = pass(Gate::new(false), None, PurposeSet::NECESSARY, [head, tail].into_iter());
        assert_eq!(text(split), text(expected.clone()), "split at {at}: {page}");
    }
    let bytes = pass(Gate::new(false), None, PurposeSet::NECESSARY, page.as_bytes().chunks(1));
    assert_eq!(text(bytes), text(expected.clone()), "byte by byte: {page}");
    let thorough = pass(Gate::thorough(), None, PurposeSet::NECESSARY, std::iter::once(page.as_bytes()));
    assert_eq!(text(thorough), text(expected.clone()), "by the parser alone: {page}");
    text(expected)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_would_contact_a_denied_tracker_is_parked() {
    let a = " data-consentry=\"analytics\"";
    for (page, parked) in [
        ("<img src=//t.example/p.gif alt=x>", format!("<img{a} data-consentry-src=//t.example/p.gif alt=x>")),
        (
            "<script async src='https://t.example/a.js'></script>",
            format!("<script{a} type=\"text/plain\" async data-consentry-src='https://t.example/a.js'></script>"),
        ),
        (
            "<script type=module src=https://t.example/a.js></script>",
            format!(
                "<script{a} type=\"text/plain\" data-consentry-type=module data-consentry-src=https://t.example/a.js></script>"
            ),
        ),
        (
            "<script>load('https://t.example/a.js')</script><p>",
            format!("<script{a} type=\"text/plain\">load('https://t.example/a.js')</script><p>"),
        ),
        (
            "<img srcset='a.png 1x, //t.example/b.png 2x'>",
            format!("<img{a} srcset=\"a.png 1x\" data-consentry-srcset='a.png 1x, //t.example/b.png 2x'>"),
        ),
        (
            "<link rel=preconnect href=https://t.example>",
            format!("<link{a} rel=preconnect data-consentry-href=https://t.example>"),
        ),
        (
            "<a ping='//t.example/ /own' href=/x>",
            format!("<a{a} ping=\"/own\" data-consentry-ping='//t.example/ /own' href=/x>"),
        ),
        (
            "<form action=https://t.example/f>",
            format!("<form{a} action=\"/.consentry/blocked\" data-consentry-action=https://t.example/f>"),
        ),
        (
            "<meta http-equiv=refresh content='0; url=https://t.example/'>",
            format!("<meta{a} data-consentry-http-equiv=refresh content='0; url=https://t.example/'>"),
        ),
        (
            "<div style='background:url(//t.example/x)'>",
            format!("<div{a} style=\"background:url(about:invalid#//t.example/x)\">"),
        ),
        (
            "<style>a{background:url(\"https://t.example/x\")}</style>",
            format!("<style{a}>a{{background:url(\"about:invalid#https://t.example/x\")}}</style>"),
        ),
        (
            "<noscript><img src=//t.example/p></noscript>",
            format!("<noscript><img{a} data-consentry-src=//t.example/p></noscript>"),
        ),
        (
            "<iframe srcdoc='<img src=//t.example/p>'></iframe>",
            format!(
                "<iframe{a} srcdoc=\"&lt;img data-consentry=&quot;analytics&quot; data-consentry-src=//t.example/p>\"></iframe>"
            ),
        ),
        (
            "<html lang=''><iframe src=https://t.example/f></iframe>",
            format!(
                "<html lang=''><iframe{a} src=\"/.consentry/held?u=https%3A%2F%2Ft.example%2Ff&amp;l=en\" data-consentry-src=https://t.example/f></iframe>"
            ),
        ),
        (
            "<html lang=de><iframe width=1 src=https://t.example/f?a=b></iframe>",
            format!(
                "<html lang=de><iframe{a} src=\"/.consentry/held?u=https%3A%2F%2Ft.example%2Ff%3Fa%3Db&amp;l=de\" width=1 data-consentry-src=https://t.example/f?a=b></iframe>"
            ),
        ),
        (
            "<svg><image xlink:href='//t.example/i'/></svg>",
            format!("<svg><image{a} data-consentry-xlink:href='//t.example/i'/></svg>"),
        ),
        (
            "<svg><script href='//t.example/i'></script></svg>",
            format!("<svg><script{a} type=\"text/plain\" data-consentry-href='//t.example/i'></script></svg>"),
        ),
        ("<img data-src=//t.example/l>", format!("<img{a} data-consentry-data-src=//t.example/l>")),
        ("<body background=//t.example/b>", format!("<body{a} data-consentry-background=//t.example/b>")),
        ("<input type=image src=//t.example/b>", format!("<input{a} type=image data-consentry-src=//t.example/b>")),
        ("<object data=//t.example/b></object>", format!("<object{a} data-consentry-data=//t.example/b></object>")),
        ("<video poster=//t.example/b src=/v>", format!("<video{a} data-consentry-poster=//t.example/b src=/v>")),
        (
            "<script type=importmap>{\"imports\":{\"a\":\"https://t.example/a.js\",\"b\":\"/b.js\"}}</script>",
            format!(
                "<script{a} type=importmap>{{\"imports\":{{\"a\":\"data:text/javascript,\",\"b\":\"/b.js\"}}}}</script>"
            ),
        ),
        (
            "<script type=speculationrules>{\"prefetch\":[{\"urls\":[\"https://t.example/\"]}]}</script>",
            format!(
                "<script{a} type=\"text/plain\" data-consentry-type=speculationrules>{{\"prefetch\":[{{\"urls\":[\"https://t.example/\"]}}]}}</script>"
            ),
        ),
        (
            "<script src=/own-tracker.js></script>",
            format!("<script{a} type=\"text/plain\" data-consentry-src=/own-tracker.js></script>"),
        ),
    ] {
        assert_eq!(gated(page), parked, "{page}");
    }
}

#[test]
fn addresses_are_understood_as_browsers_do() {
    for page in [
        "<IMG SRC=\"HTTPS://T.Example/p\">",
        "<img src='&#104;ttps&colon;&sol;/t.example/'>",
        "<img src='https://t&period;example/'>",
        "<img src='\n ht\ntps://t.example/'>",
        "<img src='\\\\t.example\\p'>",
        "<img src='http:/t.example/p'>",
        "<img src='https:\\\\t.example/p'>",
        "<img src='//t%2eexample/p'>",
        "<img src='//user:pw@t.example:8443/p'>",
        "<img src='//t.example./p'>",
        "<img src='//\u{ff34}.example/p'>",
        "<base href='https://t.example/'><img src='p.gif'>",
        "<base href='//t.example/x/'><base href='/'><img src='../p.gif'>",
        "<iframe src='data:text/html,<img src=https://t.example/>'></iframe>",
        "<iframe src='data:text/html;base64,PGltZyBzcmM9Ly90LmV4YW1wbGUvPg=='></iframe>",
        "<iframe src='javascript:fetch(\"https://t.example/\")'></iframe>",
        "<script src='data:text/javascript,fetch(%22https://t.example/%22)'></script>",
        "<script>u='https:'+'//t.example/'</script>",
        "<script>u=\"https:\\/\\/t.example\\/x\"</script>",
        "<style>@import '//t.example/c'</style>",
        "<style>a{background:u\\72l(//t.example/c)}</style>",
        "<p style='background:&#117;rl(//t.example)'>",
        "<img/src=//t.example/>",
        "<img src=/x src=//t.example/>",
        "<!--><img src=//t.example/>-->",
        "<!---><img src=//t.example/>-->",
        "<!-- a --!><img src=//t.example/>-->",
        "</ a><img src=//t.example/>",
        "<?x><img src=//t.example/>",
        "<![CDATA[ x ]]><img src=//t.example/>",
        "<svg/><img src=//t.example/>",
        "<svg><![CDATA[<img]]></svg><img src=//t.example/>",
        "<svg><title>x</title></svg><img src=//t.example/>",
        "<svg><foreignObject><img src=//t.example/></foreignObject></svg>",
        "<svg><style>a{b:url(//t.example/)}</style></svg>",
        "<svg><div><img src=//t.example/>",
        "<math><mi><img src=//t.example/></mi></math>",
        "<title><img></title><img src=//t.example/>",
        "<textarea></textarea x='>'><img src=//t.example/>",
        "<script>x='<!--<script>'</script>--></script><img src=//t.example/>",
        "<template><img src=//t.example/></template>",
        "<xmp><img src=//t.example/></xmp>",
        "<a title='>' href=x><img src=//t.example/></a>",
        "<a title=\">\"'><img src=//t.example/>",
        "<svg><set attributeName=href to=//t.example/></svg>",
        "<img src='//www.google-analytics.com/collect?v=1'>",
        "<button formaction=//t.example/>",
    ] {
        // Whoever reads the page without a scanner sees `<svg/>` as open.
        let out = if page.starts_with("<svg/>") { text(whole(page.as_bytes(), None)) } else { gated(page) };
        assert!(out.contains("data-consentry"), "{page}: {out}");
    }
}

#[test]
fn what_is_not_denied_is_not_touched() {
    for page in [
        "",
        "plain text, 1 < 2 && 3 > 2",
        "<!doctype html><html><head><title>t.example</title></head><body><p>t.example</p></body></html>",
        "<img src=/p.gif><img src='https://cdn.example/x'>",
        "<a href=https://t.example/>a link is followed by hand</a>",
        "<link rel=canonical href=https://t.example/>",
        "<script type=application/json>{\"u\":\"https://t.example/\"}</script>",
        "<script>notthatt.example</script>",
        "<!-- <img src=//t.example/> -->",
        "<textarea><img src=//t.example/></textarea>",
        "<title><img src=//t.example/></title>",
        "<iframe srcdoc='<p>hello</p>'></iframe>",
        "<img src='//t.example",
        "<style>a{color:red}</style><p style='color:red'>",
        "<img data-lazy=//t.example/>",
        "<p>\u{fffd}</p>",
    ] {
        assert_eq!(gated(page), page);
    }
    let odd = b"<p>\xff\xfe\x81<script>'\xe9'</script><style>\xe9</style><img src=\xe9>\x00".as_slice();
    assert_eq!(whole(odd, None), odd, "bytes that are no UTF-8");
}

#[test]
fn the_guard_comes_before_everything_that_could_run() {
    for (page, expected) in [
        ("<!doctype html><html lang=en><head><title>", "<!doctype html><html lang=en><head>G<title>"),
        ("<!-- x --><p>hello", "<!-- x -->G<p>hello"),
        ("<body onload=x()>", "G<body onload=x()>"),
        ("<HTML><HEAD a='>'><script>", "<HTML><HEAD a='>'>G<script>"),
        ("hello", "hello"),
        ("<frameset><frame src=/a>", "G<frameset><frame src=/a>"),
    ] {
        assert_eq!(text(whole(page.as_bytes(), Some("G"))), expected);
    }
}

#[test]
fn xml_is_read_as_xml() {
    let xhtml = |page: &str| text(pass(Gate::new(true), None, PurposeSet::NECESSARY, std::iter::once(page.as_bytes())));
    for page in [
        "<html><script src='/x'/><img src='//t.example/'/></html>",
        "<h:script xmlns:h='http://www.w3.org/1999/xhtml' src='//t.example/'/>",
        "<script>//<![CDATA[\nload('//t.example/')\n//]]></script>",
        "<title/><img src='//t.example/'/>",
        "<?pi <img> ?><img src='//t.example/'/>",
    ] {
        assert!(xhtml(page).contains("data-consentry"), "{page}: {}", xhtml(page));
    }
    for page in ["<p><![CDATA[<img src='//t.example/'/>]]></p>", "<!-- <img src='//t.example/'/> --!> -->"] {
        assert_eq!(xhtml(page), page);
    }
}

/// Pieces of markup that meet in every way.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<img src=//t.example/a>"),
        Just("<script src=https://t.example/></script>"),
        Just("<script>"),
        Just("</script>"),
        Just("'https://t.example/'"),
        Just("<!--"),
        Just("-->"),
        Just("--!>"),
        Just("<svg>"),
        Just("</svg>"),
        Just("<style>"),
        Just("</style>"),
        Just(";a:url(//t.example/)"),
        Just("<title>"),
        Just("</title>"),
        Just("<p a='"),
        Just("'>"),
        Just("\""),
        Just(">"),
        Just("<"),
        Just("</"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<math><mi>"),
        Just("</mi></math>"),
        Just("<foreignObject>"),
        Just("</foreignObject>"),
        Just("<noscript>"),
        Just("</noscript>"),
        Just("<textarea>"),
        Just("</textarea>"),
        Just("<div style=\"b:url('//t.example')\">"),
        Just(" "),
        Just("text"),
        Just("<a ping=//t.example/ "),
        Just("/"),
        Just("="),
        Just("<br/>"),
        Just("<iframe src=//t.example/>"),
        Just("</iframe>"),
        Just("<select><xmp>"),
        Just("<template>"),
        Just("<?x"),
        Just("<!x"),
        Just("<b"),
        Just("<script "),
        Just("<scr"),
        Just("ipt>"),
        Just("\n"),
        Just("<link rel=stylesheet href=//t.example/c>"),
        Just("<desc>"),
        Just("</desc>"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_scanner_changes_nothing_but_the_time(page in markup(), size in 1usize..40) {
        // lol_html takes `<svg/>` for open, which browsers do not; the scanner knows better.
        prop_assume!(!page.contains("<svg/") && !page.contains("<math/"));
        let bytes = page.as_bytes();
        let expected = pass(Gate::thorough(), None, PurposeSet::NECESSARY, std::iter::once(bytes));
        let found = pass(Gate::new(false), None, PurposeSet::NECESSARY, bytes.chunks(size));
        prop_assert_eq!(text(found), text(expected));
    }

    #[test]
    fn any_bytes_pass_in_any_pieces(page in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..20) {
        let expected = whole(&page, None);
        prop_assert_eq!(pass(Gate::new(false), None, PurposeSet::NECESSARY, page.chunks(size)), expected);
    }

    #[test]
    fn a_browsers_parser_finds_nothing_denied_alive(page in markup(), size in 1usize..40) {
        // SVG and MathML in each other, with HTML that breaks out of them, are more than lol_html keeps track of.
        prop_assume!(page.matches("<svg>").count() + page.matches("<math>").count() <= 1);
        // Where scripting is off, a comment or quote may begin in `noscript` and end behind it.
        let ways: &[bool] = if page.contains("<noscript>") { &[true] } else { &[true, false] };
        let page = text(pass(Gate::new(false), None, PurposeSet::NECESSARY, page.as_bytes().chunks(size)));
        for scripting in ways.iter().copied() {
            prop_assert_eq!(live(page.as_bytes(), "t.example", scripting), Vec::<String>::new(), "{}", page);
        }
    }
}
