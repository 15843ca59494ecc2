//! The IAB's TC string (TCF 2.2 and 2.3), wherever it is kept.
//!
//! A purpose is granted if purpose 1 (storing and reading) and every purpose of the framework that is for it are
//! consented to; legitimate interest unlocks nothing. A vendor of the catalog that has a number in the Global Vendor
//! List is refused unless the string consents to it, discloses it, and restricts none of its purposes to nothing.
//! Besides the purposes, a site may map `special_feature:N`, `publisher:N` (the publisher's own purposes) and `custom:N`.
//! A string counts only as the framework's policies want it: version 2 of the format, policies from version 4, for one
//! service, and with the disclosed vendors if it was written after 28 February 2026.
//!
//! Source: IAB Tech Lab, "Transparency and Consent String with Global Vendor & CMP List Formats", and "TCF
//! Implementation Guidelines". Strings are only ever read: nobody but a registered consent manager may write them.

use super::decode::json;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::consent::cookies::CookiePair;
use crate::consent::iab::VendorIds;
use crate::consent::iab::gpp::GppString;
use crate::consent::iab::tcf::{RestrictionKind, TcString};
use crate::policy::{Catalog, Country, Jurisdiction, Purpose, PurposeSet, VendorSet, decode_percent};

pub(super) const FORMAT: Format = Format {
    name: "tcf",
    tier: Tier::Tcf,
    cookies: &[
        "euconsent-v2",
        "eupubconsent-v2",
        "dm-euconsent-v2",
        "FCCDCF",
        "CookieControl",
        "CookieConsent",
        "TC_PRIVACY",
        "IABGPP_HDR_GppString",
    ],
    listed_cookies: &[],
    ids: IDS,
    read,
};

/// What the purposes of the framework are for.
pub(super) const IDS: &[(&str, &str)] = &[
    ("2", "marketing"),
    ("3", "marketing"),
    ("4", "marketing"),
    ("5", "preferences"),
    ("6", "preferences"),
    ("7", "marketing"),
    ("8", "analytics"),
    ("9", "analytics"),
    ("10", "preferences"),
    ("11", "preferences"),
];

/// From 28 February 2026, strings have to say which vendors were disclosed.
const DISCLOSURE_SINCE: u64 = 1_772_236_800;

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    read_from(input.cookies.iter(), input, choices)
}

/// Reads the strings in `cookies`.
pub(super) fn read_from<'a>(
    cookies: impl Iterator<Item = CookiePair<'a>>,
    input: &SignalInput<'a>,
    mut choices: Choices<'_>,
) -> Option<Signal<'a>> {
    let mut refused = VendorSet::EMPTY;
    let mut decided_at: Option<u64> = None;
    let mut problem = None;
    for cookie in cookies {
        with_string(cookie.name, cookie.value, |text| match valid(text) {
            Ok(string) => {
                purposes(&string, input, &mut choices);
                refused = refused.union(&refused_vendors(&string, input.catalog));
                decided_at = Some(decided_at.unwrap_or(u64::MAX).min(string.last_updated()));
            }
            Err(why) => problem = Some(why),
        });
    }
    match (decided_at, problem) {
        (None, None) => None,
        (None, Some(problem)) => Some(Signal::problem(problem)),
        (Some(_), _) => Some(Signal { refused, ..choices.signal(Strength::Explicit, decided_at) }),
    }
}

/// Calls `then` with the TC string that a cookie holds, if it holds one.
fn with_string(name: &[u8], value: &[u8], then: impl FnOnce(&[u8])) {
    match name {
        b"FCCDCF" => _ = json(value, funding_choices).map(|text| then(text.as_bytes())),
        b"CookieControl" => _ = after(&decode_percent(value), b"\"iabConsent\":\"", b'"').map(then),
        b"CookieConsent" => _ = after(&decode_percent(value), b"iab2:'", b'\'').map(then),
        b"TC_PRIVACY" => _ = after(&decode_percent(value), b"|", b'@').map(then),
        b"IABGPP_HDR_GppString" => {
            let value = decode_percent(value);
            _ = GppString::parse(&value).ok().and_then(|string| string.tcf_eu()).map(then);
        }
        _ => then(&decode_percent(value)),
    }
}

/// The fourth member of Google's array, if it is there: the TC string comes first in it.
fn funding_choices(text: &str) -> Option<String> {
    let members: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(members.get(3)?.get(0)?.as_str()?.to_owned())
}

/// What stands between `start` and the next `end`, if that is something.
fn after<'t>(text: &'t [u8], start: &[u8], end: u8) -> Option<&'t [u8]> {
    let from = memchr::memmem::find(text, start)? + start.len();
    let rest = text.get(from..)?;
    rest.get(..memchr::memchr(end, rest)?).filter(|found| !found.is_empty())
}

