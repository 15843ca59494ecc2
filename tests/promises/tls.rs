//! Visitors by https, and upstreams.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use consentry::config;

use crate::support::browser::Browser;
use crate::support::origin::read_request;
use crate::support::tls::{Authority, Issued, TlsClient, configuration, last_get};
use crate::support::{Client, Origin, TestApp, eventually, everything, get, respond, respond_with, send, site};

fn tls(app: &TestApp) -> SocketAddr {
    app.traffic_tls.unwrap()
}

/// The certificate that a visitor is shown who asks for `name`, or why there is none.
fn shown(authority: &Authority, address: SocketAddr, name: &str) -> Result<Vec<u8>, String> {
    let mut config = authority.client();
    config.enable_sni = !name.is_empty();
    let client = TlsClient::connect(address, if name.is_empty() { "127.0.0.1" } else { name }, config);
    client.map(|client| client.certificate().to_vec()).map_err(|error| error.to_string())
}

/// What a program says to its standard output and error.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn hello() -> Origin {
    Origin::start(|_| respond(200, "hello"))
}

const PAIRS: &str =
    "[[certificate]]\nchain = \"a.crt\"\nkey = \"a.key\"\n[[certificate]]\nchain = \"b.crt\"\nkey = \"b.key\"\n";

#[test]
fn each_name_is_shown_its_certificate() {
    let (authority, origin) = (Authority::new(), hello());
    let wildcard = authority.issue(&["shop.example", "*.shop.example", "127.0.0.1"]);
    let exact = authority.issue(&["www.shop.example"]);
    let start = |default: &str| {
        let directory = tempfile::tempdir().unwrap();
        wildcard.write(directory.path(), "a");
        exact.write(directory.path(), "b");
        let pairs = PAIRS.replacen("a.key\"\n", &format!("a.key\"\n{default}"), 1);
        TestApp::start_in(directory, &configuration(&pairs, "", &site(origin.address, "")))
    };
    let (kind, strict) = (start("default = true\n"), start(""));
    for (name, expected) in [
        ("shop.example", Some(&wildcard)),
        ("a.shop.example", Some(&wildcard)),
        ("SHOP.example", Some(&wildcard)),
        ("www.shop.example", Some(&exact)),
    ] {
        for app in [&kind, &strict] {
            let certificate = shown(&authority, tls(app), name);
            assert_eq!(certificate.ok(), expected.map(|issued| issued.der().to_vec()), "{name}");
        }
    }
    // The default is shown to everybody else, who then see that it is not for them.
    assert!(shown(&authority, tls(&kind), "other.example").unwrap_err().contains("not valid for name"));
    assert_eq!(shown(&authority, tls(&kind), "").unwrap(), wildcard.der().to_vec());
    for name in ["other.example", "a.b.shop.example", "example", ""] {
        let refused = shown(&authority, tls(&strict), name).unwrap_err();
        assert!(refused.to_lowercase().contains("unrecogni"), "{name}: {refused}");
    }
    strict.expect_metric("consentry_tls_handshake_failures_total{reason=\"unrecognized_name\"}", 4.0);
    // As another library sees it.
    let address = tls(&strict).to_string();
    let (_, said) = run("openssl", &["s_client", "-connect", &address, "-servername", "other.example"]);
    assert!(said.contains("unrecognized name"), "{said}");
    let (_, said) = run("openssl", &["s_client", "-connect", &address, "-servername", "www.shop.example"]);
    assert!(said.contains("Verification") && said.contains("SSL handshake has read"), "{said}");
}

