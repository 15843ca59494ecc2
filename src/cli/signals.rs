//! The signals that a running proxy obeys.

use std::io;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;

/// SIGTERM and SIGINT, which stop, and SIGHUP, which reloads.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself: one that comes while the proxy starts is obeyed when it has.
    pub(super) fn watch() -> Result<Self, ExitCode> {
        let watch = || -> io::Result<Self> {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let entered = runtime.enter();
            let terminate = signal(SignalKind::terminate())?;
            let interrupt = signal(SignalKind::interrupt())?;
            let hangup = signal(SignalKind::hangup())?;
            drop(entered);
            Ok(Signals { runtime, terminate, interrupt, hangup })
        };
        watch().map_err(|error| {
            eprintln!("consentry cannot wait for signals: {error}");
            ExitCode::FAILURE
        })
    }

    /// Serves until SIGTERM (with lame duck) or SIGINT (without); SIGHUP reloads; a second signal ends the waiting.
    /// Returns how many connections were cut.
    pub(super) fn serve(self, app: App) -> usize {
        let Signals { runtime, mut terminate, mut interrupt, mut hangup } = self;
        runtime.block_on(async {
            let impatient = loop {
                tokio::select! {
                    _ = terminate.recv() => break false,
                    _ = interrupt.recv() => break true,
                    _ = hangup.recv() => { app.store.reload().await; }
                }
            };
            let (force, forced) = watch::channel(false);
            let second_signal = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                force.send_replace(true);
                std::future::pending::<()>().await;
            };
            let app = if impatient { app.without_lame_duck() } else { app };
            tokio::select! {
                cut = app.drain(forced) => cut,
                () = second_signal => 0,
            }
        })
    }
}
