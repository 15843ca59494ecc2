//! Ketch: `_ketch_consent_v1_`, base64 of JSON, with a status for each purpose and the canonical purposes it stands for.
//!
//! On the first page, before any choice, the script grants in it what needs no opt-in in the region, and nothing in it
//! tells that from the visitor's choice. `_swb_consent_`, which not every version keeps in a cookie, does: a purpose whose
//! basis is `consent_optin` is never granted by itself. Only then is a grant the visitor's; refusals always count.
//! Older versions give the status as a word alone.
//! Source: the source code of Ketch's tag; cookies of sites that use it, and programs that read or write them.

use serde::Deserialize;

use super::decode::{Members, Text, base64};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};
use crate::consent::cookies::CookiePair;
use crate::policy::Purpose;

const OWN: &str = "_swb_consent_";
const OPT_IN: &str = "consent_optin";

pub(super) const FORMAT: Format = Format {
    name: "ketch",
    tier: Tier::Banner,
    cookies: &["_ketch_consent_v1_", OWN],
    listed_cookies: &[],
    ids: &[
        ("essential_services", "necessary"),
        ("analytics", "analytics"),
        ("personalization", "preferences"),
        ("prod_enhancement", "preferences"),
        ("behavioral_advertising", "marketing"),
        ("data_broking", "marketing"),
        ("email_mktg", "marketing"),
    ],
    read,
};

