//! Who the visitor is, as far as it is to be told to the upstream, and whose word about that is believed.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{AsHeaderName, FORWARDED, HOST};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

// As text, since pingora would copy the name of a `HeaderName` that it does not know for each field that is set.
const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

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

/// Whether the visitor came by https, by the word of a trusted peer.
pub(super) fn is_secure(header: &RequestHeader, trusted: bool) -> bool {
    let proto = header.headers.get(PROTO).map(|value| value.as_bytes());
    // Of a list, the first is what the visitor used.
    let first = proto.and_then(|proto| proto.split(|b| *b == b',').next());
    trusted && first.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// Sets the forwarded fields: a trusted peer's are kept and continued, anybody else's replaced, since anybody can write
/// them (RFC 7239, section 8.1).
pub(super) fn set(session: &Session, upstream: &mut RequestHeader, trusted: bool) -> Result<()> {
    let Some(peer) = peer(session) else { return Ok(()) };
    let mut addresses = if trusted { joined(&upstream.headers, FOR) } else { String::new() };
    let separator = if addresses.is_empty() { "" } else { ", " };
    // Writing to a string does not fail.
    _ = write!(addresses, "{separator}{peer}");
    // Setting a field takes the place of all that have its name.
    upstream.insert_header(FOR, addresses)?;
    if !trusted || !upstream.headers.contains_key(PROTO) {
        upstream.insert_header(PROTO, "http")?;
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

fn joined(headers: &HeaderMap, name: impl AsHeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(", ")
}
