//! A visitor's connection by TLS, agreed on within a deadline.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use rustls::Error;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::accept::Wire;
use super::head::Head;
use crate::tls::ServerTls;

/// A fatal alert in a record of its own: `unrecognized_name` (RFC 8446, sections 5.1 and 6.2).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Agrees on TLS over `stream`, in `time` in all. Fails with a reason from a closed set.
pub(super) async fn handshake(stream: L4Stream, tls: &ServerTls, time: Duration) -> Result<Secured, &'static str> {
    tokio::time::timeout(time, agree(stream, tls)).await.unwrap_or(Err("timeout"))
}

async fn agree(stream: L4Stream, tls: &ServerTls) -> Result<Secured, &'static str> {
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| reason(&error))?;
    if !tls.answers_to(start.client_hello().server_name()) {
        // rustls itself would say `access_denied`.
        start.io.write_all(&UNRECOGNIZED_NAME).await.ok();
        AsyncWriteExt::shutdown(&mut start.io).await.ok();
        return Err("unrecognized_name");
    }
    start.into_stream(tls.config()).await.map(Secured::new).map_err(|error| reason(&error))
}

/// Why there was no agreement.
fn reason(error: &io::Error) -> &'static str {
    log::debug!("a handshake failed: {error}");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        None => "closed",
        Some(Error::InvalidMessage(_)) => "not_tls",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "nothing_in_common",
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => "client_certificate",
        Some(Error::AlertReceived(_)) => "refused_by_client",
        Some(_) => "other",
    }
}

/// A connection by TLS.
pub(super) struct Secured {
    stream: TlsStream<L4Stream>,
    /// Read already, and to be read again.
    put_back: Bytes,
    digest: Arc<SslDigest>,
}

impl Secured {
    fn new(stream: TlsStream<L4Stream>) -> Self {
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or_default();
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        // Whom a visitor's certificate names is nobody's business here.
        let digest = Arc::new(SslDigest::new(cipher, version, None, None, Vec::new()));
        Secured { stream, put_back: Bytes::new(), digest }
    }

    fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

impl Wire for Secured {
    fn put_back(&mut self, read: &[u8]) {
        self.put_back = Bytes::copy_from_slice(read);
    }

    /// HTTP/2 is spoken if, and only if, it was agreed on (RFC 9113, section 3.2).
    fn carries(&self, head: &Head) -> bool {
        self.is_http2() == (*head == Head::Http2)
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.put_back.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.put_back.len().min(buffer.remaining());
        buffer.put_slice(self.put_back.get(..count).unwrap_or_default());
        self.put_back.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Secured {
    async fn shutdown(&mut self) {
        // Fails only if the visitor is gone.
        AsyncWriteExt::shutdown(self).await.ok();
    }
}

impl UniqueID for Secured {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().0.as_raw_fd()
    }
}

impl Ssl for Secured {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(self.digest.clone())
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_http2().then_some(ALPN::H2)
    }
}

impl Peek for Secured {}

impl GetTimingDigest for Secured {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_ref().0.get_timing_digest()
    }
}

impl GetProxyDigest for Secured {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_ref().0.get_proxy_digest()
    }
}

impl GetSocketDigest for Secured {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_ref().0.get_socket_digest()
    }
}
