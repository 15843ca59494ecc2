//! Finding the hosts that a text names: scripts write addresses in many ways, but the host stands in all of them.

use aho_corasick::AhoCorasick;

use super::literals::Literals;

/// An address longer than this is judged by its beginning.
const MAX_ADDRESS: usize = 512;

/// Hosts that are looked for in one pass over a text.
#[derive(Debug, Default)]
pub(super) struct Mentions(Option<AhoCorasick>);

impl Mentions {
    pub(super) fn new<'h>(hosts: impl Iterator<Item = &'h str>) -> Self {
        let mut hosts: Vec<_> = hosts.collect();
        hosts.sort_unstable();
        hosts.dedup();
        let build = || AhoCorasick::builder().ascii_case_insensitive(true).build(&hosts).ok();
        Mentions((!hosts.is_empty()).then(build).flatten())
    }

    /// Calls `consider` with the address around each host that `text` names, as `//host/path?query`.
    pub(super) fn addresses(&self, text: &[u8], mut consider: impl FnMut(&[u8])) {
        let Some(automaton) = &self.0 else { return };
        let mut before = 0;
        for hit in automaton.find_overlapping_iter(text) {
            if hit.start() >= before
                && let Some(address) = address_around(text, hit.start(), hit.end())
            {
                before = hit.start() + 1;
                consider(&address);
            }
        }
    }
}

/// Calls `consider` with each address that `text` writes with its slashes, as `//host/path?query`.
pub(super) fn written_addresses(text: &[u8], mut consider: impl FnMut(&[u8])) {
    let of_host = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    for mark in [&b"//"[..], br"\/\/"] {
        for at in memchr::memmem::find_iter(text, mark) {
            let start = at + mark.len();
            let host = text.get(start..).unwrap_or_default().iter().take_while(of_host).count();
            let named = text.get(start..start + host).is_some_and(|host| host.contains(&b'.'));
            if let Some(address) = address_around(text, start, start + host).filter(|_| named) {
                consider(&address);
            }
        }
    }
}

/// Texts that are looked for in scripts, whatever quotes and white space they are written with.
#[derive(Debug, Default)]
pub(super) struct Snippets {
    literals: Literals,
    any: bool,
}

impl Snippets {
    pub(super) fn new(texts: &[String]) -> Self {
        let plain =
            |(id, text): (usize, &String)| (String::from_utf8_lossy(&one_spelling(text.as_bytes())).into_owned(), id);
        Snippets { literals: Literals::new(texts.iter().enumerate().map(plain).collect()), any: !texts.is_empty() }
    }

    /// Calls `consider` with the position of each text that is in `script`.
    pub(super) fn find(&self, script: &[u8], consider: impl FnMut(usize)) {
        if self.any {
            self.literals.candidates(&one_spelling(script), consider);
        }
    }
}

fn one_spelling(script: &[u8]) -> Vec<u8> {
    let visible = script.iter().filter(|b| !b.is_ascii_whitespace());
    visible.map(|b| if matches!(b, b'"' | b'`') { b'\'' } else { *b }).collect()
}

/// The address in which a host stands at `start..end`; `None` if the name goes on in either direction.
fn address_around(text: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    if !begins_host(before) || !ends_host(after) {
        return None;
    }
    let label = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let labels = if before.ends_with(b".") { before.iter().rev().take_while(label).count() } else { 0 };
    let host = text.get(start - labels..end)?;
    let host = host.iter().position(u8::is_ascii_alphanumeric).and_then(|at| host.get(at..)).unwrap_or(host);
    let mut address = [b"//", host].concat();
    let mut rest = after.iter().take(MAX_ADDRESS).peekable();
    while let Some(byte) = rest.next() {
        match byte {
            // A slash that JSON or a script escapes.
            b'\\' if rest.peek() == Some(&&b'/') => {}
            b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b')' | b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' => break,
            byte => address.push(*byte),
        }
    }
    Some(address)
}

fn begins_host(before: &[u8]) -> bool {
    match before.last() {
        None => true,
        Some(b'-' | b'_') => false,
        Some(b) if b.is_ascii_alphanumeric() => ends_with_escape(before),
        Some(_) => true,
    }
}

/// `\x2F`, `\u002F`, `%2F`: the letter before the host is part of an escape.
fn ends_with_escape(before: &[u8]) -> bool {
    let escape = |digits: usize, mark: &[u8]| {
        let Some((head, tail)) = before.split_at_checked(before.len().wrapping_sub(digits)) else { return false };
        head.ends_with(mark) && tail.iter().all(u8::is_ascii_hexdigit)
    };
    escape(2, b"\\x") || escape(4, b"\\u") || escape(2, b"%")
}

fn ends_host(after: &[u8]) -> bool {
    match after {
        [b'.', next, ..] => !next.is_ascii_alphanumeric(),
        [b, ..] => !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'_'),
        [] => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_slashes_are_found_whoever_they_belong_to() {
        let mut found = Vec::new();
        let text = br#"a="https://x.test/a?b"; // c.d; "\/\/y.test\/z" '//localhost/' 1//2"#;
        written_addresses(text, |address| found.push(String::from_utf8_lossy(address).into_owned()));
        assert_eq!(found, ["//x.test/a?b", "//y.test/z"]);
    }

    #[test]
    fn snippets_are_found_in_every_spelling() {
        let snippets = Snippets::new(&["fbq('init'".to_owned(), "LA.init(".to_owned()]);
        for (script, expected) in [
            ("fbq('init', '1')", &[0][..]),
            ("fbq( \"init\" ,1)", &[0]),
            ("fbq(\n`init`)", &[0]),
            ("LA . init ({id: 1})", &[1]),
            ("fbq('track')", &[]),
        ] {
            let mut found = Vec::new();
            snippets.find(script.as_bytes(), |id| found.push(id));
            assert_eq!(found, expected, "{script}");
        }
    }

    fn found(text: &str) -> Vec<String> {
        let mentions = Mentions::new(["t.example", "connect.t.example", "x.test"].into_iter());
        let mut found = Vec::new();
        mentions.addresses(text.as_bytes(), |address| found.push(String::from_utf8_lossy(address).into_owned()));
        found
    }

    #[test]
    fn hosts_are_found_as_scripts_write_them() {
        for (text, address) in [
            ("s.src='https://t.example/a.js?x=1';", "//t.example/a.js?x=1"),
            (r#""https:\/\/t.example\/a.js""#, "//t.example/a.js"),
            (r#""https:\u002F\u002Ft.example\u002Fa""#, "//t.example"),
            (r#"'\x2f\x2ft.example'"#, "//t.example"),
            ("u=p+'www.T.Example'", "//www.T.Example"),
            ("//t.example", "//t.example"),
            ("var a=\"t.example.\"", "//t.example."),
            ("x.open('GET',`//connect.t.example/x`)", "//connect.t.example/x"),
            ("wss://t.example:8443/s", "//t.example:8443/s"),
        ] {
            assert!(found(text).contains(&address.to_owned()), "{text}: {:?}", found(text));
        }
        for text in ["not.example", "'cat.example'", "t.example.org", "my-t.example", "t.examples", "t_example"] {
            assert_eq!(found(text), [] as [&str; 0], "{text}");
        }
    }
}
