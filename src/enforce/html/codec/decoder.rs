//! From the body as it was sent to the page, chunk by chunk.

use super::{Coding, brotli, inflate, zstd};

/// How much of a decoded body is ever asked for: 1 GiB. No page is as large; a bomb is larger.
pub const MAX_DECODED: u64 = 1 << 30;

/// Output is handed on in pieces of at most this many bytes.
const PIECE: usize = 32 * 1024;

/// A body that grows more than this many times is a bomb. Only runs of one and the same byte come near in deflate,
/// whose own bound is 1032. What is shorter than `UNSUSPECTED` is harmless at any ratio.
const MAX_RATIO: u64 = 1000;
const UNSUSPECTED: u64 = 1 << 20;

/// Why decoding ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not of the coding, or a checksum is wrong.
    #[error("the body is not of its content coding")]
    Corrupt,
    /// The body ends where its coding goes on.
    #[error("the coded body is cut off")]
    Truncated,
    /// The body grows beyond all measure.
    #[error("the decoded body is too large")]
    Bomb,
}

/// What one step of a coding has read and written.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    pub read: usize,
    pub written: usize,
}

enum Engine {
    Identity,
    Inflate(inflate::Inflate),
    Brotli(brotli::Decoder),
    Zstd(zstd::Decoder),
}

/// Decodes one body. What has failed once fails ever after.
pub struct Decoder {
    engine: Engine,
    /// What the sink is lent. Empty until there is something to decode.
    piece: Vec<u8>,
    max_decoded: u64,
    read: u64,
    written: u64,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder that refuses to produce more than `max_decoded` bytes; identity has no limit, as it makes nothing
    /// larger. `None` if there is no memory for it.
    #[must_use]
    pub fn new(coding: Coding, max_decoded: u64) -> Option<Self> {
        let engine = match coding {
            Coding::Identity => Engine::Identity,
            Coding::Gzip => Engine::Inflate(inflate::Inflate::gzip()),
            Coding::Deflate => Engine::Inflate(inflate::Inflate::deflate()),
            Coding::Brotli => Engine::Brotli(brotli::Decoder::new()),
            Coding::Zstd => Engine::Zstd(zstd::Decoder::new()?),
        };
        Some(Self { engine, piece: Vec::new(), max_decoded, read: 0, written: 0, failed: None })
    }

    /// Decodes the next chunk of the body. All that can be known of the page from the chunks so far has gone to `sink`
    /// when this returns, in pieces of at most 32 KiB (identity: of at most the chunk itself).
    ///
    /// # Errors
    /// The body is corrupt or a bomb; or `sink` fails, after which the rest of the chunk is lost.
    pub fn decode<E: From<DecodeError>>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        if matches!(self.engine, Engine::Identity) {
            return if chunk.is_empty() { Ok(()) } else { sink(chunk) };
        }
        let mut rest = chunk;
        let mut more = !rest.is_empty();
        while more {
            let step = self.step(rest).inspect_err(|error| self.failed = Some(*error))?;
            rest = rest.get(step.read..).unwrap_or_default();
            // Where a piece is full there may be more behind it, even if everything has been read.
            more = !rest.is_empty() || step.written == PIECE;
            match self.piece.get(..step.written) {
                Some(piece) if !piece.is_empty() => sink(piece)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the body may end here. A body of no bytes is no page at all, in any coding.
    ///
    /// # Errors
    /// The body is cut off, or has failed before.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        let complete = match &self.engine {
            Engine::Identity => true,
            Engine::Inflate(engine) => engine.is_complete(),
            Engine::Brotli(engine) => engine.is_complete(),
            Engine::Zstd(engine) => engine.is_complete(),
        };
        if self.failed.is_none() && self.read > 0 && !complete {
            self.failed = Some(DecodeError::Truncated);
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn step(&mut self, input: &[u8]) -> Result<Step, DecodeError> {
        self.piece.resize(PIECE, 0);
        let step = match &mut self.engine {
            Engine::Identity => Step { read: input.len(), written: 0 },
            Engine::Inflate(engine) => engine.step(input, &mut self.piece)?,
            Engine::Brotli(engine) => engine.step(input, &mut self.piece)?,
            Engine::Zstd(engine) => engine.step(input, &mut self.piece)?,
        };
        self.read += step.read as u64;
        self.written += step.written as u64;
        let suspect = self.written > UNSUSPECTED && self.written / MAX_RATIO > self.read;
        if suspect || self.written > self.max_decoded {
            return Err(DecodeError::Bomb);
        }
        // A coding that neither reads nor writes would be asked for ever.
        if step.read == 0 && step.written == 0 && !input.is_empty() {
            return Err(DecodeError::Corrupt);
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests;
