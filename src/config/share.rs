//! The share links of a site.

use toml::Spanned;

use super::check::Check;
use super::raw;
use crate::policy::{Durability, ShareEvent, ShareLink};

const MINUTE_MS: u64 = 60 * 1000;

/// The share link that `share` describes.
pub(super) fn share_link(check: &mut Check<'_>, share: &Spanned<raw::Share>) -> Option<ShareLink> {
    let raw = share.get_ref();
    let Some(path) = &raw.path else {
        check.error(share.span(), "the share link has no path", "add `path = \"/s/{token}\"`");
        return None;
    };
    let events = [("open", ShareEvent::Open), ("download", ShareEvent::Download)];
    let event = check.choice(raw.event.as_ref(), &events).unwrap_or(ShareEvent::Open);
    let durabilities = [("recorded_before_served", Durability::RecordedBeforeServed), ("async", Durability::Async)];
    let durability = check.choice(raw.record.as_ref(), &durabilities).unwrap_or_default();
    let window_ms = check.number(raw.open_window_minutes.clone(), 30, 1..=1440) * MINUTE_MS;
    let session_cookies = raw.session_cookies.iter().filter_map(|name| check.pattern(name)).collect();
    let Some(mut link) = ShareLink::new(path.get_ref(), event) else {
        check.error(
            path.span(),
            format!("`{}` is not a share link", path.get_ref()),
            "write a path with exactly one `{token}`, such as `/s/{token}`, `/s/{token}/files/*` or `/get?share={token}`",
        );
        return None;
    };
    (link.session_cookies, link.window_ms, link.durability) = (session_cookies, window_ms, durability);
    Some(link)
}
