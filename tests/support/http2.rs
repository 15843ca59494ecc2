//! HTTP/2 without TLS, as client and as origin.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

/// What came back.
pub struct Http2Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// Sends one request, with the body if there is one, on a connection of its own.
pub fn send(address: SocketAddr, request: Request<()>, body: Option<Vec<u8>>) -> Result<Http2Response, h2::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        let (response, mut sending) = client.send_request(request, body.is_none())?;
        if let Some(body) = body {
            sending.send_data(Bytes::from(body), true)?;
        }
        read(response.await?).await
    })
}

async fn read(response: Response<h2::RecvStream>) -> Result<Http2Response, h2::Error> {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let trailers = stream.trailers().await?;
    Ok(Http2Response { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}

/// An origin that speaks HTTP/2 only, and remembers the header sections it got.
pub struct Http2Origin {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Http2Origin {
    /// Echoes each request's body, after `headers`, and ends with `trailers`.
    pub fn start(headers: Vec<(&'static str, &'static str)>, trailers: Vec<(&'static str, &'static str)>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<http::request::Parts>>>::default();
        let log = received.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (log, headers, trailers) = (log.clone(), headers.clone(), trailers.clone());
                    tokio::spawn(async move {
                        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                        while let Some(Ok((request, respond))) = connection.accept().await {
                            let (log, headers, trailers) = (log.clone(), headers.clone(), trailers.clone());
                            tokio::spawn(echo(request, respond, log, headers, trailers));
                        }
                    });
                }
            });
        });
        Http2Origin { address, received }
    }

    pub fn received(&self) -> Vec<http::request::Parts> {
        self.received.lock().unwrap().clone()
    }
}

async fn echo(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    log: Arc<Mutex<Vec<http::request::Parts>>>,
    headers: Vec<(&'static str, &'static str)>,
    trailers: Vec<(&'static str, &'static str)>,
) {
    let (parts, mut body) = request.into_parts();
    log.lock().unwrap().push(parts);
    let mut response = Response::new(());
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    let mut sending = respond.send_response(response, false).unwrap();
    while let Some(Ok(chunk)) = body.data().await {
        body.flow_control().release_capacity(chunk.len()).unwrap();
        sending.send_data(chunk, false).unwrap();
    }
    if trailers.is_empty() {
        sending.send_data(Bytes::new(), true).unwrap();
    } else {
        let trailers = trailers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        sending.send_trailers(trailers.collect()).unwrap();
    }
}
