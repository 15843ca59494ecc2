//! The certificates in force, and how they are replaced while connections are made.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::Serialize;

use super::certificate::Certificate;
use super::server::{ServedCertificate, ServerTls};
use crate::metrics::TlsMetrics;

/// Holds what visitors are met with.
pub struct Tls {
    current: ArcSwap<ServerTls>,
    metrics: TlsMetrics,
    /// Why the newest files of certificates are not used, by position.
    problems: Mutex<Vec<Option<String>>>,
}

/// A certificate in force, for an operator.
#[derive(Serialize)]
pub struct CertificateStatus {
    /// The file of the chain.
    pub certificate: Box<str>,
    pub names: Vec<Box<str>>,
    /// RFC 3339.
    pub not_after: String,
    /// SHA-256, in hexadecimal.
    pub fingerprint: String,
    pub default: bool,
    /// Why a newer one is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Tls {
    pub fn new(tls: ServerTls, metrics: TlsMetrics) -> Self {
        let store = Tls { current: ArcSwap::from_pointee(tls), metrics, problems: Mutex::default() };
        store.tell(&[], Vec::new());
        store
    }

    /// What a new connection is met with.
    pub fn current(&self) -> Arc<ServerTls> {
        self.current.load_full()
    }

    /// Counts a handshake that failed; `reason` is from a closed set.
    pub fn failed(&self, reason: &'static str) {
        self.metrics.handshake_failures.with_label_values(&[reason]).inc();
    }

    /// Takes a new configuration. If it is the same, sessions that visitors hold tickets for go on.
    pub fn replace(&self, tls: ServerTls) {
        let earlier = self.current();
        if *earlier != tls {
            self.current.store(Arc::new(tls));
            log::info!("new TLS settings are in force");
        }
        self.tell(&earlier.certificates, Vec::new());
    }

    /// Reads the files of all certificates anew. One that cannot be used is not taken, and the last good one of it goes
    /// on; the others are taken all the same. Reads files, so not to be called where requests are served.
    pub fn reload(&self) {
        let current = self.current();
        let mut certificates = current.certificates.clone();
        let mut problems = Vec::with_capacity(certificates.len());
        for served in &mut certificates {
            let fresh = read(served);
            match &fresh {
                Ok(certificate) if *certificate != *served.certificate => {
                    log::info!("the certificate in {} was renewed: {}", served.name, certificate.fingerprint);
                }
                Ok(_) => {}
                Err(problem) => {
                    log::error!("the certificate in {} is not taken, the last good one stays: {problem}", served.name);
                }
            }
            problems.push(fresh.map(|certificate| served.certificate = Arc::new(certificate)).err());
        }
        if certificates != current.certificates {
            match ServerTls::new(current.options.clone(), certificates) {
                Ok(tls) => self.current.store(Arc::new(tls)),
                Err(error) => log::error!("certificates are not taken: {error}"),
            }
        }
        self.tell(&[], problems);
    }

    /// The certificates in force.
    pub fn status(&self) -> Vec<CertificateStatus> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let current = self.current();
        let all = current.certificates.iter().enumerate();
        let status = all.map(|(position, served)| CertificateStatus {
            certificate: served.name.clone(),
            names: served.certificate.names.clone(),
            not_after: jiff::Timestamp::from_second(served.certificate.not_after)
                .map_or_else(|_| String::new(), |time| time.to_string()),
            fingerprint: served.certificate.fingerprint.clone(),
            default: served.is_default,
            problem: problems.get(position).cloned().flatten(),
        });
        status.collect()
    }

    /// Chains and keys, for a watcher.
    pub fn files(&self) -> Vec<PathBuf> {
        let current = self.current();
        current.certificates.iter().flat_map(|served| [served.chain.clone(), served.key.clone()]).collect()
    }

    /// Tells metrics and status what is in force, instead of what was `earlier`.
    fn tell(&self, earlier: &[ServedCertificate], problems: Vec<Option<String>>) {
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
        let current = self.current();
        for served in &current.certificates {
            self.metrics.expiry.with_label_values(&[&served.name]).set(served.certificate.not_after);
        }
        for gone in earlier.iter().filter(|old| current.certificates.iter().all(|new| new.name != old.name)) {
            // Fails only if it was not told about.
            self.metrics.expiry.remove_label_values(&[&gone.name]).ok();
        }
    }
}

fn read(served: &ServedCertificate) -> Result<Certificate, String> {
    let file =
        |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
    Certificate::from_pem(&file(&served.chain)?, &file(&served.key)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::made_for;
    use super::super::server::TlsOptions;
    use super::*;
    use crate::metrics::Metrics;

    fn served(name: &str) -> ServedCertificate {
        let (chain, key) = made_for(&[name]);
        ServedCertificate {
            name: name.into(),
            chain: PathBuf::new(),
            key: PathBuf::new(),
            is_default: false,
            certificate: Arc::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()),
        }
    }

    #[test]
    fn metrics_and_status_tell_of_certificates_in_force_only() {
        let metrics = Metrics::new().unwrap();
        let of = |served: &[ServedCertificate]| ServerTls::new(TlsOptions::default(), served.to_vec()).unwrap();
        let [a, b, c] = ["a.example", "b.example", "c.example"].map(served);
        let tls = Tls::new(of(&[a, b.clone()]), metrics.tls.clone());
        tls.replace(of(&[b.clone(), c.clone()]));
        let text = String::from_utf8(metrics.encode()).unwrap();
        for (name, expected) in [("a.example", false), ("b.example", true), ("c.example", true)] {
            assert_eq!(text.contains(&format!("certificate=\"{name}\"")), expected, "{name}");
        }
        let current = tls.current();
        assert_eq!(tls.status().len(), 2);
        tls.replace(of(&[b, c]));
        assert!(Arc::ptr_eq(&current, &tls.current()), "what is the same is not replaced");
    }

    #[test]
    fn files_that_are_gone_change_nothing() {
        let metrics = Metrics::new().unwrap();
        let tls =
            Tls::new(ServerTls::new(TlsOptions::default(), vec![served("a.example")]).unwrap(), metrics.tls.clone());
        let current = tls.current();
        tls.reload();
        assert!(Arc::ptr_eq(&current, &tls.current()));
        assert!(tls.status()[0].problem.as_ref().is_some_and(|problem| problem.contains("cannot be read")));
    }
}
