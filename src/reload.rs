//! The ruleset in force, and how it is replaced while requests go on: watch → parse → compile → swap.
//!
//! On any error the last good one stays, and metrics and status say so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::{
    self, AdminToken, Compiled, Config, ConsentSettings, Diagnostic, LedgerSettings, Limits, Listen, Loaded, Server,
    Severity, UpstreamSettings,
};
use crate::consent::signal::FORMATS;
use crate::consent::{Observer, Resolver, SiteSignals};
use crate::enforce::html::{GuardFiles, OwnFile};
use crate::inventory::{Inventory, UnmappedIds};
use crate::ledger::keys::SiteKeys;
use crate::metrics::{Metrics, SiteMetrics};
use crate::net::{UpstreamError, Upstreams};
use crate::policy::Ruleset;
use crate::telemetry::timestamp;
use crate::tls::{ServerTls, Tls};

/// Several files of one change arrive within this time.
const SETTLE: Duration = Duration::from_millis(150);

/// Changes are looked for this often even if nothing announced them: network file systems do not.
const POLL: Duration = Duration::from_secs(10);

/// Everything that a request needs and a reload replaces. Immutable.
pub struct Snapshot {
    pub ruleset: Ruleset,
    pub consent: ConsentSettings,
    /// By position of the site in the ruleset.
    pub sites: Vec<SiteRuntime>,
    /// Counts from 1.
    pub version: u64,
    /// RFC 3339.
    pub since: String,
    pub access_log: bool,
    /// Who may ask the ledger on the admin listener.
    pub admin_tokens: Vec<AdminToken>,
}

impl Snapshot {
    /// Works out the consent of visitors of the site at `position`.
    pub fn resolver(&self, position: usize) -> Option<Resolver<'_>> {
        Some(Resolver {
            site: self.ruleset.sites.get(position)?,
            signals: &self.sites.get(position)?.signals,
            own: &self.consent.cookie,
            purposes: &self.ruleset.purposes,
            catalog: &self.ruleset.catalog,
        })
    }

    /// The inventory of the site called `name`.
    fn inventory(&self, name: &str) -> Option<Arc<Inventory>> {
        let mut sites = self.ruleset.sites.iter().zip(&self.sites);
        sites.find(|(site, _)| &*site.options.name == name).map(|(_, runtime)| runtime.inventory.clone())
    }
}

/// What serves a site.
pub struct SiteRuntime {
    pub upstreams: Upstreams,
    pub metrics: SiteMetrics,
    pub guard: GuardFiles,
    pub signals: SiteSignals,
    /// What banners' records hold that no mapping knows.
    pub unmapped: UnmappedIds,
    /// Kept as long as a site of this name is configured.
    pub inventory: Arc<Inventory>,
}

/// Counts what is met on the way to a consent.
impl Observer for &SiteRuntime {
    fn unmapped(&mut self, position: usize, id: &[u8]) {
        self.metrics.unmapped_id(position);
        if let Some(format) = FORMATS.get(position) {
            self.unmapped.note(format.name, id);
        }
    }

    fn conflict(&mut self) {
        self.metrics.conflicts.inc();
    }
}

/// What a restart would be needed for.
#[derive(Clone, PartialEq, Eq)]
pub struct Static {
    pub listen: Listen,
    pub server: Server,
    pub limits: Limits,
    /// With the sites that it has keys for.
    pub ledger: Option<(LedgerSettings, Vec<SiteKeys>)>,
}

impl Static {
    pub fn of(config: &Config) -> Self {
        Static {
            listen: config.listen.clone(),
            server: config.server.clone(),
            limits: config.limits.clone(),
            ledger: config.ledger.clone().map(|ledger| (ledger, config.site_keys())),
        }
    }
}

/// How the last attempt to load went.
#[derive(Clone, Default, Serialize)]
pub struct ReloadStatus {
    /// RFC 3339.
    pub last_attempt: String,
    pub successful: bool,
    /// What was wrong, if it failed; what is doubtful, if it did not.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether settings changed that only a restart applies.
    pub restart_needed: bool,
}

/// What is watched.
#[derive(Clone, Default)]
struct Files {
    configuration: Vec<PathBuf>,
    /// Of certificates that visitors are shown.
    certificates: Vec<PathBuf>,
}

/// What files hold, or that they cannot be read.
type Contents = Vec<Option<Vec<u8>>>;

