//! From the page to the body that a client gets, chunk by chunk.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::inflate::WINDOW_BITS;
use super::{Coding, brotli, zstd};

/// Half the time of level 2, for a quarter more bytes.
const GZIP_LEVEL: u32 = 1;

/// The encoder has no memory left, or has been asked to go on after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body cannot be encoded")]
pub struct EncodeError;

/// How far an encoder is to go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Output may wait for more input.
    Full,
    /// Whoever gets the output so far can decode all of the input so far.
    Flushed,
    Finished,
}

enum Engine {
    Gzip(Compress),
    Brotli(brotli::Encoder),
    Zstd(zstd::Encoder),
}

/// Encodes one body, at levels at which a page costs little time. Each call has a price: gather what belongs together.
///
/// Encoders are not used again for another body: with a fast allocator a new one costs at most 20 µs more, and one that
/// waits holds up to half a megabyte.
pub struct Encoder {
    engine: Engine,
    finished: bool,
}

impl Encoder {
    /// `None` for identity, which needs no encoder; for deflate, which browsers disagree about; or if there is no
    /// memory.
    #[must_use]
    pub fn new(coding: Coding) -> Option<Self> {
        let engine = match coding {
            Coding::Identity | Coding::Deflate => return None,
            Coding::Gzip => Engine::Gzip(Compress::new_gzip(Compression::new(GZIP_LEVEL), WINDOW_BITS)),
            Coding::Brotli => Engine::Brotli(brotli::Encoder::new()),
            Coding::Zstd => Engine::Zstd(zstd::Encoder::new()?),
        };
        Some(Self { engine, finished: false })
    }

    /// Takes the next part of the page; appends to `output` what there is to send already.
    ///
    /// # Errors
    /// See [`EncodeError`]; the body cannot be completed then.
    pub fn encode(&mut self, page: &[u8], output: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.run(page, Until::Full, output)
    }

    /// Appends to `output` all that is needed to decode the page so far.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn flush(&mut self, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.run(&[], Until::Flushed, output)
    }

    /// Appends the end of the body. Nothing can be encoded after it.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.run(&[], Until::Finished, output)
    }

    fn run(&mut self, input: &[u8], until: Until, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.finished {
            return Err(EncodeError);
        }
        self.finished = until == Until::Finished;
        match &mut self.engine {
            Engine::Gzip(engine) => gzip(engine, input, until, output),
            Engine::Brotli(engine) => engine.run(input, until, output),
            Engine::Zstd(engine) => engine.run(input, until, output),
        }
    }
}

fn gzip(stream: &mut Compress, mut input: &[u8], until: Until, output: &mut Vec<u8>) -> Result<(), EncodeError> {
    let flush = match until {
        Until::Full => FlushCompress::None,
        Until::Flushed => FlushCompress::Sync,
        Until::Finished => FlushCompress::Finish,
    };
    loop {
        output.reserve(input.len() / 2 + 1024);
        let before = stream.total_in();
        let status = stream.compress_vec(input, output, flush).map_err(|_| EncodeError)?;
        let read = usize::try_from(stream.total_in() - before).map_err(|_| EncodeError)?;
        input = input.get(read..).unwrap_or_default();
        // Where room is left, nothing waits for it.
        let drained = input.is_empty() && output.len() < output.capacity();
        if status == Status::StreamEnd || (drained && until != Until::Finished) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
