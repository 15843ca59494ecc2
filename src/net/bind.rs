//! Listening sockets, made before anything else runs: a port in use must fail the start, and port 0 must be known.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds ready for us.
const BACKLOG: i32 = 4096;

/// A socket that listens.
pub struct Bound {
    pub listener: TcpListener,
    /// With the port that was taken, if any was asked for.
    pub address: SocketAddr,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{hint}", hint = hint(.source))]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process listens there: stop it, or choose another port under `[listen]`)"
        }
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need a capability: choose a higher port under `[listen]`)"
        }
        io::ErrorKind::AddrNotAvailable => " (this machine has no such address: choose another under `[listen]`)",
        _ => "",
    }
}

/// Listens on `address`; port 0 takes any that is free.
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        Ok(Bound { address: listener.local_addr()?, listener })
    };
    listen().map_err(|source| BindError { address, source })
}