/// Holds the snapshot in force.
pub struct Store {
    current: ArcSwap<Snapshot>,
    path: PathBuf,
    fixed: Static,
    metrics: Arc<Metrics>,
    /// What visitors are met with where TLS is spoken.
    tls: Option<Arc<Tls>>,
    status: Mutex<ReloadStatus>,
    files: Mutex<Files>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Store {
    /// Begins with `config`, which was read from `path`.
    pub fn new(
        path: &Path,
        mut config: Config,
        diagnostics: Vec<Diagnostic>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, UpstreamError> {
        let fixed = Static::of(&config);
        let tls = config.tls.take().map(|tls| Arc::new(Tls::new(tls, metrics.tls.clone())));
        let certificates = tls.as_ref().map(|tls| tls.files()).unwrap_or_default();
        let files = Files { configuration: config.files.clone(), certificates };
        let snapshot = snapshot(config, &metrics, None)?;
        let store = Store {
            current: ArcSwap::from_pointee(snapshot),
            path: path.to_owned(),
            fixed,
            metrics,
            tls,
            status: Mutex::default(),
            files: Mutex::new(files),
            reloading: tokio::sync::Mutex::default(),
        };
        store.succeeded(diagnostics, false);
        Ok(store)
    }

    /// The snapshot in force now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// What visitors are met with where TLS is spoken, if it is anywhere.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Takes certificates that were renewed, whatever the configuration looks like by now.
    async fn reload_certificates(&self) {
        let _one_at_a_time = self.reloading.lock().await;
        if let Some(tls) = self.tls() {
            tokio::task::spawn_blocking(move || tls.reload()).await.ok();
        }
    }

    pub fn status(&self) -> ReloadStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves the upstreams of the snapshot in force.
    pub async fn resolve(&self) {
        let current = self.current();
        for site in &current.sites {
            site.upstreams.resolve().await;
        }
    }

    /// Loads the configuration again. Nothing changes if it is the same, or not valid.
    pub async fn reload(&self) -> ReloadStatus {
        let _one_at_a_time = self.reloading.lock().await;
        let path = self.path.clone();
        let Ok(loaded) = tokio::task::spawn_blocking(move || config::load(&path)).await else { return self.status() };
        let Loaded { config, diagnostics, files, certificate_files } = loaded;
        let watched = Files { configuration: files, certificates: certificate_files };
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = watched;
        let Some(mut config) = config else { return self.failed(diagnostics) };
        let restart_needed = Static::of(&config) != self.fixed;
        let earlier = self.current();
        let tls = config.tls.take();
        if *config.hash == *earlier.ruleset.hash {
            self.replace_tls(tls);
            return self.succeeded(diagnostics, restart_needed);
        }
        let config = Config { limits: self.fixed.limits.clone(), ..config };
        match snapshot(config, &self.metrics, Some(&earlier)) {
            Ok(fresh) => {
                self.inherit_upstreams(&earlier, &fresh).await;
                log::info!("ruleset {} in force: {}", fresh.version, fresh.ruleset.hash);
                self.current.store(Arc::new(fresh));
                self.replace_tls(tls);
                self.succeeded(diagnostics, restart_needed)
            }
            Err(error) => {
                let error = Diagnostic::of_file(&self.path.to_string_lossy(), error.to_string());
                self.failed(diagnostics.into_iter().chain([error]).collect())
            }
        }
    }

    /// Whether TLS is spoken at all is decided at the start.
    fn replace_tls(&self, fresh: Option<ServerTls>) {
        if let Some((tls, fresh)) = self.tls.as_ref().zip(fresh) {
            tls.replace(fresh);
        }
    }

    /// Names that are new are resolved before anybody needs them.
    async fn inherit_upstreams(&self, earlier: &Snapshot, fresh: &Snapshot) {
        for site in &fresh.sites {
            earlier.sites.iter().for_each(|known| site.upstreams.inherit(&known.upstreams));
            if !site.upstreams.is_resolved() {
                site.upstreams.resolve().await;
            }
        }
    }

    fn succeeded(&self, diagnostics: Vec<Diagnostic>, restart_needed: bool) -> ReloadStatus {
        self.metrics.reloads.with_label_values(&["success"]).inc();
        self.metrics.config_last_reload_successful.set(1);
        self.metrics.config_last_reload_success_timestamp.set(unix_time_signed());
        self.metrics.config_version.set(i64::try_from(self.current.load().version).unwrap_or(i64::MAX));
        if restart_needed {
            log::warn!("[listen], [server], [limits], [ledger] or the sites of the ledger changed: restart to apply");
        }
        self.set_status(ReloadStatus { last_attempt: timestamp(), successful: true, diagnostics, restart_needed })
    }

    fn failed(&self, diagnostics: Vec<Diagnostic>) -> ReloadStatus {
        self.metrics.reloads.with_label_values(&["failure"]).inc();
        self.metrics.config_last_reload_successful.set(0);
        for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
            log::error!("reload failed, the last good ruleset stays in force: {diagnostic}");
        }
        let restart_needed = self.status().restart_needed;
        self.set_status(ReloadStatus { last_attempt: timestamp(), successful: false, diagnostics, restart_needed })
    }

    fn set_status(&self, status: ReloadStatus) -> ReloadStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status.clone();
        status
    }

