//! Klaro: `klaro`, URL-encoded JSON of `{service: bool}`. Nothing is written before a choice.
//!
//! There are no categories, times or revisions: what a service is for is in the page's own settings, so the site says it
//! again. Services that are required are `true` always, and say nothing about others. A site can rename the cookie, or
//! keep the record in the browser's storage, where no server sees it.
//! Source: Klaro 0.7, `consent-manager.js` and `stores.js`, and its cookies as it writes them.

use super::decode::{Members, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format =
    Format { name: "klaro", tier: Tier::Banner, cookies: &["klaro"], listed_cookies: &[], ids: &[], read };

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| switches(cookie.value, choices))
}

/// JSON of `{id: bool}`, which is written when the visitor chooses.
pub(super) fn switches(value: &[u8], choices: &mut Choices<'_>) -> Option<Record<'static>> {
    json(value, |text| {
        let Members(switches) = serde_json::from_str::<Members<'_, bool>>(text).ok()?;
        switches.iter().for_each(|(id, state)| choices.set(id.as_bytes(), *state));
        Some(Record::explicit(None))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn shop() -> Reader {
        let services = [("matomo", "analytics"), ("youtube", "marketing"), ("functional", "necessary")];
        reader_with(&FORMAT, &services, None)
    }

    #[test]
    fn services_are_what_the_site_says() {
        shop().check(&[
            (
                "klaro=%7B%22matomo%22%3Atrue%2C%22youtube%22%3Afalse%2C%22functional%22%3Atrue%7D",
                "+analytics -marketing",
            ),
            (
                "klaro=%7B%22matomo%22%3Afalse%2C%22youtube%22%3Afalse%2C%22functional%22%3Atrue%7D",
                "-analytics -marketing",
            ),
            (r#"klaro={"matomo":true,"youtube":true}"#, "+analytics +marketing"),
            (r#"klaro={"matomo":true,"cart":true}"#, "+analytics ?cart"),
            (r#"klaro={"matomo":true,"matomo":false}"#, "-analytics"),
            (r#"klaro={"matomo":true}; klaro={"matomo":false}"#, "-analytics"),
            (r#"klaro={"matomo":true}; klaro={"matomo""#, "+analytics"),
            ("klaro={}", "undecided"),
            (r#"klaro={"matomo":1}"#, "malformed"),
            (r#"klaro={"matomo":true"#, "malformed"),
            ("klaro=%7B%22matomo%22%3Atrue%", "malformed"),
            ("klaro=%257B%2522matomo%2522%253Atrue%257D", "malformed"),
            ("klaro=true", "malformed"),
            ("klaro=", "malformed"),
        ]);
    }

    #[test]
    fn required_services_are_no_consent_to_others() {
        shop().check(&[(r#"klaro={"functional":true}"#, "undecided")]);
        reader(&FORMAT).check(&[(r#"klaro={"matomo":true}"#, "undecided ?matomo")]);
    }

    #[test]
    fn the_cookie_has_the_name_that_the_site_says() {
        shop().named(&["privacy"]).check(&[(r#"privacy={"matomo":true}; klaro={"matomo":false}"#, "+analytics")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: bool| format!(r#"klaro={{"matomo":{state},"youtube":{state}}}"#);
        holds(&shop(), &line(true), &line(false), true);
    }
}
