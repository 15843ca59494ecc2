//! How the body of a response is coded (RFC 9110, section 8.4), on the way in and on the way out.

mod brotli;
mod decoder;
mod encoder;
mod inflate;
mod negotiate;
mod zstd;

pub use decoder::{DecodeError, Decoder, MAX_DECODED};
pub use encoder::{EncodeError, Encoder};
pub use negotiate::{accepts_gzip, negotiate};

/// What an upstream is asked for where its answer may be rewritten: what is not compressed need not be decoded.
/// Upstreams may answer otherwise.
pub const UPSTREAM_ACCEPT_ENCODING: &str = "identity";

/// A content coding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Identity,
    /// `gzip` or `x-gzip` (RFC 1952).
    Gzip,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
    /// `deflate`: zlib (RFC 1950), or bare deflate (RFC 1951) as some servers send it and browsers read it.
    Deflate,
}

impl Coding {
    /// The name in `Content-Encoding`; `None` for identity, which is not named there.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Brotli => Some("br"),
            Coding::Zstd => Some("zstd"),
            Coding::Deflate => Some("deflate"),
        }
    }

    /// Names are compared without regard to case.
    fn from_name(name: &[u8]) -> Option<Self> {
        let names: [(&[u8], Coding); 6] = [
            (b"gzip", Coding::Gzip),
            (b"br", Coding::Brotli),
            (b"zstd", Coding::Zstd),
            (b"deflate", Coding::Deflate),
            (b"x-gzip", Coding::Gzip),
            (b"identity", Coding::Identity),
        ];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A name that is no coding we know. Browsers show such a body as it is.
    Unknown,
    /// More than one coding.
    Stacked,
}

/// The coding that the lines of `Content-Encoding` name (RFC 9110, section 8.4); identity if there is none.
///
/// # Errors
/// A coding that is not known, or more than one.
pub fn content_coding<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<Coding, Unsupported> {
    let names = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut found = Ok(Coding::Identity);
    for name in names.filter(|name| !name.is_empty()) {
        found = match (found, Coding::from_name(name)) {
            (found, Some(Coding::Identity)) => found,
            (Ok(Coding::Identity), coding) => coding.ok_or(Unsupported::Unknown),
            _ => Err(Unsupported::Stacked),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_read_from_all_lines_in_any_case() {
        for (lines, coding) in [
            (&[][..], Ok(Coding::Identity)),
            (&[""], Ok(Coding::Identity)),
            (&["identity"], Ok(Coding::Identity)),
            (&["gzip"], Ok(Coding::Gzip)),
            (&[" X-GZip\t"], Ok(Coding::Gzip)),
            (&["Br"], Ok(Coding::Brotli)),
            (&["zstd"], Ok(Coding::Zstd)),
            (&["deflate"], Ok(Coding::Deflate)),
            (&["identity, gzip,,", "identity"], Ok(Coding::Gzip)),
            (&["gzip, br"], Err(Unsupported::Stacked)),
            (&["gzip", "gzip"], Err(Unsupported::Stacked)),
            (&["gzip", "nonsense"], Err(Unsupported::Stacked)),
            (&["nonsense, gzip"], Err(Unsupported::Stacked)),
            (&["nonsense"], Err(Unsupported::Unknown)),
            (&["nonsense, identity"], Err(Unsupported::Unknown)),
            (&["gzip;q=1"], Err(Unsupported::Unknown)),
            (&["utf-8"], Err(Unsupported::Unknown)),
        ] {
            assert_eq!(content_coding(lines.iter().map(|line| line.as_bytes())), coding, "{lines:?}");
        }
    }
}
