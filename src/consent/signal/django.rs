//! django-cookie-consent: `cookie_consent`, a list of `group=version` between `|`, mostly in quotes.
//!
//! The version is the time of the newest cookie in the group when it was accepted, as ISO 8601; `-1` is a refusal. The
//! library takes a version as consent while it is not before the group's present one, which the site gives as its
//! `revision`; an older one is undecided. Groups are the site's; usual names are known. Much else is called the same: a
//! value without any `=` is not ours.
//! Source: django-cookie-consent, documentation and code.

use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

pub(super) const FORMAT: Format = Format {
    name: "django",
    tier: Tier::Banner,
    cookies: &["cookie_consent"],
    listed_cookies: &[],
    ids: &[
        ("essential", "necessary"),
        ("necessary", "necessary"),
        ("required", "necessary"),
        ("functional", "preferences"),
        ("preferences", "preferences"),
        ("analytics", "analytics"),
        ("statistics", "analytics"),
        ("advertising", "marketing"),
        ("marketing", "marketing"),
        ("social", "marketing"),
    ],
    read,
};

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    let (mut is_list, mut found, mut outdated) = (false, false, false);
    // The name is a setting of the library's, so whatever is called what the site says is read.
    for cookie in input.cookies.iter() {
        let value = decode_percent(cookie.value);
        let value = value.trim_ascii();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        for entry in unquoted.split(|byte| *byte == b'|') {
            let Some(equals) = memchr::memchr(b'=', entry) else { continue };
            is_list = true;
            let (group, version) = entry.split_at(equals);
            match state(version, input.revision) {
                Some(granted) => choices.set(group, granted),
                None if is_version(version) => outdated = true,
                None => continue,
            }
            found = true;
        }
    }
    if !found {
        return is_list.then(|| Signal::problem(Problem::Malformed));
    }
    if outdated && choices.is_empty() {
        return Some(Signal::problem(Problem::OtherRevision));
    }
    Some(choices.signal(Strength::Explicit, None))
}

/// Whether `=version` is consent or refusal. `None` if it is neither.
fn state(version: &[u8], revision: Option<&str>) -> Option<bool> {
    match version {
        b"=-1" => Some(false),
        [b'=', version @ ..] if is_time(version) => {
            revision.is_none_or(|current| version >= current.as_bytes()).then_some(true)
        }
        _ => None,
    }
}

fn is_version(version: &[u8]) -> bool {
    version.strip_prefix(b"=").is_some_and(is_time)
}

/// Whether it begins as an ISO 8601 date does.
fn is_time(text: &[u8]) -> bool {
    matches!(text, [y, _, _, z, b'-', _, _, b'-', ..] if y.is_ascii_digit() && z.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holds, reader, reader_with};
    use super::*;

    const NEW: &str = "2026-02-01T10:00:00.480014+00:00";
    const OLD: &str = "2025-12-01T10:00:00.480014+00:00";

    #[test]
    fn groups_are_read() {
        reader(&FORMAT).check(&[
            (&format!("cookie_consent=\"analytics={NEW}|social={OLD}\""), "+analytics +marketing"),
            (&format!("cookie_consent=analytics={NEW}|social=-1"), "+analytics -marketing"),
            (
                &format!("cookie_consent=%22analytics%3D{}%7Csocial%3D-1%22", NEW.replace('+', "%2B")),
                "+analytics -marketing",
            ),
            ("cookie_consent=\"analytics=-1|social=-1\"", "-analytics -marketing"),
            (&format!("cookie_consent=analytics={NEW}; cookie_consent=analytics=-1"), "-analytics"),
            (&format!("cookie_consent=optional={NEW}"), "undecided ?optional"),
            ("cookie_consent=analytics=", "malformed"),
            ("cookie_consent=analytics=1", "malformed"),
        ]);
    }

    #[test]
    fn the_name_is_also_others() {
        for value in ["", "true", "accepted", "1", r#"{"analytics":true}"#, "%7B%22analytics%22%3Atrue%7D"] {
            assert_eq!(reader(&FORMAT).read(&format!("cookie_consent={value}")), "none", "{value}");
        }
    }

    #[test]
    fn an_older_version_is_undecided() {
        reader_with(&FORMAT, &[], Some("2026-01-01T00:00:00")).check(&[
            (&format!("cookie_consent=analytics={NEW}|social={OLD}"), "+analytics"),
            (&format!("cookie_consent=analytics={OLD}"), "made for another revision of the banner's settings"),
            (&format!("cookie_consent=analytics={OLD}|social=-1"), "-marketing"),
        ]);
    }

    #[test]
    fn a_site_says_what_its_groups_are() {
        reader_with(&FORMAT, &[("optional", "marketing")], None)
            .check(&[(&format!("cookie_consent=optional={NEW}"), "+marketing")]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        let granting = format!("cookie_consent=\"analytics={NEW}|social={NEW}\"");
        holds(&reader(&FORMAT), &granting, "cookie_consent=\"analytics=-1|social=-1\"", true);
    }
}
