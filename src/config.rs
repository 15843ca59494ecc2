//! From TOML files to a compiled ruleset, in three stages that each have their own types.
//!
//! [`raw`] is what was written (serde, unknown keys refused), [`Config`] is what was meant (nothing invalid can be
//! expressed), [`Config::compile`] makes the [`Ruleset`] that decides. All problems of a stage are reported at once,
//! each with file, line, column and what to do. Files are read through a function, so that nothing in here needs a
//! disk.

mod admin;
mod catalog;
mod check;
mod consent;
mod csp;
mod diagnostic;
mod document;
mod filter_lists;
mod https;
mod ledger;
mod raw;
mod rules;
mod share;
mod signals;
mod tls;
mod upstream_tls;
mod validate;
mod versions;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};

use crate::consent::{OwnCookie, SiteSignals};
use crate::countries::Countries;
use crate::ledger::journal::Pressure;
use crate::ledger::keys::SiteKeys;
use crate::ledger::trail::Role;
use crate::policy::{Catalog, FilterList, OperatorRules, Purposes, Ruleset, Site, SiteOptions};
use crate::tls::{KeyPair, ServerTls};

pub use catalog::built_in as built_in_catalog;
pub use diagnostic::{Diagnostic, Severity};

/// Reads a file named in the configuration.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// A valid configuration.
pub struct Config {
    pub listen: Listen,
    /// How visitors are met where TLS is spoken.
    pub tls: Option<ServerTls>,
    pub server: Server,
    pub limits: Limits,
    /// Whether each request is written to the access log.
    pub access_log: bool,
    pub consent: ConsentSettings,
    pub sites: Vec<SiteConfig>,
    pub purposes: Purposes,
    pub catalog: Arc<Catalog>,
    pub filter_lists: Vec<Arc<FilterList>>,
    pub ledger: Option<LedgerSettings>,
    /// Who may ask the ledger on the admin listener.
    pub admin_tokens: Vec<AdminToken>,
    /// SHA-256 of all files, in hexadecimal.
    pub hash: String,
    /// Every file it was read from, but for those of certificates that visitors are shown.
    pub files: Vec<PathBuf>,
}

/// Sockets. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub traffic: Vec<SocketAddr>,
    /// Where visitors are served by https.
    pub traffic_tls: Vec<SocketAddr>,
    pub admin: SocketAddr,
}

/// The process. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Worker threads. `None`: as many as the process may use.
    pub threads: Option<usize>,
    /// How long connections are still accepted after readiness was withdrawn.
    pub lame_duck: Duration,
    /// How long requests may take to finish after that.
    pub drain: Duration,
    /// Networks whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Bounds on what a visitor or an upstream may take. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's header section.
    pub header_bytes: usize,
    /// From the first byte of a request to the end of its header section.
    pub header_time: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// Bytes of a request body.
    pub body_bytes: u64,
    /// Connections at once.
    pub connections: usize,
    /// Requests of one connection.
    pub requests_per_connection: u32,
    /// To establish a connection to an upstream, TLS included.
    pub connect: Duration,
    /// Between two reads from, or writes to, an upstream or a visitor.
    pub io: Duration,
    /// For an idle connection to an upstream.
    pub upstream_idle: Duration,
}

/// How consent is kept and told.
pub struct ConsentSettings {
    pub cookie: OwnCookie,
    /// Path prefix of the own pages, without a slash at the end.
    pub prefix: Box<str>,
    /// Where redirects to denied trackers lead.
    pub blocked_path: Box<str>,
    /// The request field that tells the upstream.
    pub header: http::HeaderName,
    /// The request field in which a trusted proxy says from which country a visitor comes.
    pub country_header: Option<http::HeaderName>,
    /// Tells it by address, where no such field does.
    pub countries: Option<Countries>,
}

/// A site, and what serves it.
pub struct SiteConfig {
    pub options: SiteOptions,
    pub rules: OperatorRules,
    pub signals: SiteSignals,
    pub upstreams: Vec<UpstreamAddress>,
    pub upstream_tls: UpstreamTls,
    /// Where its calendar months begin and end.
    pub time_zone: TimeZone,
    pub share_retention: ShareRetention,
}

/// Where the ledger of share links is. A change needs a restart.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The database.
    pub path: PathBuf,
    /// The directory of the keys.
    pub keys: PathBuf,
    /// The file to which signed checkpoints are copied, out of the database.
    pub checkpoints: PathBuf,
    /// What becomes of responses whose access cannot be recorded.
    pub pressure: Pressure,
    /// Where the records of all replicas come together.
    pub central: Option<CentralSettings>,
}

/// The PostgreSQL of the central store.
#[derive(Clone, PartialEq, Eq)]
pub struct CentralSettings {
    /// As of `libpq`: `host=db.example user=edge dbname=trail sslmode=require`, or an address.
    pub connection: String,
    /// The file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// PEM certificates that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What stands for somebody on the admin listener.
pub struct AdminToken {
    pub role: Role,
    /// Who it is, for the record.
    pub name: Box<str>,
    /// SHA-256 of the token, which is not kept.
    pub digest: [u8; 32],
    /// The only sites that it may ask about. `None`: all.
    pub sites: Option<Arc<[Box<str>]>>,
}

/// How long records of share links are kept, in calendar months of the site's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareRetention {
    /// None is removed sooner.
    pub min_months: u32,
    /// All are removed, and the month's key destroyed, after that.
    pub max_months: u32,
}

