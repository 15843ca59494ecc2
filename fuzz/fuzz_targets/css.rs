//! URLs in CSS: nothing denied is left, and taking the mark away gives back what was there.
#![no_main]

use consentry::enforce::html::{NEUTRAL, neutralise};
use libfuzzer_sys::fuzz_target;

fn urls(css: &str) -> Vec<String> {
    let mut urls = Vec::new();
    neutralise(css, &mut |url| {
        urls.push(url.to_owned());
        false
    });
    urls
}

fuzz_target!(|input: (u8, &str)| {
    let (odd, css) = input;
    if css.contains("about:") {
        return;
    }
    let denied = |url: &str| !url.starts_with(NEUTRAL) && url.bytes().fold(odd, u8::wrapping_add) % 3 != 0;
    let expected: Vec<_> =
        urls(css).into_iter().map(|url| if denied(&url) { format!("{NEUTRAL}{url}") } else { url }).collect();
    match neutralise(css, &mut { denied }) {
        None => assert_eq!(urls(css), expected),
        Some(after) => {
            assert_eq!(after.replace(NEUTRAL, ""), css);
            assert_eq!(urls(&after), expected);
        }
    }
});
