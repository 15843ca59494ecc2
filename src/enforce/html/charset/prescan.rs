//! What a page says of its own encoding (HTML, section 13.2.3.2).

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

const XML_DECLARATION: &[u8] = b"<?xml";

/// The encoding that the first valid `meta` declares. A longer page never has another one than its beginning: what is
/// cut off declares nothing.
pub(super) fn meta(page: &[u8]) -> Option<&'static Encoding> {
    if let Some(encoding) = utf16_declaration(page) {
        return Some(encoding);
    }
    let mut scan = Scan { rest: page };
    loop {
        match scan.rest {
            [b'<', b'!', b'-', b'-', ..] => {
                scan.skip(2);
                // The hyphens that open a comment may close it, too.
                let end = memchr::memmem::find(scan.rest, b"-->")?;
                scan.skip(end + 2);
            }
            [b'<', m, e, t, a, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r' | b'/', ..]
                if [*m, *e, *t, *a].eq_ignore_ascii_case(b"meta") =>
            {
                scan.skip(5);
                if let Some(encoding) = scan.declaration()? {
                    return Some(encoding);
                }
            }
            [b'<', letter, ..] | [b'<', b'/', letter, ..] if letter.is_ascii_alphabetic() => {
                scan.skip_until(|byte| byte.is_ascii_whitespace() || byte == b'>');
                while scan.attribute()?.is_some() {}
            }
            [b'<', b'!' | b'/' | b'?', ..] => {
                scan.skip_until(|byte| byte == b'>');
            }
            [] => return None,
            _ => {}
        }
        scan.skip(1);
    }
}

/// The encoding of an XML declaration at the very start.
pub(super) fn xml_declaration(page: &[u8]) -> Option<&'static Encoding> {
    if let Some(encoding) = utf16_declaration(page) {
        return Some(encoding);
    }
    let declaration = page.strip_prefix(XML_DECLARATION)?;
    let declaration = declaration.get(..memchr::memchr(b'>', declaration)?)?;
    let name = memchr::memmem::find(declaration, b"encoding")?;
    let value = trim_controls(declaration.get(name + b"encoding".len()..)?).strip_prefix(b"=")?;
    let (quote, value) = trim_controls(value).split_first()?;
    let label = matches!(quote, b'"' | b'\'').then(|| value.split(|byte| byte == quote).next())??;
    if label.len() == value.len() || label.iter().any(|byte| *byte <= b' ') {
        return None;
    }
    Encoding::for_label(label).map(readable)
}

/// Whether more of the page may show another XML declaration than there is now.
pub(super) fn may_be_xml_declaration(page: &[u8]) -> bool {
    let begins = |start: &[u8]| page.len() < start.len() && start.starts_with(page);
    let open = page.starts_with(XML_DECLARATION) && memchr::memchr(b'>', page).is_none();
    open || begins(XML_DECLARATION) || begins(b"<\0?\0x\0") || begins(b"\0<\0?\0x")
}

/// The start of an XML declaration in UTF-16 without a byte order mark.
fn utf16_declaration(page: &[u8]) -> Option<&'static Encoding> {
    let starts: [(&[u8], _); 2] = [(b"<\0?\0x\0", UTF_16LE), (b"\0<\0?\0x", UTF_16BE)];
    starts.into_iter().find(|(start, _)| page.starts_with(start)).map(|(_, encoding)| encoding)
}

fn trim_controls(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte > b' ').unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Who reads a declaration in ASCII cannot believe that it is UTF-16.
fn readable(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding }
}

struct Scan<'a> {
    rest: &'a [u8],
}

/// A name and a value as they stand.
type Attribute<'a> = (&'a [u8], &'a [u8]);

/// In all of these the outer `None` is the end of the page, at which the search ends without a finding.
impl<'a> Scan<'a> {
    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Goes on to a byte that `stop` agrees to; what was passed over.
    fn skip_until(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| stop(*byte)).unwrap_or(self.rest.len());
        let passed = self.rest.get(..end).unwrap_or_default();
        self.skip(end);
        passed
    }

    /// The encoding that the attributes of a `meta` declare, if they do.
    fn declaration(&mut self) -> Option<Option<&'static Encoding>> {
        let (mut pragma, mut content, mut charset) = (None, None, None);
        while let Some((name, value)) = self.attribute()? {
            let names: [(&[u8], _); 3] =
                [(b"http-equiv", &mut pragma), (b"content", &mut content), (b"charset", &mut charset)];
            if let Some((_, first)) = names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                first.get_or_insert(value);
            }
        }
        let is_pragma = pragma.is_some_and(|value| value.eq_ignore_ascii_case(b"content-type"));
        let label = match (charset, content) {
            (Some(label), _) => Some(label),
            (None, Some(content)) if is_pragma => label_in_content(content),
            _ => None,
        };
        let encoding = label.and_then(Encoding::for_label).map(readable);
        Some(encoding.map(|encoding| if encoding == X_USER_DEFINED { WINDOWS_1252 } else { encoding }))
    }

    /// The next attribute of a tag; the inner `None` at its end.
    fn attribute(&mut self) -> Option<Option<Attribute<'a>>> {
        self.skip_until(|byte| !byte.is_ascii_whitespace() && byte != b'/');
        let start = self.rest;
        if *start.first()? == b'>' {
            return Some(None);
        }
        // An equals sign in the first place belongs to the name.
        self.skip(1);
        let end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'=');
        let name = start.get(..1 + self.skip_until(end).len())?;
        if self.rest.first()?.is_ascii_whitespace() {
            self.skip_until(|byte| !byte.is_ascii_whitespace());
        }
        if *self.rest.first()? != b'=' {
            return Some(Some((name, b"")));
        }
        self.skip(1);
        self.skip_until(|byte| !byte.is_ascii_whitespace());
        let value = match *self.rest.first()? {
            quote @ (b'"' | b'\'') => {
                self.skip(1);
                let value = self.skip_until(|byte| byte == quote);
                self.rest.first()?;
                self.skip(1);
                value
            }
            _ => self.skip_until(|byte| byte.is_ascii_whitespace() || byte == b'>'),
        };
        self.rest.first()?;
        Some(Some((name, value)))
    }
}

/// The label in the `content` of a `meta` (HTML, "extracting a character encoding from a meta element").
fn label_in_content(content: &[u8]) -> Option<&[u8]> {
    let mut scan = Scan { rest: content };
    loop {
        let start = scan.rest.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset"))?;
        scan.skip(start + 7);
        scan.skip_until(|byte| !byte.is_ascii_whitespace());
        if scan.rest.first() == Some(&b'=') {
            break;
        }
    }
    scan.skip(1);
    scan.skip_until(|byte| !byte.is_ascii_whitespace());
    match *scan.rest.first()? {
        quote @ (b'"' | b'\'') => {
            scan.skip(1);
            let label = scan.skip_until(|byte| byte == quote);
            scan.rest.first().map(|_| label)
        }
        _ => Some(scan.skip_until(|byte| byte.is_ascii_whitespace() || byte == b';')),
    }
}
