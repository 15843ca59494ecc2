//! Who the visitor is, as far as it is to be told to the upstream, and whose word about that is believed.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{AsHeaderName, FORWARDED, HOST};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::policy::ForwardedAddress;

// As text, since pingora would copy the name of a `HeaderName` that it does not know for each field that is set.
const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// In which proxies tell what certificate a visitor has shown them.
const CLIENT_CERTIFICATE: &str = "x-forwarded-client-cert";
/// Further fields in use for the address alone.
const ADDRESSES: [&str; 9] = [
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "x-envoy-external-address",
];

fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr()?.as_inet().map(|address| address.ip().to_canonical())
}

/// Whether the peer belongs to a network that is configured as trusted.
pub(super) fn is_trusted(session: &Session, networks: &[IpNet]) -> bool {
    !networks.is_empty() && peer(session).is_some_and(|peer| networks.iter().any(|network| network.contains(&peer)))
}

/// The visitor's address: the peer's, or, by the word of trusted peers, the last in `X-Forwarded-For` that is none of
/// theirs.
pub(super) fn client(session: &Session, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer(session)?;
    let lines = session.req_header().headers.get_all(FOR).into_iter().rev();
    for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        if !is_trusted(&client) {
            break;
        }
        client = std::str::from_utf8(hop).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(client)
}

/// Whether the visitor came by https: by the word of a trusted peer, else as the connection is.
pub(super) fn is_secure(session: &Session, trusted: bool) -> bool {
    let proto = session.req_header().headers.get(PROTO).filter(|_| trusted).map(|value| value.as_bytes());
    // Of a list, the first is what the visitor used.
    match proto.and_then(|proto| proto.split(|b| *b == b',').next()) {
        Some(proto) => proto.trim_ascii().eq_ignore_ascii_case(b"https"),
        None => is_tls(session),
    }
}

/// Whether TLS ends here.
fn is_tls(session: &Session) -> bool {
    session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Sets the forwarded fields: a trusted peer's are kept and continued, anybody else's replaced, since anybody can write
/// them (RFC 7239, section 8.1). Of addresses, they tell what `told` says.
pub(super) fn set(
    session: &Session,
    upstream: &mut RequestHeader,
    trusted: bool,
    told: ForwardedAddress,
    networks: &[IpNet],
) -> Result<()> {
    set_origin(upstream, trusted, if is_tls(session) { "https" } else { "http" })?;
    if !trusted {
        upstream.remove_header(CLIENT_CERTIFICATE);
    }
    match told {
        ForwardedAddress::Full => set_addresses(session, upstream, trusted),
        ForwardedAddress::Truncated => {
            remove_addresses(upstream);
            let network = client(session, networks).map(network);
            network.map_or(Ok(()), |network| upstream.insert_header(FOR, network.to_string()))
        }
        ForwardedAddress::None => {
            remove_addresses(upstream);
            Ok(())
        }
    }
}

/// How the visitor came, and what host they addressed.
fn set_origin(upstream: &mut RequestHeader, trusted: bool, scheme: &'static str) -> Result<()> {
    // Setting a field takes the place of all that have its name.
    if !trusted || !upstream.headers.contains_key(PROTO) {
        upstream.insert_header(PROTO, scheme)?;
    }
    if !trusted || !upstream.headers.contains_key(FORWARDED_HOST) {
        let host = upstream.headers.get(HOST).cloned();
        let authority = || upstream.uri.authority().and_then(|authority| authority.as_str().parse().ok());
        let host = host.or_else(authority);
        match host {
            Some(host) => upstream.insert_header(FORWARDED_HOST, host)?,
            None => _ = upstream.remove_header(FORWARDED_HOST),
        }
    }
    Ok(())
}

/// The whole way that the request took, the peer last.
fn set_addresses(session: &Session, upstream: &mut RequestHeader, trusted: bool) -> Result<()> {
    let Some(peer) = peer(session) else { return Ok(()) };
    let mut addresses = if trusted { joined(&upstream.headers, FOR) } else { String::new() };
    let separator = if addresses.is_empty() { "" } else { ", " };
    // Writing to a string does not fail.
    _ = write!(addresses, "{separator}{peer}");
    upstream.insert_header(FOR, addresses)?;
    if !trusted {
        upstream.remove_header(&REAL_IP);
        upstream.remove_header(&FORWARDED);
    } else if upstream.headers.contains_key(FORWARDED) {
        let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        let value = format!("{}, for={node}", joined(&upstream.headers, FORWARDED));
        upstream.insert_header(FORWARDED, value)?;
    }
    Ok(())
}

/// Removes the fields by which proxies and content delivery networks tell a visitor's address, so that none is told by
/// another name.
fn remove_addresses(upstream: &mut RequestHeader) {
    upstream.remove_header(FOR);
    upstream.remove_header(&FORWARDED);
    for name in ADDRESSES {
        upstream.remove_header(name);
    }
}

/// The network that `address` belongs to, as its first address: 24 bits of IPv4, 48 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (!0 << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into(),
    }
}

fn joined(headers: &HeaderMap, name: impl AsHeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_tells_no_single_address() {
        for (address, expected) in [
            ("203.0.113.77", "203.0.113.0"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("255.255.255.255", "255.255.255.0"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected, "{address}");
        }
    }

    #[test]
    fn no_field_keeps_an_address() {
        let mut header = RequestHeader::build("GET", b"/", None).unwrap();
        for name in ADDRESSES.into_iter().chain([FOR, "forwarded", "accept"]) {
            header.append_header(name, "203.0.113.77").unwrap();
        }
        remove_addresses(&mut header);
        assert_eq!(header.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["accept"]);
    }
}
