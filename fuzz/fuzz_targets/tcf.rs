//! TC strings: what is read can be asked anything, the answers agree, and a cut never grants what the whole did not.
#![no_main]

use consentry::consent::iab::VendorIds;
use consentry::consent::iab::tcf::TcString;
use libfuzzer_sys::fuzz_target;

fn agree(ids: VendorIds<'_>, asked: &[u16]) {
    let mut found = Vec::new();
    ids.for_each_of(asked, |at| found.push(asked[at]));
    let expected: Vec<_> = asked.iter().copied().filter(|id| ids.contains(*id)).collect();
    assert_eq!(found, expected);
    for (start, end) in ids.ranges() {
        assert!(0 < start && start <= end && end <= ids.max_id() && ids.contains(start) && ids.contains(end));
    }
}

/// Mostly digits of the alphabet, since hardly anything else gets past the first look.
fn spelled(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes.iter().map(|byte| if *byte == 255 { b'.' } else { DIGITS[usize::from(byte % 64)] }).collect()
}

fuzz_target!(|input: (Vec<u16>, &[u8])| {
    let (mut asked, bytes) = input;
    asked.truncate(100);
    let _ = TcString::parse(bytes);
    let text = &spelled(bytes)[..];
    let Ok(string) = TcString::parse(text) else { return };
    for ids in [string.vendor_consents(), string.vendor_li()].into_iter().chain(string.disclosed_vendors()) {
        agree(ids, &asked);
        asked.sort_unstable();
        agree(ids, &asked);
    }
    for restriction in string.restrictions().take(50) {
        agree(restriction.vendors, &asked);
    }
    let custom =
        string.publisher().map_or((0, 0, 0), |said| (said.custom_count(), said.custom_consents(), said.custom_li()));
    assert!(custom.0 < 64 && (custom.1 | custom.2) >> custom.0 == 0);
    for cut in [text.len() / 2, text.len() - 1] {
        if let Ok(cut) = TcString::parse(&text[..cut]) {
            assert_eq!(cut.purposes_consent(), string.purposes_consent());
            assert!(cut.vendor_consents().ranges().eq(string.vendor_consents().ranges()));
        }
    }
});
