//! How consent is kept and told: `[consent]`.

use super::check::{Check, Text};
use super::{ConsentSettings, FileSet, raw};
use crate::consent::OwnCookie;
use crate::countries::Countries;

pub(super) fn consent(check: &mut Check<'_>, raw: raw::Consent, files: &mut FileSet<'_>) -> ConsentSettings {
    let name = raw.cookie.as_ref().map_or("consentry", |name| name.get_ref());
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if let Some(cookie) = raw.cookie.as_ref().filter(|_| name.is_empty() || !name.bytes().all(token)) {
        check.error(
            cookie.span(),
            format!("`{name}` cannot name a cookie"),
            "use letters, digits, `-` and `_` (RFC 6265, section 4.1.1)",
        );
    }
    let prefix = raw.prefix.as_ref().map_or("/.consentry", |prefix| prefix.get_ref());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    if let Some(text) = raw.prefix.as_ref().filter(|_| {
        !prefix.starts_with('/')
            || prefix.len() < 2
            || prefix.ends_with('/')
            || prefix.contains("//")
            || !prefix.bytes().all(plain)
    }) {
        check.error(
            text.span(),
            format!("`{prefix}` cannot be the prefix of the own pages"),
            "write a path such as `/.consentry`, without a slash at the end",
        );
    }
    let header = raw.header.as_ref().map_or("x-consent-purposes", |header| header.get_ref());
    let header_name = http::HeaderName::from_bytes(header.as_bytes());
    if let (Some(text), Err(_)) = (&raw.header, &header_name) {
        check.error(text.span(), format!("`{header}` cannot name a header field"), "use letters, digits and `-`");
    }
    let country_header = raw.country_header.as_ref().and_then(|field| {
        let name = http::HeaderName::from_bytes(field.get_ref().as_bytes());
        name.map_err(|_| {
            let message = format!("`{}` cannot name a header field", field.get_ref());
            check.error(field.span(), message, "write it as your balancer does: `CF-IPCountry`");
        })
        .ok()
    });
    let key = raw.signing_key.as_ref().and_then(|path| signing_key(check, path, files));
    ConsentSettings {
        cookie: OwnCookie::new(name, key.as_deref()),
        prefix: prefix.into(),
        blocked_path: format!("{prefix}/blocked").into(),
        header: header_name.unwrap_or(http::HeaderName::from_static("x-consent-purposes")),
        country_header,
        countries: raw.country_file.as_ref().and_then(|path| countries(check, path, files)),
    }
}

fn signing_key(check: &mut Check<'_>, path: &Text, files: &mut FileSet<'_>) -> Option<Vec<u8>> {
    match files.read(path.get_ref()) {
        Ok(key) if key.trim_ascii().len() >= 32 => Some(key.trim_ascii().to_vec()),
        Ok(_) => {
            check.error(
                path.span(),
                "the signing key is too short",
                "put at least 32 random bytes into the file, for example with `openssl rand -hex 32`",
            );
            None
        }
        Err(error) => {
            check.error(
                path.span(),
                format!("the signing key cannot be read: {error}"),
                "paths are relative to this file",
            );
            None
        }
    }
}

fn countries(check: &mut Check<'_>, path: &Text, files: &mut FileSet<'_>) -> Option<Countries> {
    let read = files.read(path.get_ref()).map_err(|error| error.to_string());
    let countries = read.and_then(|bytes| Countries::new(bytes).map_err(|error| error.to_string()));
    countries
        .map_err(|error| {
            let message = format!("the file of countries cannot be used: {error}");
            check.error(path.span(), message, "name a file in the MaxMind DB format, relative to this file");
        })
        .ok()
}
