//! Decoders and encoders: any bytes are decoded within bounds, however they are cut, and what is encoded comes back.
#![no_main]

use consentry::enforce::html::{Coding, DecodeError, Decoder, Encoder, content_coding, negotiate};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1 << 18;

fn decode(coding: Coding, body: &[u8], chunk: usize) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(coding, LIMIT).expect("memory");
    let mut page = Vec::new();
    for chunk in body.chunks(chunk) {
        let result = decoder.decode(chunk, |piece| {
            page.extend_from_slice(piece);
            Ok::<_, DecodeError>(())
        });
        if result.is_err() {
            return (page, result);
        }
    }
    let result = decoder.finish();
    (page, result)
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (coding, chunk, bytes) = input;
    let coding = [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate][usize::from(coding % 4)];
    let chunk = usize::from(chunk).max(1);
    let _ = (content_coding([bytes]), negotiate([bytes]));

    let (page, result) = decode(coding, bytes, chunk);
    let (at_once, result_at_once) = decode(coding, bytes, usize::MAX);
    assert!(page.len() as u64 <= LIMIT);
    // What comes before an error in the same chunk need not come out.
    assert_eq!(result.is_err(), result_at_once.is_err());
    assert!(page == at_once || (result.is_err() && (page.starts_with(&at_once) || at_once.starts_with(&page))));

    if let Some(mut encoder) = Encoder::new(coding) {
        let mut body = Vec::new();
        for (index, scrap) in bytes.chunks(chunk).enumerate() {
            encoder.encode(scrap, &mut body).expect("memory");
            if index % 3 == 0 {
                encoder.flush(&mut body).expect("memory");
            }
        }
        encoder.finish(&mut body).expect("memory");
        assert!(decode(coding, &body, chunk) == (bytes.to_vec(), Ok(())));
    }
});
