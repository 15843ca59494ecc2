//! Brotli (RFC 7932), by its port to Rust.

use ::brotli::enc::StandardAlloc;
use ::brotli::enc::encode::{
    BrotliEncoderOperation as Operation, BrotliEncoderParameter as Parameter, BrotliEncoderStateStruct,
};
use ::brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::decoder::{DecodeError, Step};
use super::encoder::{EncodeError, Until};

/// Qualities 0 and 1 write a block for every call, however small; 2 gathers until it is flushed.
const QUALITY: u32 = 2;
/// A window of 256 KiB: a larger one costs more time to set up than it saves on a page.
const WINDOW_BITS: u32 = 18;

/// Decodes one stream. What follows its end is ignored, as browsers do.
pub(super) struct Decoder {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    complete: bool,
}

impl Decoder {
    pub fn new() -> Self {
        // Strict: no windows beyond the 16 MiB of the RFC.
        let [bytes, words, codes] = [StandardAlloc::default(); 3];
        Self { state: Box::new(BrotliState::new_strict(bytes, words, codes)), complete: false }
    }

    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        if self.complete {
            return Ok(Step { read: input.len(), written: 0 });
        }
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            input,
            &mut room,
            &mut written,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => return Err(DecodeError::Corrupt),
            BrotliResult::ResultSuccess => self.complete = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { read, written })
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

pub(super) struct Encoder(Box<BrotliEncoderStateStruct<StandardAlloc>>);

impl Encoder {
    pub fn new() -> Self {
        let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
        state.set_parameter(Parameter::BROTLI_PARAM_QUALITY, QUALITY);
        state.set_parameter(Parameter::BROTLI_PARAM_LGWIN, WINDOW_BITS);
        Self(state)
    }

    pub fn run(&mut self, input: &[u8], until: Until, output: &mut Vec<u8>) -> Result<(), EncodeError> {
        let operation = match until {
            Until::Full => Operation::BROTLI_OPERATION_PROCESS,
            Until::Flushed => Operation::BROTLI_OPERATION_FLUSH,
            Until::Finished => Operation::BROTLI_OPERATION_FINISH,
        };
        let (mut unread, mut read) = (input.len(), 0);
        loop {
            // Without room of ours the encoder keeps its output, to be taken from it.
            let done = self.0.compress_stream(
                operation,
                &mut unread,
                input,
                &mut read,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| {},
            );
            if !done {
                return Err(EncodeError);
            }
            // What it lends is longer than what it says to have written.
            let mut written = 0;
            let lent = self.0.take_output(&mut written);
            output.extend_from_slice(lent.get(..written).ok_or(EncodeError)?);
            let ended = until != Until::Finished || self.0.is_finished();
            if unread == 0 && !self.0.has_more_output() && ended {
                return Ok(());
            }
        }
    }
}
