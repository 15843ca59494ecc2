//! Axeptio: `axeptio_cookies`, JSON of `{vendor: bool}` among keys of its own, which begin with `$$`; URL-encoded, or only
//! its quotes and commas.
//!
//! There are no categories: the site says what a vendor is for. The cookie is there before a choice, with
//! `$$completed` not `true`. `axeptio_authorized_vendors` and `axeptio_all_vendors` repeat it for tag managers, and are
//! not read.
//! Source: cookies of sites that use it, and programs that read them.

use super::decode::{Members, Scalar, iso_time, json};
use super::records::{Record, records};
use super::{Choices, Format, Signal, SignalInput, Tier};

pub(super) const FORMAT: Format =
    Format { name: "axeptio", tier: Tier::Banner, cookies: &["axeptio_cookies"], listed_cookies: &[], ids: &[], read };

fn read<'a>(input: &SignalInput<'a>, choices: Choices<'_>) -> Option<Signal<'a>> {
    records(input, input.cookies.iter(), choices, |cookie, choices| json(cookie.value, |text| record(text, choices)))
}

fn record(text: &str, choices: &mut Choices<'_>) -> Option<Record<'static>> {
    let Members(members) = serde_json::from_str::<Members<'_, Scalar<'_>>>(text).ok()?;
    let completed = |state| members.iter().any(|(key, value)| key == "$$completed" && value.is(state));
    if !completed(true) || completed(false) {
        return Some(Record::Undecided);
    }
    let mut at = None;
    for (key, value) in &members {
        match value {
            Scalar::Text(time) if key == "$$date" => at = iso_time(time),
            Scalar::Boolean(state) if !key.starts_with("$$") => choices.set(key.as_bytes(), *state),
            _ => {}
        }
    }
    Some(Record::explicit(at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    fn shop() -> Reader {
        reader_with(&FORMAT, &[("google_analytics", "analytics"), ("facebook_pixel", "marketing")], None)
    }

    /// With quotes and commas escaped.
    fn cookie(analytics: bool, marketing: bool, completed: &str) -> String {
        format!(
            "axeptio_cookies={{%22$$token%22:%22k2v9q0x7n3m5%22%2C%22$$date%22:%222026-03-02T09:15:30.120Z%22%2C%22$$cookiesVersion%22:{{%22name%22:%22site-en%22%2C%22identifier%22:%2265f0aa11bb22cc33dd44ee55%22}}%2C%22google_analytics%22:{analytics}%2C%22facebook_pixel%22:{marketing}%2C%22$$completed%22:{completed}}}"
        )
    }

    #[test]
    fn vendors_are_what_the_site_says() {
        let encoded = cookie(true, false, "true").replace('{', "%7B").replace('}', "%7D").replace('$', "%24");
        let raw = cookie(true, true, "true").replace("%22", "\"").replace("%2C", ",");
        let other = raw.replace("facebook_pixel", "hotjar");
        shop().check(&[
            (&cookie(true, false, "true"), "+analytics -marketing @1772442930"),
            (&encoded, "+analytics -marketing @1772442930"),
            (&raw, "+analytics +marketing @1772442930"),
            (&cookie(false, false, "true"), "-analytics -marketing @1772442930"),
            (&format!("{raw}; {encoded}"), "+analytics -marketing @1772442930"),
            (&other, "+analytics @1772442930 ?hotjar"),
            ("axeptio_cookies={%22$$completed%22:true}", "undecided"),
            ("axeptio_cookies={%22$$completed%22:true", "malformed"),
            ("axeptio_cookies=true", "malformed"),
            ("axeptio_cookies=", "malformed"),
        ]);
        reader(&FORMAT).check(&[(&raw, "undecided ?google_analytics ?facebook_pixel")]);
    }

    #[test]
    fn until_it_is_completed_it_is_from_before_a_choice() {
        let lists = "axeptio_authorized_vendors=%2C%2C; axeptio_all_vendors=%2C%2C";
        let empty = "axeptio_cookies={%22$$token%22:%22k2v9q0x7n3m5%22%2C%22$$date%22:%222026-03-02T09:15:30.120Z%22%2C%22$$completed%22:false}";
        shop().check(&[
            (&format!("{empty}; {lists}"), "undecided"),
            (&cookie(true, true, "false"), "undecided"),
            (&cookie(true, true, "%22true%22"), "undecided"),
            (&cookie(true, true, "true%2C%22$$completed%22:false"), "undecided"),
            (&cookie(true, true, "true").replace("$$completed", "completed"), "undecided"),
            (lists, "none"),
        ]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&shop(), &cookie(true, true, "true"), &cookie(false, false, "true"), true);
    }
}
