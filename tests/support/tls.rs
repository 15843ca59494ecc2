//! Certificates of an authority of its own, and a client that tells whom it met.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::TestApp;

/// Issues certificates.
pub struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Issued {
    /// Writes `{stem}.crt` and `{stem}.key`.
    pub fn write(&self, directory: &Path, stem: &str) {
        std::fs::write(directory.join(format!("{stem}.crt")), &self.chain).unwrap();
        std::fs::write(directory.join(format!("{stem}.key")), &self.key).unwrap();
    }

    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Otherwise it would be called as those that it issues, and they seem to have issued themselves.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { certificate: params.self_signed(&key).unwrap(), key }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, 2050)
    }

    /// As [`Authority::issue`], valid until the beginning of `year`.
    pub fn issue_until(&self, names: &[&str], year: i32) -> Issued {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A proxy that has a certificate for `names` and serves `sites` by https, and in the clear at its first address.
    pub fn app(&self, names: &[&str], sections: &str, sites: &str) -> TestApp {
        let directory = tempfile::tempdir().unwrap();
        self.issue(names).write(directory.path(), "tls");
        TestApp::start_in(
            directory,
            &configuration("[[certificate]]\nchain = \"tls.crt\"\nkey = \"tls.key\"\n", sections, sites),
        )
    }

    /// Trusts this authority only, and knows no protocol but HTTP/1.1.
    pub fn client(&self) -> ClientConfig {
        self.builder().with_no_client_auth()
    }

    /// The same, and shows `issued` to those who ask for it.
    pub fn client_with(&self, issued: &Issued) -> ClientConfig {
        self.builder().with_client_auth_cert(vec![issued.der()], issued.key_der()).unwrap()
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_root_certificates(roots)
    }
}

/// The text of a configuration with a socket in the clear and one with TLS.
pub fn configuration(certificates: &str, sections: &str, sites: &str) -> String {
    let text = TestApp::configuration(&format!("{sections}\n{certificates}"), sites);
    text.replacen("traffic = ", "traffic_tls = [\"127.0.0.1:0\"]\ntraffic = ", 1)
}

/// A connection by TLS on which HTTP/1.1 is spoken.
pub struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    /// Fails as the handshake does.
    pub fn connect(address: SocketAddr, name: &str, config: ClientConfig) -> io::Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsClient { stream })
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    pub fn stream(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        &mut self.stream
    }

    /// Sends a request that is to be the last, and reads all that comes. Fails unless the end of it is marked by TLS.
    pub fn ask(mut self, request: &str) -> io::Result<String> {
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// The last GET on a connection.
pub fn last_get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}
