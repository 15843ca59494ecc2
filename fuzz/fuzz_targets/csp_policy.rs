//! The writer of policies: what was admitted needs nothing more, and is longer than before by what was added only.
#![no_main]

use consentry::enforce::csp::{OwnResources, OwnScript, admit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Option<&str>, &[u8])| {
    let (secure, nonce, policy) = input;
    let own = OwnResources {
        secure,
        authority: "shop.example",
        scripts: &[OwnScript { path: "/.consentry/guard-1.js", integrity: "sha256-G" }],
        frame: Some("/.consentry/held"),
        choice: "/.consentry/consent",
    };
    let mut integrity = false;
    if let Some(text) = admit(policy, &own, nonce, &mut integrity) {
        assert!(admit(&text, &own, nonce, &mut integrity).is_none());
        assert!(text.len() + "'none'".len() * 3 > policy.len());
    }
});
