//! What the shop's pages load from hosts of others. The hosts are made up, below `localhost`, which browsers look for on
//! this machine; the shop's own server answers for them, and counts what reaches each.

use std::sync::atomic::{AtomicU64, Ordering};

use super::html::render;
use super::tracker::PIXEL;
use crate::policy::Host;

/// Something that is served at a path of a third party. In its text, `{{port}}` is the port of the shop.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

impl File {
    const fn script(path: &'static str, text: &'static str) -> Self {
        File { path, content_type: "text/javascript", text }
    }
}

/// Somebody that pages of the shop contact.
pub(super) struct ThirdParty {
    host: &'static str,
    about: &'static str,
    /// What its rule in the configuration says.
    purpose: &'static str,
    files: Vec<File>,
    /// A cookie at its own host, for every answer.
    cookie: Option<&'static str>,
    hits: AtomicU64,
}

/// What a third party answers with.
pub(super) struct Answer {
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub cookie: Option<&'static str>,
}

impl ThirdParty {
    fn new(host: &'static str, about: &'static str, purpose: &'static str, files: Vec<File>) -> Self {
        ThirdParty { host, about, purpose, files, cookie: None, hits: AtomicU64::default() }
    }

    /// A path at which nothing is served collects what is sent there. A visit counts as a hit, and a mere question does
    /// not.
    pub fn answer(&self, path: &str, port: u16, is_hit: bool) -> Answer {
        self.hits.fetch_add(u64::from(is_hit), Ordering::Relaxed);
        let (content_type, body) = match self.files.iter().find(|file| file.path == path) {
            Some(file) => (file.content_type, render(file.text, &[("port", &*port.to_string())]).into_bytes()),
            None => ("image/gif", PIXEL.to_vec()),
        };
        Answer { content_type, body, cookie: self.cookie }
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Whether it needs no consent.
    fn is_necessary(&self) -> bool {
        self.purpose == "necessary"
    }
}

/// All of them.
pub(super) struct ThirdParties([ThirdParty; 6]);

impl Default for ThirdParties {
    fn default() -> Self {
        let party = ThirdParty::new;
        let (tag, container) = (include_str!("third_party/tag.js"), include_str!("third_party/container.js"));
        let (ads, chat) = (include_str!("third_party/ads.js"), include_str!("third_party/chat.js"));
        let video =
            File { path: "/embed/wick", content_type: super::HTML, text: include_str!("third_party/video.html") };
        let style =
            File { path: "/evening.css", content_type: "text/css", text: include_str!("third_party/evening.css") };
        ThirdParties([
            party("tags.lantern-metrics.localhost", "statistics", "analytics", vec![File::script("/tag.js", tag)]),
            party(
                "manager.lantern-tags.localhost",
                "a tag manager, loads others",
                "analytics",
                vec![File::script("/container.js", container)],
            ),
            party(
                "pixel.lantern-ads.localhost",
                "advertising, two pixels and a script",
                "marketing",
                vec![File::script("/ads.js", ads)],
            ),
            ThirdParty {
                // Only so do browsers keep it in a frame of another site; hosts below `localhost` count as secure.
                cookie: Some("ltube_viewer=1042; Path=/; Max-Age=63072000; SameSite=None; Secure"),
                ..party("video.lantern-tube.localhost", "a video in a frame", "preferences", vec![video])
            },
            party("chat.lantern-help.localhost", "a chat", "preferences", vec![File::script("/chat.js", chat)]),
            party("cdn.lantern-type.localhost", "the headings’ type: allowed", "necessary", vec![style]),
        ])
    }
}

impl ThirdParties {
    /// Who is meant by a request for `authority`; `None` if it is the shop itself.
    pub fn at(&self, authority: &str) -> Option<&ThirdParty> {
        let host = Host::parse(authority.as_bytes())?;
        self.0.iter().find(|party| party.host == host.as_str())
    }

    /// Hits of those that need consent.
    pub fn total(&self) -> u64 {
        self.0.iter().filter(|party| !party.is_necessary()).map(ThirdParty::hits).sum()
    }

    /// Rows for the box on each page: host, purpose, hits.
    pub fn rows_with_purpose(&self) -> String {
        let row = |ThirdParty { host, about, purpose, hits, .. }: &ThirdParty| {
            let hits = hits.load(Ordering::Relaxed);
            format!(
                "<tr data-host=\"{host}\"><td><code>{host}</code> <small>{about}</small></td>\
                 <td><span class=\"chip\">{purpose}</span></td><td class=\"number\">{hits}</td></tr>\n"
            )
        };
        self.0.iter().map(row).collect()
    }

    /// Rows for the log, of those that need consent: host, what it is, hits.
    pub fn rows(&self) -> String {
        let row = |ThirdParty { host, about, hits, .. }: &ThirdParty| {
            let hits = hits.load(Ordering::Relaxed);
            format!("<tr><td><code>{host}</code></td><td>{about}</td><td class=\"number\">{hits}</td></tr>\n")
        };
        self.0.iter().filter(|party| !party.is_necessary()).map(row).collect()
    }

    /// Hits by host, as JSON.
    pub fn counts(&self) -> String {
        let counts: serde_json::Map<_, _> =
            self.0.iter().map(|party| (party.host.to_owned(), party.hits().into())).collect();
        serde_json::Value::Object(counts).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_party_has_a_rule_of_its_purpose() {
        let loaded = super::super::configuration("127.0.0.1:4711".parse().unwrap());
        let config = loaded.config.unwrap();
        let rules = &config.sites[0].rules.hosts;
        for party in ThirdParties::default().0 {
            let below = format!("*.{}", party.host.split_once('.').unwrap().1);
            let rule = rules.iter().find(|(host, ..)| [party.host, &below].contains(&host.to_string().as_str()));
            let purpose = rule.map(|(.., rule)| config.purposes.name(rule.purpose));
            assert_eq!(purpose, Some(party.purpose), "{}", party.host);
        }
    }

    #[test]
    fn hosts_are_told_apart_whatever_the_port_and_spelling() {
        let parties = ThirdParties::default();
        let at = |authority: &str| parties.at(authority).map(|party| party.host);
        assert_eq!(at("CHAT.lantern-help.localhost.:4711"), Some("chat.lantern-help.localhost"));
        for own in ["localhost:4711", "127.0.0.1:8080", "lantern-help.localhost", "", "a b"] {
            assert_eq!(at(own), None, "{own}");
        }
    }

    #[test]
    fn what_reaches_a_third_party_is_counted() {
        let parties = ThirdParties::default();
        let [ads, cdn] =
            ["pixel.lantern-ads.localhost", "cdn.lantern-type.localhost"].map(|host| parties.at(host).unwrap());
        let script = ads.answer("/ads.js", 4711, true);
        assert!(String::from_utf8(script.body).unwrap().contains(".localhost:4711/"), "the port is filled in");
        assert_eq!(ads.answer("/anything", 4711, true).content_type, "image/gif");
        ads.answer("/ads.js", 4711, false);
        cdn.answer("/evening.css", 4711, true);
        assert_eq!(parties.total(), 2, "what is necessary does not count as tracking");
        assert!(parties.counts().contains(r#""pixel.lantern-ads.localhost":2"#), "{}", parties.counts());
    }
}
