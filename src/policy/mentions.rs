//! Finding the hosts that a text names: scripts write addresses in many ways, but the host stands in all of them.

use aho_corasick::AhoCorasick;

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
