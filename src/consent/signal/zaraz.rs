//! Cloudflare Zaraz: `zaraz-consent` or `cf_consent`, URL-encoded JSON of `{purpose: bool}`, written by a choice.
//!
//! Purposes have random ids, which the site says the meaning of. One that is missing has not been asked about.
//! Source: Cloudflare documentation, "Zaraz: Consent management", and its page on the API.

use super::klaro::switches;
use super::records::records;
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format = Format {
    name: "zaraz",
    tier: Tier::Banner,
    cookies: &["zaraz-consent", "cf_consent"],
    listed_cookies: &[],
    ids: &[],
    read,
};

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| switches(cookie.value, choices))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn shop() -> Reader {
        reader_with(&FORMAT, &[("vxcT", "analytics"), ("aBq1", "marketing")], None)
    }

    #[test]
    fn purposes_are_what_the_site_says() {
        shop().check(&[
            ("zaraz-consent=%7B%22vxcT%22%3Atrue%2C%22aBq1%22%3Afalse%7D", "+analytics -marketing"),
            ("cf_consent=%7B%22vxcT%22%3Afalse%2C%22aBq1%22%3Afalse%7D", "-analytics -marketing"),
            (r#"zaraz-consent={"vxcT":true,"aBq1":true,"Zz09":true}"#, "+analytics +marketing ?Zz09"),
            (r#"zaraz-consent={"vxcT":true}; cf_consent={"vxcT":false}"#, "-analytics"),
            ("zaraz-consent=%7B%7D", "undecided"),
            ("zaraz-consent=%7B%22vxcT%22%3A", "malformed"),
            (r#"zaraz-consent={"vxcT":"true"}"#, "malformed"),
        ]);
    }

    #[test]
    fn a_purpose_that_is_missing_has_not_been_asked_about() {
        shop().check(&[(r#"zaraz-consent={"vxcT":true}"#, "+analytics")]);
        reader(&FORMAT).check(&[(r#"zaraz-consent={"vxcT":true}"#, "undecided ?vxcT")]);
    }

    #[test]
    fn the_cookie_has_the_name_that_the_site_says() {
        shop().named(&["choice"]).check(&[(r#"choice={"aBq1":true}"#, "+marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: bool| format!(r#"zaraz-consent={{"vxcT":{state},"aBq1":{state}}}"#);
        holds(&shop(), &line(true), &line(false), true);
    }
}
