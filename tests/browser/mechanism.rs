//! The ways in which a page reaches a tracker, as they are written down in `pages/`.
//!
//! A file there is a row of mechanisms. Each begins with `<!--= name word… -->`, then there may be fields for the
//! response, `<!--: Name: value -->`, then comes the markup. The words:
//!
//! - `frame`: it needs a document of its own, and is shown in a frame; `sandbox`: one in which no script runs;
//! - `head`: it belongs into the head;
//! - `runs`: a tracker's script comes to run; `connect`: a connection is all there is; `cookie`, `key`: a trace is left
//!   at the site; `third`: a cookie is left at the tracker; `quiet`: nothing is sent;
//! - `plain`: it needs no script of the page;
//! - `lost`: what was prevented cannot be made up for when consent comes later;
//! - `csp`: neither gate nor guard can see it: the policy by consent has to stop it.
//!
//! In the markup, `$URL` is an address at a tracker without the ending, `$SPLIT` a script's expression for that which
//! does not name the host, `$HOST` the host (`$SHOUT` in upper case, `$HALF1` and `$HALF2` in two parts), `$NAME` the
//! name, `$COOKIE` and `$KEY` what a vendor of this purpose would leave behind.

use crate::support::world::traces;

const FILES: [&str; 5] = [
    include_str!("pages/markup.html"),
    include_str!("pages/style.html"),
    include_str!("pages/spelling.html"),
    include_str!("pages/script.html"),
    include_str!("pages/network.html"),
];

/// Hosts of vendors that are known to be of a purpose, with everything on them.
const ANALYTICS: [&str; 6] =
    ["google-analytics.com", "script.hotjar.com", "clarity.ms", "cdn.mxpnl.com", "hm.baidu.com", "cdn.segment.com"];
const MARKETING: [&str; 6] = [
    "connect.facebook.net",
    "doubleclick.net",
    "bat.bing.com",
    "snap.licdn.com",
    "analytics.tiktok.com",
    "static.criteo.net",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Preferences,
    Analytics,
    Marketing,
}

/// One way to one tracker.
#[derive(Clone)]
pub struct Mechanism {
    /// Unique; tells the purpose at its end.
    pub name: String,
    pub purpose: Purpose,
    pub host: &'static str,
    words: Vec<&'static str>,
    /// Fields that the response with this page has.
    pub fields: Vec<(String, String)>,
    pub markup: String,
}

impl Mechanism {
    pub fn is(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    pub fn cookie(&self) -> String {
        traces(&self.name).0
    }

    pub fn key(&self) -> String {
        traces(&self.name).1
    }
}

/// All mechanisms, each for analytics in one turn (0 or 1) and for marketing in the other.
pub fn all(turn: usize) -> Vec<Mechanism> {
    let parts = FILES.iter().flat_map(|file| file.split("<!--= ").skip(1));
    parts.enumerate().map(|(number, part)| read(part, number, turn)).collect()
}

fn read(part: &'static str, number: usize, turn: usize) -> Mechanism {
    let (head, rest) = part.split_once(" -->").unwrap();
    let mut words: Vec<&str> = head.split(' ').collect();
    let (purpose, hosts, letter) = if (number + turn) % 2 == 0 {
        (Purpose::Analytics, ANALYTICS, 'a')
    } else {
        (Purpose::Marketing, MARKETING, 'm')
    };
    let name = format!("{}-{letter}", words.remove(0));
    let host = hosts[number / 2 % hosts.len()];
    let mut fields = Vec::new();
    let mut rest = rest.trim_start();
    while let Some((field, after)) = rest.strip_prefix("<!--: ").and_then(|rest| rest.split_once(" -->")) {
        let (field, value) = field.split_once(": ").unwrap();
        fields.push((field.to_owned(), fill(value, &name, host)));
        rest = after.trim_start();
    }
    let markup = fill(rest.trim_end(), &name, host);
    Mechanism { name, purpose, host, words, fields, markup }
}

fn fill(text: &str, name: &str, host: &str) -> String {
    let (half1, half2) = host.split_at(host.len() / 2);
    let split = format!("[\"https:/\", \"/{half1}\", \"{half2}/m\", \"/{name}\"].join(\"\")");
    let (cookie, key) = traces(name);
    let values = [
        ("$URL", format!("https://{host}/m/{name}")),
        ("$SPLIT", split),
        ("$HOST", host.to_owned()),
        ("$SHOUT", host.to_uppercase()),
        ("$HALF1", half1.to_owned()),
        ("$HALF2", half2.to_owned()),
        ("$NAME", name.to_owned()),
        ("$COOKIE", cookie),
        ("$KEY", key),
    ];
    values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value))
}
