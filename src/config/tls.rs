//! `[tls]` and `[[certificate]]`: how visitors are met on the sockets of `traffic_tls`.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use toml::Spanned;

use super::check::{Check, Text};
use super::{FileSet, raw};
use crate::tls::{Certificate, ClientCertificates, MinVersion, ServedCertificate, ServerTls, TlsOptions, certificates};

/// What visitors are met with; `None` if no socket speaks TLS. `place` is where those sockets are configured.
pub(super) fn server_tls(
    check: &mut Check<'_>,
    raw: raw::Tls,
    pairs: Vec<Spanned<raw::Certificate>>,
    place: Option<Range<usize>>,
    files: &mut FileSet<'_>,
) -> Option<ServerTls> {
    let options = options(check, raw, files);
    let spans: Vec<_> = pairs.iter().map(Spanned::span).collect();
    let configured = pairs.len();
    let mut served: Vec<ServedCertificate> = Vec::with_capacity(configured);
    for (pair, span) in pairs.into_iter().zip(&spans) {
        let Some(pair) = certificate(check, pair.into_inner(), span, files) else { continue };
        if served.iter().any(|other| other.name == pair.name) {
            check.error(span.clone(), format!("`{}` is configured twice", pair.name), "remove one");
        }
        if pair.is_default && served.iter().any(|other| other.is_default) {
            check.error(span.clone(), "there are two default certificates", "let one only be the default");
        }
        served.push(pair);
    }
    match (place, spans.first()) {
        (Some(place), None) => {
            let help = "add `[[certificate]]` with `chain = \"tls.crt\"` and `key = \"tls.key\"`";
            check.error(place, "there is no certificate for the sockets that speak TLS", help);
            None
        }
        (None, Some(span)) => {
            let help = "add `traffic_tls = [\"0.0.0.0:8443\"]` to `[listen]`, or remove the certificate";
            check.warning(span.clone(), "no socket speaks TLS, so that nobody is shown this certificate", help);
            None
        }
        (Some(_), Some(span)) if served.len() == configured => {
            let tls = ServerTls::new(options, served);
            tls.map_err(|error| check.error(span.clone(), error.to_string(), "check `[tls]` and its files")).ok()
        }
        _ => None,
    }
}

fn options(check: &mut Check<'_>, raw: raw::Tls, files: &mut FileSet<'_>) -> TlsOptions {
    let versions = [("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];
    let wanted = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let required = check.choice(raw.client_certificates.as_ref(), &wanted).flatten();
    let clients = match (&raw.client_ca, required) {
        (None, None) => ClientCertificates::None,
        (None, Some(_)) => {
            let span = raw.client_certificates.as_ref().map_or(0..0, Spanned::span);
            let help = "add `client_ca = \"ca.pem\"`: who issues the certificates of visitors";
            check.error(span, "certificates of visitors cannot be checked", help);
            ClientCertificates::None
        }
        (Some(path), None) => {
            let help = "write `client_certificates = \"required\"` or `\"optional\"`, or remove `client_ca`";
            check.error(path.span(), "visitors are not asked for certificates", help);
            ClientCertificates::None
        }
        (Some(path), Some(required)) => match authorities(check, path, files).map(Into::into) {
            Some(issuers) if required => ClientCertificates::Required(issuers),
            Some(issuers) => ClientCertificates::Optional(issuers),
            None => ClientCertificates::None,
        },
    };
    TlsOptions { min_version: check.choice(raw.min_version.as_ref(), &versions).unwrap_or_default(), clients }
}

fn authorities(check: &mut Check<'_>, path: &Text, files: &mut FileSet<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let read = files.read(path.get_ref()).map_err(|error| error.to_string());
    let read = read.and_then(|pem| certificates(&pem).map_err(|error| error.to_string()));
    read.map_err(|problem| {
        let message = format!("the CA file `{}` cannot be used: {problem}", path.get_ref());
        check.error(path.span(), message, "name a PEM file, relative to this file");
    })
    .ok()
}

fn certificate(
    check: &mut Check<'_>,
    raw: raw::Certificate,
    span: &Range<usize>,
    files: &mut FileSet<'_>,
) -> Option<ServedCertificate> {
    let (Some(chain), Some(key)) = (&raw.chain, &raw.key) else {
        let help = "add `chain = \"tls.crt\"` and `key = \"tls.key\"`, both PEM";
        check.error(span.clone(), "the certificate has no chain or no key", help);
        return None;
    };
    let read = |name: &Text, files: &mut FileSet<'_>| {
        files.read_apart(name.get_ref()).map_err(|error| format!("`{}` cannot be read: {error}", name.get_ref()))
    };
    let (chain_pem, key_pem) = (read(chain, files), read(key, files));
    let pems = chain_pem.and_then(|chain| Ok((chain, key_pem?)));
    let certificate =
        pems.and_then(|(chain, key)| Certificate::from_pem(&chain, &key).map_err(|error| error.to_string()));
    let certificate = match certificate {
        Ok(certificate) => certificate,
        Err(problem) => {
            let help = "name PEM files, relative to this file: the certificate, those of its issuers, and its key";
            check.error(chain.span(), format!("the certificate cannot be used: {problem}"), help);
            return None;
        }
    };
    let (chain_path, key_path) = (files.base.join(chain.get_ref()), files.base.join(key.get_ref()));
    warn(check, &certificate, chain, raw.default);
    if is_exposed(&key_path) {
        let help = "let only those read it whom it concerns: `chmod 640`, or less";
        check.warning(key.span(), format!("anybody on this machine may read `{}`", key.get_ref()), help);
    }
    Some(ServedCertificate {
        name: chain.get_ref().as_str().into(),
        chain: chain_path,
        key: key_path,
        is_default: raw.default,
        certificate: Arc::new(certificate),
    })
}

/// What does not keep a certificate from being shown.
fn warn(check: &mut Check<'_>, certificate: &Certificate, chain: &Text, is_default: bool) {
    let now = jiff::Timestamp::now().as_second();
    if certificate.not_after < now {
        let message = format!("the certificate in `{}` has expired", chain.get_ref());
        check.warning(chain.span(), message, "renew it: browsers do not accept it");
    }
    if certificate.not_before > now {
        let message = format!("the certificate in `{}` is not valid yet", chain.get_ref());
        check.warning(chain.span(), message, "check the clock");
    }
    if certificate.names.is_empty() && !is_default {
        let message = format!("the certificate in `{}` is for no name, so that nobody is shown it", chain.get_ref());
        check.warning(chain.span(), message, "add `default = true`, or get one with alternative names");
    }
}

/// Whether others than the owner and its group may read the file.
pub(super) fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
