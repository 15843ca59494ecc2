//! GPP strings, beside `@iabgpp/cmpapi`.

use consentry::consent::iab::gpp::GppString;
use consentry::consent::iab::tcf::TcString;
use consentry::consent::iab::us::{Choice, UsSection};
use consentry::consent::iab::us_privacy::UsPrivacy;
use serde_json::{Value, json};

use super::{Line, generated, members, merged};

/// A section of the United States in the words of the generator.
fn us(section: &UsSection) -> Value {
    let number = |choice: Choice| match choice {
        Choice::NotApplicable => 0,
        Choice::OptedOut => 1,
        Choice::DidNotOptOut => 2,
    };
    let choices = [section.sale_opt_out, section.sharing_opt_out, section.targeted_advertising_opt_out];
    json!({ "version": section.version, "choices": choices.map(|choice| choice.map(number)), "gpc": section.gpc })
}

fn us_privacy(string: &UsPrivacy) -> Value {
    let answer = |answer: Option<bool>| answer.map_or('-', |yes| if yes { 'Y' } else { 'N' });
    let answers = [string.notice, string.opted_out_of_sale, string.lspa].map(answer);
    json!(std::iter::once('1').chain(answers).collect::<String>())
}

/// What the library for GPP reads of a TC string, too.
fn tcf(text: &[u8]) -> Value {
    let string = TcString::parse(text).unwrap();
    let set = |set: u32| merged(members(set.into()).into_iter().map(|number| (number, number)));
    json!({
        "purposes_consent": set(string.purposes_consent()),
        "purposes_li": set(string.purposes_li()),
        "purpose_one_treatment": string.purpose_one_treatment(),
        "vendor_consents": merged(string.vendor_consents().ranges()),
        "vendor_li": merged(string.vendor_li().ranges()),
        "disclosed_vendors": merged(string.disclosed_vendors().unwrap().ranges()),
    })
}

/// What the library says of each section of the United States.
fn theirs(line: &Line) -> Vec<(u16, Value)> {
    serde_json::from_value(line.read["us"].clone()).unwrap()
}

/// A string that was cut says the same as before, but for Global Privacy Control.
fn survives_cuts(text: &str) {
    let whole = GppString::parse(text.as_bytes()).unwrap();
    for cut in 0..text.len() {
        let Ok(string) = GppString::parse(&text.as_bytes()[..cut]) else { continue };
        assert!(string.sections().map(|(id, _)| id).eq(whole.sections().map(|(id, _)| id)), "{text} at {cut}");
        for ((_, cut), (_, whole)) in string.us_sections().zip(whole.us_sections()) {
            let (Ok(cut), Ok(mut whole)) = (cut, whole) else { continue };
            whole.gpc = whole.gpc.filter(|_| cut.gpc.is_some());
            assert!(cut == whole, "{text}");
        }
    }
}

#[test]
fn ten_thousand_gpp_strings_are_read_as_by_the_reference() {
    let mut sections = 0;
    for (index, line) in generated("gpp.mjs", 20260302, 10_000, 0).into_iter().enumerate() {
        let text = &line.text;
        let string = GppString::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let ids: Vec<_> = string.sections().map(|(id, _)| id).collect();
        assert_eq!(json!(ids), line.read["ids"], "{text}");
        assert!(string.sections().map(|(_, section)| section).eq(text.as_bytes().split(|byte| *byte == b'~').skip(1)));
        let ours: Vec<_> = string.us_sections().map(|(id, section)| (id, us(&section.unwrap()))).collect();
        assert_eq!(ours, theirs(&line), "{text}");
        sections += ours.len();
        assert_eq!(
            json!(string.us_privacy().map(|found| us_privacy(&found.unwrap()))),
            line.read["us_privacy"],
            "{text}"
        );
        assert_eq!(json!(string.tcf_eu().map(tcf)), line.read["tcf"], "{text}");
        // It does not know the part before the core that the specification has for these states.
        for (id, section) in string.sections().filter(|(id, _)| *id >= 24) {
            let headed = [&[b'Y' + [0, 1, 8, 9][usize::from(id) - 24]], &b"BABYA."[..], section].concat();
            assert!(UsSection::parse(id, &headed) == UsSection::parse(id, section), "{text}");
        }
        if index % 20 == 0 {
            survives_cuts(text);
        }
    }
    assert!(sections > 20_000, "{sections}");
}

#[test]
fn a_changed_gpp_string_never_grants_what_the_reference_does_not() {
    let (mut same, mut refused) = (0, 0);
    for line in generated("gpp.mjs", 7, 0, 6_000) {
        let text = &line.text;
        let Ok(string) = GppString::parse(text.as_bytes()) else {
            refused += 1;
            continue;
        };
        if line.is_refused() {
            // It looks into TC strings when it counts sections; here they are read by who wants them.
            let error = line.read["error"].as_str().unwrap();
            assert!(error.contains("TcfEuV2 segment") || error.contains("TcfCaV1 segment"), "{text}: {error}");
            continue;
        }
        // Sections that it does not know are not there for it.
        let known: Vec<u16> = serde_json::from_value(line.read["ids"].clone()).unwrap();
        let ours = string.sections().map(|(id, _)| id).filter(|id| known.contains(id));
        assert_eq!(ours.collect::<Vec<_>>(), known, "{text}");
        for ((id, ours), (theirs_id, theirs)) in string.us_sections().zip(theirs(&line)) {
            assert_eq!(id, theirs_id, "{text}");
            match ours {
                Ok(section) => {
                    let ours = us(&section);
                    assert_eq!(
                        (&ours["version"], &ours["choices"]),
                        (&theirs["version"], &theirs["choices"]),
                        "{text}"
                    );
                    // It looks at the first part behind the core only, so that it may miss that GPC was on.
                    assert!(section.gpc == Some(true) || theirs["gpc"] != true, "{text}");
                    same += 1;
                }
                Err(_) => refused += 1,
            }
        }
        if let Some(Ok(section)) = string.us_privacy() {
            assert_eq!(us_privacy(&section), line.read["us_privacy"], "{text}");
        }
    }
    // The comparison is of something.
    assert!(same > 10_000 && refused > 500, "{same} {refused}");
}