#[test]
fn versions_and_protocols_are_as_configured() {
    let (authority, origin) = (Authority::new(), hello());
    let sites = site(origin.address, "");
    let both = authority.app(&["shop.example"], "", &sites);
    let newest = authority.app(&["shop.example"], "[tls]\nmin_version = \"1.3\"\n", &sites);
    let said = |app: &TestApp, more: &[&str]| {
        let address = tls(app).to_string();
        run("openssl", &[&["s_client", "-connect", &address, "-servername", "shop.example"], more].concat()).1
    };
    for (app, version, agreed) in [
        (&both, "-tls1_2", Some("TLSv1.2")),
        (&both, "-tls1_3", Some("TLSv1.3")),
        (&newest, "-tls1_2", None),
        (&newest, "-tls1_3", Some("TLSv1.3")),
        (&both, "-tls1_1", None),
    ] {
        let said = said(app, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        let found = said.contains(&format!("New, {}", agreed.unwrap_or("TLSv1")));
        assert_eq!(found, agreed.is_some(), "{version}: {said}");
    }
    for (offered, agreed) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("spdy/1", "no application protocol"),
    ] {
        let said = said(&both, &["-alpn", offered]);
        assert!(said.contains(agreed), "{offered}: {said}");
    }
    let port = tls(&both).port().to_string();
    let ca = both.directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let resolve = format!("shop.example:{port}:127.0.0.1");
    let url = format!("https://shop.example:{port}/");
    for (protocol, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200"), ("--http1.0", "1.1 200")] {
        let format = "\n%{http_version} %{http_code}";
        let arguments = ["-sS", protocol, "--cacert", ca.to_str().unwrap(), "--resolve", &resolve, "-w", format, &url];
        let (success, said) = run("curl", &arguments);
        assert!(success && said == format!("hello\n{version}"), "{protocol}: {said}");
    }
    assert_eq!(origin.last().header("x-forwarded-proto"), Some("https"));
}

#[test]
fn http2_is_spoken_only_if_it_was_agreed_on() {
    let (authority, origin) = (Authority::new(), hello());
    let app = authority.app(&["shop.example"], "", &site(origin.address, ""));
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap().ask(preface).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let mut config = authority.client();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = TlsClient::connect(tls(&app), "shop.example", config).unwrap();
    let answer = client.ask(&last_get("shop.example", "/")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(origin.count(), 0);
}

#[test]
fn bodies_of_any_size_pass_and_the_connection_is_used_again() {
    let authority = Authority::new();
    let origin = Origin::start(|request| match request.target.as_str() {
        "/large" => respond(200, &"x".repeat(20 << 20)),
        _ => respond(200, &request.body.len().to_string()),
    });
    let app = authority.app(&["shop.example"], "", &site(origin.address, ""));
    let mut client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
    let head = |method: &str, target: &str, more: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: shop.example\r\n{more}\r\n")
    };
    client.stream().write_all(head("GET", "/large", "").as_bytes()).unwrap();
    // Nobody reads for a while, so that all buffers fill up.
    std::thread::sleep(Duration::from_millis(200));
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut piece = [0; 1];
        client.stream().read_exact(&mut piece).unwrap();
        answer.push(piece[0]);
    }
    let mut body = vec![0; 20 << 20];
    client.stream().read_exact(&mut body).unwrap();
    assert!(body.iter().all(|byte| *byte == b'x'));
    let upload = "y".repeat(5 << 20);
    let request = head("POST", "/", &format!("Connection: close\r\nContent-Length: {}\r\n", upload.len())) + &upload;
    let answer = client.ask(&request).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n5242880"), "{answer}");
}

#[test]
fn an_event_is_delivered_without_waiting_for_the_next() {
    let authority = Authority::new();
    let origin = Origin::scripted(|mut reader| {
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut reader, &mut line).unwrap_or(0) > 2 {
            line.clear();
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        reader.get_mut().write_all(head.as_bytes()).unwrap();
        // It says nothing more, and does not end.
        std::thread::sleep(Duration::from_secs(30));
    });
    let app = authority.app(&["shop.example"], "", &site(origin.address, ""));
    let mut client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
    client.stream().write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("data: 1\n\n") {
        let mut piece = [0; 1024];
        let count = client.stream().read(&mut piece).unwrap();
        assert!(count > 0);
        answer.extend_from_slice(&piece[..count]);
    }
}

