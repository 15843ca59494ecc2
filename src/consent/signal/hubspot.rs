//! HubSpot: `__hs_cookie_cat_pref`, a list of `number:true|false`, separated by `,` or `_`.
//!
//! The numbers are those of HubSpot's categories: 1 analytics, 2 advertisement, 3 functionality. Their order is that of
//! public code that writes and reads the cookie, not documented. The cookie is written with the choice.
//! Source: HubSpot documentation, "Cookie consent banner API", for the categories.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

const COOKIE: &str = "__hs_cookie_cat_pref";

pub(super) const FORMAT: Format = Format {
    name: "hubspot",
    tier: Tier::Banner,
    cookies: &[COOKIE],
    listed_cookies: &[],
    ids: &[("0", "necessary"), ("1", "analytics"), ("2", "marketing"), ("3", "preferences")],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let mut found = false;
    for value in input.values(COOKIE) {
        for pair in decode_percent(value).split(|byte| matches!(byte, b',' | b'_')).map(<[u8]>::trim_ascii) {
            let Some(colon) = memchr::memchr(b':', pair) else { continue };
            let (id, state) = pair.split_at(colon);
            if let b":true" | b":false" = state {
                choices.set(id, state == b":true");
                found = true;
            }
        }
    }
    Some(if found { choices.signal(Strength::Explicit, None) } else { Signal::problem(Problem::Malformed) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    #[test]
    fn numbers_are_read() {
        reader(&FORMAT).check(&[
            ("__hs_cookie_cat_pref=1:true,2:true,3:true", "+preferences +analytics +marketing"),
            ("__hs_cookie_cat_pref=1:true,2:true,3:false", "+analytics +marketing -preferences"),
            ("__hs_cookie_cat_pref=1:true_2:false_3:false", "+analytics -preferences -marketing"),
            ("__hs_cookie_cat_pref=1%3Atrue%2C2%3Afalse", "+analytics -marketing"),
            ("__hs_cookie_cat_pref=1:false,2:false,3:false", "-preferences -analytics -marketing"),
            ("__hs_cookie_cat_pref=1:true,4:true", "+analytics ?4"),
            ("__hs_cookie_cat_pref=1:true; __hs_cookie_cat_pref=1:false", "-analytics"),
            ("__hs_cookie_cat_pref=", "malformed"),
            ("__hs_cookie_cat_pref=true", "malformed"),
            ("__hs_cookie_cat_pref=1:yes", "malformed"),
        ]);
    }

    #[test]
    fn a_site_says_what_its_numbers_are() {
        reader_with(&FORMAT, &[("3", "marketing")], None)
            .check(&[("__hs_cookie_cat_pref=1:true,2:true,3:false", "+analytics -marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let line = |state: bool| format!("__hs_cookie_cat_pref=1:{state},2:{state},3:{state}");
        holds(&reader(&FORMAT), &line(true), &line(false), true);
    }
}
