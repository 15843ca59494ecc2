//! Pages with a strict policy of their own. It stays as strict as it was, and its own scripts run.

use super::shop::Shop;
use super::visit::{PATIENCE, Visitor, nothing, when};
use crate::support::world::World;

const NONCE: &str = "c2hvcC1ub25jZQ";

/// What a page with a policy consists of.
pub struct Strict {
    pub fields: Vec<(String, String)>,
    pub head: String,
    pub body: String,
    /// What the shop's own script elements carry.
    pub attributes: String,
}

/// A tracker's script in the page, and one that an inline script of the page loads.
const STATIC: &str = "<script$NONCE src=\"https://script.hotjar.com/m/static-a.js\"></script>";
const LOADER: &str = "(function (d) {\n  var s = d.createElement('script');\n  s.src = 'https://connect.facebook.net/m/loaded-m.js';\n  d.head.appendChild(s);\n})(document);";
const BUILDER: &str = "{ const s = document.createElement('script'); s.src = ['https://bat.bi', 'ng.com/m/built-m.js'].join(''); document.head.append(s); }";

/// The first inline script of every page of the shop.
fn first_inline() -> &'static str {
    let shell = include_str!("pages/shell.html");
    shell.split_once("<script$NONCE>").unwrap().1.split_once("</script>").unwrap().0
}

/// What the shop's scripts call under trusted types.
const TRUST: &str =
    "const shop = trustedTypes.createPolicy('shop', { createScriptURL: (url) => url, createHTML: (html) => html });";

/// The page called `name`.
pub fn page(name: &str) -> Option<Strict> {
    let strict = "object-src 'none'; base-uri 'none'; worker-src 'self'";
    let trackers = "https://script.hotjar.com https://connect.facebook.net https://bat.bing.com";
    let hashes = [first_inline(), LOADER, BUILDER].map(|script| format!("'sha256-{}'", sha256(script))).join(" ");
    let policy = match name {
        "nonce" => format!("script-src 'self' 'nonce-{NONCE}' {trackers}; {strict}"),
        "hash" => {
            format!("default-src 'self'; script-src 'self' {hashes} {trackers}; connect-src 'self' ws: {trackers}")
        }
        "strict-dynamic" => format!("script-src 'nonce-{NONCE}' 'strict-dynamic' https: 'unsafe-inline'; {strict}"),
        "two-policies" => {
            format!(
                "script-src 'self' 'unsafe-inline' {trackers}, script-src 'nonce-{NONCE}' 'strict-dynamic'; {strict}"
            )
        }
        "trusted-types" => format!(
            "script-src 'nonce-{NONCE}' 'strict-dynamic'; {strict}; require-trusted-types-for 'script'; trusted-types shop"
        ),
        _ => return None,
    };
    let attributes = if name == "hash" { String::new() } else { format!(" nonce=\"{NONCE}\"") };
    let (mut head, mut body) =
        (String::new(), format!("{STATIC}\n<script$NONCE>{LOADER}</script>\n<script$NONCE>{BUILDER}</script>"));
    if name == "trusted-types" {
        head = format!("<script$NONCE>{TRUST}</script>").replace("$NONCE", &attributes);
        body = body
            .replace("s.src = ", "s.src = shop.createScriptURL(")
            .replace("-m.js'", "-m.js')")
            .replace("join('')", "join(''))");
        body = body.replace("'ng.com/m/built-m.js')", "'ng.com/m/built-m.js'");
    }
    let body = body.replace("$NONCE", &attributes);
    Some(Strict { fields: vec![("Content-Security-Policy".to_owned(), policy)], head, body, attributes })
}

/// As a policy names it: in base64.
fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut encoded = String::new();
    for chunk in digest.as_ref().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        encoded.extend((0..=chunk.len()).map(|digit| char::from(digits[(bits >> (18 - 6 * digit)) as usize & 63])));
    }
    while !encoded.len().is_multiple_of(4) {
        encoded.push('=');
    }
    encoded
}

const NAMES: [&str; 5] = ["nonce", "hash", "strict-dynamic", "two-policies", "trusted-types"];

/// Which of the page's trackers have not been heard of, after waiting for them.
fn missing(visitor: &mut Visitor<'_>, name: &str) -> Vec<String> {
    let start = std::time::Instant::now();
    loop {
        let requested = visitor.evidence().requested;
        let unheard = |script: &&str| !requested.iter().any(|hit| hit.target.ends_with(&format!("/m/{script}.js")));
        let missing: Vec<&str> = ["static-a", "loaded-m", "built-m"].into_iter().filter(unheard).collect();
        if missing.is_empty() || start.elapsed() > PATIENCE {
            return missing.into_iter().map(|script| format!("{name}: no {script}")).collect();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn without_the_proxy_the_policies_let_the_trackers_in() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let mut visitor = Visitor::new(&world, shop.address);
    let mut wrong = Vec::new();
    for name in NAMES {
        world.forget();
        visitor.open(&format!("/policy/{name}"));
        wrong.extend(missing(&mut visitor, name));
        wrong.extend(visitor.broken().into_iter().map(|part| format!("{name}: {part}")));
    }
    nothing("without the proxy this did not work", &wrong);
}

#[test]
fn under_a_strict_policy_nothing_before_consent_and_everything_after_it_without_a_reload() {
    let (world, shop) = (World::start(vec![]), Shop::open());
    let app = shop.behind_proxy("");
    let mut visitor = Visitor::new(&world, app.address);
    let mut wrong = Vec::new();
    for name in NAMES {
        world.forget();
        visitor.open(&format!("/policy/{name}"));
        let leaks = visitor.leaks(&[], |_| false).into_iter();
        wrong.extend(leaks.map(|leak| format!("{name}: {}", leak.trim_start_matches("of no mechanism: "))));
        visitor.page.evaluate("globalThis.notReloaded = true");
        visitor.post("consent", r#"{"purposes":["preferences","analytics","marketing"]}"#);
        wrong.extend(when("after consent", missing(&mut visitor, name)));
        wrong.extend(visitor.broken().into_iter().map(|part| format!("{name}: {part}")));
        assert_eq!(visitor.page.evaluate("globalThis.notReloaded"), true, "without a reload");
        visitor.leave();
    }
    nothing("under a strict policy", &wrong);
}
