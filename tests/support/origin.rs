//! Origins: real servers on free ports, on threads of their own, that answer by a function and remember what they got.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What an origin received.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// In order, as they were spelled.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// A running origin.
pub struct Origin {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Request>>>,
}

impl Origin {
    /// Answers each request with the bytes that `answer` makes; connections are kept open.
    pub fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let received = Arc::<Mutex<Vec<Request>>>::default();
        let log = received.clone();
        let address = serve(move |stream| {
            let mut reader = BufReader::new(stream);
            while let Some(request) = read_request(&mut reader) {
                log.lock().unwrap().push(request.clone());
                let bytes = answer(&request);
                if bytes.is_empty() || reader.get_mut().write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Origin { address, received }
    }

    /// Always answers 200 with these further fields and a short body.
    pub fn with_headers(fields: &[(&str, &str)]) -> Self {
        let response = respond_with(200, fields, "hello");
        Origin::start(move |_| response.clone())
    }

    /// Does whatever `script` does with each connection.
    pub fn scripted(script: impl Fn(BufReader<TcpStream>) + Send + Sync + 'static) -> Self {
        Origin { address: serve(move |stream| script(BufReader::new(stream))), received: Arc::default() }
    }

    /// Everything that was received so far.
    pub fn received(&self) -> Vec<Request> {
        self.received.lock().unwrap().clone()
    }

    /// The last request.
    pub fn last(&self) -> Request {
        self.received().last().expect("a request reached the origin").clone()
    }

    pub fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

/// Does `connection` with each connection, on a thread of its own.
pub fn serve(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = Arc::new(connection);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = connection.clone();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || connection(stream));
        }
    });
    address
}

/// The next request of a connection, with its body; `None` at the end.
pub fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).ok()?;
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    };
    let start = line()?;
    let mut parts = start.split(' ');
    let mut request =
        Request { method: parts.next()?.to_owned(), target: parts.next()?.to_owned(), ..Request::default() };
    loop {
        let field = line()?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':')?;
        request.headers.push((name.to_owned(), value.trim_start().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

/// A response with a body and nothing special.
pub fn respond(status: u16, body: &str) -> Vec<u8> {
    respond_with(status, &[], body)
}

pub fn respond_with(status: u16, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if status == 204 || status == 304 || status < 200 {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    format!("HTTP/1.1 {status} Reason\r\n{fields}{length}\r\n{body}").into_bytes()
}
