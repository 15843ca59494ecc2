//! The candidates of a `srcset` (HTML, section 4.8.4.2).

/// A `srcset` without the candidates whose URL, as it stands there, `denied` says yes to; empty if none is left.
/// `None`, and nothing allocated, if none is denied. What stays is as it was.
pub fn without_denied(srcset: &str, denied: &mut dyn FnMut(&str) -> bool) -> Option<String> {
    let mut kept: Option<Kept> = None;
    let mut rest = srcset;
    while let Some((candidate, after)) = next(rest) {
        let is_denied = denied(candidate.url);
        match &mut kept {
            None if is_denied => {
                let before = srcset.len() - rest.len();
                let text = srcset.get(..before).unwrap_or_default();
                let end = text.trim_end_matches(separates).len();
                kept = Some(Kept { text: text.to_owned(), end });
            }
            Some(kept) if !is_denied => kept.push(candidate),
            _ => {}
        }
        rest = after;
    }
    kept.map(|kept| {
        let Kept { mut text, end } = kept;
        text.truncate(end);
        text
    })
}

/// A string token of the list, with its URL.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    url: &'a str,
    /// URL and descriptors.
    text: &'a str,
    /// Up to the next candidate. It goes with the candidate before it, as what may stand here depends on that one: a
    /// comma right after a URL would belong to the URL.
    separator: &'a str,
}

/// The candidates that stay.
struct Kept {
    text: String,
    /// Where the last candidate ends, before its separator.
    end: usize,
}

impl Kept {
    fn push(&mut self, candidate: Candidate<'_>) {
        self.text.push_str(candidate.text);
        self.end = self.text.len();
        self.text.push_str(candidate.separator);
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn separates(c: char) -> bool {
    c == ',' || is_space(c)
}

/// The first candidate and what follows it ("parse a srcset attribute").
fn next(list: &str) -> Option<(Candidate<'_>, &str)> {
    let list = list.trim_start_matches(separates);
    let token = list.get(..list.find(is_space).unwrap_or(list.len()))?;
    let url = token.trim_end_matches(',');
    if url.is_empty() {
        return None;
    }
    // Commas at the end of a URL are no part of it, and leave it without descriptors.
    let end = if url.len() < token.len() { url.len() } else { url.len() + descriptors(list.get(url.len()..)?) };
    let (text, after) = list.split_at_checked(end)?;
    let (separator, after) = after.split_at_checked(after.len() - after.trim_start_matches(separates).len())?;
    Some((Candidate { url, text, separator }, after))
}

/// The length of the descriptors: up to a comma that is not in parentheses.
fn descriptors(text: &str) -> usize {
    let mut in_parentheses = false;
    let comma = text.bytes().position(|byte| {
        match byte {
            b'(' => in_parentheses = true,
            b')' => in_parentheses = false,
            _ => {}
        }
        byte == b',' && !in_parentheses
    });
    comma.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(srcset: &str) -> Option<String> {
        without_denied(srcset, &mut |url| url.contains("t.example"))
    }

    fn urls(srcset: &str) -> Vec<String> {
        let mut urls = Vec::new();
        without_denied(srcset, &mut |url| {
            urls.push(url.to_owned());
            false
        });
        urls
    }

    #[test]
    fn candidates_are_found_as_browsers_find_them() {
        for (srcset, found) in [
            ("", &[][..]),
            (" , ,", &[]),
            ("a.png", &["a.png"]),
            (" a.png 1x , b.png\t2x", &["a.png", "b.png"]),
            ("a.png 1x,b.png 2x", &["a.png", "b.png"]),
            ("a.png,b.png 2x", &["a.png,b.png"]),
            ("a.png, b.png", &["a.png", "b.png"]),
            ("a.png,,, b.png", &["a.png", "b.png"]),
            (",a.png ,b.png", &["a.png", "b.png"]),
            ("data:image/gif;base64,R0lGODlhAQABAAAAACw= 1x, b", &["data:image/gif;base64,R0lGODlhAQABAAAAACw=", "b"]),
            ("a x(1,2) , b", &["a", "b"]),
            ("a x(1, b", &["a"]),
            ("a )1, b", &["a", "b"]),
            ("a ((,),b", &["a", "b"]),
            ("a(1, b", &["a(1", "b"]),
            ("a\u{a0}b 1x", &["a\u{a0}b"]),
            ("ä 1x, ö", &["ä", "ö"]),
        ] {
            assert_eq!(urls(srcset), found, "{srcset}");
        }
    }

    #[test]
    fn denied_candidates_go() {
        for (srcset, left) in [
            ("a 1x, b 2x", None),
            ("//t.example/a 1x", Some("")),
            (" //t.example/a, //t.example/b ", Some("")),
            ("//t.example/a 1x, b 2x", Some("b 2x")),
            ("a  1x , //t.example/b 2x", Some("a  1x")),
            ("a, //t.example/b 2x,c  3x ", Some("a, c  3x ")),
            ("x 1x,//t.example/b,  c", Some("x 1x,c")),
            ("//t.example/a,b,c 1x, d", Some("d")),
            ("//t.example/a (, d 1x), d", Some("d")),
        ] {
            assert_eq!(filtered(srcset).as_deref(), left, "{srcset}");
        }
    }

    proptest! {
        #[test]
        fn what_is_allowed_stays_and_what_is_denied_goes(
            parts in proptest::collection::vec(prop_oneof!["[ab]", "//t.example/", "[ ,()\t]", ", ", " 1x"], 0..20),
        ) {
            let srcset = parts.concat();
            let mut expected = urls(&srcset);
            let before = expected.len();
            expected.retain(|url| !url.contains("t.example"));
            match filtered(&srcset) {
                None => prop_assert_eq!(expected.len(), before),
                Some(left) => {
                    prop_assert!(left.len() < srcset.len());
                    prop_assert_eq!(urls(&left), expected);
                }
            }
        }

        #[test]
        fn any_text_is_read(srcset in "\\PC{0,60}") {
            prop_assert!(filtered(&srcset).is_none());
        }
    }
}
