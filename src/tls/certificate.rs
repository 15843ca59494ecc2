//! A chain of certificates and the key of its first, read from PEM.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a chain and a key cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("there is no PEM certificate in it")]
    NoCertificate,
    #[error("a certificate in it cannot be read: {0}")]
    Malformed(String),
    #[error("the key cannot be read: {0}")]
    Key(String),
    #[error("the key does not belong to the first certificate of the chain")]
    Mismatch,
}

/// The PEM certificates in a file, each of which is one indeed.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| CertificateError::Malformed(error.to_string()))?;
    chain.iter().try_for_each(|certificate| parsed(certificate).map(drop))?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    let parsed = X509Certificate::from_der(certificate.as_ref());
    parsed.map(|(_, certificate)| certificate).map_err(|error| CertificateError::Malformed(error.to_string()))
}

/// A chain, the certificate of the holder first, and the key that fits it.
pub struct KeyPair {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl KeyPair {
    /// Reads both from PEM. Fails unless the key fits.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let pair = KeyPair {
            chain: certificates(chain)?,
            key: PrivateKeyDer::from_pem_slice(key).map_err(|error| CertificateError::Key(error.to_string()))?,
        };
        pair.certified().map(|_| pair)
    }

    fn certified(&self) -> Result<CertifiedKey, CertificateError> {
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
            error => CertificateError::Key(error.to_string()),
        })
    }
}

/// What visitors are shown.
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The names that it is for, in small letters: `shop.example`, `*.shop.example`.
    pub names: Vec<Box<str>>,
    /// Unix time in seconds.
    pub not_before: i64,
    /// Unix time in seconds.
    pub not_after: i64,
    /// SHA-256 of it, in hexadecimal.
    pub fingerprint: String,
}

impl Certificate {
    /// Reads chain and key from PEM. Names are those of the extension for alternative names (RFC 6125, section 6.4).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let certified = KeyPair::from_pem(chain, key)?.certified()?;
        let leaf = certified.cert.first().cloned().ok_or(CertificateError::NoCertificate)?;
        let parsed = parsed(&leaf)?;
        let alternative = parsed.subject_alternative_name();
        let alternative = alternative.map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let general = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names = general.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
            _ => None,
        });
        let hash = digest(&SHA256, &leaf);
        Ok(Certificate {
            names: names.collect(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            fingerprint: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            key: Arc::new(certified),
        })
    }
}

impl PartialEq for Certificate {
    /// A certificate has one key only.
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair as NewKey};

    use super::*;

    /// Chain and key, in PEM.
    pub fn made_for(names: &[&str]) -> (String, String) {
        let key = NewKey::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn names_and_dates_are_those_of_the_first_certificate() {
        let (own, key) = made_for(&["Shop.Example", "*.shop.example", "127.0.0.1"]);
        let (issuer, _) = made_for(&["issuer.example"]);
        let certificate = Certificate::from_pem(format!("{own}{issuer}").as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(certificate.names, ["shop.example".into(), "*.shop.example".into()]);
        assert_eq!(certificate.key.cert.len(), 2);
        assert!(certificate.not_before < certificate.not_after);
        assert_eq!(certificate.fingerprint.len(), 64);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let ((chain, key), (other, other_key)) = (made_for(&["a.example"]), made_for(&["b.example"]));
        let error = |chain: &str, key: &str| Certificate::from_pem(chain.as_bytes(), key.as_bytes()).err().unwrap();
        assert_eq!(error(&chain, &other_key), CertificateError::Mismatch);
        assert_eq!(error(&format!("{other}{chain}"), &key), CertificateError::Mismatch);
        assert_eq!(error(&key, &key), CertificateError::NoCertificate);
        assert_eq!(error("", &key), CertificateError::NoCertificate);
        assert!(matches!(error(&chain, &chain), CertificateError::Key(_)));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(error(garbage, &key), CertificateError::Malformed(_)));
        assert!(matches!(error(&format!("{chain}{garbage}"), &key), CertificateError::Malformed(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(der in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, bit in 0u8..8) {
            _ = parsed(&CertificateDer::from(der));
            let (chain, _) = made_for(&["a.example"]);
            let mut der = certificates(chain.as_bytes()).unwrap()[0].to_vec();
            let at = at % der.len();
            der[at] ^= 1 << bit;
            _ = parsed(&CertificateDer::from(der));
        }
    }
}