    /// The directories of all files, symbolic links followed and not: a ConfigMap is a link to a link.
    fn directories(&self) -> Vec<PathBuf> {
        let Files { configuration, certificates } = self.files();
        let files = [configuration, certificates].concat();
        let parent = |path: &Path| {
            path.parent().map(|p| if p.as_os_str().is_empty() { PathBuf::from(".") } else { p.to_owned() })
        };
        let real = files.iter().filter_map(|file| file.canonicalize().ok());
        let mut directories: Vec<_> = files.iter().cloned().chain(real).filter_map(|file| parent(&file)).collect();
        directories.sort();
        directories.dedup();
        directories
    }

    /// What the files hold now, to tell a change from a touch.
    fn contents(&self) -> (Contents, Contents) {
        let Files { configuration, certificates } = self.files();
        let read = |files: Vec<PathBuf>| files.iter().map(|file| std::fs::read(file).ok()).collect();
        (read(configuration), read(certificates))
    }

    fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn snapshot(config: Config, metrics: &Metrics, earlier: Option<&Snapshot>) -> Result<Snapshot, UpstreamError> {
    let limits = config.limits.clone();
    let Compiled { ruleset, upstreams, signals, consent, access_log, admin_tokens } = config.compile();
    let scripts = (Arc::new(OwnFile::guard(&consent.prefix)), Arc::new(OwnFile::bridge(&consent.prefix)));
    let sites = ruleset.sites.iter().zip(upstreams).zip(signals).map(|((site, settings), signals)| {
        let UpstreamSettings { addresses, tls } = settings;
        let upstreams = Upstreams::new(addresses, &tls, limits.clone(), &site.options.name)?;
        let inventory = earlier.and_then(|earlier| earlier.inventory(&site.options.name)).unwrap_or_default();
        let own = (&*consent.prefix, &*consent.cookie.name);
        let guard = GuardFiles::new(scripts.clone(), site, &ruleset.catalog, &ruleset.purposes, own);
        Ok(SiteRuntime {
            upstreams,
            metrics: metrics.site(site, &ruleset.purposes),
            guard,
            signals,
            unmapped: UnmappedIds::default(),
            inventory,
        })
    });
    let sites = sites.collect::<Result<_, UpstreamError>>()?;
    let version = earlier.map_or(1, |earlier| earlier.version + 1);
    Ok(Snapshot { ruleset, consent, sites, version, since: timestamp(), access_log, admin_tokens })
}

/// Unix time in milliseconds.
pub fn unix_time_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Unix time in seconds.
pub fn unix_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn unix_time_signed() -> i64 {
    i64::try_from(unix_time()).unwrap_or(i64::MAX)
}

/// Reloads whenever a file of the configuration changes, until the task is dropped.
pub async fn watch(store: Arc<Store>) {
    let (events, mut changed) = mpsc::channel::<()>(1);
    let announce = move |_| _ = events.try_send(());
    let mut watcher = match notify::recommended_watcher(announce) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            log::warn!("files cannot be watched, so they are compared every {} s: {error}", POLL.as_secs());
            None
        }
    };
    let mut watched: Vec<PathBuf> = Vec::new();
    let mut known = store.contents();
    loop {
        let directories = store.directories();
        if let Some(watcher) = watcher.as_mut().filter(|_| directories != watched) {
            watched.iter().for_each(|directory| _ = watcher.unwatch(directory));
            for directory in &directories {
                if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                    log::warn!("{} cannot be watched: {error}", directory.display());
                }
            }
            watched = directories;
        }
        tokio::select! {
            _ = changed.recv(), if watcher.is_some() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(POLL) => {}
        }
        while changed.try_recv().is_ok() {}
        let now = store.contents();
        if now == known {
            continue;
        }
        if now.1 != known.1 {
            store.reload_certificates().await;
        }
        // A configuration may have failed only because of a certificate.
        if now.0 != known.0 || !store.status().successful {
            store.reload().await;
        }
        known = store.contents();
    }
}
