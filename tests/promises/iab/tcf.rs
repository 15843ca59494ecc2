//! TC strings, beside `@iabtcf/core`.

use std::collections::BTreeMap;

use consentry::consent::iab::VendorIds;
use consentry::consent::iab::tcf::{RestrictionKind, TcString};
use serde_json::{Value, json};

use super::{generated, members, merged, ranges, within};

fn set(set: u64) -> Value {
    json!(merged(members(set).into_iter().map(|number| (number, number))))
}

fn vendors(ids: Option<VendorIds<'_>>) -> Value {
    json!(merged(ids.into_iter().flat_map(|ids| ids.ranges())))
}

fn text(letters: [u8; 2]) -> String {
    letters.map(char::from).iter().collect()
}

/// One entry for each purpose and kind, without those that restrict nobody.
fn restrictions(string: &TcString<'_>) -> BTreeMap<(u8, u8), Vec<(u16, u16)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for restriction in string.restrictions() {
        let kind = match restriction.kind {
            RestrictionKind::NotAllowed => 0,
            RestrictionKind::RequireConsent => 1,
            RestrictionKind::RequireLegitimateInterest => 2,
            RestrictionKind::Undefined => 3,
        };
        found.entry((restriction.purpose, kind)).or_default().extend(restriction.vendors.ranges());
    }
    found.retain(|_, vendors| !vendors.is_empty());
    found.into_iter().map(|(which, vendors)| (which, merged(vendors))).collect()
}

