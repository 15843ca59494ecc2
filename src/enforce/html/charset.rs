//! How the bytes of a page are characters, as far as it decides whether they can be rewritten.

mod prescan;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much of a page browsers search for what it says of itself (HTML, section 13.2.3.2), in bytes.
const PRESCAN: usize = 1024;

/// What can be said of the characters of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// More of the page is needed.
    Undecided,
    /// Markup is ASCII, so that it can be rewritten byte by byte, in this encoding. It is windows-1252 where a page says
    /// nothing: browsers may guess otherwise, but every byte has a character in it and goes through unchanged.
    Rewritable(&'static Encoding),
    /// UTF-16, ISO-2022-JP, or an encoding of which browsers show nothing.
    NotRewritable,
}

impl Charset {
    fn of(encoding: &'static Encoding) -> Self {
        if encoding.is_ascii_compatible() { Charset::Rewritable(encoding) } else { Charset::NotRewritable }
    }
}

/// Decides on the encoding of a page as browsers do (HTML, section 13.2.3.2): by its byte order mark, by `Content-Type`,
/// by what it declares, in this order.
pub struct CharsetCheck {
    declared: Option<&'static Encoding>,
    xml: bool,
    /// The page so far, while nothing is decided.
    head: Vec<u8>,
}

impl CharsetCheck {
    /// A check for a page with this `Content-Type`.
    #[must_use]
    pub fn new(content_type: Option<&[u8]>) -> Self {
        let mut parts = content_type.unwrap_or_default().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let xml = essence.ends_with(b"+xml") || essence.ends_with(b"/xml");
        Self { declared: parts.find_map(charset_parameter).and_then(Encoding::for_label), xml, head: Vec::new() }
    }

    /// Looks at the next bytes of the page. Decides after 1024 bytes at the latest; the first three suffice where
    /// `Content-Type` names the encoding or a byte order mark does. Once decided it is not to be asked again.
    #[must_use]
    pub fn feed(&mut self, bytes: &[u8]) -> Charset {
        if self.head.is_empty() {
            let decision = self.decide(bytes, false);
            if decision != Charset::Undecided {
                return decision;
            }
        }
        let wanted = PRESCAN.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        self.decide(&self.head, false)
    }

    /// Decides on what there is: at the end of the page, or when it is not to be waited for any longer.
    #[must_use]
    pub fn finish(&self) -> Charset {
        self.decide(&self.head, true)
    }

    fn decide(&self, page: &[u8], ended: bool) -> Charset {
        let page = page.get(..PRESCAN).unwrap_or(page);
        let ended = ended || page.len() == PRESCAN;
        match byte_order_mark(page) {
            Mark::Of(encoding) => return Charset::of(encoding),
            Mark::Maybe if !ended => return Charset::Undecided,
            Mark::Maybe | Mark::None => {}
        }
        if let Some(encoding) = self.declared {
            return Charset::of(encoding);
        }
        if self.xml {
            return match prescan::xml_declaration(page) {
                _ if !ended && prescan::may_be_xml_declaration(page) => Charset::Undecided,
                declared => Charset::of(declared.unwrap_or(UTF_8)),
            };
        }
        match prescan::meta(page) {
            Some(encoding) => Charset::of(encoding),
            None if !ended => Charset::Undecided,
            None => Charset::of(prescan::xml_declaration(page).unwrap_or(WINDOWS_1252)),
        }
    }
}

/// The label in a `charset` parameter of `Content-Type`.
fn charset_parameter(parameter: &[u8]) -> Option<&[u8]> {
    let equals = memchr::memchr(b'=', parameter)?;
    let (name, value) = (parameter.get(..equals)?, parameter.get(equals + 1..)?.trim_ascii());
    let unquoted = value.strip_prefix(b"\"").map(|rest| rest.strip_suffix(b"\"").unwrap_or(rest));
    name.trim_ascii().eq_ignore_ascii_case(b"charset").then(|| unquoted.unwrap_or(value))
}

