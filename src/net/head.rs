//! The header section of an HTTP/1 request, read as a whole before anything parses it.
//!
//! pingora waits for each read separately, so that a slow drip is accepted for ever, accepts sections of any size, and
//! lets pass what RFC 9112 forbids or smuggling lives on. Reading the section here gives one deadline, one bound and
//! one strict look; the bytes then go to pingora unchanged.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// How much is read at once.
const READ_SIZE: usize = 8 << 10;

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bounds of a header section.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    pub bytes: usize,
    /// From the first byte to the last.
    pub time: Duration,
    /// Until the first byte.
    pub idle: Duration,
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The visitor left, or had nothing to say for too long. Nobody waits for an answer.
    Closed,
    /// The section did not end in time.
    Timeout,
    TooLarge,
    /// What is wrong with it.
    Malformed(&'static str),
}

impl HeadError {
    /// Status code and reason for the answer; `None` where nobody waits for one.
    pub fn answer(&self) -> Option<(u16, &'static str)> {
        match self {
            HeadError::Closed => None,
            HeadError::Timeout => Some((408, "the request header did not arrive in time")),
            HeadError::TooLarge => Some((431, "the request header is too large")),
            HeadError::Malformed(problem) => Some((400, problem)),
        }
    }

    /// A name from a closed set, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            HeadError::Closed => "closed",
            HeadError::Timeout => "header_timeout",
            HeadError::TooLarge => "header_too_large",
            HeadError::Malformed(_) => "malformed",
        }
    }
}

/// What a connection starts with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A whole HTTP/1 header section, with whatever came after it.
    Http1,
    Http2,
}

/// Reads from `stream` into `buffer` until it holds a header section.
pub(super) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut BytesMut,
    limits: &HeadLimits,
) -> Result<Head, HeadError> {
    buffer.reserve(READ_SIZE);
    let first = timeout_at(Instant::now() + limits.idle, stream.read_buf(buffer)).await;
    if !matches!(first, Ok(Ok(1..))) {
        return Err(HeadError::Closed);
    }
    // Most requests arrive whole; only the others need a clock.
    let mut deadline = None;
    let mut searched = 0;
    loop {
        skip_empty_lines(buffer);
        if buffer.starts_with(HTTP2_PREFACE) {
            return Ok(Head::Http2);
        }
        if let Some(end) = find_end(buffer, searched) {
            if end > limits.bytes {
                return Err(HeadError::TooLarge);
            }
            check_head(buffer.get(..end).unwrap_or_default()).map_err(HeadError::Malformed)?;
            return Ok(Head::Http1);
        }
        if buffer.len() > limits.bytes {
            return Err(HeadError::TooLarge);
        }
        searched = buffer.len().saturating_sub(3);
        buffer.reserve(READ_SIZE);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + limits.time);
        match timeout_at(deadline, stream.read_buf(buffer)).await {
            Err(_) => return Err(HeadError::Timeout),
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(io::Error { .. })) => return Err(HeadError::Closed),
        }
    }
}

/// RFC 9112, section 2.2: empty lines before the request line are ignored.
fn skip_empty_lines(buffer: &mut BytesMut) {
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
}

/// The length of the header section, its empty line included. A bare line feed ends it, too, to be refused after.
fn find_end(buffer: &[u8], from: usize) -> Option<usize> {
    let tail = buffer.get(from..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|at| {
        let rest = tail.get(at + 1..)?;
        let empty = if rest.starts_with(b"\n") {
            1
        } else if rest.starts_with(b"\r\n") {
            2
        } else {
            return None;
        };
        Some(from + at + 1 + empty)
    })
}

/// Refuses what two parsers could understand differently (RFC 9112, sections 2.2, 3.2 and 6.1).
pub fn check_head(head: &[u8]) -> Result<(), &'static str> {
    let (mut host, mut length, mut encoding) = (false, false, false);
    let mut http11 = false;
    let mut start = 0;
    for (number, end) in memchr::memchr_iter(b'\n', head).enumerate() {
        let line = head.get(start..end).unwrap_or_default();
        start = end + 1;
        let Some(line) = line.strip_suffix(b"\r") else { return Err("a line of the request header ends without CR") };
        if number == 0 {
            http11 = line.ends_with(b"HTTP/1.1");
            continue;
        }
        match line.first() {
            Some(b'h' | b'H') => host |= is_field(line, b"host"),
            Some(b'c' | b'C') => length |= is_field(line, b"content-length"),
            Some(b't' | b'T') => encoding |= is_field(line, b"transfer-encoding"),
            _ => {}
        }
    }
    if length && encoding {
        return Err("the request has both Content-Length and Transfer-Encoding");
    }
    if http11 && !host {
        return Err("the request has no Host");
    }
    Ok(())
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) && line.get(name.len()) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { bytes: 256, time: Duration::from_millis(200), idle: Duration::from_millis(200) };

    async fn read(chunks: &[&[u8]]) -> (Result<Head, HeadError>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(64);
        let chunks: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        tokio::spawn(async move {
            for chunk in chunks {
                tokio::io::AsyncWriteExt::write_all(&mut far, &chunk).await.ok();
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        });
        let mut buffer = BytesMut::new();
        let head = read_head(&mut near, &mut buffer, &LIMITS).await;
        (head, buffer.to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn a_section_is_read_however_it_arrives() {
        let request = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for size in 1..request.len() {
            let chunks: Vec<&[u8]> = request.chunks(size).collect();
            let (head, buffer) = read(&chunks).await;
            assert_eq!(head, Ok(Head::Http1), "{size}");
            assert!(buffer.starts_with(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_large_or_odd_is_refused() {
        for (chunks, error) in [
            (&[&b"GET / HT"[..]][..], HeadError::Timeout),
            (&[], HeadError::Closed),
            (&[&[b'a'; 300]], HeadError::TooLarge),
            (&[b"GET / HTTP/1.1\r\n\r\n"], HeadError::Malformed("the request has no Host")),
            (&[b"GET / HTTP/1.1\nHost: a\n\n"], HeadError::Malformed("a line of the request header ends without CR")),
            (
                &[b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
                HeadError::Malformed("the request has both Content-Length and Transfer-Encoding"),
            ),
        ] {
            assert_eq!(read(chunks).await.0, Err(error));
        }
        assert_eq!(read(&[b"GET / HTTP/1.0\r\n\r\n"]).await.0, Ok(Head::Http1));
        assert_eq!(read(&[HTTP2_PREFACE]).await.0, Ok(Head::Http2));
    }
}