/// The string, if the framework's policies let it count.
fn valid(text: &[u8]) -> Result<TcString<'_>, Problem> {
    let string = TcString::parse(text).map_err(|_| Problem::Malformed)?;
    let why = if string.version() != 2 {
        "not version 2 of the TC string"
    } else if string.policy_version() < 4 {
        "made under policies of the framework that no longer hold (before version 4)"
    } else if !string.is_service_specific() {
        "not for this service alone, which the framework has withdrawn"
    } else if string.disclosed_vendors().is_none() && string.last_updated() >= DISCLOSURE_SINCE {
        "written after 28 February 2026 without the disclosed vendors"
    } else {
        return Ok(string);
    };
    Err(Problem::InvalidByPolicy(why))
}

/// Whether bit `number - 1` of `bits` is set.
fn bit(bits: u64, number: u32) -> bool {
    number.checked_sub(1).and_then(|shift| bits.checked_shr(shift)).is_some_and(|rest| rest & 1 == 1)
}

fn purposes(string: &TcString<'_>, input: &SignalInput<'_>, choices: &mut Choices<'_>) {
    let consents = u64::from(string.purposes_consent());
    let (publisher, custom) =
        string.publisher().map_or((0, 0), |own| (u64::from(own.consents()), own.custom_consents()));
    let says = |id: &[u8]| {
        let id = std::str::from_utf8(id).ok()?;
        let (bits, number) = match id.split_once(':') {
            None => (consents, id),
            Some(("special_feature", number)) => (u64::from(string.special_feature_opt_ins()), number),
            Some(("publisher", number)) => (publisher, number),
            Some(("custom", number)) => (custom, number),
            Some(_) => return None,
        };
        Some(bit(bits, number.parse().ok()?))
    };
    let (mut granted, mut denied) = (PurposeSet::EMPTY, PurposeSet::EMPTY);
    for (id, purpose) in choices.ids() {
        match says(id) {
            Some(true) => granted = granted.with(purpose),
            Some(false) => denied = denied.with(purpose),
            None => {}
        }
    }
    let granted = granted.without(denied).without(PurposeSet::of(Purpose::NECESSARY));
    choices.set_all(denied, false);
    // Where purpose 1 is not asked for, its bit says nothing, and the law of the publisher's country decides.
    if string.purpose_one_treatment() && !bit(consents, 1) {
        let country = Country::parse(&string.publisher_country());
        if input.site.jurisdiction_in(country) != Jurisdiction::OptIn {
            choices.set_all(granted, true);
        }
    } else {
        choices.set_all(granted, bit(consents, 1));
    }
}

/// Vendors that the catalog knows by their number, and that the string does not let in.
fn refused_vendors(string: &TcString<'_>, catalog: &Catalog) -> VendorSet {
    let mut refused = catalog.gvl_set().without(&among(&string.vendor_consents(), catalog));
    if let Some(disclosed) = string.disclosed_vendors() {
        refused = refused.union(&catalog.gvl_set().without(&among(&disclosed, catalog)));
    }
    let forbids = [RestrictionKind::NotAllowed, RestrictionKind::Undefined];
    for restriction in string.restrictions().filter(|restriction| forbids.contains(&restriction.kind)) {
        refused = refused.union(&among(&restriction.vendors, catalog));
    }
    refused
}

