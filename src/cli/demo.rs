//! `consentry demo`: the proxy in front of a sample shop, with nothing to set up.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use super::BAD_CONFIGURATION;
use super::run::{serve, start_with};
use super::signals::Signals;
use crate::config::{Listen, Loaded};
use crate::demo::{self, Shop};
use crate::telemetry::start_logging;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to serve the shop, 127.0.0.1:8080 unless told; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to serve health, metrics and status, 127.0.0.1:9900 unless told.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

pub(super) fn demo(arguments: &Arguments) -> ExitCode {
    start_logging();
    match Shop::open() {
        Ok(shop) => {
            let code = stand_before(&shop, arguments).unwrap_or_else(|code| code);
            shop.close();
            code
        }
        Err(error) => {
            eprintln!("the sample shop cannot open: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until told to stop.
fn stand_before(shop: &Shop, arguments: &Arguments) -> Result<ExitCode, ExitCode> {
    let Loaded { config, diagnostics, .. } = demo::configuration(shop.address);
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let mut config = config.ok_or(ExitCode::from(BAD_CONFIGURATION))?;
    config.listen = Listen {
        traffic: arguments.listen.map_or(config.listen.traffic, |address| vec![address]),
        traffic_tls: Vec::new(),
        admin: arguments.admin.unwrap_or(config.listen.admin),
    };
    let signals = Signals::watch()?;
    let app = start_with(demo::configuration_path(), config, diagnostics, None).inspect_err(|_| {
        eprintln!("other ports can be chosen: consentry demo --listen 127.0.0.1:0 --admin 127.0.0.1:0");
    })?;
    if let Some(traffic) = app.traffic.first() {
        let text = demo::welcome(*traffic, app.admin, shop.address);
        // Without anybody to read it, it can serve all the same.
        io::stdout().write_all(text.as_bytes()).ok();
    }
    Ok(serve(app, None, signals))
}
