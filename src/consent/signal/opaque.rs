//! Banners whose cookies hold the number of a record on the banner's server, or a form that is not disclosed: only the
//! page can say what was chosen, which the bridge tells.
//!
//! Sourcepoint keeps the choice in the page's storage, declared as subject to change; its cookies `consentUUID` and
//! `consentDate` name the record. consentmanager writes `__cmpconsent<number>`. Both may write a TC string beside, which
//! is read as such.
//! Sources: Sourcepoint documentation, "Cookies and local storage"; what consentmanager's script writes.

use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const SOURCEPOINT: Format = Format {
    name: "sourcepoint",
    tier: Tier::Banner,
    cookies: &["consentUUID", "consentDate", "_sp_v1_*"],
    listed_cookies: &[],
    ids: &[],
    read,
};

pub(super) const CONSENTMANAGER: Format = Format {
    name: "consentmanager",
    tier: Tier::Banner,
    cookies: &["__cmpconsent*"],
    listed_cookies: &[],
    ids: &[],
    read,
};

fn read<'a>(_: &SignalInput<'a>, _: Choices<'_>) -> Option<Signal<'a>> {
    Some(Signal::opaque())
}

#[cfg(test)]
mod tests {
    use super::super::testing::reader;
    use super::*;

    #[test]
    fn nothing_is_read_from_them() {
        reader(&SOURCEPOINT).check(&[
            ("consentUUID=3f0c9b52-7d11-4e0a-9a64-0b6c2f3d8e71_42; consentDate=2026-03-02T09:15:30.120Z", "opaque"),
            ("_sp_v1_consent=1:1:1:1:0:0", "opaque"),
            ("_sp_v2=1", "none"),
        ]);
        reader(&CONSENTMANAGER).check(&[("__cmpconsent12345=BQgcD4AQgcD4AAfUZCENAPAAAAAAAAAAAAigAAAA", "opaque")]);
    }
}
