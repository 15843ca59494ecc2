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
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const CODED: [Coding; 4] = [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate];

    fn gzip(page: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(page: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(page: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(page: &[u8]) -> Vec<u8> {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(page: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        let parameters = ::brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
        ::brotli::BrotliCompress(&mut &page[..], &mut coded, &parameters).unwrap();
        coded
    }

    /// By what others encode with.
    fn one_shot(coding: Coding, page: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Identity => page.to_vec(),
            Coding::Gzip => gzip(page),
            Coding::Brotli => brotli(page),
            Coding::Zstd => zstd(page),
            Coding::Deflate => zlib(page),
        }
    }

    /// What came out, and how it ended.
    fn decode<'a>(
        coding: Coding,
        max_decoded: u64,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Result<(), DecodeError>) {
        let mut decoder = Decoder::new(coding, max_decoded).unwrap();
        let mut page = Vec::new();
        for chunk in chunks {
            let result = decoder.decode(chunk, |piece| {
                assert!(!piece.is_empty() && piece.len() <= PIECE.max(chunk.len()));
                page.extend_from_slice(piece);
                Ok::<_, DecodeError>(())
            });
            if result.is_err() {
                assert_eq!(decoder.finish(), result, "what has failed stays so");
                assert_eq!(decoder.decode(b"x", |_| unreachable!()), result, "nothing comes after a failure");
                return (page, result);
            }
        }
        let result = decoder.finish();
        (page, result)
    }

    fn whole(coding: Coding, body: &[u8]) -> (Vec<u8>, Result<(), DecodeError>) {
        decode(coding, MAX_DECODED, [body])
    }

    /// Something between text and noise.
    fn page(seed: u32, length: usize) -> Vec<u8> {
        let words =
            [&b"<div class=\"item\">"[..], b"</div>\n", b"consent", b"<a href=\"/p/", b"\xe4\xbd\xa0", b"0", b"1"];
        let mut state = seed | 1;
        let mut page = Vec::with_capacity(length + 20);
        while page.len() < length {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            page.extend_from_slice(words[state as usize % words.len()]);
            page.push((state >> 16) as u8);
        }
        page.truncate(length);
        page
    }

    #[test]
    fn each_coding_is_decoded() {
        for length in [0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 300_000] {
            let page = page(7, length);
            for coding in CODED.into_iter().chain([Coding::Identity]) {
                assert!(whole(coding, &one_shot(coding, &page)) == (page.clone(), Ok(())), "{coding:?} {length}");
            }
            assert!(whole(Coding::Deflate, &raw_deflate(&page)) == (page.clone(), Ok(())), "bare {length}");
        }
    }

    #[test]
    fn a_body_of_no_bytes_is_an_empty_page() {
        for coding in CODED {
            assert_eq!(decode(coding, MAX_DECODED, []), (vec![], Ok(())));
            assert_eq!(decode(coding, MAX_DECODED, [&b""[..]; 40]), (vec![], Ok(())));
        }
    }

    #[test]
    fn several_members_are_one_page() {
        let (first, second) = (page(1, 5000), page(2, 70_000));
        let both = [&first[..], &second].concat();
        let skippable = [0x5f_u8, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        for (coding, body) in [
            (Coding::Gzip, [gzip(&first), gzip(&second)].concat()),
            (Coding::Gzip, [gzip(&first), gzip(b""), gzip(&second)].concat()),
            (Coding::Zstd, [zstd(&first), zstd(&second)].concat()),
            (Coding::Zstd, [&skippable[..], &zstd(&first), &skippable, &zstd(&second), &skippable].concat()),
        ] {
            assert!(whole(coding, &body) == (both.clone(), Ok(())), "{coding:?}");
            assert!(decode(coding, MAX_DECODED, body.chunks(1)) == (both.clone(), Ok(())), "{coding:?} byte by byte");
        }
    }

    #[test]
    fn what_follows_the_end_is_ignored_as_browsers_do() {
        let page = page(3, 1000);
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Deflate] {
            for junk in [&b"\0\0\0"[..], b"\n", b"\x1f", b"\x1fx", b"<script>alert(1)</script>"] {
                let body = [&one_shot(coding, &page), junk].concat();
                assert_eq!(whole(coding, &body), (page.clone(), Ok(())), "{coding:?} {junk:?}");
                assert_eq!(decode(coding, MAX_DECODED, body.chunks(1)), (page.clone(), Ok(())), "{coding:?} {junk:?}");
            }
        }
        let cut = [&gzip(&page)[..], b"\x1f\x8b"].concat();
        assert_eq!(whole(Coding::Gzip, &cut), (page.clone(), Err(DecodeError::Truncated)), "a member has begun");
        assert_eq!(whole(Coding::Zstd, &[&zstd(&page)[..], b"\n\n\n\n"].concat()).1, Err(DecodeError::Corrupt));
        assert_eq!(whole(Coding::Zstd, &[&zstd(&page)[..], b"\n"].concat()).1, Err(DecodeError::Truncated));
    }

    #[test]
    fn what_is_cut_off_yields_a_beginning_and_an_error() {
        let page = page(4, 3000);
        let bare = (Coding::Deflate, raw_deflate(&page));
        for (coding, body) in CODED.map(|coding| (coding, one_shot(coding, &page))).into_iter().chain([bare]) {
            for end in 1..body.len() {
                let (decoded, result) = whole(coding, &body[..end]);
                assert!(page.starts_with(&decoded), "{coding:?} {end}");
                assert_eq!(result, Err(DecodeError::Truncated), "{coding:?} {end}");
            }
        }
    }

    #[test]
    fn what_is_corrupt_is_never_larger_and_fails_where_there_is_a_checksum() {
        let page = page(5, 3000);
        for coding in CODED {
            let body = one_shot(coding, &page);
            // gzip's header has bytes that mean nothing to a page; brotli has no checksum.
            let checked = match coding {
                Coding::Gzip => 10..body.len(),
                Coding::Brotli => 0..0,
                _ => 0..body.len(),
            };
            for at in 0..body.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut corrupt = body.clone();
                    corrupt[at] ^= flip;
                    let (decoded, result) = decode(coding, 10_000, corrupt.chunks(100));
                    assert!(decoded.len() <= 10_000);
                    assert!(result.is_err() || decoded == page || !checked.contains(&at), "{coding:?} {at} {flip}");
                    let at_once = decode(coding, 10_000, [&corrupt[..]]).1;
                    assert_eq!(result.is_err(), at_once.is_err(), "{coding:?} {at} {flip}, cut or whole");
                }
            }
        }
    }

    #[test]
    fn other_things_are_not_decoded() {
        for coding in CODED {
            let body = b"<!doctype html><title>not coded at all</title>";
            let (decoded, result) = whole(coding, body);
            assert!(result.is_err(), "{coding:?}");
            assert!(!decoded.starts_with(b"<!doctype"), "{coding:?}");
        }
        // The format of zstd 0.7, which the library reads as well.
        assert_eq!(whole(Coding::Zstd, &[0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0]).1, Err(DecodeError::Corrupt));
    }

    #[test]
    fn windows_beyond_what_browsers_allow_are_refused() {
        let frame = |log: u32| {
            let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&page(6, 100)).unwrap();
            encoder.flush().unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(whole(Coding::Zstd, &frame(23)), (page(6, 100), Ok(())));
        assert_eq!(whole(Coding::Zstd, &frame(24)), (vec![], Err(DecodeError::Corrupt)));
        // The mark of "large window" brotli.
        assert_eq!(whole(Coding::Brotli, &[0x11, 0x1e, 0x03]).1, Err(DecodeError::Corrupt));
    }

    #[test]
    fn bombs_are_stopped() {
        let zeros = vec![0; 16 << 20];
        for coding in CODED {
            let bomb = one_shot(coding, &zeros);
            let (decoded, result) = whole(coding, &bomb);
            assert_eq!(result, Err(DecodeError::Bomb), "{coding:?} of {} bytes", bomb.len());
            assert!(decoded.len() as u64 <= UNSUSPECTED.max(bomb.len() as u64 * MAX_RATIO), "{coding:?}");
            let (decoded, result) = decode(coding, 5000, [&one_shot(coding, &page(8, 100_000))[..]]);
            assert_eq!(result, Err(DecodeError::Bomb), "{coding:?}");
            assert!(decoded.len() <= 5000);
        }
        let bombs = gzip(&vec![0; 1 << 16]).repeat(200);
        assert_eq!(whole(Coding::Gzip, &bombs).1, Ok(()), "a ratio below 1000 passes");
        assert_eq!(decode(Coding::Gzip, 1 << 20, [&bombs[..]]).1, Err(DecodeError::Bomb));
        assert_eq!(
            decode(Coding::Identity, 10, [&zeros[..]]),
            (zeros.clone(), Ok(())),
            "identity makes nothing larger"
        );
    }

    #[test]
    fn a_sink_that_fails_ends_the_chunk() {
        let body = gzip(&page(9, 200_000));
        let mut decoder = Decoder::new(Coding::Gzip, MAX_DECODED).unwrap();
        let mut calls = 0;
        let result = decoder.decode(&body, |_| {
            calls += 1;
            Err(DecodeError::Truncated)
        });
        assert_eq!((result, calls), (Err(DecodeError::Truncated), 1));
    }

    #[test]
    fn a_decoder_can_be_moved_and_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Decoder>();
    }

    proptest! {
        #[test]
        fn any_chunks_decode_alike(
            seed in any::<u32>(),
            length in 0_usize..100_000,
            chunk in 1_usize..5000,
            coding in 0_usize..5,
        ) {
            let page = page(seed, length);
            let (coding, body) = match CODED.get(coding) {
                Some(coding) => (*coding, one_shot(*coding, &page)),
                None => (Coding::Deflate, raw_deflate(&page)),
            };
            let (decoded, result) = decode(coding, MAX_DECODED, body.chunks(chunk));
            prop_assert!(decoded == page);
            prop_assert_eq!(result, Ok(()));
        }

        #[test]
        fn any_bytes_are_decoded_within_bounds(
            body in proptest::collection::vec(any::<u8>(), 0..500),
            chunk in 1_usize..100,
            coding in 0_usize..4,
            head in any::<bool>(),
        ) {
            let coding = CODED[coding];
            let head = if head { one_shot(coding, b"<p>") } else { Vec::new() };
            let body = [&head[..head.len() * 2 / 3], &body].concat();
            let (decoded, result) = decode(coding, 100_000, body.chunks(chunk));
            prop_assert!(decoded.len() <= 100_000);
            let (at_once, result_at_once) = decode(coding, 100_000, [&body[..]]);
            prop_assert_eq!(result.is_err(), result_at_once.is_err());
            // What comes before an error in the same chunk need not come out.
            let one_begins_the_other = decoded.starts_with(&at_once) || at_once.starts_with(&decoded);
            prop_assert!(decoded == at_once || (result.is_err() && one_begins_the_other));
        }
    }
}
