//! Sites that are there by https only.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{HOST, LOCATION};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use super::context::Context;
use super::message::{discard_body, own_response, respond, target};
use super::page::{Hsts, PageModule};
use super::response::apply;
use crate::enforce::secure_response;
use crate::policy::Host;

/// The ports on which visitors are served.
#[derive(Clone, Default)]
pub struct Ports {
    pub plain: Vec<u16>,
    /// The first on which TLS is spoken.
    pub tls: Option<u16>,
}

impl Ports {
    /// The port for https that visitors know who came by the port `plain`. If that is not ours, ports are mapped before
    /// us, to those that everybody uses.
    fn https(&self, plain: u16) -> u16 {
        self.tls.filter(|_| self.plain.contains(&plain)).unwrap_or(443)
    }
}

/// Has all responses to this visitor say what the site says about https (RFC 6797, section 7).
pub(super) fn announce(session: &mut Session, context: &Context) {
    let hsts = context.site().and_then(|site| site.options.https.hsts.as_ref());
    let Some((value, module)) = hsts.zip(session.downstream_modules_ctx.get_mut::<PageModule>()) else { return };
    module.hsts = if context.secure { Hsts::Always(value.clone()) } else { Hsts::Never };
}

/// Where those belong who came without, if the site is there by https only.
pub(super) fn redirection(session: &Session, context: &Context, ports: &Ports) -> Option<HeaderValue> {
    let wanted = !context.secure && context.site()?.options.https.redirect;
    let host = &context.decision.as_ref().filter(|_| wanted)?.host;
    https_address(session.req_header(), host, ports)
}

/// Sends them there. Returns that the request was answered.
pub(super) async fn redirect(session: &mut Session, context: &mut Context, location: HeaderValue) -> Result<bool> {
    context.answered = Some("https");
    discard_body(session).await?;
    let mut response = own_response(308, None)?;
    response.insert_header(LOCATION, location)?;
    respond(session, response, Bytes::new()).await?;
    Ok(true)
}

fn https_address(header: &RequestHeader, host: &Host, ports: &Ports) -> Option<HeaderValue> {
    let port = ports.https(port(authority(header)?).unwrap_or(80));
    let (path, query) = target(header);
    let mut address = format!("https://{}", host.as_str()).into_bytes();
    if port != 443 {
        address.extend_from_slice(format!(":{port}").as_bytes());
    }
    address.extend_from_slice(if path.starts_with(b"/") { path } else { b"/" });
    if !query.is_empty() {
        address.push(b'?');
        address.extend_from_slice(query);
    }
    HeaderValue::from_maybe_shared(Bytes::from(address)).ok()
}

/// What the visitor calls this server.
fn authority(header: &RequestHeader) -> Option<&[u8]> {
    let field = || header.headers.get(HOST).map(HeaderValue::as_bytes);
    header.uri.authority().map(|authority| authority.as_str().as_bytes()).or_else(field)
}

fn port(authority: &[u8]) -> Option<u16> {
    let colon = memchr::memrchr(b':', authority)?;
    std::str::from_utf8(authority.get(colon + 1..)?).ok()?.parse().ok()
}

/// Keeps what the upstream answers on https.
pub(super) fn keep(session: &Session, response: &mut ResponseHeader, context: &Context) -> Result<()> {
    if !context.secure || !context.site().is_some_and(|site| site.options.https.redirect) {
        return Ok(());
    }
    let Some(authority) = authority(session.req_header()) else { return Ok(()) };
    let changes = secure_response(&response.headers, authority);
    apply(response, changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_port_that_visitors_know() {
        let ours = Ports { plain: vec![80, 8080], tls: Some(8443) };
        let usual = Ports { plain: vec![80], tls: Some(443) };
        for (ports, host, request, expected) in [
            (&ours, "shop.example:8080", "/a?b=c", "https://shop.example:8443/a?b=c"),
            (&ours, "Shop.example", "/", "https://shop.example:8443/"),
            (&ours, "shop.example:30080", "/a?", "https://shop.example/a"),
            (&ours, "[::1]:8080", "//evil.example/", "https://[::1]:8443//evil.example/"),
            (&ours, "[::1]", "/", "https://[::1]:8443/"),
            (&usual, "shop.example", "*", "https://shop.example/"),
            (&Ports::default(), "shop.example:8080", "/", "https://shop.example/"),
        ] {
            let mut header = RequestHeader::build("GET", request.as_bytes(), None).unwrap();
            header.insert_header(HOST, host).unwrap();
            let own = Host::parse(host.as_bytes()).unwrap();
            assert_eq!(https_address(&header, &own, ports).unwrap(), expected, "{host}{request}");
        }
    }
}
