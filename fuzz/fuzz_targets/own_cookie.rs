//! The own cookie: what is read can be written again, and unsigned bytes never count with a key.
#![no_main]

use consentry::consent::OwnCookie;
use consentry::policy::Purposes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let purposes = Purposes::default();
    let own = OwnCookie::new("consentry", None);
    if let Some(consent) = own.parse(value, &purposes) {
        let written = own.format(&consent, &purposes);
        assert_eq!(own.parse(written.as_bytes(), &purposes), Some(consent));
    }
    assert_eq!(OwnCookie::new("consentry", Some(b"a key that nobody knows")).parse(value, &purposes), None);
});
