//! `consentry health`: for containers that have no other program to ask with.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::ask;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the admin listener is.
    #[arg(long, default_value = "127.0.0.1:9900")]
    admin: SocketAddr,
}

pub(super) fn health(arguments: &Arguments) -> ExitCode {
    match ask(arguments.admin, "/readyz") {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("{}", answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim_end());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{} does not answer: {error}", arguments.admin);
            ExitCode::FAILURE
        }
    }
}
