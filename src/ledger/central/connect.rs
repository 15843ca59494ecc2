//! A connection to the central store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postgres::config::Host;
use postgres::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::error::{CentralError, reason};
use crate::config::CentralSettings;

/// How long a server may take to accept a connection, and how long it may leave what was sent unacknowledged.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a single statement may run, how long it may wait for a lock, and how days are written.
const LIMITS: &str = "SET statement_timeout = '120s'; SET lock_timeout = '10s'; SET datestyle = ISO";

/// Connects. The password is read each time, so that it can be changed while the proxy runs.
///
/// # Errors
/// The settings are not usable, or the server does not answer or refuses. No error holds the password.
pub fn connect(settings: &CentralSettings) -> Result<Client, CentralError> {
    let mut config = parse(&settings.connection).map_err(CentralError::Connection)?;
    if let Some(path) = &settings.password_file {
        let password = std::fs::read(path).map(Zeroizing::new);
        let password = password.map_err(|error| CentralError::Password { path: path.clone(), kind: error.kind() })?;
        config.password(password.trim_ascii_end());
    }
    let mut client = config.connect(tls(settings.ca.as_deref())?)?;
    client.batch_execute(LIMITS)?;
    Ok(client)
}

/// The same, for somebody who waits: whether a server that accepts connections also answers shows only by the clock.
///
/// # Errors
/// As of [`connect`], or there is no answer within 20 s.
pub fn connect_soon(settings: &CentralSettings) -> Result<Client, CentralError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let settings = settings.clone();
    let connecting = std::thread::Builder::new().name("connecting".to_owned());
    connecting
        .spawn(move || _ = sender.send(connect(&settings)))
        .map_err(|error| CentralError::Unreachable(error.to_string()))?;
    let silent = |_| CentralError::Unreachable(format!("no answer within {} s", (PATIENCE * 2).as_secs()));
    receiver.recv_timeout(PATIENCE * 2).map_err(silent)?
}

/// What `connection` says, with the limits that it does not set.
///
/// # Errors
/// What is wrong with it.
pub fn parse(connection: &str) -> Result<Config, String> {
    let mut config: Config = connection.parse().map_err(|error| reason(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("there is no `host`".to_owned());
    }
    if config.get_user().is_none() {
        return Err("there is no `user`".to_owned());
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(PATIENCE);
    }
    config.keepalives_idle(PATIENCE * 3).keepalives_interval(PATIENCE).keepalives_retries(3);
    if config.get_application_name().is_none() {
        config.application_name("consentry");
    }
    // What the server would like to tell goes to its own log.
    config.notice_callback(|_| {});
    Ok(config)
}

/// Where `connection` leads, for people: no password, no options.
pub fn server(connection: &str) -> String {
    let Ok(config) = parse(connection) else { return "PostgreSQL".to_owned() };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let host = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => String::new(),
    };
    let user = config.get_user().unwrap_or_default();
    format!("PostgreSQL at {host} (database {}, user {user})", config.get_dbname().unwrap_or(user))
}

/// TLS that trusts the certificates in `ca`, or else the system's. Where `connection` asks for it, the server must have
/// a certificate for its name.
fn tls(ca: Option<&Path>) -> Result<MakeRustlsConnect, CentralError> {
    let Some(path) = ca else {
        return MakeRustlsConnect::with_native_certs()
            .map(|(tls, _)| tls)
            .or_else(|_| trusting(RootCertStore::empty()));
    };
    let failed = |reason: String| CentralError::Authority { path: path.into(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is no PEM certificate in it".to_owned()));
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> Result<MakeRustlsConnect, CentralError> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| CentralError::Tls(error.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_its_password() {
        for (connection, expected) in [
            ("host=db.example user=edge password=Sesame", "PostgreSQL at db.example:5432 (database edge, user edge)"),
            (
                "postgres://edge:Sesame@db.example:5433/trail",
                "PostgreSQL at db.example:5433 (database trail, user edge)",
            ),
            ("host=/run/pg user=edge dbname=trail", "PostgreSQL at /run/pg:5432 (database trail, user edge)"),
            ("hostaddr=192.0.2.7 user=edge", "PostgreSQL at 192.0.2.7:5432 (database edge, user edge)"),
            ("password=Sesame what", "PostgreSQL"),
        ] {
            assert_eq!(server(connection), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for connection in
            ["password=Sesame", "host=a password=Sesame", "host=a user=b password=Sesame sslmode=verify-full"]
        {
            let Err(problem) = parse(connection) else { panic!("{connection} is taken") };
            assert!(!problem.contains("Sesame") && !problem.is_empty(), "{problem}");
        }
    }
}
