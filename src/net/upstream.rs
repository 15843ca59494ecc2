//! The upstreams of a site: names resolved ahead of time, requests spread over the addresses in turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::first_read_yield::FirstReadYields;
use crate::config::{Limits, UpstreamAddress, UpstreamScheme, UpstreamTls};
use crate::tls::KeyPair;

/// A name is not waited for longer than this.
const RESOLVE_TIME: Duration = Duration::from_secs(5);

/// Streams that share one HTTP/2 connection to an upstream.
const STREAMS_PER_CONNECTION: usize = 100;

/// Keeps connections that were made for upgrades apart from all others.
const UPGRADE_GROUP: u64 = 1;

/// Why upstreams cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the upstream CA file of site `{site}` holds no usable certificate: {problem}")]
    Ca { site: String, problem: String },
}

/// The upstreams of one site.
pub struct Upstreams {
    configured: Vec<UpstreamAddress>,
    tls: PeerTls,
    limits: Limits,
    resolved: ArcSwap<Resolved>,
    next: AtomicUsize,
}

/// TLS towards all of them, as pingora takes it.
struct PeerTls {
    ca: Option<Arc<[WrappedX509]>>,
    server_name: Option<Box<str>>,
    client: Option<Arc<CertKey>>,
    verify: bool,
}

impl PeerTls {
    fn new(tls: &UpstreamTls) -> Result<Self, String> {
        Ok(PeerTls {
            ca: tls.ca.as_deref().map(certificates).transpose()?,
            server_name: tls.server_name.clone(),
            client: tls.client.as_deref().and_then(cert_key).map(Arc::new),
            verify: tls.verify,
        })
    }
}

/// What the names stood for when they were last asked.
#[derive(Default)]
struct Resolved {
    /// By position of the configured upstream.
    addresses: Vec<Vec<SocketAddr>>,
    /// One for each address, ready to be cloned.
    peers: Vec<HttpPeer>,
}

impl Upstreams {
    /// Nothing is resolved yet, except for addresses that are written as such.
    pub fn new(
        configured: Vec<UpstreamAddress>,
        tls: &UpstreamTls,
        limits: Limits,
        site: &str,
    ) -> Result<Self, UpstreamError> {
        let tls = PeerTls::new(tls).map_err(|problem| UpstreamError::Ca { site: site.to_owned(), problem })?;
        let upstreams = Upstreams { configured, tls, limits, resolved: ArcSwap::default(), next: AtomicUsize::new(0) };
        let literal = |address: &UpstreamAddress| Some(SocketAddr::new(address.host.parse().ok()?, address.port));
        upstreams.store(upstreams.configured.iter().map(|address| literal(address).into_iter().collect()).collect());
        Ok(upstreams)
    }

    /// The next peer in turn; `None` while no name is resolved. `upgrade` is for requests that may become a tunnel.
    pub fn next(&self, upgrade: bool) -> Option<Box<HttpPeer>> {
        let resolved = self.resolved.load();
        let peers = &resolved.peers;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut peer = peers.get(turn.checked_rem(peers.len())?).cloned().map(Box::new)?;
        if upgrade {
            peer.group_key = UPGRADE_GROUP;
            peer.options.custom_l4 = Some(Arc::new(FirstReadYields));
            peer.options.set_http_version(1, 1);
        }
        Some(peer)
    }

    /// How many addresses there are to try.
    pub fn len(&self) -> usize {
        self.resolved.load().peers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every name has an address.
    pub fn is_resolved(&self) -> bool {
        self.resolved.load().addresses.iter().all(|found| !found.is_empty())
    }

    /// Takes over what `earlier` knew, so that a reload does not wait for names that are known.
    pub fn inherit(&self, earlier: &Upstreams) {
        let (known, own) = (earlier.resolved.load(), self.resolved.load());
        let same = |address: &UpstreamAddress, other: &UpstreamAddress| {
            (&address.host, address.port) == (&other.host, other.port)
        };
        let inherited = self.configured.iter().zip(&own.addresses).map(|(address, own)| {
            let position = earlier.configured.iter().position(|other| same(address, other));
            let known = position.and_then(|position| known.addresses.get(position)).filter(|_| own.is_empty());
            known.unwrap_or(own).clone()
        });
        self.store(inherited.collect());
    }

    /// Resolves every name anew. One that does not resolve keeps the addresses it had.
    pub async fn resolve(&self) {
        let known = self.resolved.load_full();
        let mut addresses = Vec::with_capacity(self.configured.len());
        for (address, known) in self.configured.iter().zip(&known.addresses) {
            if address.host.parse::<std::net::IpAddr>().is_ok() {
                addresses.push(known.clone());
                continue;
            }
            let lookup = tokio::net::lookup_host((&*address.host, address.port));
            let found = match tokio::time::timeout(RESOLVE_TIME, lookup).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(error)) => {
                    log::warn!("the upstream {} does not resolve: {error}", address.host);
                    known.clone()
                }
                Err(_) => {
                    log::warn!("the upstream {} does not resolve in time", address.host);
                    known.clone()
                }
            };
            addresses.push(found);
        }
        self.store(addresses);
    }

    fn store(&self, mut addresses: Vec<Vec<SocketAddr>>) {
        for found in &mut addresses {
            found.sort_unstable();
            found.dedup();
        }
        if self.resolved.load().addresses == addresses {
            return;
        }
        let all = self.configured.iter().zip(&addresses);
        let peers =
            all.flat_map(|(upstream, found)| found.iter().map(|address| self.peer(upstream, *address))).collect();
        self.resolved.store(Arc::new(Resolved { addresses, peers }));
    }

    fn peer(&self, upstream: &UpstreamAddress, address: SocketAddr) -> HttpPeer {
        let tls = upstream.scheme == UpstreamScheme::Https;
        // A name in SNI is what the certificate is checked against, so it is never empty with TLS.
        let name = || self.tls.server_name.as_ref().unwrap_or(&upstream.host).to_string();
        let mut peer = HttpPeer::new(address, tls, if tls { name() } else { String::new() });
        peer.client_cert_key = self.tls.client.clone();
        let options = &mut peer.options;
        options.connection_timeout = Some(self.limits.connect);
        options.total_connection_timeout = Some(self.limits.connect);
        options.read_timeout = Some(self.limits.io);
        options.write_timeout = Some(self.limits.io);
        options.idle_timeout = Some(self.limits.upstream_idle);
        options.max_h2_streams = STREAMS_PER_CONNECTION;
        options.ca = self.tls.ca.clone();
        options.verify_cert = self.tls.verify;
        options.verify_hostname = self.tls.verify;
        match upstream.scheme {
            UpstreamScheme::Http => options.alpn = ALPN::H1,
            UpstreamScheme::Https => options.alpn = ALPN::H2H1,
            UpstreamScheme::H2c => options.set_http_version(2, 2),
        }
        peer
    }
}

/// `None` for a pair without a certificate, which there is none of: pingora would panic.
fn cert_key(pair: &KeyPair) -> Option<CertKey> {
    let chain: Vec<_> = pair.chain.iter().map(|certificate| certificate.to_vec()).collect();
    chain.first()?;
    Some(CertKey::new(chain, pair.key.secret_der().to_vec()))
}

fn certificates(pem: &[u8]) -> Result<Arc<[WrappedX509]>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|error| error.to_string())?;
    if parsed.is_empty() {
        return Err("there is no PEM certificate in it".to_owned());
    }
    let mut store = RootCertStore::empty();
    for certificate in &parsed {
        store.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    Ok(parsed.into_iter().map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509)).collect())
}
