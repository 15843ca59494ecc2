//! URLs in style sheets and `style` attributes.

use cssparser::{Parser, ParserInput, Token};

/// What is put before a denied URL: browsers fetch nothing for it (CSS Values 4, section 4.5.4), and taking it away
/// gives back what was there.
pub const NEUTRAL: &str = "about:invalid#";

/// The CSS with every URL that `denied` says yes to made one that contacts nobody, by [`NEUTRAL`] before it. `None`,
/// and nothing allocated, if none is denied.
///
/// `denied` is asked about each `url()` and about every string, as it depends on far-away text which strings are URLs
/// (`@import`, `image-set()`, a custom property used in either). It gets them with their escapes undone (CSS Syntax,
/// section 4.3). `css` is a style sheet, or the value of a `style` attribute without its character references.
pub fn neutralise(css: &str, denied: &mut dyn FnMut(&str) -> bool) -> Option<String> {
    if !may_name_url(css) {
        return None;
    }
    let mut changed: Option<String> = None;
    let mut copied = 0;
    each_url(css, &mut |start, url| {
        if denied(url) {
            let changed = changed.get_or_insert_with(|| String::with_capacity(css.len() + 4 * NEUTRAL.len()));
            changed.push_str(css.get(copied..start).unwrap_or_default());
            changed.push_str(NEUTRAL);
            copied = start;
        }
    });
    changed.map(|mut changed| {
        changed.push_str(css.get(copied..).unwrap_or_default());
        changed
    })
}

/// Whether there is a string, or a `url(` without an escape, or an escape that may be part of one.
fn may_name_url(css: &str) -> bool {
    let css = css.as_bytes();
    let mut marks = memchr::memchr3_iter(b'"', b'\'', b'(', css);
    let mut named = |mark: usize| {
        let before = css.get(..mark).unwrap_or_default();
        css.get(mark) != Some(&b'(') || before.last_chunk::<3>().is_some_and(|name| name.eq_ignore_ascii_case(b"url"))
    };
    marks.any(&mut named) || (memchr::memchr(b'\\', css).is_some() && memchr::memchr(b'(', css).is_some())
}

/// Calls `found` with the place and the value of each string and each unquoted `url()`.
fn each_url(css: &str, found: &mut dyn FnMut(usize, &str)) {
    let mut base = 0;
    while let Some(rest) = css.get(base..).filter(|rest| !rest.is_empty()) {
        base += flat_run(rest, &mut |start, url| found(base + start, url));
    }
}

/// Reads tokens to the first one that opens a block, or to the end; the number of bytes that were read, at least one.
///
/// The library skips a block unless it is entered by recursion, which input could drive as deep as it likes. Tokens do
/// not depend on the blocks around them, so a new parser begins inside each.
fn flat_run(css: &str, found: &mut dyn FnMut(usize, &str)) -> usize {
    let mut input = ParserInput::new(css);
    let mut parser = Parser::new(&mut input);
    loop {
        let start = parser.position().byte_index();
        match parser.next_including_whitespace_and_comments() {
            Ok(Token::QuotedString(value)) => found(start + 1, value),
            Ok(Token::UnquotedUrl(value)) => found(start + url_start(css.get(start..).unwrap_or_default()), value),
            Ok(Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock) => {
                return parser.position().byte_index().max(1);
            }
            Ok(_) => {}
            Err(_) => return css.len(),
        }
    }
}