/// AT-20.
#[test]
fn a_site_by_https_only_is_there_by_https_only() {
    let authority = Authority::new();
    let origin = Origin::start(|request| {
        let port = request.header("host").and_then(|host| host.split_once(':')).map_or("", |(_, port)| port);
        let location = match request.target.as_str() {
            "/own" => "http://shop.example/next?a=b".to_owned(),
            "/port" => format!("http://shop.example:{port}/next"),
            _ => "http://elsewhere.example/".to_owned(),
        };
        let fields = [
            ("Location", location.as_str()),
            ("Set-Cookie", "session_id=1; Path=/"),
            ("Set-Cookie", "cart=2; Secure; HttpOnly"),
            ("Strict-Transport-Security", "max-age=1"),
        ];
        respond_with(302, &fields, "")
    });
    let rules = "https = \"redirect\"\nhsts_seconds = 31536000\nhsts_subdomains = true\nunknown_cookies = \"allow\"\n";
    for mode in ["enforce", "observe", "off"] {
        let sites = site(origin.address, &format!("{rules}mode = \"{mode}\""));
        let app = authority.app(&["shop.example"], "", &sites);
        let (plain, secure) = (app.address.port(), tls(&app).port());
        let before = origin.count();
        for (host, target) in [
            (format!("shop.example:{plain}"), format!("https://shop.example:{secure}/a?b=c")),
            // Ports are mapped before us.
            ("shop.example".to_owned(), "https://shop.example/a?b=c".to_owned()),
        ] {
            for (method, more) in [("GET", ""), ("POST", "Content-Length: 2\r\n\r\nhi")] {
                let end = if more.is_empty() { "\r\n" } else { "" };
                let answer = send(app.address, format!("{method} /a?b=c HTTP/1.1\r\nHost: {host}\r\n{more}{end}"));
                assert_eq!((answer.status, answer.header("location")), (308, Some(target.as_str())), "{method} {host}");
                assert!(answer.all("strict-transport-security").is_empty(), "not said without TLS");
            }
        }
        assert_eq!(origin.count(), before, "nothing goes to the upstream in the clear");
        let host = format!("shop.example:{secure}");
        for (target, location) in [
            ("/own", format!("https://shop.example:{secure}/next?a=b")),
            ("/port", format!("https://shop.example:{secure}/next")),
            ("/elsewhere", "http://elsewhere.example/".to_owned()),
        ] {
            let client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
            let answer = client.ask(&last_get(&host, target)).unwrap();
            let all = |name: &str| -> Vec<_> {
                let lines = answer.lines().filter_map(|line| line.split_once(": "));
                lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
            };
            assert_eq!(all("location"), [location], "{mode} {answer}");
            assert_eq!(all("set-cookie"), ["session_id=1; Path=/; Secure", "cart=2; Secure; HttpOnly"], "{mode}");
            assert_eq!(all("strict-transport-security"), ["max-age=31536000; includeSubDomains"], "{mode}");
        }
        if mode != "off" {
            // What we answer ourselves says the same.
            let client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
            let answer = client.ask(&last_get(&host, "/.consentry/")).unwrap();
            assert_eq!(answer.matches("trict-").count(), 1, "{answer}");
        }
    }
}

#[test]
fn a_trusted_balancer_says_how_the_visitor_came() {
    let origin = hello();
    let trusting = "[server]\nthreads = 1\nlame_duck_seconds = 0\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let app = TestApp::start_with(trusting, &site(origin.address, "https = \"redirect\"\nhsts_seconds = 60"));
    let answer = get(app.address, "/", &[("X-Forwarded-Proto", "https")]);
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, Some("max-age=60")));
    let answer = get(app.address, "/", &[("X-Forwarded-Proto", "http")]);
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://shop.example/")));
}

/// Replaces a directory of certificates as the kubelet does.
fn swap(directory: &std::path::Path, issued: &Issued, version: usize) {
    let fresh = format!("..v{version}");
    std::fs::create_dir(directory.join(&fresh)).unwrap();
    issued.write(&directory.join(&fresh), "tls");
    std::os::unix::fs::symlink(&fresh, directory.join("..tmp")).unwrap();
    std::fs::rename(directory.join("..tmp"), directory.join("..data")).unwrap();
    if version > 0 {
        std::fs::remove_dir_all(directory.join(format!("..v{}", version - 1))).unwrap();
    }
}

