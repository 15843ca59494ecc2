//! What stands for a visitor, a link and an object in a record.

use std::net::IpAddr;

/// The visitor's address, in its one spelling.
#[allow(dead_code)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    pub fn new(address: IpAddr) -> Self {
        ClientAddress(address.to_canonical())
    }
}

/// Stands for one visitor at one site in one epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym(pub [u8; 16]);

/// Stands for a share link's token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkDigest(pub [u8; 16]);

/// Stands for what is fetched within a share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectDigest(pub [u8; 16]);
