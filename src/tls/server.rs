//! All that a handshake with a visitor depends on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certificate::Certificate;
use super::names::Names;

/// The least version of TLS that is spoken. There is none before 1.2 (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static ALL: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            MinVersion::Tls12 => &ALL,
            MinVersion::Tls13 => ALL.get(..1).unwrap_or_default(),
        }
    }
}

/// Whether visitors show certificates themselves, and who issues those.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for any.
    #[default]
    None,
    /// Whoever has none is served as well. One that is shown has to be valid.
    Optional(Arc<[CertificateDer<'static>]>),
    Required(Arc<[CertificateDer<'static>]>),
}

/// What is the same for all certificates.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub min_version: MinVersion,
    pub clients: ClientCertificates,
}

/// A certificate, and where it came from.
#[derive(Clone)]
pub struct ServedCertificate {
    /// The file of the chain as it is written in the configuration: what metrics and status call it.
    pub name: Box<str>,
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Whether it is shown to those whose name no certificate is for.
    pub is_default: bool,
    pub certificate: Arc<Certificate>,
}

impl PartialEq for ServedCertificate {
    fn eq(&self, other: &Self) -> bool {
        let places = |served: &Self| (served.name.clone(), served.chain.clone(), served.key.clone(), served.is_default);
        places(self) == places(other) && self.certificate == other.certificate
    }
}

/// How visitors are met. Immutable.
pub struct ServerTls {
    pub options: TlsOptions,
    pub certificates: Vec<ServedCertificate>,
    chooser: Arc<Chooser>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Fails if a certificate authority for visitors cannot be one.
    pub fn new(options: TlsOptions, certificates: Vec<ServedCertificate>) -> Result<Self, Error> {
        let mut chooser = Chooser { names: Names::default(), keys: Vec::with_capacity(certificates.len()) };
        for (position, served) in certificates.iter().enumerate() {
            chooser.names.add(position, &served.certificate.names, served.is_default);
            chooser.keys.push(served.certificate.key.clone());
        }
        let chooser = Arc::new(chooser);
        let config = Arc::new(server_config(&options, chooser.clone())?);
        Ok(ServerTls { options, certificates, chooser, config })
    }

    /// Whether there is a certificate for a visitor who asks for `name` (SNI; RFC 6066, section 3).
    pub fn answers_to(&self, name: Option<&str>) -> bool {
        !self.chooser.names.find(name).is_empty()
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options && self.certificates == other.certificates
    }
}

fn server_config(options: &TlsOptions, chooser: Arc<Chooser>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(options.min_version.versions())?;
    let (issuers, required) = match &options.clients {
        ClientCertificates::None => (None, false),
        ClientCertificates::Optional(issuers) => (Some(issuers), false),
        ClientCertificates::Required(issuers) => (Some(issuers), true),
    };
    let builder = match issuers {
        None => builder.with_no_client_auth(),
        Some(issuers) => {
            let mut roots = RootCertStore::empty();
            issuers.iter().try_for_each(|issuer| roots.add(issuer.clone()))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| Error::General(error.to_string()))?)
        }
    };
    let mut config = builder.with_cert_resolver(chooser);
    config.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0"].map(<[u8]>::to_vec).to_vec();
    // Sessions go on at any worker, and nothing about them is kept here.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(config)
}

/// Chooses the certificate for a visitor.
struct Chooser {
    names: Names,
    /// By position of the certificate.
    keys: Vec<Arc<CertifiedKey>>,
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chooser").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Chooser {
    /// Of several certificates for one name, the first that the visitor can check: there may be one for each kind of
    /// key.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = || self.names.find(hello.server_name()).iter().filter_map(|position| self.keys.get(*position));
        let usable = found().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        usable.or_else(|| found().next()).cloned()
    }
}
