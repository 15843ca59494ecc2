//! From the page to the body that a client gets, chunk by chunk.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::inflate::WINDOW_BITS;
use super::{Coding, brotli, zstd};

/// Half the time of level 2, for 28 % more bytes. Whoever reads nothing newer than gzip is rare.
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
/// An encoder is not kept for another body: with a fast allocator a new one costs at most 20 µs, and one that waits
/// would hold its memory, with a visitor's page in it.
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
mod tests {
    use proptest::prelude::*;

    use super::super::{DecodeError, Decoder, MAX_DECODED};
    use super::*;

    const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

    fn decode_with(decoder: &mut Decoder, body: &[u8]) -> Vec<u8> {
        let mut page = Vec::new();
        decoder
            .decode(body, |piece| -> Result<(), DecodeError> {
                page.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        page
    }

    /// By what others decode with.
    fn one_shot(coding: Coding, body: &[u8]) -> Vec<u8> {
        let mut page = Vec::new();
        match coding {
            Coding::Gzip => std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut page).map(drop).unwrap(),
            Coding::Brotli => ::brotli::BrotliDecompress(&mut &body[..], &mut page).unwrap(),
            _ => ::zstd::stream::copy_decode(body, &mut page).unwrap(),
        }
        page
    }

    #[test]
    fn only_what_browsers_agree_about_is_encoded() {
        for coding in CODINGS {
            assert!(Encoder::new(coding).is_some());
        }
        assert!(Encoder::new(Coding::Identity).is_none());
        assert!(Encoder::new(Coding::Deflate).is_none());
    }

    #[test]
    fn what_is_flushed_can_be_read_at_once() {
        for coding in CODINGS {
            let (mut encoder, mut decoder) =
                (Encoder::new(coding).unwrap(), Decoder::new(coding, MAX_DECODED).unwrap());
            for event in ["data: 1\n\n", "", "x", &"<p>row</p>".repeat(20_000)] {
                let mut sent = Vec::new();
                encoder.encode(event.as_bytes(), &mut sent).unwrap();
                encoder.flush(&mut sent).unwrap();
                encoder.flush(&mut sent).unwrap();
                assert!(decode_with(&mut decoder, &sent) == event.as_bytes(), "{coding:?}");
            }
            let mut end = Vec::new();
            encoder.finish(&mut end).unwrap();
            assert_eq!(decode_with(&mut decoder, &end), b"");
            assert_eq!(decoder.finish(), Ok(()));
            for result in [encoder.encode(b"x", &mut end), encoder.flush(&mut end), encoder.finish(&mut end)] {
                assert_eq!(result, Err(EncodeError), "nothing comes after the end");
            }
        }
    }

    #[test]
    fn an_empty_page_is_encoded() {
        for coding in CODINGS {
            let mut body = Vec::new();
            Encoder::new(coding).unwrap().finish(&mut body).unwrap();
            assert!(!body.is_empty());
            assert_eq!(one_shot(coding, &body), b"");
        }
    }

    #[test]
    fn pages_become_smaller() {
        let page: String =
            (0..2000).map(|n| format!("<li class=\"item\"><a href=\"/p/{n}\">{}</a></li>\n", n * 7919)).collect();
        for coding in CODINGS {
            let mut body = Vec::new();
            let mut encoder = Encoder::new(coding).unwrap();
            // As a rewriter writes: in scraps.
            for scrap in page.as_bytes().chunks(20) {
                encoder.encode(scrap, &mut body).unwrap();
            }
            encoder.finish(&mut body).unwrap();
            assert!(one_shot(coding, &body) == page.as_bytes());
            assert!(body.len() * 4 < page.len(), "{coding:?} leaves {} of {}", body.len(), page.len());
        }
    }

    #[test]
    fn an_encoder_can_be_moved_and_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Encoder>();
    }

    proptest! {
        #[test]
        fn any_page_in_any_chunks_comes_back(
            chunks in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..300),
                    ("[a-z<>/ ]{0,9}", 0_usize..4000).prop_map(|(text, times)| text.repeat(times).into_bytes()),
                ],
                0..8,
            ),
            flushes in any::<u8>(),
            coding in 0_usize..3,
        ) {
            let coding = CODINGS[coding];
            let mut encoder = Encoder::new(coding).unwrap();
            let mut body = b"before".to_vec();
            for (index, chunk) in chunks.iter().enumerate() {
                encoder.encode(chunk, &mut body).unwrap();
                if flushes & (1 << index) != 0 {
                    encoder.flush(&mut body).unwrap();
                }
            }
            encoder.finish(&mut body).unwrap();
            let body = body.strip_prefix(b"before").unwrap();
            prop_assert!(one_shot(coding, body) == chunks.concat());
            let mut decoder = Decoder::new(coding, MAX_DECODED).unwrap();
            let decoded = decode_with(&mut decoder, body);
            prop_assert!(decoded == chunks.concat());
            prop_assert_eq!(decoder.finish(), Ok(()));
        }
    }
}
