//! A client that sends exactly what it is given and shows exactly what came back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One response.
#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    /// In order, as they were spelled.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the end of the body was marked by closing.
    pub closed: bool,
}

impl Response {
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Names of the cookies that are set, and not deleted.
    pub fn sets(&self) -> Vec<&str> {
        let set = self.all("set-cookie").into_iter().filter(|line| !line.contains("Max-Age=0;"));
        set.map(|line| line.split('=').next().unwrap()).collect()
    }

    /// `Set-Cookie` values that delete the cookie called `name`.
    pub fn deletions(&self, name: &str) -> Vec<&str> {
        self.all("set-cookie").into_iter().filter(|line| line.starts_with(&format!("{name}=; Max-Age=0;"))).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A connection.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Client::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Writes, not minding if the other side has had enough.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.reader.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// The next line without its end; `None` if the connection is closed.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line).unwrap_or(0);
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Status and header of the next response, interim ones included; `None` if the connection is closed.
    pub fn head(&mut self) -> Option<Response> {
        let status = self.line()?;
        let mut response =
            Response { status: status.split(' ').nth(1).unwrap().parse().unwrap(), ..Response::default() };
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            response.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Some(response)
    }

    /// The next response with its body. `head` is for answers to HEAD.
    pub fn response(&mut self, head: bool) -> Option<Response> {
        let mut response = self.head()?;
        if head || response.status < 200 || response.status == 204 || response.status == 304 {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some() {
            response.body = self.chunked();
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().unwrap();
            response.body = self.bytes(length);
        } else {
            response.closed = true;
            self.reader.read_to_end(&mut response.body).unwrap();
        }
        Some(response)
    }

    /// One chunk of a chunked body; `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(self.line()?.split(';').next().unwrap(), 16).unwrap();
        let chunk = self.bytes(size);
        self.line();
        (size > 0).then_some(chunk)
    }

    fn chunked(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.chunk()).flatten().collect()
    }

    /// Whether the other side closes without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.reader.read(&mut byte), Ok(0) | Err(_))
    }
}

/// Sends one request on a connection of its own.
pub fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let head = request.as_ref().starts_with(b"HEAD ");
    let mut client = Client::connect(address);
    client.write(request);
    client.response(head).expect("a response")
}

/// A GET with further fields.
pub fn get(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Response {
    send(address, request("GET", target, fields))
}

/// The bytes of a request without a body to `shop.example`.
pub fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let host = if fields.to_lowercase().contains("host: ") && !fields.to_lowercase().contains("-host: ") {
        ""
    } else {
        "Host: shop.example\r\n"
    };
    format!("{method} {target} HTTP/1.1\r\n{host}{fields}\r\n")
}
