//! Accepting connections, and handing each request on a connection to an HTTP application.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr as L4Address;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, IO, SocketDigest, Stream};
use std::os::fd::AsRawFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::coalesce::Coalesced;
use super::head::{Head, HeadError, HeadLimits, read_head};
use super::secured::handshake;
use crate::tls::Tls;

/// How long a connection that was refused may take to notice.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that are open, counted over all workers and bounded.
#[derive(Default)]
pub struct Connections {
    open: AtomicUsize,
}

impl Connections {
    /// Counts one more for as long as the guard lives; `None` if there are `limit` already.
    pub fn enter(self: &Arc<Self>, limit: usize) -> Option<ConnectionGuard> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        let guard = ConnectionGuard(self.clone());
        (before < limit).then_some(guard)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

/// One open connection.
pub struct ConnectionGuard(Arc<Connections>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A socket that listens, and whether TLS is spoken there.
pub struct Listener {
    pub socket: std::net::TcpListener,
    pub tls: Option<Arc<Tls>>,
}

/// A connection on which either kind of HTTP may be spoken.
pub(super) trait Wire: IO {
    /// Makes what was read from it be read again.
    fn put_back(&mut self, read: &[u8]);

    /// Whether this kind of HTTP may be spoken on it.
    fn carries(&self, head: &Head) -> bool;
}

impl Wire for L4Stream {
    fn put_back(&mut self, read: &[u8]) {
        self.rewind(read);
    }

    fn carries(&self, _head: &Head) -> bool {
        true
    }
}

/// What all connections of a listener have in common.
pub(super) struct Acceptor<A> {
    pub app: Arc<A>,
    pub limits: HeadLimits,
    pub max_connections: usize,
    pub requests_per_connection: u32,
    pub connections: Arc<Connections>,
    /// Called with the reason for each connection or request that is refused here.
    pub on_refused: Arc<dyn Fn(&'static str) + Send + Sync>,
}

/// Accepts on `listener` until `shutdown` turns true. Connections go on after that; `Connections` tells when they have
/// ended.
pub(super) async fn accept<A>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    acceptor: Arc<Acceptor<A>>,
    mut shutdown: watch::Receiver<bool>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(guard) = acceptor.connections.enter(acceptor.max_connections) else {
                    (acceptor.on_refused)("too_many_connections");
                    continue;
                };
                let (acceptor, tls, shutdown) = (acceptor.clone(), tls.clone(), shutdown.clone());
                tokio::spawn(async move {
                    serve_connection(stream, peer, tls, &acceptor, shutdown).await;
                    drop(guard);
                });
            }
            Err(error) => {
                // Out of file descriptors, most often: waiting lets others finish.
                log::warn!("accepting a connection failed: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection<A>(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    acceptor: &Acceptor<A>,
    shutdown: watch::Receiver<bool>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut stream = L4Stream::from(tcp);
    // Fails only on a socket that is dead already, which the first read will show.
    stream.set_nodelay().ok();
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    digest.peer_addr.set(Some(L4Address::Inet(peer))).ok();
    stream.set_socket_digest(digest);
    let Some(tls) = tls else { return serve_requests(stream, acceptor, shutdown).await };
    // Boxed, so that connections without TLS do not carry its state around.
    let secured = async {
        match handshake(stream, &tls.current(), acceptor.limits.time).await {
            Ok(stream) => serve_requests(stream, acceptor, shutdown).await,
            Err(reason) => tls.failed(reason),
        }
    };
    Box::pin(secured).await;
}

async fn serve_requests<A>(mut stream: impl Wire + 'static, acceptor: &Acceptor<A>, shutdown: watch::Receiver<bool>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    // One for all requests of the connection: waiting anew for each would cost more than the wait itself.
    let mut stopping = pin!(stopped(shutdown.clone()));
    let mut buffer = BytesMut::new();
    match next_head(&mut stream, &mut buffer, acceptor, stopping.as_mut()).await {
        Ok(head) if !stream.carries(&head) => {
            let error = HeadError::Malformed("this kind of HTTP was not agreed on");
            return refuse(stream, &error, acceptor).await;
        }
        Ok(Head::Http1) => {}
        Ok(Head::Http2) => {
            stream.put_back(&buffer);
            acceptor.app.process_new(Box::new(stream), &shutdown).await;
            return;
        }
        Err(error) => return refuse(stream, &error, acceptor).await,
    }
    let mut stream: Stream = Box::new(Coalesced::new(stream));
    let mut settings: Option<HttpPersistentSettings> = None;
    loop {
        let mut session = ServerSession::new_http1(stream);
        match settings.take() {
            Some(settings) => settings.apply_to_session(&mut session),
            None => session.set_keepalive_reuses_remaining(Some(acceptor.requests_per_connection)),
        }
        session.set_keepalive((!*shutdown.borrow()).then_some(acceptor.limits.idle.as_secs()));
        session.set_pipelined_prefix(std::mem::take(&mut buffer));
        let Some(reused) = acceptor.app.process_new_http(session, &shutdown).await else { return };
        (stream, settings) = reused.consume();
        if let Err(error) = next_head(&mut stream, &mut buffer, acceptor, stopping.as_mut()).await {
            return refuse(stream, &error, acceptor).await;
        }
    }
}

/// The next header section; a connection that waits for one is closed when the service stops.
async fn next_head<A>(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut BytesMut,
    acceptor: &Acceptor<A>,
    stopping: Pin<&mut impl Future<Output = ()>>,
) -> Result<Head, HeadError> {
    tokio::select! {
        biased;
        head = read_head(stream, buffer, &acceptor.limits) => head,
        () = stopping => Err(HeadError::Closed),
    }
}

/// Ends when the service stops. The caller is not to wait again after that.
async fn stopped(mut shutdown: watch::Receiver<bool>) {
    shutdown.wait_for(|stop| *stop).await.ok();
}

async fn refuse<A>(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    error: &HeadError,
    acceptor: &Acceptor<A>,
) {
    let Some((status, problem)) = error.answer() else { return };
    (acceptor.on_refused)(error.reason());
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{problem}\n",
        problem.len() + 1
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would reset the connection, and the visitor would not see the answer.
        let mut rest = [0u8; 4096];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    tokio::time::timeout(LINGER, told).await.ok();
}

/// Serves a small internal application (the admin pages, the demo's shop) until `shutdown` turns true.
pub async fn serve_http<A>(listener: TcpListener, app: A, shutdown: watch::Receiver<bool>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let acceptor = Acceptor {
        app: Arc::new(app),
        limits: HeadLimits { bytes: 64 << 10, time: Duration::from_secs(10), idle: Duration::from_secs(60) },
        max_connections: 1024,
        requests_per_connection: 10_000,
        connections: Arc::default(),
        on_refused: Arc::new(|_| {}),
    };
    accept(listener, None, Arc::new(acceptor), shutdown).await;
}
