//! The ledger of share links: who opened one, without keeping an address.
//!
//! An address becomes a [`pseudonym`] under a key of [`keys`] that belongs to one site and one calendar month. While
//! that key exists, whoever holds it can ask whether a given address was there; once it is destroyed, nobody can.

pub mod keys;
pub mod memory;
pub mod pseudonym;
