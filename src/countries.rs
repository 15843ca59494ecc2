//! Which country an address belongs to, by a file in the MaxMind DB format (version 2.0).
//!
//! The file is the operator's: GeoLite2, DB-IP and others publish such files. It is read into memory, and again on reload.

use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader, path};

use crate::policy::Country;

/// The file, read.
pub struct Countries(Reader<Vec<u8>>);

impl Countries {
    /// Reads the bytes of a file, and checks that addresses lead to countries in it.
    pub fn new(bytes: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let reader = Reader::from_source(bytes)?;
        reader.verify()?;
        Ok(Countries(reader))
    }

    /// The country in which `address` is in use. The place of registration says nothing about a visitor.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.0.lookup(address).ok()?;
        let code: Option<&str> = found.decode_path(&path!["country", "iso_code"]).ok()?;
        Country::parse(code?.as_bytes())
    }
}
