//! What an upstream's policies must say so that the own script runs and can do its work, the own frame shows and its form
//! can be sent: exactly these resources, and only where the policy does not admit them already.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::change::{HeaderChange, header_value};
use super::super::list::{Edit, split};
use super::source::{OwnUrl, SourceList};
use super::syntax::{Directive, Splice, change_members, governing, splice};

/// The own resources that a page refers to.
#[derive(Clone, Copy)]
pub struct OwnResources<'a> {
    /// Whether the visitor came by https.
    pub secure: bool,
    /// What the browser calls this server: the `Host` field.
    pub authority: &'a str,
    pub scripts: &'a [OwnScript<'a>],
    /// Path of the page in held frames. `None` where nothing is held and there is no guard.
    pub frame: Option<&'a str>,
    /// Path to which the own scripts send a choice.
    pub choice: &'a str,
}

/// An own script.
#[derive(Clone, Copy)]
pub struct OwnScript<'a> {
    pub path: &'a str,
    /// Its `integrity`, such as `sha256-…` (Subresource Integrity, section 3.1).
    pub integrity: &'a str,
}

/// What makes the own script run under the policies of a response.
pub struct Admission {
    /// The `nonce` to put on the own tags. It holds nothing that would have to be escaped in an attribute.
    pub nonce: Option<Box<str>>,
    /// Whether the own tags need `integrity` and `crossorigin="anonymous"`, without which `Integrity-Policy` does not
    /// accept it.
    pub integrity: bool,
    pub changes: Vec<HeaderChange>,
}

const POLICIES: [HeaderName; 2] = [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY];

/// Which directive stands in for which (CSP3, section 6.8.3).
const SCRIPTS: [&str; 3] = ["script-src-elem", "script-src", "default-src"];
const FRAMES: [&str; 3] = ["frame-src", "child-src", "default-src"];
const CONNECTIONS: [&str; 2] = ["connect-src", "default-src"];

/// By it the guard gives back what a page with Trusted Types had parked. The guard is the first script there is and takes
/// the name at once, and nobody else can make a policy of that name (Trusted Types, section 4.2.2).
const TRUSTED_TYPES_POLICY: &str = "consentry";

/// These are about more than what is to be admitted: they stay, and a narrower one with the same list takes over.
const SHARED: [&str; 2] = ["child-src", "default-src"];

/// What a response with these `headers` needs. They are those that go out: another change to the same fields has to be
/// made first.
pub fn guard_admission(headers: &HeaderMap, own: &OwnResources<'_>) -> Admission {
    let nonce = nonce_of(headers);
    let mut integrity = wants_integrity(headers);
    let mut changes = Vec::new();
    for name in POLICIES {
        let lines = headers.get_all(&name);
        let mut edit = |line: &HeaderValue| admit_all(line.as_bytes(), own, nonce, &mut integrity);
        let edits: Vec<_> = lines.iter().map(&mut edit).collect();
        if edits.iter().any(|edit| *edit != Edit::Unchanged) {
            let values = lines.iter().zip(edits).filter_map(|(line, edit)| match edit {
                Edit::Replaced(bytes) => header_value(bytes),
                Edit::Unchanged | Edit::Removed => Some(line.clone()),
            });
            changes.push(HeaderChange { values: values.collect(), name });
        }
    }
    Admission { nonce: nonce.map(Into::into), integrity, changes }
}

/// The nonce that most of the enforced policies accept for scripts, if any accepts one.
pub fn nonce_of(headers: &HeaderMap) -> Option<&str> {
    let lines = || headers.get_all(CONTENT_SECURITY_POLICY).iter().map(HeaderValue::as_bytes);
    let lists = || lines().flat_map(|line| split(line, b',')).filter_map(script_list);
    let plain = |nonce: &[u8]| nonce.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(b));
    let acceptance = |nonce: &[u8]| lists().filter(|list| list.nonces().any(|known| known == nonce)).count();
    // Of several, the first one.
    let candidates = lists().flat_map(SourceList::nonces).filter(|nonce| plain(nonce));
    let best = candidates.map(|nonce| (acceptance(nonce), nonce)).reduce(
        |best, next| {
            if next.0 > best.0 { next } else { best }
        },
    );
    best.and_then(|(_, nonce)| std::str::from_utf8(nonce).ok())
}

fn script_list(policy: &[u8]) -> Option<SourceList<'_>> {
    governing(policy, &SCRIPTS).map(|directive| SourceList(directive.value))
}

