//! What a site does passes unharmed: uploads, streams, events, tunnels, upstreams of every kind.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::client::request;
use crate::support::http2::{self, Http2Origin};
use crate::support::origin::read_request;
use crate::support::{Client, Origin, TestApp, get, respond, send, site};

#[test]
fn uploads_arrive_whole_however_they_are_framed() {
    let origin = Origin::start(|request| {
        respond(200, &format!("{} {}", request.body.len(), request.body.iter().map(|b| u64::from(*b)).sum::<u64>()))
    });
    let app = TestApp::start(&site(origin.address, ""));
    let body: Vec<u8> = (0..3_000_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let expected = format!("{} {}", body.len(), body.iter().map(|b| u64::from(*b)).sum::<u64>());
    let plain = [request("POST", "/up", &[("Content-Length", &body.len().to_string())]).as_bytes(), &body].concat();
    assert_eq!(send(app.address, plain).text(), expected);
    let mut chunked = request("POST", "/up", &[("Transfer-Encoding", "chunked")]).into_bytes();
    for chunk in body.chunks(70_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(send(app.address, chunked).text(), expected);
    let request = http::Request::post(format!("http://{}/up", app.address)).body(()).unwrap();
    assert_eq!(http2::send(app.address, request, Some(body[..60_000].to_vec())).unwrap().body, {
        let part = &body[..60_000];
        format!("{} {}", part.len(), part.iter().map(|b| u64::from(*b)).sum::<u64>()).into_bytes()
    });
}

#[test]
fn downloads_stream_without_being_held() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let stream = reader.get_mut();
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(700));
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    let begin = Instant::now();
    client.write(request("GET", "/", &[]));
    client.head().unwrap();
    assert_eq!(client.chunk().unwrap(), b"first");
    assert!(begin.elapsed() < Duration::from_millis(500), "the first part did not wait for the last");
    assert_eq!(client.chunk().unwrap(), b"last");
    assert_eq!(client.chunk(), None);
}

#[test]
fn sse_event_is_delivered_without_waiting_for_the_next() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let stream = reader.get_mut();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: _ga=1\r\n\r\n").unwrap();
        for number in 0..3 {
            if stream.write_all(format!("data: {number}\n\n").as_bytes()).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(400));
        }
        std::thread::sleep(Duration::from_secs(5));
    });
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("GET", "/events", &[("Accept", "text/event-stream")]));
    assert!(client.head().unwrap().sets().is_empty());
    let mut last = Instant::now();
    for number in 0..3 {
        // Sizes of chunks stand between the events.
        let event = format!("data: {number}");
        while client.line().expect("the stream goes on") != event {}
        assert!(last.elapsed() < Duration::from_millis(900), "event {number}");
        last = Instant::now();
    }
}

#[test]
fn websocket_messages_pass_both_ways() {
    use futures_util::{SinkExt, StreamExt};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && socket.send(message).await.is_err() {
                    return;
                }
            }
        });
    });
    let app = TestApp::start(&site(origin, ""));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/chat", app.address)).await.unwrap();
        for text in ["hello", "again", &"x".repeat(100_000)] {
            socket.send(text.into()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), text);
        }
        socket.close(None).await.unwrap();
    });
}

#[test]
fn websocket_loopback_500_tunnels_none_lost() {
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let stream = reader.get_mut();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .unwrap();
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    });
    let app = TestApp::start(&site(origin.address, ""));
    let address = app.address;
    let workers: Vec<_> = (0..10)
        .map(|worker| {
            std::thread::spawn(move || {
                let tunnels = (0..50).filter(|number| {
                    let mut client = Client::connect(address);
                    client.stream().set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    client.write(request("GET", "/ws", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]));
                    let message = format!("tunnel {worker:03} {number:03}");
                    if client.head().is_none_or(|response| response.status != 101) {
                        return false;
                    }
                    client.write(&message);
                    let mut echo = vec![0; message.len()];
                    let mut filled = 0;
                    while filled < echo.len() {
                        match client.stream().read(&mut echo[filled..]) {
                            Ok(read @ 1..) => filled += read,
                            _ => return false,
                        }
                    }
                    echo == message.as_bytes()
                });
                tunnels.count()
            })
        })
        .collect();
    let alive: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(alive, 500);
}

#[test]
fn http2_and_http1_visitors_are_served_on_one_port() {
    let origin = Origin::with_headers(&[("Set-Cookie", "_ga=1"), ("Set-Cookie", "PHPSESSID=2")]);
    let app = TestApp::start(&site(origin.address, ""));
    let request = http::Request::get(format!("http://{}/x?gclid=1&a=2", app.address)).body(()).unwrap();
    let response = http2::send(app.address, request, None).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    let cookies: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["PHPSESSID=2"]);
    assert_eq!(origin.last().target, "/x?a=2");
    assert_eq!(get(app.address, "/", &[]).text(), "hello");
    let blocked = http::Request::get(format!("http://{}/g/collect?v=2", app.address)).body(()).unwrap();
    assert_eq!(http2::send(app.address, blocked, None).unwrap().status, 204);
}

