//! Share links: addresses that open something for whoever has them, because a secret token is part of them.

use std::borrow::Cow;

use super::pattern::Pattern;
use super::url::{decode_percent, normal_path, query_pairs};

const TOKEN: &str = "{token}";

/// What kind of access a share link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareEvent {
    Open,
    Download,
}

/// When an access counts as recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The response waits until the record is on the disk.
    #[default]
    RecordedBeforeServed,
    /// The record is on its way when the response is.
    Async,
}

/// An address that holds a secret token.
#[derive(Clone, Debug)]
pub struct ShareLink {
    /// As written, with `{token}`.
    pub template: Box<str>,
    /// The template's path with `*` for the token: whatever it matches may hold one, and is shown nowhere.
    pub path: Pattern,
    pub event: ShareEvent,
    /// Cookies of which each says that the visitor is signed in.
    pub session_cookies: Vec<Pattern>,
    /// Milliseconds within which repeated accesses of a visitor are one.
    pub window_ms: u64,
    pub durability: Durability,
    segments: Vec<Segment>,
    /// The name of the query parameter that is the token, unless a segment is it.
    parameter: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// The token between what stands before and after it.
    Token(Box<str>, Box<str>),
    /// One or more segments, up to the end.
    Rest,
}

/// What a request's address says about a share link.
pub struct SharedObject<'a> {
    pub share: &'a ShareLink,
    /// Percent-decoded. It opens the share: it may go nowhere but into a keyed digest.
    pub token: Vec<u8>,
    /// What is asked for within the share: the address without the token.
    pub object: Vec<u8>,
}

impl ShareLink {
    /// The link that `template` describes: a path of which one segment holds `{token}`, or one query parameter is it;
    /// the last segment may be `*`. `None` if it is no such template.
    pub fn new(template: &str, event: ShareEvent) -> Option<Self> {
        let (path, query) = match template.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (template, None),
        };
        if template.matches(TOKEN).count() != 1 || template.contains('#') {
            return None;
        }
        let parameter = match query {
            Some(query) => Some(query.strip_suffix("={token}").filter(|name| is_plain(name) && !name.is_empty())?),
            None => None,
        };
        let mut names = path.strip_prefix('/')?.split('/').filter(|name| !name.is_empty()).peekable();
        let mut segments = Vec::new();
        while let Some(name) = names.next() {
            segments.push(match name.split_once(TOKEN) {
                Some((before, after)) if is_plain(before) && is_plain(after) => {
                    Segment::Token(before.into(), after.into())
                }
                None if name == "*" && names.peek().is_none() => Segment::Rest,
                None if is_plain(name) => Segment::Literal(name.into()),
                _ => return None,
            });
        }
        Some(ShareLink {
            template: template.into(),
            path: Pattern::new(&path.replace(TOKEN, "*")).ok()?,
            event,
            session_cookies: Vec::new(),
            window_ms: 30 * 60 * 1000,
            durability: Durability::default(),
            segments,
            parameter: parameter.map(Into::into),
        })
    }

    /// Whether the cookie called `name` says that the visitor is signed in.
    pub fn is_session(&self, name: &[u8]) -> bool {
        self.session_cookies.iter().any(|pattern| pattern.matches(name))
    }

    /// The token and the object in the address, if it is one of this link. Servers differ in whether they cut a path
    /// before or after they decode it, so either reading counts.
    pub fn find(&self, path: &[u8], query: &[u8]) -> Option<SharedObject<'_>> {
        let found = self.read(path, true).or_else(|| match normal_path(path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(normal) => self.read(&normal, false),
        });
        let (token, mut object) = found?;
        let token = match &self.parameter {
            None => token?,
            Some(name) => read_query(name.as_bytes(), query, &mut object)?,
        };
        Some(SharedObject { share: self, token, object })
    }

    /// The token, if a segment has it, and all other segments.
    fn read(&self, path: &[u8], encoded: bool) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
        let decoded = |text| if encoded { decode_percent(text) } else { Cow::Borrowed(text) };
        let mut names = path.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".").map(decoded);
        let (mut token, mut object) = (None, Vec::new());
        for segment in &self.segments {
            let name = names.next().filter(|name| &**name != b"..")?;
            match segment {
                Segment::Literal(text) if text.as_bytes().eq_ignore_ascii_case(&name) => {
                    add(&mut object, text.as_bytes());
                }
                Segment::Literal(_) => return None,
                Segment::Token(before, after) => token = Some(between(&name, before, after)?.to_vec()),
                Segment::Rest => {
                    add(&mut object, &name);
                    for name in names.by_ref() {
                        (&*name != b"..").then(|| add(&mut object, &name))?;
                    }
                }
            }
        }
        names.next().is_none().then_some((token, object))
    }
}

/// Whether nothing in `text` means anything but itself.
fn is_plain(text: &str) -> bool {
    !text.contains(['*', '{', '}', '%', '?', '&', '=', '\\']) && text != "." && text != ".."
}