/// Whether scripts without integrity metadata are refused (Integrity Policy, in Subresource Integrity, section 3.6).
fn wants_integrity(headers: &HeaderMap) -> bool {
    headers.contains_key("integrity-policy") || headers.contains_key("integrity-policy-report-only")
}

fn admit_all(line: &[u8], own: &OwnResources<'_>, nonce: Option<&str>, integrity: &mut bool) -> Edit {
    change_members(line, b',', |policy| admit(policy, own, nonce, integrity))
}

/// One policy with what it lacks, or `None` if it lacks nothing. The own tags will carry `nonce`. Sets `integrity` if
/// they must carry that, too.
pub fn admit(policy: &[u8], own: &OwnResources<'_>, nonce: Option<&str>, integrity: &mut bool) -> Option<Vec<u8>> {
    let mut missing = Vec::new();
    if let Some(directive) = governing(policy, &SCRIPTS) {
        let sources = script_sources(SourceList(directive.value), own, nonce, integrity);
        missing.push(Missing { narrow: "script-src", directive, sources });
    }
    let frame = ("frame-src", &FRAMES[..], own.frame);
    for (narrow, names, path) in [frame, ("connect-src", &CONNECTIONS[..], Some(own.choice))] {
        let (Some(path), Some(directive)) = (path, governing(policy, names)) else { continue };
        let url = own.url(path);
        let source = url.source().filter(|_| !SourceList(directive.value).admits(url));
        missing.push(Missing { narrow, directive, sources: source.into_iter().collect() });
    }
    if let Some(directive) = governing(policy, &["trusted-types"]).filter(|_| own.frame.is_some()) {
        let list = SourceList(directive.value);
        let lacks = !list.has("*") && !list.lists(TRUSTED_TYPES_POLICY);
        let sources = lacks.then(|| TRUSTED_TYPES_POLICY.to_owned()).into_iter().collect();
        missing.push(Missing { narrow: "trusted-types", directive, sources });
    }
    missing.retain(|missing| !missing.sources.is_empty());
    let (added, extended): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|missing| SHARED.iter().any(|shared| missing.directive.is(shared)));
    let splices: Vec<_> = extended.iter().map(extend).chain(append(policy, &added)).collect();
    (!splices.is_empty()).then(|| splice(policy, splices))
}

/// What a directive does not admit.
struct Missing<'a> {
    /// The directive that is about just this.
    narrow: &'static str,
    /// The one that governs.
    directive: Directive<'a>,
    sources: Vec<String>,
}

impl<'a> OwnResources<'a> {
    fn url(&self, path: &'a str) -> OwnUrl<'a> {
        OwnUrl { secure: self.secure, authority: self.authority, path }
    }
}

/// The sources that `list` lacks for the own scripts.
fn script_sources(
    list: SourceList<'_>,
    own: &OwnResources<'_>,
    nonce: Option<&str>,
    integrity: &mut bool,
) -> Vec<String> {
    if nonce.is_some_and(|nonce| list.nonces().any(|known| known == nonce.as_bytes())) {
        return Vec::new();
    }
    let by_host = !list.has("'strict-dynamic'");
    let missing = own.scripts.iter().filter(|script| !(by_host && list.admits(own.url(script.path))));
    let source = |script: &OwnScript<'_>| {
        if list.takes_hashes() {
            // Admits an external script that has just this hash in its `integrity` (CSP3, section 6.7.1.1).
            *integrity = true;
            return Some(format!("'{}'", script.integrity)).filter(|hash| !list.lists(hash));
        }
        own.url(script.path).source()
    };
    missing.filter_map(source).collect()
}

/// Puts what is missing at the end of the directive, or in the place of `'none'`.
fn extend(missing: &Missing<'_>) -> Splice {
    let Missing { directive, sources, .. } = missing;
    let list = sources.join(" ");
    if SourceList(directive.value).is_none() {
        let space = if directive.value.is_empty() { " " } else { "" };
        let inserted = format!("{space}{list}").into_bytes();
        return Splice { at: directive.start, removed: directive.value.len(), inserted };
    }
    Splice { at: directive.end(), removed: 0, inserted: format!(" {list}").into_bytes() }
}

