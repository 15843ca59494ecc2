//! `[site.upstream_tls]`: TLS towards a site's upstreams.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::check::{Check, Text};
use super::tls::is_exposed;
use super::{FileSet, UpstreamAddress, UpstreamScheme, UpstreamTls, raw};
use crate::policy::Host;
use crate::tls::KeyPair;

pub(super) fn upstream_tls(
    check: &mut Check<'_>,
    raw: Option<Spanned<raw::UpstreamTls>>,
    upstreams: &[UpstreamAddress],
    files: &mut FileSet<'_>,
) -> UpstreamTls {
    let Some(raw) = raw else { return UpstreamTls::default() };
    let (span, raw) = (raw.span(), raw.into_inner());
    if !upstreams.iter().any(|upstream| upstream.scheme == UpstreamScheme::Https) {
        check.warning(span.clone(), "no upstream of the site speaks TLS", "write `https://…`, or remove this");
    }
    if !raw.verify.unwrap_or(true) {
        let message = "whoever is between can read and change what is said to the upstreams";
        check.warning(
            span.clone(),
            message,
            "name the issuer of their certificates with `ca` instead of `verify = false`",
        );
    }
    UpstreamTls {
        ca: raw.ca.as_ref().and_then(|path| read(check, path, files)).map(Into::into),
        server_name: raw.server_name.as_ref().and_then(|name| server_name(check, name)),
        client: client(check, &raw, &span, files),
        verify: raw.verify.unwrap_or(true),
    }
}

fn read(check: &mut Check<'_>, path: &Text, files: &mut FileSet<'_>) -> Option<Vec<u8>> {
    let read = files.read(path.get_ref());
    read.map_err(|error| {
        let message = format!("`{}` cannot be read: {error}", path.get_ref());
        check.error(path.span(), message, "paths are relative to this file");
    })
    .ok()
}

/// Without a name in SNI no certificate would be verified, so it is never empty.
fn server_name(check: &mut Check<'_>, name: &Text) -> Option<Box<str>> {
    let host = Host::parse(name.get_ref().as_bytes());
    if host.is_none() || name.get_ref().contains(':') {
        let message = format!("`{}` cannot be the name of a server", name.get_ref());
        check.error(name.span(), message, "write the name that is in its certificate, or remove this");
        return None;
    }
    host.map(|host| host.as_str().into())
}

fn client(
    check: &mut Check<'_>,
    raw: &raw::UpstreamTls,
    span: &Range<usize>,
    files: &mut FileSet<'_>,
) -> Option<Arc<KeyPair>> {
    let (chain, key) = match (&raw.client_certificate, &raw.client_key) {
        (None, None) => return None,
        (Some(chain), Some(key)) => (chain, key),
        _ => {
            let help = "write both `client_certificate` and `client_key`, or none";
            check.error(span.clone(), "a certificate for upstreams and its key belong together", help);
            return None;
        }
    };
    let (chain_pem, key_pem) = (read(check, chain, files)?, read(check, key, files)?);
    if is_exposed(&files.base.join(key.get_ref())) {
        let help = "let only those read it whom it concerns: `chmod 640`, or less";
        check.warning(key.span(), format!("anybody on this machine may read `{}`", key.get_ref()), help);
    }
    let pair = KeyPair::from_pem(&chain_pem, &key_pem);
    pair.map_err(|error| {
        let message = format!("the certificate for upstreams cannot be used: {error}");
        check.error(chain.span(), message, "name PEM files: the certificate, those of its issuers, and its key");
    })
    .map(Arc::new)
    .ok()
}