#[test]
fn cert_rotation_serves_new_cert_without_dropping_connections() {
    const ROTATIONS: usize = 100;
    let (authority, origin) = (Arc::new(Authority::new()), hello());
    let directory = tempfile::tempdir().unwrap();
    let certificates = directory.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    swap(&certificates, &authority.issue(&["shop.example"]), 0);
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), certificates.join(name)).unwrap();
    }
    let pair = "[[certificate]]\nchain = \"certificates/tls.crt\"\nkey = \"certificates/tls.key\"\n";
    let app = TestApp::start_in(directory, &configuration(pair, "", &site(origin.address, "")));
    let address = tls(&app);
    let mut lasting = TlsClient::connect(address, "shop.example", authority.client()).unwrap();
    let (stop, served, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let (authority, stop) = (authority.clone(), stop.clone());
            let (served, failed) = (served.clone(), failed.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let client = TlsClient::connect(address, "shop.example", authority.client());
                    let answer = client.and_then(|client| client.ask(&last_get("shop.example", "/")));
                    let counter = if answer.is_ok_and(|answer| answer.ends_with("hello")) { &served } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();
    for version in 1..=ROTATIONS {
        let fresh = authority.issue_until(&["shop.example"], 2050 + i32::try_from(version).unwrap());
        swap(&certificates, &fresh, version);
        eventually("the new certificate is shown", || {
            shown(&authority, address, "shop.example").unwrap() == fresh.der().to_vec()
        });
    }
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(served.load(Ordering::Relaxed) > ROTATIONS, "{served:?}");
    println!("{served:?} requests on connections of their own during {ROTATIONS} rotations");
    assert_eq!(app.version(), 1, "the ruleset is not touched");
    let status = app.status();
    assert_eq!(status["certificates"][0]["names"], serde_json::json!(["shop.example"]));
    assert_eq!(status["certificates"][0]["not_after"], "2150-01-01T00:00:00Z");
    let expiry = "consentry_tls_certificate_expiry_timestamp_seconds{certificate=\"certificates/tls.crt\"}";
    app.expect_metric(expiry, 5_680_281_600.0);
    // A connection from before goes on.
    lasting.stream().write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    assert!(lasting.ask(&last_get("shop.example", "/")).unwrap().ends_with("hello"));
}

#[test]
fn a_broken_certificate_is_not_taken_and_others_are() {
    let (authority, origin) = (Authority::new(), hello());
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (authority.issue(&["a.example"]), authority.issue(&["b.example"]));
    a.write(directory.path(), "a");
    b.write(directory.path(), "b");
    let text = configuration(PAIRS, "", &site(origin.address, ""));
    let app = TestApp::start_in(directory, &text);
    let (path, address) = (app.directory.path().to_owned(), tls(&app));
    // The key of the one does not fit, the other is renewed; and the configuration is broken, too.
    std::fs::write(&app.config, "nonsense").unwrap();
    std::fs::write(path.join("a.crt"), authority.issue(&["a.example"]).chain).unwrap();
    let renewed = authority.issue(&["b.example"]);
    renewed.write(&path, "b");
    eventually("the other is renewed", || shown(&authority, address, "b.example").unwrap() == renewed.der().to_vec());
    eventually("the problem is told", || {
        let problem = app.status()["certificates"][0]["problem"].clone();
        problem.as_str().is_some_and(|problem| problem.contains("does not belong"))
    });
    assert_eq!(shown(&authority, address, "a.example").unwrap(), a.der().to_vec());
    // With the configuration in order, but not the certificate, nothing of it is taken.
    std::fs::write(&app.config, text.replace("name = \"shop\"", "name = \"store\"")).unwrap();
    eventually("the reload fails by the certificate", || {
        app.status()["reload"].to_string().contains("the certificate cannot be used")
    });
    assert_eq!((shown(&authority, address, "a.example").unwrap(), app.version()), (a.der().to_vec(), 1));
    // As soon as it is mended, both are.
    let mended = authority.issue(&["a.example"]);
    mended.write(&path, "a");
    eventually("all is in force", || app.version() == 2);
    assert_eq!(shown(&authority, address, "a.example").unwrap(), mended.der().to_vec());
    assert!(app.status()["certificates"][0]["problem"].is_null());
}

#[test]
fn handshakes_that_come_to_nothing_end_and_are_counted() {
    let (authority, origin) = (Authority::new(), hello());
    let app = authority.app(&["shop.example"], "[limits]\nheader_seconds = 1\n", &site(origin.address, ""));
    let reason = |reason: &str| format!("consentry_tls_handshake_failures_total{{reason=\"{reason}\"}}");
    // One says nothing, one begins and stops.
    let mut silent = Client::connect(tls(&app));
    let mut slow = TcpStream::connect(tls(&app)).unwrap();
    slow.write_all(&[22, 3, 1, 1, 0, 1]).unwrap();
    eventually("both are counted as connections", || app.status()["connections"] == 2);
    let visitor = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
    assert!(visitor.ask(&last_get("shop.example", "/")).unwrap().ends_with("hello"));
    assert!(silent.is_closed());
    app.expect_metric(&reason("timeout"), 2.0);
    let mut plain = Client::connect(tls(&app));
    plain.write("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    while plain.line().is_some() {}
    app.expect_metric(&reason("not_tls"), 1.0);
    drop(TcpStream::connect(tls(&app)).unwrap());
    app.expect_metric(&reason("closed"), 1.0);
    let stranger = Authority::new();
    assert!(shown(&stranger, tls(&app), "shop.example").is_err());
    app.expect_metric(&reason("refused_by_client"), 1.0);
    eventually("none is left", || app.status()["connections"] == 0);
}

#[test]
fn visitors_show_certificates_where_they_have_to() {
    let (authority, clients, origin) = (Authority::new(), Authority::new(), hello());
    let start = |wanted: &str| {
        let directory = tempfile::tempdir().unwrap();
        authority.issue(&["shop.example"]).write(directory.path(), "tls");
        std::fs::write(directory.path().join("clients.pem"), clients.pem()).unwrap();
        let certificate = "[[certificate]]\nchain = \"tls.crt\"\nkey = \"tls.key\"\n";
        let section = format!("[tls]\nclient_ca = \"clients.pem\"\nclient_certificates = \"{wanted}\"\n");
        TestApp::start_in(directory, &configuration(certificate, &section, &site(origin.address, "")))
    };
    let (own, foreign) = (clients.issue(&["me.example"]), authority.issue(&["me.example"]));
    for (wanted, without) in [("required", false), ("optional", true)] {
        let app = start(wanted);
        for (config, expected) in [
            (authority.client(), without),
            (authority.client_with(&own), true),
            (authority.client_with(&foreign), false),
        ] {
            // With TLS 1.3 a client learns only from the answer that it was refused.
            let client = TlsClient::connect(tls(&app), "shop.example", config);
            let request =
                "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Client-Cert: me\r\nConnection: close\r\n\r\n";
            let answer = client.and_then(|client| client.ask(request));
            assert_eq!(answer.is_ok_and(|answer| answer.ends_with("hello")), expected, "{wanted}");
        }
        let failures = if without { 1.0 } else { 2.0 };
        app.expect_metric("consentry_tls_handshake_failures_total{reason=\"client_certificate\"}", failures);
    }
    assert_eq!(origin.last().header("x-forwarded-client-cert"), None, "anybody can write it");
}

#[test]
fn upstreams_are_spoken_to_as_configured() {
    let authority = Authority::new();
    let server = authority.issue(&["inner.example"]);
    let origin = mutual_origin(&authority, &server);
    let client = authority.issue(&["edge.example"]);
    let start = |settings: &str| {
        let directory = tempfile::tempdir().unwrap();
        client.write(directory.path(), "client");
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let sites = format!(
            "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"https://{origin}\"]\n[site.upstream_tls]\n{settings}\n"
        );
        TestApp::start_in(directory, &TestApp::configuration("", &sites))
    };
    let (ca, name) = ("ca = \"ca.pem\"\n", "server_name = \"inner.example\"\n");
    let key = "client_certificate = \"client.crt\"\nclient_key = \"client.key\"\n";
    for (settings, status) in [
        ([ca, name, key].concat(), 200),
        ([ca, name].concat(), 502),
        ([ca, key].concat(), 502),
        ([name, key].concat(), 502),
        ([key, "verify = false\n"].concat(), 200),
        ([ca, "server_name = \"other.example\"\n", key].concat(), 502),
    ] {
        assert_eq!(get(start(&settings).address, "/", &[]).status, status, "{settings}");
    }
}

/// An upstream by TLS that wants a certificate of `authority`.
fn mutual_origin(authority: &Authority, server: &Issued) -> SocketAddr {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier.build().unwrap());
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(server.key.as_bytes()).unwrap();
    let config = Arc::new(config.with_single_cert(vec![server.der()], key).unwrap());
    crate::support::origin::serve(move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        let mut buffer = [0; 4096];
        if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
            stream.write_all(&respond(200, "secret")).ok();
        }
    })
}

