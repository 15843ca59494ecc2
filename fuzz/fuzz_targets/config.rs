//! The configuration loader: every diagnostic has its place, and a configuration is there exactly if nothing is wrong.
#![no_main]

use std::path::Path;

use consentry::config::{Severity, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let loaded = parse(Path::new("c.toml"), text, &|_| Err(std::io::ErrorKind::NotFound.into()));
    let failed = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(loaded.config.is_none(), failed);
    let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
    assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.line <= lines));
    if let Some(config) = loaded.config {
        config.compile();
    }
});
