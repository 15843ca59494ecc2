use super::super::bits::tests::{DIGITS, spell};
use super::RestrictionKind::{NotAllowed, RequireConsent, Undefined};
use super::*;
use proptest::prelude::*;

const T1: &str = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";
const T2: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";
const T3: &str =
    "CQgcD4AQgcD4AAcABBENCyFsAP_gAEPgAAqIGMwBIAAgAEAAoBeYDGQLzgBgACAAUAvMAAA.IGMwBIAAgAEAAoBeYDGQ.f_wACHwAAAA";
const T4: &str = "CQgcD4AQgcD4AAcABCENCyFgAAAAAAAAAAqIAAAAAAAA.IGMwBIAAgAEAAoBeYDGQ";
const T5: &str = "CQgcD4AQgcD4AAcABCDECyFgAIOAAAAAAAYgF5kAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAA.IF5wAoAAgAYAvMA.cCAAAAAAAUA";
const T6: &str = "CQgcD4AQgcD4AAcABBFRCyFgAP_gAAAAAAqIF5wAwABAAKAXmAAEAAAIIABAAUOgBQACAAQBeYA.IF5wA4ABAAIAAoBeYA";
const T7: &str = "CQgcD4AQgcD4AAcABBENCyFgAEIAAAAAAIYgF5gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAA.IF5wAQF5gA";
const ALL: [&str; 7] = [T1, T2, T3, T4, T5, T6, T7];

fn read(text: &str) -> TcString<'_> {
    TcString::parse(text.as_bytes()).ok().unwrap()
}

fn error(text: &str) -> Option<TcError> {
    TcString::parse(text.as_bytes()).err()
}

/// Purpose `n` as bit `n - 1`.
fn set(purposes: impl IntoIterator<Item = u32>) -> u32 {
    purposes.into_iter().fold(0, |set, purpose| set | 1 << (purpose - 1))
}

fn ids(vendors: VendorIds<'_>) -> Vec<u16> {
    vendors.ranges().flat_map(|(start, end)| start..=end).collect()
}

/// Everything that the core says.
fn core(string: &TcString<'_>) -> impl PartialEq + use<> {
    let head = [string.created(), string.last_updated()];
    let numbers =
        [string.cmp_id(), string.cmp_version(), string.vendor_list_version(), string.special_feature_opt_ins()];
    let small = [string.version(), string.consent_screen(), string.policy_version()];
    let flags = [string.is_service_specific(), string.use_non_standard_texts(), string.purpose_one_treatment()];
    let letters = [string.consent_language(), string.publisher_country()];
    let purposes = [string.purposes_consent(), string.purposes_li()];
    let vendors = [string.vendor_consents(), string.vendor_li()].map(|vendors| (vendors.max_id(), ids(vendors)));
    let restrictions: Vec<_> =
        string.restrictions().map(|found| (found.purpose, found.kind, ids(found.vendors))).collect();
    (head, numbers, small, flags, letters, purposes, vendors, restrictions)
}

#[test]
fn the_example_of_the_specification_is_read() {
    let string = read(T1);
    assert_eq!([string.created(), string.last_updated()], [1_748_908_800; 2]);
    assert_eq!((string.version(), string.cmp_id(), string.cmp_version(), string.consent_screen()), (2, 880, 0, 0));
    assert_eq!((&string.consent_language(), &string.publisher_country()), (b"EN", b"DE"));
    assert_eq!((string.vendor_list_version(), string.policy_version()), (48, 2));
    assert!(string.is_service_specific() && !string.use_non_standard_texts() && !string.purpose_one_treatment());
    assert_eq!((string.special_feature_opt_ins(), string.purposes_consent(), string.purposes_li()), (0, 0, 0));
    assert_eq!(ids(string.vendor_consents()), [1, 2, 3, 4]);
    assert_eq!((string.vendor_li().max_id(), string.restrictions().count()), (0, 0));
    assert_eq!(ids(string.disclosed_vendors().unwrap()), [1, 2, 3, 4, 5, 100, 404]);
    let publisher = string.publisher().unwrap();
    assert_eq!((publisher.consents(), publisher.li(), publisher.custom_count()), (0, 0, 0));
    assert_eq!((publisher.custom_consents(), publisher.custom_li()), (0, 0));
}

#[test]
fn a_string_for_the_world_is_read() {
    let string = read(T2);
    assert_eq!((string.cmp_id(), string.vendor_list_version(), string.policy_version()), (27, 15, 2));
    assert!(!string.is_service_specific());
    assert_eq!((string.purposes_consent(), &string.publisher_country()), (set(1..=3), b"AA"));
    assert_eq!((ids(string.vendor_consents()), ids(string.vendor_li())), (vec![2, 6, 8], vec![2, 6, 8]));
    let disclosed = ids(string.disclosed_vendors().unwrap());
    assert_eq!((disclosed.len(), disclosed.last()), (79, Some(&720)));
    assert!(string.publisher().is_none());
}