#[test]
fn what_is_wrong_with_tls_is_told() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consentry.toml");
    authority.issue(&["a.example"]).write(directory.path(), "a");
    authority.issue(&["b.example"]).write(directory.path(), "b");
    authority.issue(&["c.example"]).write(directory.path(), "c");
    authority.issue_until(&["old.example"], 2021).write(directory.path(), "old");
    std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
    for file in ["a.key", "b.key", "c.key", "old.key"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(if file == "c.key" { 0o644 } else { 0o600 });
        std::fs::set_permissions(directory.path().join(file), mode).unwrap();
    }
    let listen = "[listen]\ntraffic_tls = [\"127.0.0.1:0\"]\n";
    let (a, b, old) = (pair("a", "a"), pair("b", "b"), pair("old", "old"));
    let shop = "[[site]]\nname = \"shop\"\nhosts = [\"*\"]\nupstream = [\"https://127.0.0.1:1\"]\n";
    let upstream = |settings: &str| format!("{listen}{a}{shop}[site.upstream_tls]\n{settings}");
    for (text, valid, told) in [
        (format!("{listen}{a}{shop}"), true, ""),
        (format!("{listen}{shop}"), false, "there is no certificate for the sockets that speak TLS"),
        (format!("[listen]\ntraffic = [\"127.0.0.1:0\"]\n{a}{shop}"), true, "no socket speaks TLS"),
        (format!("[listen]\ntraffic = []\n{shop}"), false, "nothing to listen on"),
        (format!("{listen}{}{shop}", pair("a", "b")), false, "the key does not belong"),
        (format!("{listen}{}{shop}", pair("gone", "a")), false, "`gone.crt` cannot be read"),
        (format!("{listen}[[certificate]]\nchain = \"a.crt\"\n{shop}"), false, "no chain or no key"),
        (format!("{listen}{a}{a}{shop}"), false, "configured twice"),
        (format!("{listen}{a}default = true\n{b}default = true\n{shop}"), false, "two default certificates"),
        (format!("{listen}{old}{shop}"), true, "has expired"),
        (format!("{listen}{}{shop}", pair("c", "c")), true, "anybody on this machine may read `c.key`"),
        (format!("{listen}[tls]\nmin_version = \"1.1\"\n{a}{shop}"), false, "write one of: 1.2, 1.3"),
        (format!("{listen}[tls]\nclient_certificates = \"required\"\n{a}{shop}"), false, "cannot be checked"),
        (format!("{listen}[tls]\nclient_ca = \"ca.pem\"\n{a}{shop}"), false, "not asked for certificates"),
        (
            format!("{listen}[tls]\nclient_ca = \"a.key\"\nclient_certificates = \"optional\"\n{a}{shop}"),
            false,
            "the CA file `a.key` cannot be used",
        ),
        (
            format!("[listen]\ntraffic = [\"127.0.0.1:0\"]\n{shop}https = \"redirect\"\n"),
            false,
            "nobody can come by https",
        ),
        (format!("{listen}{a}{shop}https = \"always\"\n"), false, "write one of: optional, redirect"),
        (format!("{listen}{a}{shop}hsts_subdomains = true\n"), false, "says nothing without `hsts_seconds`"),
        (upstream("server_name = \"\"\n"), false, "`` cannot be the name of a server"),
        (upstream("server_name = \"a b\"\n"), false, "`a b` cannot be the name of a server"),
        (upstream("client_certificate = \"a.crt\"\n"), false, "belong together"),
        (upstream("client_certificate = \"a.crt\"\nclient_key = \"b.key\"\n"), false, "the key does not belong"),
        (upstream("verify = false\n"), true, "whoever is between can read"),
        (upstream("").replace("https://127", "http://127"), true, "no upstream of the site speaks TLS"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let loaded = config::load(&path);
        let problems: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(loaded.config.is_some(), valid, "{text}\n{problems:#?}");
        assert_eq!(problems.len(), usize::from(!told.is_empty()), "{text}\n{problems:#?}");
        assert!(problems.iter().all(|problem| problem.contains(told)), "{told}\n{problems:#?}");
    }
}

