//! TLS towards visitors: which certificate is shown to whom, and how certificates are replaced while they are in use.
//!
//! Pure but for [`Tls::reload`], which reads the files of certificates anew. Sockets are in `net`.

mod certificate;
mod names;
mod server;
mod store;

/// Why a handshake with a visitor may fail, for metrics.
pub const HANDSHAKE_FAILURES: [&str; 8] = [
    "timeout",
    "closed",
    "not_tls",
    "unrecognized_name",
    "nothing_in_common",
    "client_certificate",
    "refused_by_client",
    "other",
];

pub use certificate::{Certificate, CertificateError, KeyPair, certificates};
pub use server::{ClientCertificates, MinVersion, ServedCertificate, ServerTls, TlsOptions};
pub use store::{CertificateStatus, Tls};