#[test]
fn everything_accepted() {
    let string = read(T3);
    assert_eq!(string.last_updated(), 1_772_409_600);
    assert_eq!((string.cmp_id(), string.cmp_version(), string.consent_screen()), (28, 1, 1));
    assert_eq!((string.vendor_list_version(), string.policy_version()), (178, 5));
    assert_eq!((string.special_feature_opt_ins(), &string.publisher_country()), (0b11, b"FR"));
    assert_eq!((string.purposes_consent(), string.purposes_li()), (set(1..=11), set([2, 7, 8, 9, 10, 11])));
    assert_eq!(ids(string.vendor_consents()), [1, 2, 10, 755, 793]);
    assert_eq!(ids(string.vendor_li()), [2, 10, 755]);
    assert_eq!(ids(string.disclosed_vendors().unwrap()), [1, 2, 10, 755, 793]);
    assert_eq!(string.publisher().unwrap().consents(), set(1..=11));
}

#[test]
fn everything_rejected() {
    let string = read(T4);
    assert_eq!((string.consent_screen(), string.purposes_consent(), string.purposes_li()), (2, 0, 0));
    assert_eq!((string.vendor_consents().max_id(), ids(string.vendor_consents())), (0, vec![]));
    assert_eq!(ids(string.disclosed_vendors().unwrap()), [1, 2, 10, 755, 793]);
    assert!(string.publisher().is_none());
}

#[test]
fn measurement_only_and_purposes_of_the_publishers_own() {
    let string = read(T5);
    assert_eq!((&string.publisher_country(), string.purposes_consent()), (b"DE", set([1, 7, 8, 9])));
    assert_eq!((string.vendor_consents().max_id(), ids(string.vendor_consents())), (755, vec![2, 755]));
    assert_eq!(ids(string.disclosed_vendors().unwrap()), (1..=12).chain([755]).collect::<Vec<_>>());
    let publisher = string.publisher().unwrap();
    assert_eq!((publisher.consents(), publisher.custom_count()), (set([1, 8]), 2));
    assert_eq!((publisher.custom_consents(), publisher.custom_li()), (0b01, 0));
}

#[test]
fn restrictions_are_read() {
    let string = read(T6);
    assert_eq!((string.purposes_consent(), ids(string.vendor_consents())), (set(1..=11), vec![2, 10, 755]));
    let restrictions: Vec<_> =
        string.restrictions().map(|found| (found.purpose, found.kind, ids(found.vendors))).collect();
    assert_eq!(restrictions, [(2, NotAllowed, vec![10]), (7, RequireConsent, vec![2, 3, 4, 755])]);
    assert_eq!(ids(string.disclosed_vendors().unwrap()), [2, 3, 4, 10, 755]);
}

#[test]
fn purpose_one_may_have_been_treated_otherwise() {
    let string = read(T7);
    assert!(string.purpose_one_treatment());
    assert_eq!((&string.publisher_country(), string.purposes_consent()), (b"DE", set([2, 7])));
    assert_eq!(ids(string.vendor_consents()), [755]);
}

/// A core whose fixed fields are zero but for the version, and what follows them.
fn core_with(rest: &str) -> String {
    spell(&format!("000010 {} {rest}", "0".repeat(207)))
}

const NO_VENDORS: &str = "0000000000000000 0";

#[test]
fn what_is_malformed_is_refused() {
    let backwards =
        core_with(&format!("{NO_VENDORS} {NO_VENDORS} {:012b} 000001 00 {:012b} 1 {:016b} {:016b}", 1, 1, 5, 4));
    let nobody = core_with(&format!("{NO_VENDORS} {NO_VENDORS} {:012b} 000001 00 {:012b} 0 {:016b}", 1, 1, 0));
    let endless = core_with(&format!("{NO_VENDORS} {NO_VENDORS} {:012b} {}", 4095, "000001 00 000000000000".repeat(9)));
    let zero_start = core_with(&format!("{:016b} 1 {:012b} 1 {:016b} {:016b} {NO_VENDORS} {:012b}", 9, 1, 0, 9, 0));
    let customs = spell(&format!("011 {} 000101 000000000", "0".repeat(48)));
    for (text, expected) in [
        (String::new(), TcError::EmptySegment),
        (".".into(), TcError::EmptySegment),
        (format!("{T4}."), TcError::EmptySegment),
        (T3.replace('.', ".."), TcError::EmptySegment),
        (format!(".{T4}"), TcError::EmptySegment),
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA".into(), TcError::Version),
        ("DBABMA".into(), TcError::Version),
        ("C".into(), TcError::Truncated),
        (T4.get(..43).unwrap().into(), TcError::Truncated),
        (format!("{T4}="), TcError::Alphabet),
        (T3.replace('_', "/"), TcError::Alphabet),
        (T3.replace('.', "%2E"), TcError::Alphabet),
        (format!(" {T3}"), TcError::Alphabet),
        (format!("{T4}.~~~"), TcError::Alphabet),
        (format!("{T4}.{T4}"), TcError::SecondCore),
        (format!("{T4}.I"), TcError::Truncated),
        (format!("{T4}.Y"), TcError::Truncated),
        (format!("{T4}.{customs}"), TcError::Truncated),
        (backwards, TcError::Backwards),
        (nobody, TcError::VendorZero),
        (endless, TcError::Truncated),
        (zero_start, TcError::VendorZero),
        (format!("{T4}.{}", "g".repeat(MAX_LENGTH)), TcError::TooLong),
    ] {
        assert_eq!(error(&text), Some(expected), "{text}");
    }
}