enum Mark {
    Of(&'static Encoding),
    /// The page may begin with one; too little of it is there.
    Maybe,
    None,
}

/// The byte order mark at the start (Encoding Standard, section 6). It outranks everything.
fn byte_order_mark(page: &[u8]) -> Mark {
    let marks: [(&[u8], _); 3] = [(b"\xef\xbb\xbf", UTF_8), (b"\xfe\xff", UTF_16BE), (b"\xff\xfe", UTF_16LE)];
    for (mark, encoding) in marks {
        if page.starts_with(mark) {
            return Mark::Of(encoding);
        }
        if mark.starts_with(page) {
            return Mark::Maybe;
        }
    }
    Mark::None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(content_type: Option<&str>, page: &[u8]) -> Charset {
        let mut check = CharsetCheck::new(content_type.map(str::as_bytes));
        match check.feed(page) {
            Charset::Undecided => check.finish(),
            decision => decision,
        }
    }

    /// The name of the encoding, or why there is none.
    fn name(charset: Charset) -> &'static str {
        match charset {
            Charset::Undecided => "undecided",
            Charset::Rewritable(encoding) => encoding.name(),
            Charset::NotRewritable => "not rewritable",
        }
    }

    fn cases() -> Vec<(Option<&'static str>, Vec<u8>, &'static str)> {
        let html = Some("text/html");
        let xhtml = Some("application/xhtml+xml");
        let utf8 = Some("text/html; charset=utf-8");
        let late = format!("<!--{}--><meta charset=iso-2022-jp>", "x".repeat(1000));
        let cases: Vec<(_, &[u8], _)> = vec![
            (None, b"", "windows-1252"),
            (html, b"<p>", "windows-1252"),
            (utf8, b"<p>", "UTF-8"),
            (utf8, b"", "UTF-8"),
            (utf8, b"\xff\xfe<\0", "not rewritable"),
            (utf8, b"\xfe\xff\0<", "not rewritable"),
            (utf8, b"\xff", "UTF-8"),
            (Some("text/html;charset=utf-16le"), b"<\0p\0", "not rewritable"),
            (Some("text/html;charset=utf-16le"), b"\xef\xbb\xbf<p>", "UTF-8"),
            (Some("text/html; Charset = \"ISO-2022-JP\""), b"", "not rewritable"),
            (Some("text/html; charset=hz-gb-2312"), b"", "not rewritable"),
            (Some("text/html; charset=gb2312; charset=utf-16"), b"", "GBK"),
            (Some("text/html; charset=Shift_JIS"), b"", "Shift_JIS"),
            (Some("text/html; charset=nonsense"), b"<meta charset=utf-8>", "UTF-8"),
            (Some("text/html; charset=\"utf-8"), b"", "UTF-8"),
            (html, b"\xef\xbb\xbf<meta charset=iso-2022-jp>", "UTF-8"),
            (html, b"<meta charset=iso-2022-jp>", "not rewritable"),
            (html, b"<META CharSet = 'ISO-2022-JP' >", "not rewritable"),
            (html, b"<meta/charset=iso-2022-jp/>", "windows-1252"),
            (html, b"<meta/charset=iso-2022-jp >", "not rewritable"),
            (html, b"<metax charset=iso-2022-jp>", "windows-1252"),
            (html, b"<meta charset=iso-2022-jp", "windows-1252"),
            (html, b"<meta charset=utf-16>", "UTF-8"),
            (html, b"<meta charset=utf-7><meta charset=big5>", "Big5"),
            (html, b"<meta charset=x-user-defined>", "windows-1252"),
            (html, b"<meta charset=iso-2022-kr>", "not rewritable"),
            (html, b"<meta charset=utf-8 charset=iso-2022-jp>", "UTF-8"),
            (html, b"<!-- <meta charset=iso-2022-jp> --><meta charset=utf-8>", "UTF-8"),
            (html, b"<!--><meta charset=iso-2022-jp>", "not rewritable"),
            (html, b"<a title='<meta charset=iso-2022-jp>'><meta charset=utf-8>", "UTF-8"),
            (html, b"</a title='<meta charset=iso-2022-jp>'><meta charset=utf-8>", "UTF-8"),
            (html, b"<? <meta charset=iso-2022-jp><meta charset=utf-8>", "UTF-8"),
            (html, b"<!x <meta charset=iso-2022-jp><meta charset=utf-8>", "UTF-8"),
            (html, b"<1 <meta charset=iso-2022-jp>", "not rewritable"),
            (html, b"<meta http-equiv=Content-Type content='text/html; charset=iso-2022-jp'>", "not rewritable"),
            (html, b"<meta content='text/html; CHARSET = \"iso-2022-jp\"' http-equiv=content-type>", "not rewritable"),
            (html, b"<meta content='text/html; charset=iso-2022-jp'><meta charset=utf-8>", "UTF-8"),
            (html, b"<meta http-equiv=refresh content='charset=iso-2022-jp'>", "windows-1252"),
            (html, b"<meta http-equiv=content-type content='charset charset=iso-2022-jp;x'>", "not rewritable"),
            (html, b"<meta http-equiv=content-type content='charset=\"iso-2022-jp'><meta charset=big5>", "Big5"),
            (html, b"<meta http-equiv=content-type content='charset=iso-2022-jp' charset=utf-8>", "UTF-8"),
            (html, b"<meta charset=nonsense http-equiv=content-type content='charset=iso-2022-jp'>", "windows-1252"),
            (html, b"<?xml version='1.0' encoding='iso-2022-jp'?>", "not rewritable"),
            (html, b"<?xml encoding='iso-2022-jp'?><meta charset=utf-8>", "UTF-8"),
            (html, b"<\0?\0x\0", "not rewritable"),
            (html, b"\0<\0?\0x", "not rewritable"),
            (html, late.as_bytes(), "windows-1252"),
            (xhtml, b"<html xmlns='http://www.w3.org/1999/xhtml'><meta charset='iso-2022-jp'/>", "UTF-8"),
            (xhtml, b"<?xml version='1.0' encoding = \"Shift_JIS\" ?><html>", "Shift_JIS"),
            (xhtml, b"<?xml encoding='utf-16'?>", "UTF-8"),
            (xhtml, b"<?xml encoding='utf-16", "UTF-8"),
            (xhtml, b"<\0?\0x\0m\0l\0", "not rewritable"),
            (Some("application/xhtml+xml; charset=big5"), b"<?xml encoding='iso-2022-jp'?>", "Big5"),
        ];
        cases.into_iter().map(|(content_type, page, name)| (content_type, page.to_vec(), name)).collect()
    }

