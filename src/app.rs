//! The wiring map: configuration → bound sockets → store → workers → admin → drain.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pingora::apps::HttpServerOptions;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::admin::trail::TrailPages;
use crate::config::{Config, Diagnostic, Limits, Server};
use crate::ledger::desk::Desk;
use crate::ledger::recording::Recording;
use crate::metrics::Metrics;
use crate::net::{BindError, Bound, Connections, Listener, UpstreamError, Workers, bind, serve_http};
use crate::proxy::{Gateway, Ports};
use crate::readiness::Readiness;
use crate::reload::{Store, unix_time_ms, watch as watch_files};
use crate::telemetry::AccessLog;

/// Names of upstreams are asked for again this often.
const RESOLVE_EVERY: Duration = Duration::from_secs(15);

/// Idle connections to upstreams that one worker keeps.
const UPSTREAM_POOL: usize = 1024;

/// Attempts for one request at most, whatever the number of addresses.
const MAX_ATTEMPTS: usize = 4;

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// A running proxy.
pub struct App {
    /// The sockets' addresses, with the ports that were taken.
    pub traffic: Vec<SocketAddr>,
    pub traffic_tls: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    server: Server,
    workers: Workers,
    control: JoinHandle<()>,
    stop_control: watch::Sender<bool>,
    access_log: (AccessLog, JoinHandle<()>),
}

impl App {
    /// Starts serving the configuration that was read from `path`; the access log goes to `log`, and accesses to share
    /// links to `recording`.
    pub fn start(
        path: &Path,
        config: Config,
        diagnostics: Vec<Diagnostic>,
        log: impl Write + Send + 'static,
        recording: Option<Arc<Recording>>,
    ) -> Result<App, StartError> {
        let (server, limits) = (config.server.clone(), config.limits.clone());
        let bound = bind_all(&config.listen.traffic)?;
        let bound_tls = bind_all(&config.listen.traffic_tls)?;
        let admin = bind(config.listen.admin)?;
        let desk = config.ledger.clone().map(|settings| Desk {
            settings,
            sites: config.site_keys(),
            clock: Arc::new(unix_time_ms),
        });
        let metrics = Metrics::new()?;
        let store = Arc::new(Store::new(path, config, diagnostics, metrics.clone())?);
        let access_log = AccessLog::start(log, metrics.access_log_dropped.clone())?;
        let connections = Arc::<Connections>::default();
        let traffic: Vec<_> = bound.iter().map(|bound| bound.address).collect();
        let traffic_tls: Vec<_> = bound_tls.iter().map(|bound| bound.address).collect();
        let ports = Ports {
            plain: traffic.iter().map(SocketAddr::port).collect(),
            tls: traffic_tls.first().map(SocketAddr::port),
        };
        let gateway = || Gateway {
            store: store.clone(),
            metrics: metrics.clone(),
            limits: limits.clone(),
            server: server.clone(),
            ports: ports.clone(),
            access_log: access_log.0.clone(),
            recording: recording.clone(),
        };
        let plain = bound.into_iter().map(|bound| Listener { socket: bound.listener, tls: None });
        let tls = bound_tls.into_iter().map(|bound| Listener { socket: bound.listener, tls: store.tls() });
        let listeners: Vec<_> = plain.chain(tls).collect();
        let workers = start_workers(&listeners, &server, &limits, &metrics, &connections, gateway)?;
        let readiness = Readiness::default();
        let admin_address = admin.address;
        let pages = Admin {
            store: store.clone(),
            recording: recording.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            connections,
            traffic: traffic.clone(),
            traffic_tls: traffic_tls.clone(),
            admin: admin_address,
            started: Instant::now(),
            trail: TrailPages::new(desk, metrics.clone()),
        };
        let (stop_control, stopped) = watch::channel(false);
        let control = start_control(admin, pages, stopped)?;
        let secured = traffic_tls.iter().map(|address| format!("{address} (TLS)"));
        let ports: Vec<_> = traffic.iter().map(ToString::to_string).chain(secured).collect();
        log::info!(
            "consentry {} listens: traffic on {}, admin on {admin_address}",
            env!("CARGO_PKG_VERSION"),
            ports.join(", ")
        );
        Ok(App {
            traffic,
            traffic_tls,
            admin: admin_address,
            store,
            metrics,
            readiness,
            server,
            workers,
            control,
            stop_control,
            access_log,
        })
    }

