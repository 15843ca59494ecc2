//! A visitor's connection that sends a response's header section together with the beginning of its body.
//!
//! pingora writes the two separately and relies on its streams to gather them, but a stream that we accepted ourselves
//! has no buffer, and each piece is a system call and a packet. Here what is written waits until somebody flushes, until
//! it is too much to be copied, or until the connection is read from, which is what pingora does whenever it has nothing
//! more to write for the moment. So nothing is held back from a visitor while an upstream thinks.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// More than this is not copied but sent at once, with what waits before it.
const LIMIT: usize = 16 << 10;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Coalesced {
    stream: L4Stream,
    /// Written by pingora, and not sent yet. Without an allocation whenever it is empty: idle connections are many.
    waiting: BytesMut,
}

impl Coalesced {
    pub fn new(stream: L4Stream) -> Self {
        Coalesced { stream, waiting: BytesMut::new() }
    }

    /// Sends what waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            self.sent(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes note of bytes that the socket accepted.
    fn sent(&mut self, bytes: usize) -> io::Result<()> {
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

impl AsyncWrite for Coalesced {
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
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Coalesced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A socket that is full wakes the task when it no longer is; reading goes on in the meantime.
        if let Poll::Ready(sent) = self.poll_send(context) {
            sent?;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Drop for Coalesced {
    /// What was written before an error ended the response is still for the visitor, as far as it can be sent at once.
    fn drop(&mut self) {
        _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
    }
}

#[async_trait]
impl Shutdown for Coalesced {
    async fn shutdown(&mut self) {
        // Fails only if the visitor is gone.
        AsyncWriteExt::shutdown(self).await.ok();
    }
}

impl UniqueID for Coalesced {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for Coalesced {}

impl Peek for Coalesced {}

impl GetTimingDigest for Coalesced {
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

impl GetProxyDigest for Coalesced {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Coalesced {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}
