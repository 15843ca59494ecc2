//! The central store: one PostgreSQL in which the records of all replicas come together.
//!
//! A record is in its replica's journal first, and nothing that is served waits for the central store. A thread of its
//! own ships what the journal has and the central store has not; where that stands is kept there, in the same
//! transaction as the records, so that nothing is lost and nothing is there twice, whatever stops when. Records keep
//! their chains: what is here can be verified as the journals can.

mod apply;
mod connect;
mod erase;
mod error;
mod life;
mod partitions;
pub mod retention;
mod ship;
mod shipper;
mod source;
mod status;
mod upgrade;
mod verify;

pub use connect::{connect, connect_soon, parse, server};
pub use erase::{erase, note_erased};
pub use error::CentralError;
pub use life::{Held, LifeRecord, held, holds, needed_keys};
pub use shipper::{Erase, Route, Shipper};
pub use status::{CentralStatus, Watch};
pub use upgrade::upgrade;
pub use verify::{WriterReport, verify};