    /// As it is, but draining begins at once: for a person at a terminal.
    #[must_use]
    pub fn without_lame_duck(self) -> Self {
        App { server: Server { lame_duck: Duration::ZERO, ..self.server }, ..self }
    }

    /// Ends in order: not ready, lame duck, no new connections, requests finish, logs written. Returns how many
    /// connections were cut at the deadline. `forced` turning true skips the waiting.
    pub async fn drain(self, mut forced: watch::Receiver<bool>) -> usize {
        let blocker = self.readiness.block("draining");
        log::info!("draining: not ready, new connections are served for another {} s", self.server.lame_duck.as_secs());
        tokio::select! {
            () = tokio::time::sleep(self.server.lame_duck) => {}
            _ = forced.wait_for(|forced| *forced) => {}
        }
        let cut = self.workers.drain(self.server.drain, forced).await;
        if cut > 0 {
            log::warn!("{cut} connections were cut at the deadline");
        }
        self.stop_control.send_replace(true);
        let (access_log, writer) = self.access_log;
        drop((access_log, blocker));
        let control = self.control;
        // The writer ends when the last request has, with everything written.
        let finish = move || (control.join().ok(), writer.join().ok());
        tokio::task::spawn_blocking(finish).await.ok();
        log::info!("stopped");
        cut
    }
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Bound>, BindError> {
    addresses.iter().map(|address| bind(*address)).collect()
}

fn start_workers(
    listeners: &[Listener],
    server: &Server,
    limits: &Limits,
    metrics: &Arc<Metrics>,
    connections: &Arc<Connections>,
    gateway: impl Fn() -> Gateway,
) -> Result<Workers, StartError> {
    let count = server.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let rejected = metrics.rejected.clone();
    let on_refused = Arc::new(move |reason: &'static str| rejected.with_label_values(&[reason]).inc());
    let conf = Arc::new(ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        max_retries: MAX_ATTEMPTS,
        ..ServerConf::default()
    });
    let workers = Workers::start(count, listeners, limits, connections.clone(), on_refused, || {
        let mut proxy: HttpProxy<Gateway> = http_proxy(&conf, gateway());
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(limits.idle);
        proxy.server_options = Some(options);
        proxy.h2_options = Some(h2_options(limits));
        proxy
    })?;
    Ok(workers)
}

fn h2_options(limits: &Limits) -> pingora::protocols::http::v2::server::H2Options {
    let mut options = pingora::protocols::http::v2::server::default_h2_options();
    options.max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    options
}

/// The thread that answers operators, resolves names and watches files, so that traffic waits for none of it, nor they
/// for traffic.
fn start_control(admin: Bound, pages: Admin, mut stopped: watch::Receiver<bool>) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let unresolved = pages.readiness.block("upstreams");
    let run = async move {
        let store = pages.store.clone();
        match tokio::net::TcpListener::from_std(admin.listener) {
            Ok(listener) => _ = tokio::spawn(serve_http(listener, pages, stopped.clone())),
            Err(error) => log::error!("the admin listener cannot be used: {error}"),
        }
        tokio::spawn(watch_files(store.clone()));
        tokio::spawn(async move {
            store.resolve().await;
            drop(unresolved);
            loop {
                tokio::time::sleep(RESOLVE_EVERY).await;
                store.resolve().await;
            }
        });
        stopped.wait_for(|stop| *stop).await.ok();
    };
    Ok(std::thread::Builder::new().name("control".to_owned()).spawn(move || runtime.block_on(run))?)
}