/// New directives for the end of a policy, each with the list that governed until now and what that lacks.
fn append(policy: &[u8], added: &[Missing<'_>]) -> Option<Splice> {
    if added.is_empty() {
        return None;
    }
    let kept = policy.trim_ascii_end();
    let mut inserted = Vec::new();
    for Missing { narrow, directive, sources } in added {
        if !inserted.is_empty() || !kept.ends_with(b";") {
            inserted.push(b';');
        }
        let list = Some(directive.value).filter(|list| !SourceList(list).is_none());
        for part in [Some(narrow.as_bytes()), list].into_iter().flatten().chain(sources.iter().map(String::as_bytes)) {
            inserted.push(b' ');
            inserted.extend_from_slice(part);
        }
    }
    Some(Splice { at: kept.len(), removed: 0, inserted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: OwnResources<'static> = OwnResources {
        secure: true,
        authority: "shop.example",
        scripts: &[
            OwnScript { path: "/.consentry/rules-1.js", integrity: "sha256-R" },
            OwnScript { path: "/.consentry/guard-2.js", integrity: "sha256-G" },
        ],
        frame: Some("/.consentry/held"),
        choice: "/.consentry/consent",
    };

    fn admitted(policy: &str, nonce: Option<&str>) -> (String, bool) {
        let mut integrity = false;
        let text = admit(policy.as_bytes(), &OWN, nonce, &mut integrity);
        (text.map_or("unchanged".into(), |text| String::from_utf8(text).unwrap()), integrity)
    }

    #[test]
    fn a_policy_gets_what_it_lacks_and_no_more() {
        let paths = "shop.example/.consentry/rules-1.js shop.example/.consentry/guard-2.js";
        for (policy, nonce, expected, integrity) in [
            ("", None, "unchanged", false),
            ("img-src 'none'; upgrade-insecure-requests", None, "unchanged", false),
            ("script-src 'self'", None, "unchanged", false),
            ("script-src https: 'unsafe-inline'", None, "unchanged", false),
            ("script-src 'nonce-n' 'strict-dynamic'", Some("n"), "unchanged", false),
            ("script-src 'none'", None, "script-src 'sha256-R' 'sha256-G'", true),
            ("script-src", None, "script-src 'sha256-R' 'sha256-G'", true),
            ("script-src https://cdn.example ;", None, "script-src https://cdn.example 'sha256-R' 'sha256-G' ;", true),
            (
                "script-src 'self' 'strict-dynamic' 'sha256-x'; img-src *",
                None,
                "script-src 'self' 'strict-dynamic' 'sha256-x' 'sha256-R' 'sha256-G'; img-src *",
                true,
            ),
            ("script-src 'nonce-m'", Some("n"), "script-src 'nonce-m' 'sha256-R' 'sha256-G'", true),
            ("trusted-types shop", None, "trusted-types shop consentry", false),
            ("trusted-types 'none'; img-src *", None, "trusted-types consentry; img-src *", false),
            ("trusted-types", None, "trusted-types consentry", false),
            ("trusted-types *", None, "unchanged", false),
            ("trusted-types consentry 'allow-duplicates'", None, "unchanged", false),
            ("require-trusted-types-for 'script'", None, "unchanged", false),
            (
                "script-src 'unsafe-inline' cdn.example",
                None,
                &format!("script-src 'unsafe-inline' cdn.example {paths}"),
                false,
            ),
            ("script-src 'none'; script-src-elem 'self'; script-src-attr 'none'", None, "unchanged", false),
            (
                "script-src 'self'; script-src-elem a.example",
                None,
                "script-src 'self'; script-src-elem a.example 'sha256-R' 'sha256-G'",
                true,
            ),
            ("frame-src 'none'", None, "frame-src shop.example/.consentry/held", false),
            ("frame-src www.youtube.com", None, "frame-src www.youtube.com shop.example/.consentry/held", false),
            ("child-src blob:; ", None, "child-src blob:; frame-src blob: shop.example/.consentry/held ", false),
            ("connect-src api.example", None, "connect-src api.example shop.example/.consentry/consent", false),
            ("default-src 'self'", None, "unchanged", false),
            (
                "default-src 'none'",
                None,
                "default-src 'none'; script-src 'sha256-R' 'sha256-G'; frame-src shop.example/.consentry/held; connect-src shop.example/.consentry/consent",
                true,
            ),
            (
                "default-src cdn.example 'unsafe-inline'; connect-src 'self'; frame-src 'self'",
                None,
                &format!(
                    "default-src cdn.example 'unsafe-inline'; connect-src 'self'; frame-src 'self'; script-src cdn.example 'unsafe-inline' {paths}"
                ),
                false,
            ),
        ] {
            assert_eq!(admitted(policy, nonce), (expected.to_owned(), integrity), "{policy}");
        }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_nonce_is_one_that_the_policies_accept() {
        let csp = "content-security-policy";
        for (lines, nonce) in [
            (&[][..], None),
            (&[(csp, "script-src 'nonce-a1+/=-_'")], Some("a1+/=-_")),
            (&[(csp, "style-src 'nonce-a'")], None),
            (&[(csp, "default-src 'nonce-a'; script-src 'self'")], None),
            (&[(csp, "script-src 'nonce-a\"'")], None),
            (&[("content-security-policy-report-only", "script-src 'nonce-a'")], None),
            (&[(csp, "script-src 'nonce-a' 'nonce-b', script-src 'nonce-b'")], Some("b")),
            (&[(csp, "script-src 'self'"), (csp, "default-src 'NONCE-c'")], Some("c")),
        ] {
            assert_eq!(nonce_of(&headers(lines)), nonce);
        }
    }

    #[test]
    fn every_policy_of_a_response_is_seen_to() {
        let lines = [
            ("content-security-policy", "script-src 'nonce-a', script-src 'nonce-b'"),
            ("content-security-policy", "img-src *"),
            ("content-security-policy-report-only", "script-src 'self'"),
        ];
        let admission = guard_admission(&headers(&lines), &OWN);
        assert_eq!((admission.nonce.as_deref(), admission.integrity), (Some("a"), true));
        let [change] = admission.changes.as_slice() else { panic!("one field changes") };
        assert_eq!(change.name, CONTENT_SECURITY_POLICY);
        assert_eq!(change.values, ["script-src 'nonce-a', script-src 'nonce-b' 'sha256-R' 'sha256-G'", "img-src *"]);
        let strict = guard_admission(&headers(&[("integrity-policy", "blocked-destinations=(script)")]), &OWN);
        assert!(strict.integrity && strict.changes.is_empty() && strict.nonce.is_none());
    }

    proptest! {
        /// What was admitted needs nothing more, and the directives that were there have all their sources still.
        #[test]
        fn admission_only_adds(policy in "((default|script|frame|connect|img)-src|script-src-elem)( ('self'|'none'|'unsafe-inline'|'nonce-n'|'strict-dynamic'|a.example|https:)){0,3}(; ?(child|script|connect|default)-src( ('self'|'none'|b.example)){0,2}){0,3};?", nonce: bool) {
            let nonce = nonce.then_some("n");
            let mut integrity = false;
            if let Some(text) = admit(policy.as_bytes(), &OWN, nonce, &mut integrity) {
                prop_assert!(admit(&text, &OWN, nonce, &mut integrity).is_none());
                for name in SCRIPTS.into_iter().chain(FRAMES).chain(CONNECTIONS).chain(["img-src"]) {
                    let Some(before) = super::super::syntax::find(policy.as_bytes(), name) else { continue };
                    let after = super::super::syntax::find(&text, name).unwrap();
                    let left: Vec<_> = after.tokens().collect();
                    for token in before.tokens() {
                        prop_assert!(left.contains(&token) || SourceList(before.value).is_none());
                    }
                    let inline = |value| SourceList(value).has("'unsafe-inline'") && !SourceList(value).takes_hashes();
                    prop_assert_eq!(inline(before.value), inline(after.value));
                }
            }
        }

        /// Whatever stands in a policy: what was admitted needs nothing more.
        #[test]
        fn any_policy_is_survived(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                ";", " ", "\t", "'none'", "'self'", "*", "script-src", "script-src-elem", "default-src", "frame-src",
                "child-src", "connect-src", "'unsafe-inline'", "'nonce-n'", "'strict-dynamic'", "'", "//", ":", "/", "ä",
            ]), 0..14),
            authority in proptest::sample::select(vec!["shop.example", "shop.example:8080", "[::1]:80", "", "a b"]),
        ) {
            let (policy, own) = (parts.concat(), OwnResources { authority, ..OWN });
            let mut integrity = false;
            if let Some(text) = admit(policy.as_bytes(), &own, Some("n"), &mut integrity) {
                prop_assert!(admit(&text, &own, Some("n"), &mut integrity).is_none());
            }
        }
    }
}
