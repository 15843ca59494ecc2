//! The candidates of a `srcset`: those that are allowed stay, in order, and no other.
#![no_main]

use consentry::enforce::html::without_denied;
use libfuzzer_sys::fuzz_target;

fn urls(srcset: &str) -> Vec<String> {
    let mut urls = Vec::new();
    without_denied(srcset, &mut |url| {
        urls.push(url.to_owned());
        false
    });
    urls
}

fuzz_target!(|input: (u8, &str)| {
    let (odd, srcset) = input;
    let denied = |url: &str| url.bytes().fold(odd, u8::wrapping_add) % 3 != 0;
    let expected: Vec<_> = urls(srcset).into_iter().filter(|url| !denied(url)).collect();
    match without_denied(srcset, &mut { denied }) {
        None => assert_eq!(urls(srcset), expected),
        Some(left) => {
            assert!(left.len() < srcset.len());
            assert_eq!(urls(&left), expected);
        }
    }
});
