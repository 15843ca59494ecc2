//! Consentry: a reverse proxy that makes a web property keep its own consent promise.

pub mod consent;
pub mod enforce;
pub mod policy;
