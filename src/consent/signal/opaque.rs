//! Banners whose cookies hold the number of a record on the banner's server, or a form that is not disclosed: only the
//! page can say what was chosen, which the bridge tells.
//!
//! Sourcepoint keeps the choice in the page's storage, declared as subject to change; its cookies `consentUUID` and
//! `consentDate` name the record. consentmanager writes `__cmpconsent<number>`. Both may write a TC string beside: a
//! site that lists one of them by name means that string, too.
//! Sources: Sourcepoint documentation, "Cookies and local storage"; what consentmanager's script writes.

use super::{Choices, Format, Signal, SignalInput, Tier, tcf};

pub(super) const SOURCEPOINT: Format = Format {
    name: "sourcepoint",
    tier: Tier::Banner,
    cookies: &["consentUUID", "consentDate", "_sp_v1_*"],
    listed_cookies: TC_STRINGS,
    ids: tcf::IDS,
    read,
};

pub(super) const CONSENTMANAGER: Format = Format {
    name: "consentmanager",
    tier: Tier::Banner,
    cookies: &["__cmpconsent*"],
    listed_cookies: TC_STRINGS,
    ids: tcf::IDS,
    read,
};

const TC_STRINGS: &[&str] = &["euconsent-v2", "eupubconsent-v2"];

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    let strings = input.cookies.iter().filter(|cookie| TC_STRINGS.iter().any(|name| name.as_bytes() == cookie.name));
    tcf::read_from(strings, input, choices).or_else(|| Some(Signal::opaque()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::reader;
    use super::*;

    #[test]
    fn nothing_but_a_tc_string_is_read() {
        reader(&SOURCEPOINT).check(&[
            ("consentUUID=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71_42; consentDate=2026-03-02T09:15:30.120Z", "opaque"),
            ("_sp_v1_consent=1:1:1:1:0:0", "opaque"),
            ("_sp_v2=1", "none"),
        ]);
        let refusal = "CQgcD4AQgcD4AAcABCENCyFgAAAAAAAAAAqIAAAAAAAA.IGMwBIAAgAEAAoBeYDGQ";
        let both = format!("consentUUID=3f0c9b52; euconsent-v2={refusal}");
        reader(&SOURCEPOINT).check(&[(&both, "-preferences -analytics -marketing @1772409600")]);
        reader(&CONSENTMANAGER).check(&[("__cmpconsent12345=BQgcD4AQgcD4AAfUZCENAPAAAAAAAAAAAAigAAAA", "opaque")]);
    }
}
