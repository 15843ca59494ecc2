//! Catalog files: the ones that are compiled in, and the operator's own.

use std::sync::{Arc, OnceLock};

use toml::Spanned;

use super::check::Check;
use super::diagnostic::{Diagnostic, LineIndex};
use super::document;
use super::raw;
use super::rules::request_shape;
use crate::policy::{
    Catalog, CatalogBuilder, ClickId, CookieFact, HostFact, Pattern, Purpose, Purposes, Vendor, VendorId,
};

/// The catalog that is compiled in, as pairs of name and text.
const BUILT_IN: [(&str, &str); 5] = [
    ("built-in catalog/necessary.toml", include_str!("../../config/catalog/necessary.toml")),
    ("built-in catalog/preferences.toml", include_str!("../../config/catalog/preferences.toml")),
    ("built-in catalog/analytics.toml", include_str!("../../config/catalog/analytics.toml")),
    ("built-in catalog/marketing.toml", include_str!("../../config/catalog/marketing.toml")),
    ("built-in catalog/china.toml", include_str!("../../config/catalog/china.toml")),
];

/// The built-in catalog alone, made once per process.
pub fn built_in() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    let make = || {
        let files = BUILT_IN.map(|(file, text)| (file.into(), text.to_owned()));
        Arc::new(compile(&files, None, &mut Purposes::default(), &mut Vec::new()))
    };
    CATALOG.get_or_init(make).clone()
}

/// The catalog of `files` (name and text), with `fallback` behind it.
pub(super) fn compile(
    files: &[(Arc<str>, String)],
    fallback: Option<Arc<Catalog>>,
    purposes: &mut Purposes,
    diagnostics: &mut Vec<Diagnostic>,
) -> Catalog {
    let mut builder = CatalogBuilder::default();
    for (file, text) in files {
        add(&mut builder, file, text, purposes, diagnostics);
    }
    builder.build(fallback)
}

fn add(
    builder: &mut CatalogBuilder,
    file: &Arc<str>,
    text: &str,
    purposes: &mut Purposes,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(raw) = document::read::<raw::CatalogFile>(file, text, diagnostics) else { return };
    let mut check = Check { file, text, lines: LineIndex::new(text), diagnostics, purposes, offered: None };
    for vendor in raw.vendor {
        add_vendor(builder, &mut check, vendor);
    }
}

fn add_vendor(builder: &mut CatalogBuilder, check: &mut Check<'_>, raw: Spanned<raw::Vendor>) {
    let whole = raw.span();
    let raw = raw.into_inner();
    let (Some(id), Some(name), Some(purpose)) = (&raw.id, &raw.name, &raw.purpose) else {
        check.error(whole, "a vendor needs `id`, `name` and `purpose`", "add what is missing");
        return;
    };
    let Some(purpose) = check.purpose(purpose.get_ref(), purpose.span()) else { return };
    let vendor = builder.vendor(Vendor {
        id: id.get_ref().as_str().into(),
        name: name.get_ref().as_str().into(),
        owner: raw.owner.map(Into::into),
        country: raw.country.map(|country| country.into_inner().into()),
        privacy: raw.privacy.map(|url| url.into_inner().into()),
        about: raw.about.unwrap_or_default().into(),
    });
    raw.cookies.into_iter().for_each(|cookie| add_cookie(builder, check, vendor, purpose, cookie));
    raw.hosts.into_iter().for_each(|host| add_host(builder, check, vendor, purpose, host));
    raw.paths.into_iter().for_each(|path| add_path(builder, check, vendor, purpose, path));
    for click_id in raw.click_ids {
        let origin = check.origin(&click_id.span());
        builder.click_id(vendor, ClickId { name: click_id.into_inner().into(), purpose }, origin);
    }
}

fn add_cookie(
    builder: &mut CatalogBuilder,
    check: &mut Check<'_>,
    vendor: VendorId,
    default: Purpose,
    raw: Spanned<raw::VendorCookie>,
) {
    let span = raw.span();
    let (name, purpose, domain) = match raw.into_inner() {
        raw::VendorCookie::Name(name) => (name, None, None),
        raw::VendorCookie::Table(table) => (table.name, table.purpose, table.domain),
    };
    let purpose = purpose.map_or(Some(default), |purpose| check.purpose(&purpose, span.clone()));
    let domain = domain.map(|domain| check.host(&domain, span.clone()));
    let name = Pattern::new(&name).map_err(|error| check.error(span.clone(), error.to_string(), "name the cookie"));
    let (Some(purpose), Ok(name)) = (purpose, name) else { return };
    if domain == Some(None) {
        return;
    }
    let origin = check.origin(&span);
    builder.cookie(vendor, CookieFact { name, purpose, domain: domain.flatten() }, origin);
}

fn add_host(
    builder: &mut CatalogBuilder,
    check: &mut Check<'_>,
    vendor: VendorId,
    default: Purpose,
    raw: Spanned<raw::VendorHost>,
) {
    let span = raw.span();
    let (host, path, purpose) = match raw.into_inner() {
        raw::VendorHost::Host(host) => (host, None, None),
        raw::VendorHost::Table(table) => (table.host, table.path, table.purpose),
    };
    let purpose = purpose.map_or(Some(default), |purpose| check.purpose(&purpose, span.clone()));
    let (Some(purpose), Some(host)) = (purpose, check.host(&host, span.clone())) else { return };
    let path = path.map(|path| Pattern::new(&path));
    if path.as_ref().is_some_and(Result::is_err) {
        return check.error(span, "the path is empty", "leave it out to mean the whole host");
    }
    let path = path.and_then(Result::ok);
    let origin = check.origin(&span);
    builder.host(vendor, HostFact { host, path, purpose }, origin);
}

fn add_path(
    builder: &mut CatalogBuilder,
    check: &mut Check<'_>,
    vendor: VendorId,
    default: Purpose,
    raw: Spanned<raw::VendorPath>,
) {
    let span = raw.span();
    let raw = raw.into_inner();
    let purpose = raw.purpose.map_or(Some(default), |purpose| check.purpose(purpose.get_ref(), purpose.span()));
    let shape = request_shape(check, span.clone(), raw.path, raw.query, raw.method, raw.body);
    let (Some(purpose), Some(shape)) = (purpose, shape) else { return };
    let origin = check.origin(&span);
    builder.request(vendor, shape, purpose, origin);
}
