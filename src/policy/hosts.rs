//! Host names as map keys: exact, or with everything below.

use std::collections::HashMap;
use std::fmt;

/// The longest host name DNS allows (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 255;

/// A host as it came from the wire, brought to one spelling: lower case, no port, no trailing dot. Held on the stack.
#[derive(Clone, Copy)]
pub struct Host {
    bytes: [u8; MAX_HOST],
    len: usize,
}

impl Host {
    /// Reads a `Host` field or the authority of a URL (RFC 9110, section 7.2). `None` if it is empty, too long or holds
    /// bytes that no host has.
    pub fn parse(authority: &[u8]) -> Option<Host> {
        let host = without_port(authority);
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.is_empty() || host.len() > MAX_HOST {
            return None;
        }
        let mut bytes = [0; MAX_HOST];
        for (to, from) in bytes.iter_mut().zip(host) {
            if !from.is_ascii_alphanumeric() && !b"-._:[]".contains(from) {
                return None;
            }
            *to = from.to_ascii_lowercase();
        }
        Some(Host { bytes, len: host.len() })
    }

    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether this is `domain` or below it. `domain` is in lower case.
    pub fn is_within(&self, domain: &str) -> bool {
        let host = self.as_str();
        match host.strip_suffix(domain) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// The registrable domain by the public suffix list; the host itself where there is none (an address, `localhost`).
    pub fn registrable_domain(&self) -> &str {
        let host = self.as_str();
        if self.is_address() { host } else { psl::domain_str(host).unwrap_or(host) }
    }

    /// Whether this is an IP address and not a name.
    pub fn is_address(&self) -> bool {
        let host = self.as_str();
        host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.as_str())
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    let start = if authority.first() == Some(&b'[') { memchr::memchr(b']', authority).unwrap_or(0) } else { 0 };
    match memchr::memrchr(b':', authority) {
        Some(colon) if colon >= start => authority.get(..colon).unwrap_or_default(),
        _ => authority,
    }
}

/// Which hosts a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `shop.example`: this host only.
    Exact(Box<str>),
    /// `*.shop.example`: every host below, not the domain itself.
    Below(Box<str>),
    /// `*`: any host that nothing else claims.
    Any,
}

impl HostPattern {
    /// Reads `shop.example`, `*.shop.example` or `*`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(HostPattern::Any);
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let host = Host::parse(name.as_bytes()).filter(|host| host.as_str().len() == name.len())?;
        let host = host.as_str().into();
        Some(if text.starts_with("*.") { HostPattern::Below(host) } else { HostPattern::Exact(host) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Below(host) => write!(f, "*.{host}"),
            HostPattern::Any => f.write_str("*"),
        }
    }
}

/// Values by host. A look-up costs one hash per label of the host, however many entries there are.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: HashMap<Box<str>, T>,
    below: HashMap<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        HostMap { exact: HashMap::new(), below: HashMap::new(), any: None }
    }
}

impl<T> HostMap<T> {
    /// The value at exactly this pattern, made with `T::default` if there is none yet.
    pub fn entry(&mut self, pattern: HostPattern) -> &mut T
    where
        T: Default,
    {
        match pattern {
            HostPattern::Exact(host) => self.exact.entry(host).or_default(),
            HostPattern::Below(host) => self.below.entry(host).or_default(),
            HostPattern::Any => self.any.get_or_insert_default(),
        }
    }

    /// The value of the most specific pattern that holds `host`: itself, then its parents upwards, then `*`.
    pub fn get(&self, host: &Host) -> Option<&T> {
        self.matches(host).next()
    }

    /// All values whose pattern holds `host`, the most specific first.
    pub fn matches<'a>(&'a self, host: &Host) -> impl Iterator<Item = &'a T> {
        let host = host.as_str();
        let parents = memchr::memchr_iter(b'.', host.as_bytes()).filter_map(|dot| host.get(dot + 1..));
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let below = parents.filter(|_| !self.below.is_empty()).filter_map(|parent| self.below.get(parent));
        exact.into_iter().chain(below).chain(self.any.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn spelling_of_a_host_is_one() {
        for text in ["Shop.Example", "shop.example:8080", "shop.example.", "SHOP.example.:443"] {
            assert_eq!(host(text).as_str(), "shop.example");
        }
        assert_eq!(host("[::1]:80").as_str(), "[::1]");
        for bad in ["", ":80", "a b", "a/b", "ü.example"] {
            assert!(Host::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Host::parse(&[b'a'; 300]).is_none());
    }

    #[test]
    fn most_specific_pattern_wins() {
        let mut map = HostMap::<u8>::default();
        for (text, value) in [("*", 1), ("*.example", 2), ("*.shop.example", 3), ("shop.example", 4)] {
            *map.entry(HostPattern::parse(text).unwrap()) = value;
        }
        for (text, value) in [("x.y", 1), ("a.example", 2), ("a.b.shop.example", 3), ("shop.example", 4)] {
            assert_eq!(map.get(&host(text)), Some(&value), "{text}");
        }
    }

    #[test]
    fn registrable_domain_respects_public_suffixes() {
        assert_eq!(host("a.b.shop.co.uk").registrable_domain(), "shop.co.uk");
        assert_eq!(host("localhost").registrable_domain(), "localhost");
        assert_eq!(host("127.0.0.1").registrable_domain(), "127.0.0.1");
        assert!(host("a.shop.example").is_within("shop.example"));
        assert!(!host("myshop.example").is_within("shop.example"));
    }
}
