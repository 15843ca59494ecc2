//! OneTrust, Optanon, CookiePro: `OptanonConsent`, a form-encoded list whose `groups` are `id:0|1`, comma-separated.
//!
//! The cookie is written as soon as the banner's script runs. Only `OptanonAlertBoxClosed` says that the visitor chose;
//! without it, the groups are the default of the region. Ids belong to the tenant; the template's are known.
//! Source: OneTrust, "OneTrust Cookies" and "Cookie Consent Integration" (developer documentation).

use super::decode::iso_time;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::{decode_form, decode_percent, query_pairs};

pub(super) const FORMAT: Format = Format {
    name: "onetrust",
    tier: Tier::Banner,
    cookies: &["OptanonConsent", "OptanonAlertBoxClosed"],
    listed_cookies: &[],
    ids: &[
        ("C0001", "necessary"),
        ("C0002", "analytics"),
        ("C0003", "preferences"),
        ("C0004", "marketing"),
        ("C0005", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut has_groups = false;
    let mut asked_again = false;
    for record in input.values("OptanonConsent") {
        for (key, value) in query_pairs(record) {
            match key {
                b"groups" => has_groups |= groups(value, &mut choices),
                b"AwaitingReconsent" => asked_again |= value == b"true",
                _ => {}
            }
        }
    }
    if !has_groups {
        return input.values("OptanonConsent").next().map(|_| Signal::problem(Problem::Malformed));
    }
    let closed = input.values("OptanonAlertBoxClosed").filter_map(|time| iso_time(&decode_form(time))).max();
    match closed.filter(|_| !asked_again) {
        Some(at) => Some(choices.signal(Strength::Explicit, Some(at))),
        None => Some(choices.signal(Strength::Implied, None)),
    }
}

/// Reads `id:0|1,…`; returns whether there was anything of that form.
fn groups(value: &[u8], choices: &mut Choices<'_>) -> bool {
    let mut found = false;
    for group in decode_percent(value).split(|byte| *byte == b',') {
        let Some(colon) = memchr::memchr(b':', group) else { continue };
        let (id, state) = group.split_at(colon);
        if let b":1" | b":0" = state {
            choices.set(id, state == b":1");
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const CLOSED: &str = "OptanonAlertBoxClosed=2026-03-02T09:15:30.120Z";

    fn consent(groups: &str) -> String {
        format!(
            "OptanonConsent=isGpcEnabled=0&datestamp=Mon+Mar+02+2026+10%3A15%3A30+GMT%2B0100+(Central+European+Standard+Time)&version=202501.1.0&hosts=&genVendors=V1%3A1%2C&consentId=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71&interactionCount=1&landingPath=NotLandingPage&groups={groups}&AwaitingReconsent=false&geolocation=FR%3BIDF"
        )
    }

    #[test]
    fn groups_are_read() {
        let (partial, all) =
            (consent("C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A0"), "C0001:1,C0002:1,C0004:1,C0005:1");
        reader(&FORMAT).check(&[
            (&format!("{partial}; {CLOSED}"), "+preferences +analytics -marketing @1772442930"),
            (&format!("{CLOSED}; {}", consent(all)), "+analytics +marketing @1772442930"),
            (&format!("{}; {CLOSED}", consent("C0001:1,C0002:0,C0004:0")), "-analytics -marketing @1772442930"),
            (&format!("{}; {CLOSED}", consent("C0002:1,C0004:1,C0005:0")), "+analytics -marketing @1772442930"),
            (&format!("{}; {CLOSED}", consent("C0001:1,C0010:1,V2STACK42:1")), "undecided ?C0010 ?V2STACK42"),
            (&format!("{}; {CLOSED}", consent("")), "malformed"),
            (&format!("{}; {CLOSED}", consent("C0002%3A2%2C%")), "malformed"),
            (CLOSED, "none"),
            ("OptanonConsent=", "malformed"),
            ("OptanonConsent=groups=C0002%253A1", "malformed"),
        ]);
    }

    #[test]
    fn without_a_closed_banner_the_groups_are_the_regions_default() {
        let all = consent("C0001%3A1%2CC0002%3A1%2CC0004%3A1");
        let again = all.replace("AwaitingReconsent=false", "AwaitingReconsent=true");
        reader(&FORMAT).check(&[
            (&all, "+analytics +marketing ~"),
            (&format!("{again}; {CLOSED}"), "+analytics +marketing ~"),
            (&format!("{all}; OptanonAlertBoxClosed=yesterday"), "+analytics +marketing ~"),
        ]);
    }

    #[test]
    fn an_id_that_is_missing_is_not_used_by_the_site() {
        reader(&FORMAT).check(&[(&format!("{}; {CLOSED}", consent("C0002:1")), "+analytics @1772442930")]);
    }

    #[test]
    fn tenants_ids_are_what_the_site_says() {
        let reader = reader_with(&FORMAT, &[("BG36", "marketing"), ("C0003", "analytics")], None);
        reader.check(&[(&format!("{}; {CLOSED}", consent("C0003:1,bg36:1")), "+analytics +marketing @1772442930")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: u8| format!("OptanonConsent=groups=C0002:{state},C0004:{state}; {CLOSED}");
        holds(&reader(&FORMAT), &line(1), &line(0), false);
    }
}
