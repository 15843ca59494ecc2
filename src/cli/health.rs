//! `consentry health`: for containers that have no other program to ask with.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the admin listener is.
    #[arg(long, default_value = "127.0.0.1:9900")]
    admin: SocketAddr,
}

pub(super) fn health(arguments: &Arguments) -> ExitCode {
    match ask(arguments.admin) {
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

fn ask(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
