//! GPP strings: sections are those of the header, each is text between two `~`, and what is in them can be read.
#![no_main]

use consentry::consent::iab::gpp::GppString;
use consentry::consent::iab::tcf::TcString;
use consentry::consent::iab::us::UsSection;
use libfuzzer_sys::fuzz_target;

/// Mostly digits of the alphabet, since hardly anything else gets past the first look.
fn spelled(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spell = |byte: &u8| match byte {
        255 => b'~',
        254 => b'.',
        _ => DIGITS[usize::from(byte % 64)],
    };
    bytes.iter().map(spell).collect()
}

fuzz_target!(|input: (u16, &[u8])| {
    let (section, bytes) = input;
    let _ = GppString::parse(bytes);
    let text = &spelled(bytes)[..];
    let _ = UsSection::parse(section % 40, text);
    let Ok(string) = GppString::parse(text) else { return };
    let ids: Vec<_> = string.sections().map(|(id, _)| id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    assert_eq!(ids.len(), text.iter().filter(|byte| **byte == b'~').count());
    for (id, section) in string.sections() {
        assert!(!section.is_empty() && string.section(id) == Some(section));
    }
    assert!(string.us_sections().count() <= ids.len());
    let _ = string.us_privacy();
    let _ = string.tcf_eu().map(|text| TcString::parse(text).is_ok());
});
