//! The reader and the capper of `Set-Cookie`: a capped cookie has the life and the name that it should have.
#![no_main]

use consentry::enforce::{SetCookie, cap_lifetime, parse_cookie_date};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000;

fuzz_target!(|input: (u32, &[u8])| {
    let (cap, line) = input;
    parse_cookie_date(line);
    let cookie = SetCookie::new(line);
    assert_eq!(cookie.is_deletion(NOW), cookie.lifetime(NOW) == Some(0));
    if let Some(capped) = cap_lifetime(line, cap, NOW) {
        let capped = SetCookie::new(&capped);
        assert_eq!((capped.lifetime(NOW), capped.name()), (Some(u64::from(cap)), cookie.name()));
    }
});