/// All that we read, in the words of the generator.
fn read(string: &TcString<'_>) -> Value {
    let restrictions: Vec<_> =
        restrictions(string).into_iter().map(|((purpose, kind), vendors)| json!([purpose, kind, vendors])).collect();
    let publisher = string.publisher();
    let publisher = |read: fn(&consentry::consent::iab::tcf::Publisher<'_>) -> u64| publisher.as_ref().map_or(0, read);
    json!({
        "version": string.version(),
        "created": string.created(),
        "last_updated": string.last_updated(),
        "cmp_id": string.cmp_id(),
        "cmp_version": string.cmp_version(),
        "consent_screen": string.consent_screen(),
        "consent_language": text(string.consent_language()),
        "vendor_list_version": string.vendor_list_version(),
        "policy_version": string.policy_version(),
        "is_service_specific": string.is_service_specific(),
        "use_non_standard_texts": string.use_non_standard_texts(),
        "purpose_one_treatment": string.purpose_one_treatment(),
        "publisher_country": text(string.publisher_country()),
        "special_feature_opt_ins": set(string.special_feature_opt_ins().into()),
        "purposes_consent": set(string.purposes_consent().into()),
        "purposes_li": set(string.purposes_li().into()),
        "vendor_consents": vendors(Some(string.vendor_consents())),
        "vendor_li": vendors(Some(string.vendor_li())),
        "restrictions": restrictions,
        "disclosed_vendors": vendors(string.disclosed_vendors()),
        "publisher": [set(publisher(|said| said.consents().into())), set(publisher(|said| said.li().into()))],
        "custom": [set(publisher(|said| said.custom_consents())), set(publisher(|said| said.custom_li()))],
        "custom_count": publisher(|said| said.custom_count().into()),
    })
}

/// What vendors are told one by one is what the ranges say.
fn answers_agree(ids: VendorIds<'_>) {
    let asked: Vec<u16> = (0..40).chain((40..1300).step_by(13)).chain([5000, 30000, 65535]).collect();
    let told = merged(ids.ranges());
    let expected: Vec<_> =
        asked.iter().copied().filter(|id| told.iter().any(|(start, end)| (start..=end).contains(&id))).collect();
    let mut found = Vec::new();
    ids.for_each_of(&asked, |at| found.push(asked[at]));
    assert_eq!(found, expected);
    assert_eq!(asked.into_iter().filter(|id| ids.contains(*id)).collect::<Vec<_>>(), expected);
}

/// A string that was cut says the same as before, but for segments that are gone.
fn survives_cuts(text: &str, whole: &Value) {
    for cut in 0..text.len() {
        let Ok(string) = TcString::parse(&text.as_bytes()[..cut]) else { continue };
        let mut left = read(&string);
        let gone: &[_] = match (string.disclosed_vendors(), string.publisher()) {
            (None, None) => &["disclosed_vendors", "publisher", "custom", "custom_count"],
            (Some(_), None) => &["publisher", "custom", "custom_count"],
            (None, Some(_)) => &["disclosed_vendors"],
            (Some(_), Some(_)) => &[],
        };
        for field in gone {
            left[field] = whole[field].clone();
        }
        assert_eq!(&left, whole, "{text} at {cut}");
    }
}

/// Whether the string says something that the library throws at, and that grants nothing whatever it says: a segment of a
/// type that it has no name for or that is gone from TCF, which are skipped; a restriction of no purpose or of no kind; a
/// CMP or a country that is none.
fn is_stranger_to_the_library(string: &TcString<'_>, types: &[u8]) -> bool {
    types.iter().any(|kind| !matches!(kind, 0 | 1 | 3))
        || restrictions(string).keys().any(|(purpose, kind)| *purpose == 0 || *kind == 3)
        || string.cmp_id() < 2
        || !string.publisher_country().iter().all(u8::is_ascii_alphabetic)
}

#[test]
fn ten_thousand_tc_strings_are_read_as_by_the_reference() {
    let mut compared = 0;
    for (index, line) in generated("tcf.mjs", 20260302, 10_000, 0).into_iter().enumerate() {
        let string = TcString::parse(line.text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", line.text));
        let read = read(&string);
        assert_eq!(read, line.read, "{}", line.text);
        let types: Vec<u8> = serde_json::from_value(line.all["types"].clone()).unwrap();
        assert_eq!(string.disclosed_vendors().is_some(), types.contains(&1), "{}", line.text);
        assert_eq!(string.publisher().is_some(), types.contains(&3), "{}", line.text);
        [Some(string.vendor_consents()), string.disclosed_vendors()].into_iter().flatten().for_each(answers_agree);
        if index % 50 == 0 && line.text.len() < 600 {
            survives_cuts(&line.text, &read);
        }
        compared += 1;
    }
    assert_eq!(compared, 10_000);
}

#[test]
fn a_changed_tc_string_never_grants_what_the_reference_does_not() {
    let (mut accepted, mut refused, mut strangers) = (0, 0, 0);
    for line in generated("tcf.mjs", 7, 0, 4_000) {
        let text = &line.text;
        let Ok(string) = TcString::parse(text.as_bytes()) else {
            refused += 1;
            continue;
        };
        let types: Vec<u8> = serde_json::from_value(line.all["types"].clone()).unwrap();
        if line.is_refused() {
            assert!(is_stranger_to_the_library(&string, &types), "{text}: {}", line.read);
            strangers += 1;
            continue;
        }
        accepted += 1;
        let mut read = read(&string);
        // It ignores the highest id of a set, so that a range may grant more than the string says there is.
        for (field, ids) in [
            ("vendor_consents", Some(string.vendor_consents())),
            ("vendor_li", Some(string.vendor_li())),
            ("disclosed_vendors", string.disclosed_vendors()),
        ] {
            let (ours, theirs) = (ranges(&read[field]), ranges(&line.read[field]));
            let is_repeated = field == "disclosed_vendors" && types.iter().filter(|kind| **kind == 1).count() > 1;
            assert!(is_repeated || within(&ours, &theirs), "{field} of {text}");
            let most = ids.map_or(0, |ids| ids.max_id());
            let clipped =
                theirs.into_iter().filter(|(start, _)| *start <= most).map(|(start, end)| (start, end.min(most)));
            assert!(is_repeated || ours == clipped.collect::<Vec<_>>(), "{field} of {text}");
            read[field] = line.read[field].clone();
        }
        // Of two segments of one type, the first counts here, and the last there.
        if types.iter().filter(|kind| **kind == 3).count() > 1 {
            for field in ["publisher", "custom", "custom_count"] {
                read[field] = line.read[field].clone();
            }
        }
        // It writes a country in upper case.
        let country = read["publisher_country"].as_str().unwrap().to_uppercase();
        read["publisher_country"] = json!(country);
        assert_eq!(read, line.read, "{text}");
    }
    // The comparison is of something.
    assert!(accepted > 1_000 && refused > 300 && strangers > 0, "{accepted} {refused} {strangers}");
}
