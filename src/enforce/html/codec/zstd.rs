//! Zstandard (RFC 8878), by its reference implementation.

use ::zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use super::decoder::{DecodeError, Step};
use super::encoder::{EncodeError, Until};

/// The largest window that may be asked of who decodes a response: 8 MiB (RFC 9659).
const MAX_WINDOW_LOG: u32 = 23;
/// Little more than half the time of level 3, for 8 % more bytes.
const LEVEL: i32 = 1;
/// A window of 128 KiB holds most pages; the default of 512 KiB takes a quarter more time.
const WINDOW_LOG: u32 = 17;

const FRAME: u32 = 0xfd2f_b528;
/// The low four bits are free.
const SKIPPABLE_FRAME: u32 = 0x184d_2a50;

/// Decodes frames, one after the other.
pub(super) struct Decoder {
    context: DCtx<'static>,
    state: State,
}

enum State {
    /// Before a frame: as much of its magic number as there is. The library would also read formats from before the
    /// RFC, which no browser does.
    Magic {
        bytes: [u8; 4],
        held: usize,
    },
    Inside,
}

const BEFORE: State = State::Magic { bytes: [0; 4], held: 0 };

impl Decoder {
    pub fn new() -> Option<Self> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).ok()?;
        Some(Self { context, state: BEFORE })
    }

    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        match &mut self.state {
            State::Inside => self.run(input, output),
            State::Magic { bytes, held } => {
                let mut read = 0;
                for (place, byte) in bytes.iter_mut().skip(*held).zip(input) {
                    *place = *byte;
                    read += 1;
                }
                *held += read;
                let (magic, whole) = (*bytes, *held == bytes.len());
                let written = if whole { self.begin(magic, output)? } else { 0 };
                Ok(Step { read, written })
            }
        }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Magic { held: 0, .. })
    }

    fn begin(&mut self, magic: [u8; 4], output: &mut [u8]) -> Result<usize, DecodeError> {
        let number = u32::from_le_bytes(magic);
        if number != FRAME && number & !0xf != SKIPPABLE_FRAME {
            return Err(DecodeError::Corrupt);
        }
        self.state = State::Inside;
        Ok(self.run(&magic, output)?.written)
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        let (mut source, mut target) = (InBuffer::around(input), OutBuffer::around(output));
        let hint = self.context.decompress_stream(&mut target, &mut source).map_err(|_| DecodeError::Corrupt)?;
        if hint == 0 {
            self.state = BEFORE;
        }
        Ok(Step { read: source.pos(), written: target.pos() })
    }
}

pub(super) struct Encoder(CCtx<'static>);

impl Encoder {
    pub fn new() -> Option<Self> {
        let mut context = CCtx::try_create()?;
        context.set_parameter(CParameter::CompressionLevel(LEVEL)).ok()?;
        context.set_parameter(CParameter::WindowLog(WINDOW_LOG)).ok()?;
        Some(Self(context))
    }

    pub fn run(&mut self, input: &[u8], until: Until, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut source = InBuffer::around(input);
        loop {
            output.reserve(CCtx::out_size().min(input.len() / 2 + 1024));
            let end = output.len();
            let mut target = OutBuffer::around_pos(output, end);
            if source.pos() < input.len() {
                self.0.compress_stream(&mut target, &mut source).map_err(|_| EncodeError)?;
                continue;
            }
            let held = match until {
                Until::Full => 0,
                Until::Flushed => self.0.flush_stream(&mut target).map_err(|_| EncodeError)?,
                Until::Finished => self.0.end_stream(&mut target).map_err(|_| EncodeError)?,
            };
            if held == 0 {
                return Ok(());
            }
        }
    }
}