#[test]
fn padding_is_not_looked_at() {
    // A core of 259 bits in 44 characters, as 6 bits want it, and in as many as 8 and 24 do.
    let bare = T4.get(..44).unwrap();
    for text in [bare.to_owned(), format!("{bare}A"), format!("{bare}AAAA")] {
        assert!(core(&read(&text)) == core(&read(T4)), "{text}");
    }
}

#[test]
fn further_segments_come_in_any_order_and_the_first_counts() {
    let parts: Vec<_> = T3.split('.').collect();
    let other = T1.split('.').nth(1).unwrap();
    for text in [
        format!("{}.{}.{}", parts[0], parts[2], parts[1]),
        // Types that are not known, or not any more.
        format!("{}.QAAA.gAAA.{}._.{}", parts[0], parts[1], parts[2]),
        format!("{T3}.{other}.YAAAAAAAAAAA"),
    ] {
        let string = read(&text);
        assert_eq!(ids(string.disclosed_vendors().unwrap()), [1, 2, 10, 755, 793], "{text}");
        assert_eq!(string.publisher().unwrap().consents(), set(1..=11), "{text}");
    }
    // A repeated segment has to be sound, too.
    assert_eq!(error(&format!("{T3}.IDKQ")), Some(TcError::Truncated));
}

#[test]
fn as_many_purposes_of_its_own_as_a_publisher_can_have() {
    let text = spell(&format!("011 {} 111111 {}1 1{}0", "0".repeat(48), "0".repeat(62), "0".repeat(61)));
    let string = T4.to_owned() + "." + &text;
    let publisher = read(&string).publisher().unwrap();
    assert_eq!((publisher.custom_count(), publisher.custom_consents(), publisher.custom_li()), (63, 1 << 62, 1));
}

#[test]
fn restrictions_that_mean_nothing_are_shown_as_they_are() {
    let text = core_with(&format!(
        "{NO_VENDORS} {NO_VENDORS} {:012b} 000000 00 {:012b} 111111 11 {:012b} 1 {:016b} {:016b}",
        2, 0, 1, 1, 65535
    ));
    let string = read(&text);
    let restrictions: Vec<_> =
        string.restrictions().map(|found| (found.purpose, found.kind, found.vendors.ranges().collect())).collect();
    assert_eq!(restrictions, [(0, NotAllowed, vec![]), (63, Undefined, vec![(1, 65535)])]);
}

#[test]
fn what_is_cut_says_the_same_or_nothing() {
    for text in ALL {
        let whole = read(text);
        for cut in 0..text.len() {
            let Ok(string) = TcString::parse(&text.as_bytes()[..cut]) else { continue };
            assert!(core(&string) == core(&whole), "{text} at {cut}");
            for (cut, whole) in string.disclosed_vendors().into_iter().zip(whole.disclosed_vendors()) {
                assert_eq!(ids(cut), ids(whole));
            }
            for (cut, whole) in string.publisher().into_iter().zip(whole.publisher()) {
                assert_eq!((cut.consents(), cut.custom_consents()), (whole.consents(), whole.custom_consents()));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = TcString::parse(&text);
    }

    /// What is nearly a string is read, or refused, and can be asked anything.
    #[test]
    fn any_change_is_survived(
        text in proptest::sample::select(&ALL[..]), at in 0_usize..300,
        character in prop_oneof![8 => proptest::sample::select(DIGITS), 1 => Just(b'.'), 1 => any::<u8>()],
    ) {
        let mut text = text.as_bytes().to_vec();
        let at = at % text.len();
        text[at] = character;
        if let Ok(string) = TcString::parse(&text) {
            let _ = core(&string);
        }
    }
}
