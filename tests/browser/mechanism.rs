//! The ways in which a page reaches a tracker, as they are written down in `pages/`.
//!
//! A file there is a row of mechanisms. Each begins with `<!--= name word… -->`, then there may be fields for the
//! response, `<!--: Name: value -->`, then comes the markup. The words:
//!
//! - `frame`: it needs a document of its own, and is shown in a frame; `sandbox`: one in which no script runs;
//! - `alone`: it only works on a page of its own;
//! - `head`: it belongs into the head;
//! - `runs`: a tracker's script comes to run; `connect`: a connection is all there is; `cookie`, `key`: a trace is left
//!   at the site; `third`: a cookie is left at the tracker; `quiet`: nothing is sent;
//! - `plain`: it needs no script of the page;
//! - `lost`: what was prevented cannot be made up for when consent comes later (it was done once, or is in no document);
//! - `csp`: neither gate nor guard can see it: the policy by consent has to stop it;
//! - `ahead`: the browser connects to the host before it asks the policy: a connection without a request does not count.
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
    Necessary,
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

/// A part of a file in `pages/`.
pub struct Section {
    pub words: Vec<&'static str>,
    pub fields: Vec<(&'static str, &'static str)>,
    pub markup: &'static str,
}

/// The parts of a file.
pub fn sections(file: &'static str) -> impl Iterator<Item = Section> {
    file.split("<!--= ").skip(1).map(|part| {
        let (head, rest) = part.split_once(" -->").unwrap();
        let (mut fields, mut markup) = (Vec::new(), rest.trim());
        while let Some((field, after)) = markup.strip_prefix("<!--: ").and_then(|rest| rest.split_once(" -->")) {
            fields.push(field.split_once(": ").unwrap());
            markup = after.trim_start();
        }
        Section { words: head.split(' ').collect(), fields, markup }
    })
}

/// All mechanisms, each for analytics in one turn (0 or 1) and for marketing in the other.
pub fn all(turn: usize) -> Vec<Mechanism> {
    FILES.into_iter().flat_map(sections).enumerate().map(|(number, section)| of_turn(section, number, turn)).collect()
}

fn of_turn(mut section: Section, number: usize, turn: usize) -> Mechanism {
    let (purpose, hosts, letter) = if (number + turn).is_multiple_of(2) {
        (Purpose::Analytics, ANALYTICS, 'a')
    } else {
        (Purpose::Marketing, MARKETING, 'm')
    };
    let name = format!("{}-{letter}", section.words.remove(0));
    let host = hosts[number / 2 % hosts.len()];
    let fields = section.fields.iter().map(|(field, value)| ((*field).to_owned(), fill(value, &name, host))).collect();
    let markup = fill(section.markup, &name, host);
    Mechanism { name, purpose, host, words: section.words, fields, markup }
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
