//! Catalog files: the ones that are compiled in, and the operator's own.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use toml::Spanned;

use super::check::Check;
use super::diagnostic::{Diagnostic, LineIndex};
use super::document;
use super::raw;
use super::rules::request_shape;
use crate::policy::{
    Catalog, CatalogBuilder, ClickId, CookieFact, HostFact, Pattern, Purpose, Purposes, StorageFact, Vendor, VendorId,
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
    let mut builder = CatalogBuilder::new(fallback);
    for (file, text) in files {
        add(&mut builder, file, text, purposes, diagnostics);
    }
    builder.build()
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
    let gvl = raw.gvl.and_then(|number| gvl(check, &number));
    let vendor = builder.vendor(Vendor {
        id: id.get_ref().as_str().into(),
        name: name.get_ref().as_str().into(),
        owner: raw.owner.map(Into::into),
        country: raw.country.map(|country| country.into_inner().into()),
        privacy: raw.privacy.map(|url| url.into_inner().into()),
        about: raw.about.unwrap_or_default().into(),
        gvl,
    });
    let vendor = match vendor {
        Ok(vendor) => vendor,
        Err(problem) => return check.error(whole, problem.to_string(), "leave out what this installation never meets"),
    };
    let mut facts = Facts { builder, check, vendor, default: purpose };
    raw.cookies.into_iter().for_each(|cookie| _ = facts.cookie(cookie));
    raw.storage.into_iter().for_each(|key| _ = facts.storage(key));
    raw.globals.into_iter().for_each(|name| facts.global(&name));
    raw.snippets.into_iter().for_each(|text| facts.snippet(&text));
    raw.hosts.into_iter().for_each(|host| _ = facts.host(host));
    raw.paths.into_iter().for_each(|path| _ = facts.path(path));
    for click_id in raw.click_ids {
        let origin = facts.check.origin(&click_id.span());
        facts.builder.click_id(vendor, ClickId { name: click_id.into_inner().into(), purpose }, origin);
    }
}

/// A number of the Global Vendor List, which TC strings write in 16 bits (IAB TCF 2.3, "The Core String").
fn gvl(check: &mut Check<'_>, number: &Spanned<u64>) -> Option<u16> {
    let id = u16::try_from(*number.get_ref()).ok().filter(|id| *id > 0);
    if id.is_none() {
        let message = format!("{} is no number of the Global Vendor List", number.get_ref());
        check.error(number.span(), message, "write a number from 1 to 65535");
    }
    id
}

/// Shortest text, in bytes, that tells a vendor's snippet from other scripts.
const MIN_SNIPPET: usize = 6;

/// Adding what belongs to one vendor. `None` is an entry that was reported and left out.
struct Facts<'a, 'c> {
    builder: &'a mut CatalogBuilder,
    check: &'a mut Check<'c>,
    vendor: VendorId,
    /// The vendor's purpose, which holds for every entry that names no other.
    default: Purpose,
}

impl Facts<'_, '_> {
    fn cookie(&mut self, raw: Spanned<raw::VendorCookie>) -> Option<()> {
        let span = raw.span();
        let (name, purpose, domain) = match raw.into_inner() {
            raw::VendorCookie::Name(name) => (name, None, None),
            raw::VendorCookie::Table(table) => (table.name, table.purpose, table.domain),
        };
        let purpose = self.purpose(purpose, &span);
        let domain = domain.map(|domain| self.check.host(&domain, span.clone()));
        let name = self.pattern(&name, &span, "name the cookie");
        let domain = domain.map_or(Some(None), |checked| checked.map(Some))?;
        let fact = CookieFact { name: name?, purpose: purpose?, domain };
        self.builder.cookie(self.vendor, fact, self.check.origin(&span));
        Some(())
    }

    fn storage(&mut self, raw: Spanned<raw::VendorKey>) -> Option<()> {
        let span = raw.span();
        let (name, purpose) = match raw.into_inner() {
            raw::VendorKey::Name(name) => (name, None),
            raw::VendorKey::Table(table) => (table.name, table.purpose),
        };
        let purpose = self.purpose(purpose, &span);
        let key = self.pattern(&name, &span, "name the key");
        self.builder.storage(self.vendor, StorageFact { key: key?, purpose: purpose? }, self.check.origin(&span));
        Some(())
    }

    fn snippet(&mut self, text: &Spanned<String>) {
        // A short text would be found in scripts that have nothing to do with the vendor.
        if text.get_ref().len() < MIN_SNIPPET {
            let message = format!("`{}` is too short to recognise a script by", text.get_ref());
            return self.check.error(
                text.span(),
                message,
                "write what the vendor's snippet calls, such as `fbq('init'`",
            );
        }
        let origin = self.check.origin(&text.span());
        self.builder.snippet(self.vendor, text.get_ref(), self.default, origin);
    }

    fn global(&mut self, name: &Spanned<String>) {
        let word = name.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_$".contains(&b);
        if word.is_empty() || !word.bytes().all(plain) || word.starts_with(|first: char| first.is_ascii_digit()) {
            let help = "write the bare name, such as `fbq`, of a function that pages call";
            return self.check.error(name.span(), format!("`{word}` cannot name a function of a page"), help);
        }
        self.builder.global(self.vendor, word, self.default);
    }

    fn host(&mut self, raw: Spanned<raw::VendorHost>) -> Option<()> {
        let span = raw.span();
        let (host, path, purpose) = match raw.into_inner() {
            raw::VendorHost::Host(host) => (host, None, None),
            raw::VendorHost::Table(table) => (table.host, table.path, table.purpose),
        };
        let purpose = self.purpose(purpose, &span);
        let host = self.check.host(&host, span.clone());
        let path = path.map(|path| self.pattern(&path, &span, "leave the path out to mean the whole host"));
        let path = path.map_or(Some(None), |checked| checked.map(Some))?;
        self.builder.host(self.vendor, HostFact { host: host?, path, purpose: purpose? }, self.check.origin(&span));
        Some(())
    }

    fn path(&mut self, raw: Spanned<raw::VendorPath>) -> Option<()> {
        let span = raw.span();
        let raw = raw.into_inner();
        let (purpose, at) =
            raw.purpose.map_or((None, span.clone()), |text| (Some(text.get_ref().clone()), text.span()));
        let purpose = self.purpose(purpose, &at);
        let shape = request_shape(self.check, span.clone(), raw.path, raw.query, raw.method, raw.body);
        self.builder.request(self.vendor, shape?, purpose?, self.check.origin(&span));
        Some(())
    }

    fn purpose(&mut self, named: Option<String>, span: &Range<usize>) -> Option<Purpose> {
        named.map_or(Some(self.default), |name| self.check.purpose(&name, span.clone()))
    }

    fn pattern(&mut self, text: &str, span: &Range<usize>, help: &str) -> Option<Pattern> {
        Pattern::new(text).map_err(|error| self.check.error(span.clone(), error.to_string(), help)).ok()
    }
}
