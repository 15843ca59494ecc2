//! What a visitor's browser gets instead of a tracker's answer: the kind of thing it asked for, with nothing in it.

use http::HeaderMap;
use http::header::UPGRADE;

/// A whole small response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockAnswer {
    pub status: u16,
    pub content_type: Option<&'static str>,
    pub body: &'static [u8],
}

/// A transparent 1×1 GIF.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const NOTHING: BlockAnswer = BlockAnswer { status: 204, content_type: None, body: b"" };
const SCRIPT: BlockAnswer = BlockAnswer { status: 200, content_type: Some("text/javascript"), body: b"" };
const STYLE: BlockAnswer = BlockAnswer { status: 200, content_type: Some("text/css"), body: b"" };
const IMAGE: BlockAnswer = BlockAnswer { status: 200, content_type: Some("image/gif"), body: PIXEL };
const DOCUMENT: BlockAnswer = BlockAnswer {
    status: 200,
    content_type: Some("text/html; charset=utf-8"),
    body: b"<!doctype html><html lang=\"en\"><title>Blocked</title></html>",
};
/// A WebSocket that does not open.
const REFUSED: BlockAnswer = BlockAnswer { status: 403, content_type: None, body: b"" };

/// The answer for a request by what the browser will do with it: `Sec-Fetch-Dest` (Fetch Metadata, section 2.1) where
/// there is one, else method, `Accept` and extension.
pub fn block_answer(method: &str, path: &[u8], headers: &HeaderMap) -> BlockAnswer {
    if headers.contains_key(UPGRADE) {
        return REFUSED;
    }
    match headers.get("sec-fetch-dest").map(|value| value.as_bytes()) {
        Some(b"script" | b"worker" | b"sharedworker" | b"serviceworker" | b"audioworklet" | b"paintworklet") => SCRIPT,
        Some(b"image") => IMAGE,
        Some(b"style") => STYLE,
        Some(b"document" | b"iframe" | b"frame" | b"fencedframe" | b"object" | b"embed") => DOCUMENT,
        Some(_) => NOTHING,
        None if method != "GET" && method != "HEAD" => NOTHING,
        None => by_extension(path).unwrap_or_else(|| by_accept(headers)),
    }
}

fn by_extension(path: &[u8]) -> Option<BlockAnswer> {
    let file = path.rsplit(|b| *b == b'/').next()?;
    let extension = file.get(memchr::memrchr(b'.', file)? + 1..)?.to_ascii_lowercase();
    match extension.as_slice() {
        b"js" | b"mjs" => Some(SCRIPT),
        b"gif" | b"png" | b"jpg" | b"jpeg" | b"webp" | b"svg" | b"ico" => Some(IMAGE),
        b"css" => Some(STYLE),
        b"html" | b"htm" => Some(DOCUMENT),
        _ => None,
    }
}

fn by_accept(headers: &HeaderMap) -> BlockAnswer {
    let accept = headers.get(http::header::ACCEPT).map_or(&b""[..], |value| value.as_bytes());
    if accept.starts_with(b"image/") {
        IMAGE
    } else if memchr::memmem::find(accept, b"text/html").is_some() {
        DOCUMENT
    } else {
        NOTHING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_of_the_kind_that_was_asked_for() {
        for (method, path, header, answer) in [
            ("GET", "/t", ("sec-fetch-dest", "script"), SCRIPT),
            ("GET", "/t.js", ("sec-fetch-dest", "image"), IMAGE),
            ("GET", "/t", ("sec-fetch-dest", "iframe"), DOCUMENT),
            ("GET", "/t.js", ("sec-fetch-dest", "empty"), NOTHING),
            ("POST", "/t", ("sec-fetch-dest", "empty"), NOTHING),
            ("POST", "/t.js", ("accept", "*/*"), NOTHING),
            ("GET", "/a/T.JS", ("accept", "*/*"), SCRIPT),
            ("GET", "/matomo.php", ("accept", "image/avif,image/webp,*/*"), IMAGE),
            ("GET", "/matomo.php", ("accept", "text/html,*/*"), DOCUMENT),
            ("GET", "/matomo.php", ("accept", "*/*"), NOTHING),
            ("GET", "/ws", ("upgrade", "websocket"), REFUSED),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header.0, header.1.parse().unwrap());
            assert_eq!(block_answer(method, path.as_bytes(), &headers), answer, "{method} {path} {header:?}");
        }
    }
}
