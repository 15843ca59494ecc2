//! What stands for a visitor, a link and an object in a record.

use std::net::IpAddr;

/// The visitor's address, in its one spelling.
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    pub fn new(address: IpAddr) -> Self {
        ClientAddress(address.to_canonical())
    }

    /// The octets that a pseudonym is made of: of IPv6 the network of 64 bits, within which a visitor's device moves.
    pub fn octets(&self) -> [u8; 9] {
        let mut octets = [0; 9];
        let (version, address): (u8, &[u8]) = match &self.0 {
            IpAddr::V4(v4) => (4, &v4.octets()),
            IpAddr::V6(v6) => (6, &v6.octets()),
        };
        let parts = std::iter::once(&version).chain(address);
        octets.iter_mut().zip(parts).for_each(|(octet, part)| *octet = *part);
        octets
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