#[derive(Deserialize)]
#[serde(untagged)]
enum PurposeStatus<'a> {
    Word(#[serde(borrow)] Text<'a>),
    #[serde(rename_all = "camelCase")]
    Full {
        #[serde(borrow)]
        status: Text<'a>,
        #[serde(borrow, default)]
        canonical_purposes: Vec<Text<'a>>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnRecord<'a> {
    #[serde(borrow)]
    purposes: Members<'a, Basis<'a>>,
    collected_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Basis<'a> {
    #[serde(borrow)]
    allowed: Text<'a>,
    #[serde(borrow)]
    legal_basis_code: Option<Text<'a>>,
}

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    let is_own = |cookie: &CookiePair<'_>| cookie.name == OWN.as_bytes();
    let own: Vec<_> = input.cookies.iter().filter(is_own).filter_map(|cookie| base64(cookie.value)).collect();
    let own: Vec<OwnRecord<'_>> = own.iter().filter_map(|json| serde_json::from_slice(json).ok()).collect();
    let statuses = input.cookies.iter().filter(|cookie| !is_own(cookie));
    records(input, statuses, choices, |cookie, choices| {
        let decoded = base64(cookie.value)?;
        let Members(purposes): Members<'_, PurposeStatus<'_>> = serde_json::from_slice(&decoded).ok()?;
        let mut chosen = true;
        for (code, purpose) in &purposes {
            let Some(granted) = purpose.is_granted() else { continue };
            purpose.ids(code).for_each(|id| choices.set(id, granted));
            let is_optional = purpose.ids(code).any(|id| choices.purpose_of(id) != Some(Purpose::NECESSARY));
            chosen &= !granted || !is_optional || own.iter().any(|own| own.opted_in(code));
        }
        let at = own.iter().filter_map(|own| own.collected_at).min();
        Some(if chosen { Record::explicit(at) } else { Record::implied(at) })
    })
}

impl<'a> PurposeStatus<'a> {
    fn is_granted(&self) -> Option<bool> {
        let (PurposeStatus::Word(Text(status)) | PurposeStatus::Full { status: Text(status), .. }) = self;
        match status.as_ref() {
            "granted" => Some(true),
            "denied" => Some(false),
            _ => None,
        }
    }

    /// The canonical purposes, or else the tenant's own `code`.
    fn ids<'s>(&'s self, code: &'s str) -> impl Iterator<Item = &'s [u8]> + use<'s, 'a> {
        let canonical = match self {
            PurposeStatus::Word(_) => &[],
            PurposeStatus::Full { canonical_purposes, .. } => canonical_purposes.as_slice(),
        };
        let own = canonical.is_empty().then_some(code.as_bytes());
        canonical.iter().map(|Text(id)| id.as_bytes()).chain(own)
    }
}

impl OwnRecord<'_> {
    /// Whether `code` is allowed, and could not be without the visitor.
    fn opted_in(&self, code: &str) -> bool {
        let mut purposes = self.purposes.0.iter().filter(|(own, _)| own == code).map(|(_, basis)| basis);
        purposes.any(|basis| {
            basis.allowed.0 == "true" && basis.legal_basis_code.as_ref().is_some_and(|Text(code)| code == OPT_IN)
        })
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD;

    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    fn cookie(name: &str, json: &str) -> String {
        format!("{name}={}", STANDARD.encode(json))
    }

    fn statuses(analytics: &str, advertising: &str) -> String {
        let json = format!(
            r#"{{"analytics":{{"status":"{analytics}","canonicalPurposes":["analytics"]}},"ads":{{"status":"{advertising}","canonicalPurposes":["behavioral_advertising"]}},"essential_services":{{"status":"granted","canonicalPurposes":["essential_services"]}}}}"#
        );
        cookie("_ketch_consent_v1_", &json)
    }

    fn own(basis: &str) -> String {
        let json = format!(
            r#"{{"environmentCode":"production","jurisdictionCode":"gdpr","purposes":{{"analytics":{{"allowed":"true","legalBasisCode":"{basis}"}},"ads":{{"allowed":"true","legalBasisCode":"{basis}"}},"essential_services":{{"allowed":"true","legalBasisCode":"disclosure"}}}},"collectedAt":1772442930}}"#
        );
        cookie("_swb_consent_", &json)
    }

    #[test]
    fn statuses_are_read_by_canonical_purpose() {
        let own = own("consent_optin");
        let read = |statuses: String| format!("{statuses}; {own}");
        let code = cookie("_ketch_consent_v1_", r#"{"analytics":{"status":"granted"}}"#);
        let unknown = cookie("_ketch_consent_v1_", r#"{"x":{"status":"denied","canonicalPurposes":["tv"]}}"#);
        reader(&FORMAT).check(&[
            (&read(statuses("granted", "denied")), "+analytics -marketing @1772442930"),
            (&read(statuses("granted", "denied")).replace("==", "%3D%3D"), "+analytics -marketing @1772442930"),
            (&read(statuses("granted", "granted")), "+analytics +marketing @1772442930"),
            (&statuses("denied", "denied"), "-analytics -marketing"),
            (
                &format!("{}; {}; {own}", statuses("granted", "granted"), statuses("denied", "granted")),
                "+marketing -analytics @1772442930",
            ),
            (&read(code), "+analytics @1772442930"),
            (&unknown, "undecided ?tv"),
            (&statuses("unknown", "pending"), "undecided"),
            (&cookie("_ketch_consent_v1_", r#"{"analytics":"denied"}"#), "-analytics"),
            (&cookie("_ketch_consent_v1_", r#"{"analytics":true}"#), "malformed"),
            ("_ketch_consent_v1_=!", "malformed"),
            ("_ketch_consent_v1_=", "malformed"),
            (&own, "none"),
        ]);
    }

    #[test]
    fn what_needs_no_opt_in_is_granted_before_any_choice() {
        reader(&FORMAT).check(&[
            (&statuses("granted", "granted"), "+analytics +marketing ~"),
            (&statuses("granted", "denied"), "+analytics -marketing ~"),
            (
                &format!("{}; {}", statuses("granted", "denied"), own("consent_optout")),
                "+analytics -marketing ~ @1772442930",
            ),
            (&format!("{}; _swb_consent_=!", statuses("granted", "denied")), "+analytics -marketing ~"),
        ]);
    }

    #[test]
    fn purposes_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("behavioral_advertising", "analytics")], None);
        reader.check(&[(&statuses("denied", "granted"), "-analytics ~")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let reader = reader(&FORMAT);
        holds(&reader, &statuses("granted", "granted"), &statuses("denied", "denied"), true);
    }
}
