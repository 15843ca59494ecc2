//! The reader of violation reports: whatever comes, a violation names a URL with a host, and a known directive.
#![no_main]

use consentry::inventory::{ReportFormat, parse};
use consentry::policy::Url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for format in [ReportFormat::Single, ReportFormat::List] {
        for violation in parse(format, body).into_iter().flatten() {
            assert!(Url::parse(violation.url.as_bytes()).is_some_and(|url| url.host.is_some()));
            assert!(!violation.directive.is_empty());
        }
    }
});
