//! The versions of a site's policy.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use toml::Spanned;

use super::check::{Check, Text};
use super::raw;
use crate::policy::{Added, Catalog, OnRefusal, Pattern, PolicyVersion, PolicyVersions, PurposeSet, VendorId};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

const ON_REFUSAL: [(&str, OnRefusal); 3] =
    [("original_scope", OnRefusal::OriginalScope), ("ask_again", OnRefusal::AskAgain), ("stop", OnRefusal::Stop)];

pub(super) fn versions(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::Version>>,
    on_refusal: Option<&Text>,
    always: &[Text],
    catalog: &Catalog,
) -> PolicyVersions {
    let mut list: Vec<PolicyVersion> = Vec::new();
    for version in raw {
        let span = version.span();
        let version = version.into_inner();
        let Some(id) = &version.id else {
            check.error(span, "the version has no id", "add `id = \"2026-03-02\"`: choices name it");
            continue;
        };
        let word = id.get_ref();
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            check.error(
                id.span(),
                format!("`{word}` cannot name a version"),
                "use letters, digits, `-`, `_` and `.`: it stands in the own cookie",
            );
        }
        if list.iter().any(|known| *known.id == **word) {
            check.error(id.span(), format!("the version `{word}` is there twice"), "rename one");
        }
        let effective = version.effective.as_ref().unwrap_or(id);
        let Some(time) = point_in_time(effective.get_ref()) else {
            let help =
                "write `effective = \"2026-03-02\"`, midnight UTC, or a time such as `2026-03-02T09:00:00+01:00`";
            check.error(effective.span(), format!("`{}` is not a date", effective.get_ref()), help);
            continue;
        };
        let adds = version.adds.unwrap_or_default();
        let purposes = adds.purposes.iter().filter_map(|name| check.purpose(name.get_ref(), name.span()));
        let purposes: PurposeSet = purposes.collect();
        let vendors = adds.vendors.iter().filter_map(|id| vendor(check, id, catalog)).collect();
        let paths = adds.paths.iter().filter_map(|path| path_pattern(check, path)).collect();
        let added = Added { purposes: purposes.without(PurposeSet::NECESSARY), vendors, paths };
        let revision = version.revision.map(raw::Revision::into_text);
        list.push(PolicyVersion { id: word.as_str().into(), effective: time, revision, added });
    }
    if let Some(word) = on_refusal.filter(|_| list.is_empty()) {
        check.error(word.span(), "there are no versions that could be refused", "add `[[site.version]]`");
    }
    let on_refusal = check.choice(on_refusal, &ON_REFUSAL).unwrap_or_default();
    let always = always.iter().filter_map(|path| path_pattern(check, path)).collect();
    PolicyVersions::new(list, on_refusal, always)
}

/// Unix time in seconds of a date, which begins at midnight UTC, or of a time with its offset.
fn point_in_time(text: &str) -> Option<u64> {
    let date = Date::parse(text, DATE).ok().map(|date| date.midnight().assume_utc());
    let time = date.or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok())?;
    u64::try_from(time.unix_timestamp()).ok()
}

fn path_pattern(check: &mut Check<'_>, path: &Text) -> Option<Pattern> {
    if !path.get_ref().starts_with('/') {
        check.error(path.span(), format!("`{}` is not a path", path.get_ref()), "write `/new/*`");
        return None;
    }
    check.pattern(path)
}

/// A vendor of the catalog, by its id.
pub(super) fn vendor(check: &mut Check<'_>, id: &Text, catalog: &Catalog) -> Option<VendorId> {
    let known = catalog.vendor_by_id(id.get_ref());
    if known.is_none() {
        let message = format!("the catalog has no vendor `{}`", id.get_ref());
        check.error(id.span(), message, "write the vendor's `id`, such as `stripe` or `google_analytics`");
    }
    known
}
