//! gzip and deflate, by zlib.

use flate2::{Decompress, FlushDecompress, Status};

use super::decoder::{DecodeError, Step};

/// The largest window of deflate (RFC 1951): 32 KiB.
pub(super) const WINDOW_BITS: u8 = 15;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Decodes members of gzip, or one stream of deflate. What follows the end is ignored, as browsers do.
pub(super) struct Inflate {
    gzip: bool,
    state: State,
    /// Whether a member has been read to its end.
    ended_once: bool,
}

enum State {
    /// Before a stream: the two bytes that tell what it is.
    Head {
        first: Option<u8>,
    },
    Inside(Decompress),
    Ended,
}

impl Inflate {
    pub fn gzip() -> Self {
        Self { gzip: true, state: State::Head { first: None }, ended_once: false }
    }

    pub fn deflate() -> Self {
        Self { gzip: false, ..Self::gzip() }
    }

    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        match &mut self.state {
            State::Head { first: None } => {
                self.state = State::Head { first: input.first().copied() };
                Ok(Step { read: input.len().min(1), written: 0 })
            }
            State::Head { first: Some(first) } => {
                let Some(second) = input.first() else { return Ok(Step::default()) };
                let head = [*first, *second];
                let written = self.begin(head, output)?;
                Ok(Step { read: 1, written })
            }
            State::Inside(stream) => {
                let (step, ended) = run(stream, input, output)?;
                if ended {
                    self.end();
                }
                Ok(step)
            }
            State::Ended => Ok(Step { read: input.len(), written: 0 }),
        }
    }

    pub fn is_complete(&self) -> bool {
        match self.state {
            State::Head { .. } => self.ended_once,
            State::Inside(_) => false,
            State::Ended => true,
        }
    }

    /// Begins the stream that has this head; the number of bytes that the head alone yields.
    fn begin(&mut self, head: [u8; 2], output: &mut [u8]) -> Result<usize, DecodeError> {
        if self.gzip && head != GZIP {
            self.state = State::Ended;
            return if self.ended_once { Ok(0) } else { Err(DecodeError::Corrupt) };
        }
        let mut stream =
            if self.gzip { Decompress::new_gzip(WINDOW_BITS) } else { Decompress::new(is_zlib_head(head)) };
        let (step, ended) = run(&mut stream, &head, output)?;
        if step.read != head.len() {
            return Err(DecodeError::Corrupt);
        }
        self.state = State::Inside(stream);
        if ended {
            self.end();
        }
        Ok(step.written)
    }

    fn end(&mut self) {
        self.ended_once = true;
        self.state = if self.gzip { State::Head { first: None } } else { State::Ended };
    }
}

/// Whether these are the compression method and flags of zlib (RFC 1950, section 2.2). Bare deflate begins like this
/// only if its first block is stored and has set bits where compressors leave zeros.
fn is_zlib_head(head: [u8; 2]) -> bool {
    let [method, _] = head;
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes(head).is_multiple_of(31)
}

/// What was read and written, and whether the stream has ended.
fn run(stream: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<(Step, bool), DecodeError> {
    let before = (stream.total_in(), stream.total_out());
    let status = stream.decompress(input, output, FlushDecompress::None).map_err(|_| DecodeError::Corrupt)?;
    let read = usize::try_from(stream.total_in() - before.0).map_err(|_| DecodeError::Corrupt)?;
    let written = usize::try_from(stream.total_out() - before.1).map_err(|_| DecodeError::Corrupt)?;
    Ok((Step { read, written }, status == Status::StreamEnd))
}
