//! The editor of `Cookie`: nothing denied is left, what is allowed stays in order, nothing grows.
#![no_main]

use consentry::consent::CookiePair;
use consentry::enforce::{Edit, edit_cookie};
use libfuzzer_sys::fuzz_target;

fn pairs(line: &[u8], keep: &dyn Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let segments = line.split(|b| *b == b';').filter(|segment| !segment.trim_ascii().is_empty());
    segments.filter(|segment| keep(CookiePair::parse(segment).name)).map(|segment| segment.trim_ascii().to_vec()).collect()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (odd, line) = input;
    let keep = |name: &[u8]| name.iter().fold(odd, |sum, b| sum.wrapping_add(*b)) % 3 != 0;
    let after = match edit_cookie(line, keep) {
        Edit::Unchanged => line.to_vec(),
        Edit::Removed => Vec::new(),
        Edit::Replaced(bytes) => {
            assert!(bytes.len() < line.len());
            bytes
        }
    };
    assert_eq!(pairs(&after, &|_| true), pairs(line, &keep));
});
