//! Vectors for formats, in one line each.

use std::fmt::Write;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Choices, CookieIndex, Format, Found, IdMap, MAX_VALUE, Signal, SignalInput, Strength};
use crate::consent::OwnCookie;
use crate::policy::{Catalog, Purpose, PurposeSet, Purposes, SiteOptions, VendorSet};

/// A site for which a format is read.
pub(super) struct Reader {
    format: &'static Format,
    index: CookieIndex,
    ids: IdMap,
    revision: Option<String>,
    names: Option<Vec<Box<str>>>,
    pub(super) site: SiteOptions,
    own: OwnCookie,
    pub(super) catalog: Arc<Catalog>,
}

/// A site that says nothing about `format`.
pub(super) fn reader(format: &'static Format) -> Reader {
    reader_with(format, &[], None)
}

/// A site with its own meanings of ids, and a revision.
pub(super) fn reader_with(format: &'static Format, ids: &[(&str, &str)], revision: Option<&str>) -> Reader {
    let purposes = Purposes::default();
    let configured: Vec<_> = ids.iter().map(|(id, name)| (Box::from(*id), purposes.get(name).unwrap())).collect();
    let names = format.cookies.iter().chain(format.listed_cookies).map(|name| (*name, 1));
    Reader {
        format,
        index: CookieIndex::new(names),
        ids: IdMap::new(format.ids, &configured, &purposes),
        revision: revision.map(str::to_owned),
        names: None,
        site: SiteOptions {
            purposes: Purposes::BUILT_IN,
            gpc_caps: PurposeSet::of(Purpose::MARKETING),
            ..SiteOptions::default()
        },
        own: OwnCookie::new("consentry", None),
        catalog: Arc::new(Catalog::default()),
    }
}

impl Reader {
    /// The same on a site whose cookies have other names.
    pub(super) fn named(self, cookies: &[&str]) -> Reader {
        let names = cookies.iter().map(|name| Box::from(*name)).collect();
        Reader { index: CookieIndex::new(cookies.iter().map(|name| (*name, 1))), names: Some(names), ..self }
    }

    /// What the format makes of a `Cookie` line: `+` granted, `-` denied, `?` unmapped ids, `~` implied, `@` the time,
    /// `#` the revision; one of `none`, `undecided`, `opaque` or the problem where there is nothing to tell.
    pub(super) fn read(&self, cookies: &str) -> String {
        self.read_bytes(cookies.as_bytes())
    }

    pub(super) fn read_bytes(&self, cookies: &[u8]) -> String {
        let mut unmapped = Vec::new();
        let text =
            self.with_signal(cookies, &mut unmapped, |signal| signal.map_or("none".to_owned(), |s| describe(&s)));
        unmapped.iter().fold(text, |text, id| format!("{text} ?{id}"))
    }

    /// What is granted by a `Cookie` line.
    pub(super) fn granted(&self, cookies: &[u8]) -> PurposeSet {
        self.with_signal(cookies, &mut Vec::new(), |signal| {
            signal.map_or(PurposeSet::EMPTY, |signal| signal.granted.without(PurposeSet::NECESSARY))
        })
    }

    /// Vendors that are refused by a `Cookie` line.
    pub(super) fn refused(&self, cookies: &str) -> VendorSet {
        self.with_signal(cookies.as_bytes(), &mut Vec::new(), |signal| signal.map_or(VendorSet::EMPTY, |s| s.refused))
    }