/// Where the URL begins in an unquoted `url(`, whose name may be escaped but has no other parenthesis.
fn url_start(token: &str) -> usize {
    let token = token.as_bytes();
    let open = memchr::memchr(b'(', token).map_or(0, |at| at + 1);
    let inside = token.get(open..).unwrap_or_default();
    open + inside.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Stands for any URL of a tracker, relative ones too.
    fn denied(url: &str) -> bool {
        !url.starts_with("about:") && url.to_ascii_lowercase().contains("t.example")
    }

    fn neutral(css: &str) -> String {
        neutralise(css, &mut denied).unwrap_or_else(|| "unchanged".into())
    }

    #[test]
    fn denied_urls_are_neutralised_where_they_stand() {
        for (css, after) in [
            ("a{background:url(//t.example/x)}", "a{background:url(^//t.example/x)}"),
            ("background: URL( \n\t//T.EXAMPLE/x )", "background: URL( \n\t^//T.EXAMPLE/x )"),
            ("url('//t.example/x')", "url('^//t.example/x')"),
            ("url(\"//t.example/x\" )", "url(\"^//t.example/x\" )"),
            ("src('//t.example/x')", "src('^//t.example/x')"),
            ("@import \"//t.example/x\";", "@import \"^//t.example/x\";"),
            ("@IMPORT/**/'//t.example/x' screen;", "@IMPORT/**/'^//t.example/x' screen;"),
            ("@import url(//t.example/x) layer(a);", "@import url(^//t.example/x) layer(a);"),
            ("a{b:image-set('a.png' 1x, \"//t.example/x\" 2x)}", "a{b:image-set('a.png' 1x, \"^//t.example/x\" 2x)}"),
            ("a{--b:'//t.example/x'}", "a{--b:'^//t.example/x'}"),
            (r"\75rl(//t.example/x)", r"\75rl(^//t.example/x)"),
            (r"u\72 l( //t.example/x)", r"u\72 l( ^//t.example/x)"),
            (r"url(\68ttps://t.example/x)", r"url(^\68ttps://t.example/x)"),
            (r"url(//\74.example/x)", r"url(^//\74.example/x)"),
            (r"url('//t\2e example/x')", r"url('^//t\2e example/x')"),
            ("url('//t.exam\\\nple/x')", "url('^//t.exam\\\nple/x')"),
            ("url(//t.example/x", "url(^//t.example/x"),
            ("url(//t.example/x\\", "url(^//t.example/x\\"),
            ("@import '//t.example/x", "@import '^//t.example/x"),
            ("a{b:c(d[e(url(//t.example/x", "a{b:c(d[e(url(^//t.example/x"),
            ("}])url(//t.example/x)", "}])url(^//t.example/x)"),
            ("ä{b:url(//t.example/ö)}", "ä{b:url(^//t.example/ö)}"),
            ("url(//t.example/a),url(/b),url(//t.example/c)", "url(^//t.example/a),url(/b),url(^//t.example/c)"),
            ("<!-- url(//t.example/x)", "<!-- url(^//t.example/x)"),
        ] {
            assert_eq!(neutral(css), after.replace('^', NEUTRAL), "{css}");
        }
    }

    #[test]
    fn what_no_browser_fetches_stays() {
        for css in [
            "",
            "color:red",
            "a{color:rgb(1,2,3);content:'x'}",
            "url(/own.png)",
            "/* url(//t.example/x) */",
            "a{b:url(/* '//t.example/x' */)}",
            "url(//t.example/x'y)",
            "url(//t.example/x y)",
            "url-prefix(//t.example/x)",
            "//t.example/x",
            "'//t.example\n/x'",
            r"url\(//t.example/x)",
            r"\(//t.example/x)",
            "furl(//t.example/x)",
        ] {
            assert_eq!(neutral(css), "unchanged", "{css}");
        }
    }

    #[test]
    fn depth_is_no_matter() {
        let css = format!("{}url(//t.example/x)", "a(".repeat(200_000));
        assert!(neutral(&css).ends_with(&format!("url({NEUTRAL}//t.example/x)")));
    }

    proptest! {
        #[test]
        fn nothing_denied_is_left_and_the_rest_is_as_it_was(
            parts in proptest::collection::vec(prop_oneof![
                3 => Just("//t.example/x".to_owned()),
                2 => "url\\(|\\\\75rl\\(|@import |src\\(|image-set\\(|/\\*|\\*/|/own",
                4 => "[ \n\\\\\"'(){};,a\u{e4}\u{0}]",
                1 => "\\PC{0,4}",
            ], 0..24),
        ) {
            let css = parts.concat();
            let mut asked = Vec::new();
            let after = neutralise(&css, &mut |url| {
                asked.push(url.to_owned());
                denied(url)
            });
            prop_assert_eq!(after.is_some(), asked.iter().any(|url| denied(url)));
            if let Some(after) = after {
                prop_assert_eq!(after.replace(NEUTRAL, ""), css);
                let mut left = Vec::new();
                neutralise(&after, &mut |url| {
                    left.push(url.to_owned());
                    false
                });
                let expected: Vec<_> =
                    asked.into_iter().map(|url| if denied(&url) { format!("{NEUTRAL}{url}") } else { url }).collect();
                prop_assert_eq!(left, expected, "the same URLs, and the denied ones neutral");
            }
        }

        #[test]
        fn what_is_not_even_read_names_no_url(css in "[url(\\\\)'\" a0-9]{0,30}") {
            let mut found = false;
            each_url(&css, &mut |_, _| found = true);
            prop_assert!(!found || may_name_url(&css));
        }
    }
}
