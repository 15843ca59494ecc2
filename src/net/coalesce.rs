//! A visitor's connection that sends a response's header section together with the beginning of its body.
//!
//! pingora writes the two separately and relies on its streams to gather them, but a stream that we accepted ourselves
//! has no buffer, so that each piece is a system call and a packet. Here what is written waits until somebody flushes,
//! until it is too much to be copied, or until the connection is read from, which is what pingora does whenever it has
//! nothing more to write for the moment. So nothing is held back from a visitor while an upstream thinks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// More than this is not copied but sent at once, with what waits before it.
const LIMIT: usize = 16 << 10;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Coalesced<S: IO> {
    stream: S,
    /// Written by pingora, and not sent yet. Without an allocation whenever it is empty: idle connections are many.
    waiting: BytesMut,
    /// Whether the stream was given something that it may not have sent: TLS takes more than the socket does.
    unflushed: bool,
}

impl<S: IO> Coalesced<S> {
    pub fn new(stream: S) -> Self {
        Coalesced { stream, waiting: BytesMut::new(), unflushed: false }
    }

    /// Sends what waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            self.sent(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// The same, and what the stream keeps itself.
    fn poll_flushed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes note of bytes that the stream accepted.
    fn sent(&mut self, bytes: usize) -> io::Result<()> {
        self.unflushed = true;
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if bytes < self.waiting.len() {
            self.waiting.advance(bytes);
        } else {
            self.waiting = BytesMut::new();
        }
        Ok(())
    }
}

impl<S: IO> AsyncWrite for Coalesced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.waiting.len();
            if waiting + bytes.len() <= LIMIT {
                self.waiting.extend_from_slice(bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            let this = &mut *self;
            let pieces = [IoSlice::new(&this.waiting), IoSlice::new(bytes)];
            let sent = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, &pieces))?;
            self.sent(sent)?;
            if sent > waiting {
                return Poll::Ready(Ok(sent - waiting));
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.waiting.len() + length <= LIMIT {
            pieces.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_send(context))?;
        self.unflushed = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: IO> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A socket that is full wakes the task when it no longer is; reading goes on in the meantime.
        if let Poll::Ready(sent) = self.poll_flushed(context) {
            sent?;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: IO> Drop for Coalesced<S> {
    /// What was written before an error ended the response is still for the visitor, as far as it can be sent at once.
    fn drop(&mut self) {
        _ = self.poll_flushed(&mut Context::from_waker(Waker::noop()));
    }
}

#[async_trait]
impl<S: IO> Shutdown for Coalesced<S> {
    async fn shutdown(&mut self) {
        // Fails only if the visitor is gone.
        AsyncWriteExt::shutdown(self).await.ok();
    }
}

impl<S: IO> UniqueID for Coalesced<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<S: IO> Ssl for Coalesced<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl<S: IO> Peek for Coalesced<S> {}

impl<S: IO> GetTimingDigest for Coalesced<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl<S: IO> GetProxyDigest for Coalesced<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for Coalesced<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use pingora::protocols::l4::stream::Stream as L4Stream;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// A connection, and the visitor's end of it.
    async fn connection() -> (Coalesced<L4Stream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (visitor, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Coalesced::new(L4Stream::from(accepted.unwrap().0)), visitor.unwrap())
    }

    /// What has arrived, after a moment in which more could.
    async fn arrived(visitor: &mut TcpStream) -> String {
        let mut text = vec![0; 2 * LIMIT];
        let read = timeout(Duration::from_millis(50), visitor.read(&mut text)).await;
        String::from_utf8(text[..read.map_or(0, Result::unwrap)].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_is_written_waits_for_a_flush() {
        let (mut stream, mut visitor) = connection().await;
        stream.write_all(b"head").await.unwrap();
        assert_eq!(stream.write_vectored(&[IoSlice::new(b"bo"), IoSlice::new(b"dy")]).await.unwrap(), 4);
        assert_eq!(arrived(&mut visitor).await, "");
        stream.flush().await.unwrap();
        assert_eq!(arrived(&mut visitor).await, "headbody");
        assert_eq!(stream.waiting.capacity(), 0);
    }

    #[tokio::test]
    async fn nothing_waits_while_we_wait_ourselves() {
        let (mut stream, mut visitor) = connection().await;
        stream.write_all(b"head").await.unwrap();
        assert!(timeout(Duration::from_millis(10), stream.read_u8()).await.is_err(), "the visitor says nothing");
        assert_eq!(arrived(&mut visitor).await, "head");
    }

    #[tokio::test]
    async fn what_is_large_goes_at_once_with_what_waits_before_it() {
        let (mut stream, mut visitor) = connection().await;
        let large = "x".repeat(LIMIT);
        stream.write_all(b"head").await.unwrap();
        stream.write_all(large.as_bytes()).await.unwrap();
        assert_eq!(arrived(&mut visitor).await, format!("head{large}"));
        stream.write_all(b"head").await.unwrap();
        let mut pieces: &mut [IoSlice] = &mut [IoSlice::new(b"body"), IoSlice::new(large.as_bytes())];
        while !pieces.is_empty() {
            let sent = stream.write_vectored(pieces).await.unwrap();
            IoSlice::advance_slices(&mut pieces, sent);
        }
        stream.flush().await.unwrap();
        let mut all = arrived(&mut visitor).await;
        all += &arrived(&mut visitor).await;
        assert_eq!(all, format!("headbody{large}"));
    }

    #[tokio::test]
    async fn the_end_of_the_connection_sends_what_waits() {
        let (mut stream, mut visitor) = connection().await;
        stream.write_all(b"head").await.unwrap();
        Shutdown::shutdown(&mut stream).await;
        assert_eq!(arrived(&mut visitor).await, "head");
        let (mut stream, mut visitor) = connection().await;
        stream.write_all(b"head").await.unwrap();
        drop(stream);
        assert_eq!(arrived(&mut visitor).await, "head");
    }

    #[tokio::test]
    async fn a_visitor_who_does_not_read_stops_the_writing_and_loses_nothing() {
        let (mut stream, mut visitor) = connection().await;
        let sent: Vec<u8> = (0..8_000_000u32).map(|byte| byte as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            // Pieces below, at and above the limit.
            for piece in sent.chunks(LIMIT * 3 + 7).flat_map(|part| part.chunks(LIMIT + 1)) {
                stream.write_all(piece).await.unwrap();
            }
            stream.flush().await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!writer.is_finished());
        let mut received = Vec::new();
        visitor.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        writer.await.unwrap();
    }
}
