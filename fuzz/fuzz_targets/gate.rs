//! Pages through the gate in random pieces: what comes out does not depend on them, equals what went in where nothing is
//! denied, and holds nothing denied that a browser's own parser finds alive.
//!
//! The first byte is the size of the pieces; a page is made of the bytes that follow, in which those from 128 on stand
//! for words that matter.
#![no_main]

use std::sync::OnceLock;

use consentry::config;
use consentry::enforce::html::{Gate, GateRules};
use consentry::enforce::{Judge, Tally};
use consentry::policy::{Host, PurposeSet, Ruleset};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/dom.rs"]
mod dom;

const CONFIG: &str = "[listen]\ntraffic = [\"127.0.0.1:0\"]\n[[site]]\nname = \"s\"\nhosts = [\"shop.example\"]\nupstream = [\"http://127.0.0.1:1\"]\n[[site.tracker]]\nhost = \"t.example\"\npurpose = \"analytics\"\n";

const WORDS: [&str; 32] = [
    "<img src=", "<script src=", "<script>", "</script>", "//t.example/", "https://t.example/x", "<!--", "-->", "<style>",
    "</style>", ";a:url(//t.example/)", "<title>", "</title>", "<textarea>", "</textarea>", "<iframe src=", "</iframe>",
    "<iframe srcdoc='", "<svg>", "</svg>", "<noscript>", "</noscript>", "<link rel=stylesheet href=", "<p style=\"a:url('",
    "<a ping=", "<base href=", "<video poster=", "<template>", "<![CDATA[", "]]>", "&sol;&sol;t&period;example", "<form action=",
];

fn ruleset() -> &'static Ruleset {
    static RULESET: OnceLock<Ruleset> = OnceLock::new();
    RULESET.get_or_init(|| {
        let loaded = config::parse("c.toml".as_ref(), CONFIG.as_bytes(), &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.config.expect("the configuration is valid").compile().ruleset
    })
}

fn pass(page: &[u8], granted: PurposeSet, size: usize) -> Vec<u8> {
    let ruleset = ruleset();
    let host = Host::parse(b"shop.example").expect("a host");
    let judge = Judge { catalog: &ruleset.catalog, site: &ruleset.sites[0], host: &host, granted: granted.into() };
    let rules = GateRules {
        judge,
        purposes: &ruleset.purposes,
        prefix: "/.consentry",
        secure: true,
        authority: "shop.example",
        path: "/",
        guard: None,
        language: "en",
    };
    let (mut gate, mut output, mut tally) = (Gate::new(false), Vec::new(), Tally::default());
    for piece in page.chunks(size) {
        if gate.write(&rules, &mut tally, piece, &mut output).is_err() {
            gate.abandon(&mut output);
        }
    }
    gate.finish(&rules, &mut tally, &mut output);
    output
}

fuzz_target!(|input: &[u8]| {
    let Some((size, codes)) = input.split_first() else { return };
    let mut page = Vec::new();
    for code in codes {
        match WORDS.get(usize::from(code.wrapping_sub(128))).filter(|_| *code >= 128) {
            Some(word) => page.extend_from_slice(word.as_bytes()),
            None => page.push(*code),
        }
    }
    assert_eq!(pass(&page, ruleset().purposes.all(), 7), page, "nothing is denied");
    let gated = pass(&page, PurposeSet::NECESSARY, usize::MAX);
    assert_eq!(pass(&page, PurposeSet::NECESSARY, usize::from(*size).max(1)), gated);
    // See the property of the same name in the tests for what a browser may read in another way.
    let text = String::from_utf8_lossy(&page).to_lowercase();
    let foreign = text.matches("<svg").count() + text.matches("<math").count();
    let odd = ["<select", "<frameset", "<noscript", "<plaintext", "<base", "\u{fffd}", "\0"];
    if foreign <= 1 && !odd.iter().any(|word| text.contains(word)) {
        assert_eq!(dom::live(&gated, "t.example", true), Vec::<String>::new(), "{}", String::from_utf8_lossy(&gated));
    }
});
