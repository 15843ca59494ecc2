//! Sockets: bound before anything starts, accepted by worker threads, read up to the end of a request's header section,
//! drained at the end.

mod accept;
mod bind;
mod coalesce;
mod first_read_yield;
mod head;
mod secured;
mod upstream;
mod workers;

pub use accept::{Connections, Listener, serve_http};
pub use bind::{BindError, Bound, bind};
pub use head::{HeadError, HeadLimits, check_head};
pub use upstream::{UpstreamError, Upstreams};
pub use workers::Workers;