/// The last of the three stages.
pub struct Compiled {
    pub ruleset: Ruleset,
    /// By position of the site in the ruleset.
    pub upstreams: Vec<UpstreamSettings>,
    /// By position of the site in the ruleset.
    pub signals: Vec<SiteSignals>,
    pub consent: ConsentSettings,
    pub access_log: bool,
    pub admin_tokens: Vec<AdminToken>,
}

/// What serves a site.
pub struct UpstreamSettings {
    pub addresses: Vec<UpstreamAddress>,
    pub tls: UpstreamTls,
}

/// TLS towards the upstreams of a site.
#[derive(Clone)]
pub struct UpstreamTls {
    /// PEM certificates that are trusted instead of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// The name that is sent and that their certificates are checked against; the one in the address if there is none.
    /// Not empty.
    pub server_name: Option<Box<str>>,
    /// What upstreams that ask for a certificate are shown.
    pub client: Option<Arc<KeyPair>>,
    /// Whether their certificates are checked.
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        UpstreamTls { ca: None, server_name: None, client: None, verify: true }
    }
}

/// How to speak to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamScheme {
    Http,
    Https,
    /// HTTP/2 over plain TCP, known to be spoken (RFC 9113, section 3.3).
    H2c,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamAddress {
    pub scheme: UpstreamScheme,
    /// A name or an address; IPv6 without brackets.
    pub host: Box<str>,
    pub port: u16,
}

/// A configuration that cannot be used, or can with reservations.
pub struct Loaded {
    /// `None` if any diagnostic is an error.
    pub config: Option<Config>,
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read or should have been, for a watcher, but for those below.
    pub files: Vec<PathBuf>,
    /// The same, of certificates that visitors are shown.
    pub certificate_files: Vec<PathBuf>,
}

/// Reads the configuration in the file at `path`.
pub fn load(path: &Path) -> Loaded {
    let read = |path: &Path| std::fs::read(path);
    match std::fs::read(path) {
        Ok(text) => parse(path, &text, &read),
        Err(error) => {
            let help = "check the path and that the file may be read";
            let message = format!("the configuration cannot be read: {error}");
            let diagnostics = vec![Diagnostic::of_file(&path.to_string_lossy(), message).help(help)];
            Loaded { config: None, diagnostics, files: vec![path.to_owned()], certificate_files: Vec::new() }
        }
    }
}

/// Reads the configuration `text` as if it stood in the file at `path`, with further files by `read`.
pub fn parse(path: &Path, text: &[u8], read: ReadFile<'_>) -> Loaded {
    let name: Arc<str> = path.to_string_lossy().into();
    let base = path.parent().unwrap_or(Path::new(""));
    let mut files = FileSet { base, read, seen: vec![(path.to_owned(), text.to_vec())], apart: Vec::new() };
    let mut diagnostics = Vec::new();
    let Ok(text) = std::str::from_utf8(text) else {
        let message = "the configuration is not UTF-8".to_owned();
        let diagnostics = vec![Diagnostic::of_file(&name, message)];
        return Loaded { config: None, diagnostics, files: files.paths(), certificate_files: files.apart };
    };
    let raw: Option<raw::Config> = document::read(&name, text, &mut diagnostics);
    let config = raw.and_then(|raw| validate::validate(raw, &name, text, &mut files, &mut diagnostics));
    diagnostics.sort_by_key(|d| (d.file.clone(), d.line, d.column));
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    let config = config.filter(|_| !failed);
    Loaded { config, diagnostics, files: files.paths(), certificate_files: files.apart }
}

/// The files that a configuration consists of, read at most once each.
struct FileSet<'a> {
    base: &'a Path,
    read: ReadFile<'a>,
    seen: Vec<(PathBuf, Vec<u8>)>,
    apart: Vec<PathBuf>,
}

impl FileSet<'_> {
    /// The bytes of the file that the configuration calls `name`, relative to where the configuration is.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.base.join(name);
        let bytes = (self.read)(&path);
        self.seen.push((path, bytes.as_deref().unwrap_or_default().to_vec()));
        bytes
    }

    /// As [`FileSet::read`], for what is replaced without a new ruleset.
    fn read_apart(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.base.join(name);
        self.apart.push(path.clone());
        (self.read)(&path)
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.seen.iter().map(|(path, _)| path.clone()).collect()
    }

    fn hash(&self) -> String {
        let mut all = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
        for (_, bytes) in &self.seen {
            all.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
            all.extend_from_slice(bytes);
        }
        digest(&SHA256, &all).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Config {
    /// What the keys of each site depend on.
    pub fn site_keys(&self) -> Vec<SiteKeys> {
        let keys = |site: &SiteConfig| SiteKeys {
            site: site.options.name.clone(),
            time_zone: site.time_zone.clone(),
            retention_max_months: site.share_retention.max_months,
            retention_min_months: site.share_retention.min_months,
        };
        self.sites.iter().map(keys).collect()
    }

    /// The ruleset that decides by this configuration, and what remains for serving.
    pub fn compile(self) -> Compiled {
        let mut sites = Vec::with_capacity(self.sites.len());
        let mut signals = Vec::with_capacity(self.sites.len());
        let mut upstreams = Vec::with_capacity(self.sites.len());
        for site in self.sites {
            signals.push(site.signals);
            sites.push(Site::new(site.options, site.rules, &self.catalog));
            upstreams.push(UpstreamSettings { addresses: site.upstreams, tls: site.upstream_tls });
        }
        let ruleset = Ruleset::new(self.purposes, self.catalog, sites, self.filter_lists, &self.hash);
        let Config { consent, access_log, admin_tokens, .. } = self;
        Compiled { ruleset, upstreams, signals, consent, access_log, admin_tokens }
    }
}