    fn with_signal<T>(
        &self,
        cookies: &[u8],
        unmapped: &mut Vec<String>,
        then: impl FnOnce(Option<Signal<'_>>) -> T,
    ) -> T {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(cookies) {
            headers.append("cookie", value);
        }
        let found = Found::new(&headers, &self.index);
        // As the resolver does: a format is asked only if there is something that it may look at.
        if found.of(1).iter().next().is_none() {
            return then(None);
        }
        let purposes = Purposes::default();
        let input = SignalInput {
            cookies: found.of(1),
            own: &self.own,
            purposes: &purposes,
            site: &self.site,
            catalog: &self.catalog,
            revision: self.revision.as_deref(),
            names: (self.format.cookies, self.names.as_deref()),
        };
        let mut note = |id: &[u8]| unmapped.push(String::from_utf8_lossy(id).into_owned());
        then((self.format.read)(&input, Choices::new(&self.ids, &mut note)))
    }

    /// Checks each row: a `Cookie` line, and what is made of it.
    pub(super) fn check(&self, rows: &[(&str, &str)]) {
        for (cookies, expected) in rows {
            assert_eq!(self.read(cookies), *expected, "{cookies}");
        }
    }
}

fn describe(signal: &Signal<'_>) -> String {
    if let Some(problem) = signal.problem {
        return problem.as_str().to_owned();
    }
    if signal.strength == Strength::Opaque {
        return "opaque".to_owned();
    }
    let optional = |set: PurposeSet| set.without(PurposeSet::NECESSARY);
    if optional(signal.decided()).is_empty() {
        return "undecided".to_owned();
    }
    let purposes = Purposes::default();
    let mut words: Vec<_> = purposes.names(optional(signal.granted)).map(|name| format!("+{name}")).collect();
    words.extend(purposes.names(optional(signal.denied)).map(|name| format!("-{name}")));
    let mut text = words.join(" ");
    if signal.strength == Strength::Implied {
        text.push_str(" ~");
    }
    if let Some(at) = signal.decided_at {
        write!(text, " @{at}").unwrap();
    }
    if let Some(version) = &signal.policy_version {
        write!(text, " #{version}").unwrap();
    }
    text
}

/// What every format must hold to, given a line that grants analytics and marketing, and one that refuses both: the same
/// cookies twice mean the more restrictive, in either order; what is too long grants nothing; no damage to a value is a crash; what is cut off in the
/// middle of a record that has an end (`whole`) grants nothing that the whole does not.
pub(super) fn holds(reader: &Reader, granting: &str, refusing: &str, whole: bool) {
    let both: PurposeSet = [Purpose::ANALYTICS, Purpose::MARKETING].into_iter().collect();
    assert!(reader.granted(granting.as_bytes()).covers(both), "{}", reader.read(granting));
    assert!(reader.granted(refusing.as_bytes()).intersection(both).is_empty(), "{}", reader.read(refusing));
    for twice in [format!("{granting}; {refusing}"), format!("{refusing}; {granting}")] {
        assert!(reader.granted(twice.as_bytes()).intersection(both).is_empty(), "{}", reader.read(&twice));
    }
    let oversized: Vec<_> = granting.split("; ").map(|cookie| format!("{cookie}{}", "0".repeat(MAX_VALUE))).collect();
    let oversized = oversized.join("; ");
    assert!(reader.granted(oversized.as_bytes()).is_empty(), "{}", reader.read(&oversized));
    let all = reader.granted(granting.as_bytes());
    if whole {
        for end in 0..granting.len() {
            let part = &granting.as_bytes()[..end];
            assert!(all.covers(reader.granted(part)), "{}", String::from_utf8_lossy(part));
        }
    }
    let damage = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    runner
        .run(&damage, |(at, byte, replace)| {
            let mut bytes = granting.as_bytes().to_vec();
            let at = at.index(bytes.len());
            if replace {
                bytes[at] = byte
            } else {
                bytes.insert(at, byte)
            }
            reader.granted(&bytes);
            Ok(())
        })
        .unwrap();
    let name = granting.split('=').next().unwrap();
    runner
        .run(&proptest::collection::vec(any::<u8>(), 0..60), |value| {
            let line = [name.as_bytes(), b"=", &value].concat();
            reader.granted(&line);
            Ok(())
        })
        .unwrap();
}
