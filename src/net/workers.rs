//! The threads that serve traffic: each has its own single-threaded runtime, its own pool of upstream connections and
//! its share of all listeners, so that a request never changes threads.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pingora::apps::HttpServerApp;
use tokio::sync::watch;

use super::accept::{Acceptor, Connections, Listener, accept};
use super::head::HeadLimits;
use crate::config::Limits;

/// How often the end of the last connection is looked for.
const POLL: Duration = Duration::from_millis(20);

/// The running workers.
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    connections: Arc<Connections>,
    shutdown: watch::Sender<bool>,
    abandon: watch::Sender<bool>,
}

impl Workers {
    /// Starts `count` threads on `listeners`. `app` is made once for each.
    pub fn start<A>(
        count: usize,
        listeners: &[Listener],
        limits: &Limits,
        connections: Arc<Connections>,
        on_refused: Arc<dyn Fn(&'static str) + Send + Sync>,
        app: impl Fn() -> A,
    ) -> io::Result<Workers>
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let (shutdown, stop) = watch::channel(false);
        let (abandon, abandoned) = watch::channel(false);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            let acceptor = Arc::new(Acceptor {
                app: Arc::new(app()),
                limits: HeadLimits { bytes: limits.header_bytes, time: limits.header_time, idle: limits.idle },
                max_connections: limits.connections,
                requests_per_connection: limits.requests_per_connection,
                connections: connections.clone(),
                on_refused: on_refused.clone(),
            });
            let share = |of: &Listener| Ok(Listener { socket: of.socket.try_clone()?, tls: of.tls.clone() });
            let listeners = listeners.iter().map(share).collect::<io::Result<Vec<_>>>()?;
            let (stop, abandoned) = (stop.clone(), abandoned.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let run = move || runtime.block_on(work(listeners, acceptor, stop, abandoned));
            threads.push(std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?);
        }
        Ok(Workers { threads, connections, shutdown, abandon })
    }

    /// Stops accepting, lets requests finish for at most `deadline`, then gives up on the rest. Returns how many
    /// connections were cut. `forced` ends the wait at once.
    pub async fn drain(self, deadline: Duration, mut forced: watch::Receiver<bool>) -> usize {
        self.shutdown.send_replace(true);
        let until = Instant::now() + deadline;
        while self.connections.open() > 0 && Instant::now() < until && !*forced.borrow() {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = forced.wait_for(|forced| *forced) => {}
            }
        }
        let cut = self.connections.open();
        self.abandon.send_replace(true);
        let threads = self.threads;
        let join = move || threads.into_iter().for_each(|thread| _ = thread.join());
        tokio::task::spawn_blocking(join).await.ok();
        cut
    }
}

async fn work<A>(
    listeners: Vec<Listener>,
    acceptor: Arc<Acceptor<A>>,
    stop: watch::Receiver<bool>,
    mut abandoned: watch::Receiver<bool>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    for Listener { socket, tls } in listeners {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => _ = tokio::spawn(accept(listener, tls, acceptor.clone(), stop.clone())),
            Err(error) => log::error!("a listener cannot be used: {error}"),
        }
    }
    // The runtime, and with it every connection that is left, ends when this returns.
    abandoned.wait_for(|abandoned| *abandoned).await.ok();
}