fn pair(chain: &str, key: &str) -> String {
    format!("[[certificate]]\nchain = \"{chain}.crt\"\nkey = \"{key}.key\"\n")
}

#[test]
fn consent_is_kept_by_https_as_without() {
    let authority = Authority::new();
    let origin = Origin::with_headers(&[("Set-Cookie", "_ga=1; Path=/")]);
    let app = authority.app(&["shop.example"], "", &site(origin.address, ""));
    let ask = |cookie: &str| {
        let client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        client.ask(&request).unwrap()
    };
    assert!(ask(&everything()).contains("_ga=1; Path=/"));
    let answer = ask("_ga=1");
    assert!(!answer.contains("_ga=1; Path=/"), "{answer}");
    let expiry = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie: _ga=;")).unwrap();
    assert!(expiry.contains("Secure"), "{expiry}");
}

#[test]
fn a_tunnel_by_https_passes_both_ways() {
    let authority = Authority::new();
    let origin = Origin::scripted(|mut reader| {
        read_request(&mut reader);
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        reader.get_mut().write_all(switch).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.get_mut().read(&mut buffer) {
            reader.get_mut().write_all(&buffer[..count]).unwrap();
        }
    });
    let app = authority.app(&["shop.example"], "", &site(origin.address, "https = \"redirect\""));
    let mut client = TlsClient::connect(tls(&app), "shop.example", authority.client()).unwrap();
    let request = "GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.stream().write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream().read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    for size in [5, 1000, 30_000] {
        let message = vec![b'm'; size];
        client.stream().write_all(&message).unwrap();
        let mut echo = vec![0; size];
        client.stream().read_exact(&mut echo).unwrap();
        assert!(echo == message, "{size}");
    }
}

#[test]
fn a_browser_is_led_to_https_and_speaks_http2() {
    let authority = Authority::new();
    let page =
        respond_with(200, &[("Content-Type", "text/html"), ("Set-Cookie", "session_id=1; Path=/")], "<h1>shop</h1>");
    let origin = Origin::start(move |_| page.clone());
    let rules = "https = \"redirect\"\nhsts_seconds = 60\nunknown_cookies = \"allow\"";
    let app = authority.app(&["shop.example"], "", &site(origin.address, rules));
    let mut browser = Browser::start_with("MAP shop.example 127.0.0.1, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND");
    browser.open(&format!("http://shop.example:{}/", app.address.port()));
    let found = browser
        .evaluate("[location.href, performance.getEntriesByType('navigation')[0].nextHopProtocol, document.cookie]");
    let address = format!("https://shop.example:{}/", tls(&app).port());
    assert_eq!(found, serde_json::json!([address, "h2", "session_id=1"]));
    let answer = browser.evaluate("fetch('/again').then(answer => answer.headers.get('strict-transport-security'))");
    assert_eq!(answer, "max-age=60");
}
