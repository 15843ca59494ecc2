//! The ledger of share links: who opened one, without keeping an address.
//!
//! A [`record::NewRecord`] goes to the [`journal`], which puts it on disk as a link of a [`chain`]: no record can be
//! changed, dropped or moved without showing, and yet what tells a visitor can be erased from it.

pub mod agent;
pub mod chain;
pub mod journal;
pub mod pseudonym;
pub mod record;