    #[test]
    fn the_encoding_is_found_as_browsers_find_it() {
        for (content_type, page, expected) in cases() {
            let shown = String::from_utf8_lossy(&page);
            assert_eq!(name(whole(content_type, &page)), expected, "{content_type:?} {shown}");
        }
    }

    #[test]
    fn the_decision_does_not_depend_on_how_the_page_is_cut() {
        for (content_type, page, expected) in cases() {
            for cut in 0..=page.len() {
                let mut check = CharsetCheck::new(content_type.map(str::as_bytes));
                let decisions = [check.feed(&page[..cut]), check.feed(&page[cut..]), check.finish()];
                let first = decisions.into_iter().find(|decision| *decision != Charset::Undecided);
                assert_eq!(first.map(name), Some(expected), "{content_type:?} {}", String::from_utf8_lossy(&page));
            }
        }
    }

    #[test]
    fn no_more_is_waited_for_than_needed() {
        let page = [b'x'; 1024];
        let feed = |content_type: &str, page: &[u8]| CharsetCheck::new(Some(content_type.as_bytes())).feed(page);
        for (content_type, page, expected) in [
            ("text/html; charset=utf-8", &page[..1], "UTF-8"),
            ("text/html; charset=utf-8", b"\xef\xbb", "undecided"),
            ("text/html", b"\xff\xfe", "not rewritable"),
            ("text/html", b"<meta charset=utf-8>", "UTF-8"),
            ("text/html", &page[..1023], "undecided"),
            ("text/html", &page, "windows-1252"),
            ("application/xhtml+xml", &page[..1], "UTF-8"),
            ("application/xhtml+xml", b"<?x", "undecided"),
            ("application/xhtml+xml", b"<html", "UTF-8"),
        ] {
            assert_eq!(name(feed(content_type, page)), expected, "{content_type}");
        }
    }

    proptest! {
        #[test]
        fn any_chunks_decide_alike(
            parts in proptest::collection::vec(prop_oneof![
                "<meta ", "charset=", "iso-2022-jp", "http-equiv=content-type ", "content='", "<!--", "-->", "[<>/='\" x]",
                "<\\?xml encoding=", "\u{feff}",
            ], 0..20),
            cuts in proptest::collection::vec(0_usize..60, 0..6),
        ) {
            let page = parts.concat().into_bytes();
            let mut check = CharsetCheck::new(None);
            let (mut rest, mut decision) = (&page[..], Charset::Undecided);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                if decision == Charset::Undecided {
                    let (chunk, left) = rest.split_at(cut.min(rest.len()));
                    (rest, decision) = (left, check.feed(chunk));
                }
            }
            let decision = if decision == Charset::Undecided { check.finish() } else { decision };
            prop_assert_eq!(decision, whole(None, &page));
        }
    }
}