fn add(object: &mut Vec<u8>, segment: &[u8]) {
    object.push(b'/');
    object.extend_from_slice(segment);
}

fn between<'a>(name: &'a [u8], before: &str, after: &str) -> Option<&'a [u8]> {
    let (head, rest) = name.split_at_checked(before.len())?;
    let (token, tail) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
    let fits = head.eq_ignore_ascii_case(before.as_bytes()) && tail.eq_ignore_ascii_case(after.as_bytes());
    (fits && !token.is_empty()).then_some(token)
}

/// The first value of `name`; all other parameters belong to the object.
fn read_query(name: &[u8], query: &[u8], object: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut token = None;
    for (key, value) in query_pairs(query) {
        if !decode_percent(key).eq_ignore_ascii_case(name) {
            object.push(b'&');
            object.extend_from_slice(key);
            object.push(b'=');
            object.extend_from_slice(value);
        } else if token.is_none() && !value.is_empty() {
            token = Some(decode_percent(value).into_owned());
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(template: &str, target: &str) -> Option<(String, String)> {
        let share = ShareLink::new(template, ShareEvent::Open).unwrap();
        let (path, query) = super::super::url::split_query(target.as_bytes());
        let found = share.find(path, query)?;
        Some((String::from_utf8(found.token).unwrap(), String::from_utf8(found.object).unwrap()))
    }

    #[test]
    fn tokens_are_read_in_every_spelling() {
        for (template, target, expected) in [
            ("/s/{token}", "/s/aB3", Some(("aB3", "/s"))),
            ("/s/{token}", "/S/aB3/", Some(("aB3", "/s"))),
            ("/s/{token}", "//s//aB3", Some(("aB3", "/s"))),
            ("/s/{token}", "/%73/%61B3?x=y", Some(("aB3", "/s"))),
            ("/s/{token}", "/s%2FaB3", Some(("aB3", "/s"))),
            ("/s/{token}", "/s/a%2Fb", Some(("a/b", "/s"))),
            ("/s/{token}", "/s/a%2541", Some(("a%41", "/s"))),
            ("/s/{token}", "/x/../s/./aB3", Some(("aB3", "/s"))),
            ("/s/{token}", "/s/aB3/files", None),
            ("/s/{token}", "/s/", None),
            ("/s/{token}", "/s/../aB3", None),
            ("/s/{token}", "/t/aB3", None),
            ("/s-{token}.html", "/s-aB3.html", Some(("aB3", ""))),
            ("/s-{token}.html", "/s-.html", None),
            ("/s/{token}/files/*", "/s/aB3/files/a/b%20c.pdf?sig=1", Some(("aB3", "/s/files/a/b c.pdf"))),
            ("/s/{token}/files/*", "/s/aB3/files/", None),
            ("/s/{token}/files/*", "/s/aB3/files/x/../../../../t", None),
            ("/download?share={token}", "/download?file=a&share=aB3&n=1", Some(("aB3", "/download&file=a&n=1"))),
            ("/download?share={token}", "/download?sh%61re=a%42%33", Some(("aB3", "/download"))),
            ("/download?share={token}", "/download?share=", None),
            ("/download?share={token}", "/download", None),
            ("/download?share={token}", "/downloads?share=aB3", None),
        ] {
            let expected = expected.map(|(token, object)| (token.to_owned(), object.to_owned()));
            assert_eq!(found(template, target), expected, "{template} {target}");
        }
    }

    #[test]
    fn other_templates_are_none() {
        for template in [
            "s/{token}",
            "/s",
            "/s/{token}/{token}",
            "/*/{token}",
            "/s/{token}*",
            "/s/{token}?x",
            "/d?={token}",
            "/d?a=1&b={token}",
            "/s/{token}#x",
            "/s/%73/{token}",
            "/s/../{token}",
            "/s/{token}?x={token}",
            "",
        ] {
            assert!(ShareLink::new(template, ShareEvent::Open).is_none(), "{template}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_the_same_however_it_is_encoded(token in "[a-zA-Z0-9_-]{1,40}", encoded in any::<u64>()) {
            let spell = |(at, byte): (usize, u8)| match encoded >> (at % 64) & 1 {
                1 => format!("%{byte:02x}"),
                _ => char::from(byte).to_string(),
            };
            let spelled: String = token.bytes().enumerate().map(spell).collect();
            prop_assert_eq!(found("/s/{token}", &format!("/s/{spelled}")).unwrap().0, token.clone());
            prop_assert_eq!(found("/d?k={token}", &format!("/d?k={spelled}")).unwrap().0, token);
        }

        #[test]
        fn whatever_is_found_is_hidden_in_the_log_too(path in "(/|[a-zA-Z%0-9.]){0,30}") {
            let share = ShareLink::new("/s/{token}", ShareEvent::Open).unwrap();
            let path = format!("/s{path}");
            if share.find(path.as_bytes(), b"").is_some() {
                prop_assert!(share.path.matches_ignoring_case(&normal_path(path.as_bytes())), "{}", path);
            }
        }
    }
}
