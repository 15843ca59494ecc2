//! From what must not be kept to what may: keyed digests of addresses, tokens and paths.
//!
//! HMAC-SHA-256 (RFC 2104), cut to 16 bytes. Each use has a key of its own, expanded by HKDF (RFC 5869) from the bytes
//! in a key file, so that the same bytes under two labels never answer for each other.

use std::net::IpAddr;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::record::hex;

const VERSION: &[u8] = b"v1";

/// The address of a visitor. It cannot be shown, and is wiped from memory when it goes.
pub struct ClientAddress {
    octets: Zeroizing<[u8; 16]>,
    is_v6: bool,
}

impl ClientAddress {
    /// An IPv4 address that came in the clothes of IPv6 (`::ffff:192.0.2.1`, as a dual-stack socket says it) counts
    /// as what it is.
    pub fn new(address: IpAddr) -> Self {
        let mut octets = Zeroizing::new([0; 16]);
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                for (octet, byte) in octets.iter_mut().zip(v4.octets()) {
                    *octet = byte;
                }
                ClientAddress { octets, is_v6: false }
            }
            IpAddr::V6(v6) => {
                *octets = v6.octets();
                ClientAddress { octets, is_v6: true }
            }
        }
    }

    /// Family, length of the prefix in bits, and the prefix. The lower half of an IPv6 address changes daily, or names
    /// a device for ever: both are wrong for recognizing a visitor.
    fn network(&self) -> ([u8; 1], [u8; 1], &[u8]) {
        let (family, bits, length) = if self.is_v6 { (6, 64, 8) } else { (4, 32, 4) };
        ([family], [bits], self.octets.get(..length).unwrap_or_default())
    }
}

/// A visitor of one site in one epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 16]);

/// A share link, by its token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkDigest(pub [u8; 16]);

/// What lies behind a share link, by its path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectDigest(pub [u8; 16]);

/// A visitor of one site in one epoch, by the id in the own consent cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsentDigest(pub [u8; 16]);

impl Pseudonym {
    /// 32 lower-case digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl LinkDigest {
    /// 32 lower-case digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl ObjectDigest {
    /// 32 lower-case digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// A key that is ready for one use. The digest's state holds the key, and is wiped when it goes.
pub(super) struct DigestKey(Hmac<Sha256>);

impl DigestKey {
    /// The key for the use `label`, from the `secret` of a key file. `None` is not reachable with 32 bytes.
    pub(super) fn expand(secret: &[u8; 32], label: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::from_prk(secret).ok()?.expand(label.as_bytes(), key.as_mut_slice()).ok()?;
        Hmac::new_from_slice(key.as_slice()).ok().map(DigestKey)
    }

    pub(super) fn visitor(&self, site: &str, address: &ClientAddress) -> Pseudonym {
        let (family, bits, prefix) = address.network();
        Pseudonym(self.digest(&[VERSION, site.as_bytes(), &family, &bits, prefix]))
    }

    /// That `address` was asked about: nothing that a record holds, to anybody without the key.
    pub(super) fn asked(&self, site: &str, address: &ClientAddress) -> [u8; 16] {
        let (family, bits, prefix) = address.network();
        self.digest(&[VERSION, b"asked", site.as_bytes(), &family, &bits, prefix])
    }

    /// What is named by `name` in `site`: a token or a path.
    pub(super) fn named(&self, site: &str, name: &[u8]) -> [u8; 16] {
        self.digest(&[VERSION, site.as_bytes(), name])
    }

    /// Each field is preceded by its length: no two lists of fields are the same bytes.
    fn digest(&self, fields: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for field in fields {
            mac.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(field);
        }
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        digest
    }
}

/// What tells one key from another without telling the key: the first 8 bytes of a digest of its name under it.
pub(super) fn check_value(secret: &[u8; 32], kid: &str) -> Option<[u8; 8]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_slice()).ok()?;
    mac.update(b"check");
    mac.update(kid.as_bytes());
    mac.finalize().into_bytes().first_chunk::<8>().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(label: &str) -> DigestKey {
        DigestKey::expand(&std::array::from_fn(|i| i as u8), label).unwrap()
    }

    fn visitor(site: &str, address: &str) -> String {
        key("consentry/visitor/v1").visitor(site, &ClientAddress::new(address.parse().unwrap())).to_hex()
    }

    /// Computed with Python's `hmac`, not with this code.
    #[test]
    fn known_answers() {
        assert_eq!(visitor("dam", "203.0.113.7"), "675588123bd41e1d73d868caaf368d4c");
        assert_eq!(visitor("dam", "2001:db8:1:2:3:4:5:6"), "488abb086e85b369bb28dbe5452c5b6d");
        let link = key("consentry/link/v1").named("dam", b"s3cr3t-T0ken");
        assert_eq!(LinkDigest(link).to_hex(), "e757761c979f0e2533cd65f36e105568");
        let object = key("consentry/object/v1").named("dam", b"/photos/1.jpg");
        assert_eq!(ObjectDigest(object).to_hex(), "f47b63b4fbbe6c4cd6c473cae8caa901");
        let secret = std::array::from_fn(|i| i as u8);
        assert_eq!(check_value(&secret, "dam-v-2026-11-k3f9").unwrap(), [202, 151, 15, 236, 215, 234, 173, 59]);
    }

    #[test]
    fn who_is_one_visitor() {
        let same = [
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
            ("::", "::1"),
        ];
        for (one, other) in same {
            assert_eq!(visitor("dam", one), visitor("dam", other), "{one} {other}");
        }
        let unlike = [
            ("203.0.113.7", "203.0.113.8"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            ("0.0.0.0", "::"),
            ("203.0.113.7", "cb00:7107::"),
        ];
        for (one, other) in unlike {
            assert_ne!(visitor("dam", one), visitor("dam", other), "{one} {other}");
        }
        assert_ne!(visitor("dam", "203.0.113.7"), visitor("shop", "203.0.113.7"));
    }

    proptest! {
        #[test]
        fn moving_bytes_between_fields_changes_the_digest(
            fields in prop::collection::vec(prop::collection::vec(0u8..3, 0..4), 1..5),
            cuts in prop::collection::vec(0usize..12, 0..4),
        ) {
            let joined = fields.concat();
            let mut at: Vec<_> = cuts.into_iter().map(|cut| cut.min(joined.len())).collect();
            at.sort_unstable();
            let mut others = Vec::new();
            let mut start = 0;
            for cut in at.into_iter().chain([joined.len()]) {
                others.push(joined[start..cut].to_vec());
                start = cut;
            }
            let digest = |fields: &[Vec<u8>]| {
                key("x").digest(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(digest(&fields) == digest(&others), fields == others);
        }

        #[test]
        fn an_address_in_ipv6_clothes_is_the_address(bytes: [u8; 4]) {
            let v4 = std::net::Ipv4Addr::from(bytes);
            prop_assert_eq!(visitor("s", &v4.to_string()), visitor("s", &v4.to_ipv6_mapped().to_string()));
        }
    }
}