/// Those vendors of the catalog that are among `ids`.
fn among(ids: &VendorIds<'_>, catalog: &Catalog) -> VendorSet {
    let mut vendors = VendorSet::EMPTY;
    ids.for_each_of(catalog.gvl_numbers(), |at| {
        if let Some((_, vendor)) = catalog.gvl_vendors().get(at) {
            vendors.insert(*vendor);
        }
    });
    vendors
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;
    use crate::policy::{CatalogBuilder, Vendor, VendorId};

    const T1: &str = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";
    const T2: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";
    const ALL: &str =
        "CQgcD4AQgcD4AAcABBENCyFsAP_gAEPgAAqIGMwBIAAgAEAAoBeYDGQLzgBgACAAUAvMAAA.IGMwBIAAgAEAAoBeYDGQ.f_wACHwAAAA";
    const NONE: &str = "CQgcD4AQgcD4AAcABCENCyFgAAAAAAAAAAqIAAAAAAAA.IGMwBIAAgAEAAoBeYDGQ";
    const MEASURE: &str = "CQgcD4AQgcD4AAcABCDECyFgAIOAAAAAAAYgF5kAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAA.IF5wAoAAgAYAvMA.cCAAAAAAAUA";
    const RESTRICTED: &str =
        "CQgcD4AQgcD4AAcABBFRCyFgAP_gAAAAAAqIF5wAwABAAKAXmAAEAAAIIABAAUOgBQACAAQBeYA.IF5wA4ABAAIAAoBeYA";
    const TREATMENT: &str = "CQgcD4AQgcD4AAcABBENCyFgAEIAAAAAAIYgF5gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAA.IF5wAQF5gA";

    fn cookie(string: &str) -> String {
        format!("euconsent-v2={string}")
    }

    #[test]
    fn categories_are_granted_if_all_their_purposes_are() {
        reader(&FORMAT).check(&[
            (&cookie(ALL), "+preferences +analytics +marketing @1772409600"),
            (&cookie(NONE), "-preferences -analytics -marketing @1772409600"),
            (&cookie(MEASURE), "+analytics -preferences -marketing @1772409600"),
            ("euconsent-v2=", "malformed"),
            ("euconsent-v2=CQgcD4AQgcD4", "malformed"),
        ]);
    }

    #[test]
    fn policies_before_version_4_and_strings_for_more_than_one_service_do_not_count() {
        reader(&FORMAT).check(&[
            (&cookie(T1), "made under policies of the framework that no longer hold (before version 4)"),
            (&cookie(T2), "made under policies of the framework that no longer hold (before version 4)"),
        ]);
        let string = TcString::parse(T2.as_bytes()).unwrap();
        assert!(!string.is_service_specific());
    }

    #[test]
    fn after_february_2026_the_disclosed_vendors_are_needed() {
        let core = ALL.split('.').next().unwrap();
        reader(&FORMAT).check(&[
            (&cookie(core), "written after 28 February 2026 without the disclosed vendors"),
            // The same, last updated on 1 February 2026.
            (
                &cookie(&format!("CQgcD4AQe8esA{}", core.split_at(13).1)),
                "+preferences +analytics +marketing @1769904000",
            ),
        ]);
    }

    #[test]
    fn it_is_found_wherever_banners_keep_it() {
        let granted = "+preferences +analytics +marketing @1772409600";
        reader(&FORMAT).check(&[
            (&format!("eupubconsent-v2={ALL}"), granted),
            (&format!("FCCDCF=%5Bnull%2Cnull%2Cnull%2C%5B%22{ALL}%22%2C%222~~dv.%22%5D%2Cnull%5D"), granted),
            (&format!("CookieControl={{\"optionalCookies\":{{}},\"iabConsent\":\"{ALL}\"}}"), granted),
            (&format!("CookieConsent={{stamp:%27a%27%2Ciab2:%27{ALL}%27%2Cver:1}}"), granted),
            (&format!("TC_PRIVACY=0@032|{ALL}@2@1@1%2C2@@1@1"), granted),
            (&format!("IABGPP_HDR_GppString=DBABMA~{ALL}"), granted),
            ("FCCDCF=%5Bnull%2Cnull%2Cnull%2Cnull%2Cnull%2Cnull%2C%5B%5B32%2C%22x%22%5D%5D%5D", "none"),
            ("CookieConsent={stamp:'a',ver:1}", "none"),
            ("IABGPP_HDR_GppString=DBABLA~BVQqAAAAAmA.QA", "none"),
        ]);
    }

    #[test]
    fn of_two_strings_the_most_restrictive_holds() {
        let both = format!("{}; {}", cookie(ALL), cookie(NONE));
        reader(&FORMAT).check(&[(&both, "-preferences -analytics -marketing @1772409600")]);
    }

    #[test]
    fn a_site_may_see_purposes_otherwise() {
        let ids = [
            ("7", "analytics"),
            ("special_feature:1", "preferences"),
            ("publisher:8", "marketing"),
            ("custom:1", "analytics"),
        ];
        reader_with(&FORMAT, &ids, None).check(&[
            (&cookie(MEASURE), "+analytics -preferences -marketing @1772409600"),
            (&cookie(ALL), "+preferences +marketing -analytics @1772409600"),
        ]);
    }

    #[test]
    fn where_purpose_one_is_not_asked_the_country_of_the_publisher_decides() {
        // Analytics is what purpose 2 is for, and nothing else.
        let ids = [("2", "analytics"), ("8", "marketing"), ("9", "marketing")];
        let mut reader = reader_with(&FORMAT, &ids, None);
        reader.check(&[(&cookie(TREATMENT), "-preferences -marketing @1772409600")]);
        reader.site.jurisdictions = vec![(Country::parse(b"DE").unwrap(), Jurisdiction::Notice)];
        reader.check(&[(&cookie(TREATMENT), "+analytics -preferences -marketing @1772409600")]);
    }

    /// Vendors by their numbers in the Global Vendor List.
    fn with_vendors(reader: &mut Reader, numbers: &[u16]) -> Vec<(u16, VendorId)> {
        let mut builder = CatalogBuilder::default();
        for number in numbers {
            let name = number.to_string();
            let vendor = Vendor {
                id: name.as_str().into(),
                name: name.as_str().into(),
                owner: None,
                country: None,
                privacy: None,
                about: "".into(),
                gvl: Some(*number),
            };
            builder.vendor(vendor).unwrap();
        }
        reader.catalog = Arc::new(builder.build());
        reader.catalog.gvl_vendors().to_vec()
    }

    #[test]
    fn vendors_need_consent_disclosure_and_no_restriction() {
        let mut reader = reader(&FORMAT);
        let known = with_vendors(&mut reader, &[1, 2, 10, 11, 404, 755, 793]);
        for (string, allowed) in
            [(ALL, &[1, 2, 10, 755, 793][..]), (NONE, &[]), (MEASURE, &[2, 755]), (RESTRICTED, &[2, 755])]
        {
            let refused = reader.refused(&cookie(string));
            let found: Vec<_> =
                known.iter().filter(|(_, vendor)| !refused.contains(*vendor)).map(|(n, _)| *n).collect();
            assert_eq!(found, allowed, "{string}");
        }
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&reader(&FORMAT), &cookie(ALL), &cookie(NONE), true);
    }
}
