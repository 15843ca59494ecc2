//! Real Cookie Banner for WordPress: `real_cookie_banner-v:<version>…`, which ends in the numbers of the blog, the path
//! and the language: `time:uuid:hash:{group:[service,…],…}`, percent-encoded.
//!
//! Services that are listed are accepted, under the numbers that WordPress has given them. So nothing can be read unless
//! the site says what some are for; then every mapped one that is missing is refused. The hash is of the banner's
//! settings, to be compared with the site's `revision`. Cookies whose names end in `-tcf` or `-gcm` hold the same in
//! words of others. Where the banner is set to consent by itself outside of some countries, the cookie looks the same: a
//! site that uses this must not map services.
//! Source: records in public code; not documented.

use serde::Deserialize;

use super::decode::Members;
use super::{Choices, Format, Problem, Signal, SignalInput, Strength, Tier};
use crate::policy::decode_percent;

pub(super) const FORMAT: Format = Format {
    name: "real_cookie_banner",
    tier: Tier::Banner,
    cookies: &["real_cookie_banner-v:*"],
    listed_cookies: &[],
    ids: &[],
    read,
};

/// The services of each group.
#[derive(Deserialize)]
#[serde(transparent)]
struct Groups<'a>(#[serde(borrow)] Members<'a, Vec<u64>>);

fn read<'a>(input: &SignalInput<'a>, mut choices: Choices<'_>) -> Option<Signal<'a>> {
    if choices.mapped().is_empty() {
        return Some(Signal::opaque());
    }
    let (mut found, mut is_current, mut decided_at) = (false, true, None::<u64>);
    let is_record = |name: &[u8]| !name.ends_with(b"-tcf") && !name.ends_with(b"-gcm");
    for cookie in input.cookies.iter().filter(|cookie| is_record(cookie.name)) {
        let value = decode_percent(cookie.value);
        let Some((at, hash, groups)) = std::str::from_utf8(&value).ok().and_then(record) else { continue };
        let services: Vec<String> = groups.0.0.iter().flat_map(|(_, ids)| ids).map(u64::to_string).collect();
        choices.accepted(services.iter());
        is_current &= input.is_current(hash);
        found = true;
        decided_at = [decided_at, at].into_iter().flatten().min();
    }
    if !found {
        return Some(Signal::problem(Problem::Malformed));
    }
    if !is_current {
        return Some(Signal::problem(Problem::OtherRevision));
    }
    Some(choices.signal(Strength::Explicit, decided_at))
}

/// The time in Unix seconds, the hash, and the groups.
fn record(value: &str) -> Option<(Option<u64>, &str, Groups<'_>)> {
    let (head, groups) = value.split_at_checked(memchr::memchr(b'{', value.as_bytes())?)?;
    let (ids, hash) = head.strip_suffix(':')?.rsplit_once(':')?;
    let time = ids.split(':').next().and_then(|time| time.parse().ok());
    Some((time, hash, serde_json::from_str(groups).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reader, holds, reader, reader_with};
    use super::*;

    const HASH: &str = "e977fbf8fbc81c28b11c7c9d9ae58d9e";
    const OTHER: &str = "made for another revision of the banner's settings";

    fn mapped() -> Reader {
        reader_with(&FORMAT, &[("37560", "analytics"), ("37547", "marketing"), ("37544", "necessary")], None)
    }

    fn cookie(groups: &str) -> String {
        let raw = format!("1772442930:0f234017-e4d0-48c7-a451-7e89bcebcdc5:{HASH}:{groups}");
        let encoded = raw.replace(':', "%3A").replace('{', "%7B").replace('"', "%22").replace(',', "%2C");
        format!("real_cookie_banner-v:3_blog:1_path:da22278={}", encoded.replace('}', "%7D"))
    }

    #[test]
    fn services_are_read() {
        let all = r#"{"60":[37544],"61":[37560,37547]}"#;
        let raw = format!("real_cookie_banner-v:3_blog:1_path:da2-lang:de=1772442930:0f23:{HASH}:{all}");
        mapped().check(&[
            (&cookie(all), "+analytics +marketing @1772442930"),
            (&raw, "+analytics +marketing @1772442930"),
            (&raw.replace("1772442930:", ""), "+analytics +marketing"),
            (&cookie(r#"{"60":[37544],"61":[37560]}"#), "+analytics -marketing @1772442930"),
            (&cookie(r#"{"60":[37544]}"#), "-analytics -marketing @1772442930"),
            (&cookie(r#"{"61":[37560,37545]}"#), "+analytics -marketing @1772442930 ?37545"),
            (&format!("{}; {raw}", cookie(r#"{"60":[37544]}"#)), "-analytics -marketing @1772442930"),
            (&cookie("{"), "malformed"),
            (&cookie(r#"{"61":["37560"]}"#), "malformed"),
            ("real_cookie_banner-v:3_blog:1=", "malformed"),
            ("real_cookie_banner-v:3_blog:1={}", "malformed"),
            ("real_cookie_banner-v:3_blog:1-gcm=[\"ad_storage\"]", "malformed"),
        ]);
    }

    #[test]
    fn without_a_mapping_only_the_page_can_read_it() {
        reader(&FORMAT).check(&[(&cookie(r#"{"61":[37560]}"#), "opaque")]);
    }

    #[test]
    fn a_group_is_no_service() {
        reader_with(&FORMAT, &[("61", "marketing")], None)
            .check(&[(&cookie(r#"{"61":[37560]}"#), "-marketing @1772442930 ?37560")]);
    }

    #[test]
    fn a_record_for_other_settings_is_none() {
        let ids = [("37560", "analytics")];
        reader_with(&FORMAT, &ids, Some(HASH)).check(&[(&cookie(r#"{"61":[37560]}"#), "+analytics @1772442930")]);
        reader_with(&FORMAT, &ids, Some("7e89")).check(&[(&cookie(r#"{"61":[37560]}"#), OTHER)]);
    }

    #[test]
    fn it_holds_to_what_every_format_must() {
        holds(&mapped(), &cookie(r#"{"61":[37560,37547]}"#), &cookie("{}"), true);
    }
}