#[test]
fn h2c_upstream_carries_bodies_and_trailers() {
    let origin = Http2Origin::start(vec![("x-upstream", "h2")], vec![("grpc-status", "0")]);
    let app = TestApp::start(&site(origin.address, "").replace("http://", "h2c://"));
    let request =
        http::Request::post(format!("http://{}/svc/Method", app.address)).header("te", "trailers").body(()).unwrap();
    let response = http2::send(app.address, request, Some(b"message".to_vec())).unwrap();
    assert_eq!(response.headers.get("x-upstream").unwrap(), "h2");
    assert_eq!(response.body, b"message");
    assert_eq!(response.trailers.unwrap().get("grpc-status").unwrap(), "0");
    assert_eq!(get(app.address, "/", &[]).status, 200, "and visitors by HTTP/1.1");
}

#[test]
fn tls_upstream_is_verified() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = vec![certificate.cert.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.key_pair.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut buffer = [0; 4096];
                assert!(stream.read(&mut buffer).await.unwrap_or(0) > 0);
                stream.write_all(&respond(200, "secret")).await.ok();
                stream.shutdown().await.ok();
            }
        });
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), certificate.cert.pem()).unwrap();
    let upstream = |extra: &str| {
        format!("[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"https://localhost:{port}\"]\n{extra}")
    };
    let trusting =
        TestApp::start_in(directory, &TestApp::configuration("", &upstream("[site.upstream_tls]\nca = \"ca.pem\"")));
    let response = get(trusting.address, "/", &[]);
    assert_eq!((response.status, response.text()), (200, "secret".to_owned()));
    let doubting = TestApp::start(&upstream(""));
    let response = get(doubting.address, "/", &[]);
    assert_eq!(response.status, 502);
    assert!(response.text().contains("could not be trusted"), "{}", response.text());
}

#[test]
fn several_upstreams_take_turns_and_a_dead_one_is_skipped() {
    let (one, two) = (Origin::start(|_| respond(200, "1")), Origin::start(|_| respond(200, "2")));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sites = format!(
        "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"http://{}\", \"http://{}\", \"http://{dead}\"]\n",
        one.address, two.address
    );
    let app = TestApp::start(&sites);
    for _ in 0..12 {
        assert_eq!(get(app.address, "/", &[]).status, 200);
    }
    assert!(one.count() >= 4 && two.count() >= 4, "{} {}", one.count(), two.count());
}

#[test]
fn names_of_upstreams_are_resolved() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, "").replace("127.0.0.1", "localhost"));
    // `localhost` may be two addresses, of which the origin listens on one.
    assert_eq!(get(app.address, "/", &[]).text(), "hello");
}

#[test]
fn upstream_hostname_failure_is_502_not_panic() {
    let app =
        TestApp::start("[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"http://no-such-host.invalid:80\"]\n");
    let response = get(app.address, "/", &[]);
    assert_eq!(response.status, 502);
    assert!(response.text().contains("does not resolve"), "{}", response.text());
    app.expect_metric("consentry_upstream_errors_total{reason=\"unresolved\",site=\"shop\"}", 1.0);
    app.expect_metric("consentry_panics_total", 0.0);
}

#[test]
fn an_upstream_that_is_down_resets_stalls_or_talks_garbage_is_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reset = Origin::scripted(|mut reader| {
        read_request(&mut reader);
    });
    let stalling = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        std::thread::sleep(Duration::from_secs(10));
    });
    let garbage = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        reader.get_mut().write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").unwrap();
    });
    for (address, status, reason, word) in [
        (closed, 502, "connect_refused", "not listening"),
        (reset.address, 502, "connection_lost", "closed the connection"),
        (stalling.address, 504, "timeout", "in time"),
        (garbage.address, 502, "invalid_response", "not HTTP"),
    ] {
        let app = TestApp::start_with("[limits]\nio_seconds = 1\n", &site(address, ""));
        let response = get(app.address, "/", &[]);
        assert_eq!(response.status, status, "{reason}");
        assert!(response.text().contains(word), "{reason}: {}", response.text());
        app.expect_metric(&format!("consentry_upstream_errors_total{{reason=\"{reason}\",site=\"shop\"}}"), 1.0);
    }
}

#[test]
fn stale_pooled_connection_retries_get_not_post() {
    let origin = Origin::scripted(|mut reader| {
        // One answer, then the connection dies when it is used again.
        read_request(&mut reader);
        reader.get_mut().write_all(&respond(200, "ok")).unwrap();
        read_request(&mut reader);
    });
    let app = TestApp::start_with("[server]\nthreads = 1\nlame_duck_seconds = 0", &site(origin.address, ""));
    assert_eq!(get(app.address, "/", &[]).status, 200);
    assert_eq!(get(app.address, "/", &[]).status, 200, "a GET is sent again");
    let post = send(app.address, request("POST", "/", &[("Content-Length", "1")]) + "x");
    assert_eq!(post.status, 502, "a POST may have been carried out, and is not");
}

#[test]
fn http10_client_gets_a_body_that_ends() {
    let origin = Origin::with_headers(&[]);
    let app = TestApp::start(&site(origin.address, ""));
    let response = send(app.address, "GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert_eq!((response.status, response.text()), (200, "hello".to_owned()));
}

#[test]
fn expect_continue_is_answered() {
    let origin = Origin::start(|request| respond(200, &String::from_utf8_lossy(&request.body)));
    let app = TestApp::start(&site(origin.address, ""));
    let mut client = Client::connect(app.address);
    client.write(request("POST", "/", &[("Content-Length", "4"), ("Expect", "100-continue")]));
    client.stream().set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    client.write("ping");
    let mut response = client.response(false).unwrap();
    while response.status == 100 {
        response = client.response(false).unwrap();
    }
    assert_eq!(response.text(), "ping");
}
