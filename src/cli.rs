//! The command line: one file a command.

mod check;
mod demo;
mod explain;
mod health;
mod inventory;
mod keys;
mod run;
mod signals;
mod trail;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// The configuration cannot be used (EX_CONFIG of sysexits.h).
const BAD_CONFIGURATION: u8 = 78;

/// A reverse proxy that makes a web property keep its own consent promise.
#[derive(Parser)]
#[command(name = "consentry", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve.
    Run(run::Arguments),
    /// Validate a configuration, and list everything that is wrong with it.
    Check(check::Arguments),
    /// Show what would be decided for one request, and why.
    Explain(explain::Arguments),
    /// Serve a sample shop full of trackers behind the proxy, on this machine only.
    Demo(demo::Arguments),
    /// Ask a running proxy whether it is ready.
    Health(health::Arguments),
    /// Ask who opened shared links, and prove it.
    Trail(trail::Arguments),
    /// Show what pages contact, and propose what to allow.
    Inventory(inventory::Arguments),
    /// Look after the keys of the ledger.
    Keys(keys::Arguments),
}

/// Writes to standard output. Whoever reads it may have seen enough, which is no error.
fn print(text: &str) {
    io::stdout().write_all(text.as_bytes()).ok();
}

/// How long the admin listener may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer of a running proxy's admin listener to `GET path`, header section included.
fn ask(admin: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Trail(arguments) => trail::trail(&arguments),
        Command::Inventory(arguments) => inventory::inventory(&arguments),
        Command::Keys(arguments) => keys::keys(&arguments),
    }
}
