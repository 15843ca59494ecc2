//! Which signals one site believes, in which order, and how it reads them.

use std::collections::HashMap;

use super::signal::{CookieIndex, FORMATS, Format, IdMap};
use crate::policy::{Purpose, Purposes};

/// Names that stand for another format: banners that keep nothing but a TC string where a server sees it.
pub const ALIASES: [(&str, &str); 3] = [("quantcast", "tcf"), ("inmobi", "tcf"), ("funding_choices", "tcf")];

/// What a site says about one format.
#[derive(Clone, Debug, Default)]
pub struct FormatSettings {
    /// Names of its cookies instead of the usual ones, in their order; a `*` at the end stands for anything.
    pub cookies: Option<Vec<Box<str>>>,
    /// What its ids mean.
    pub ids: Vec<(Box<str>, Purpose)>,
    /// The revision of the banner's settings that is in force.
    pub revision: Option<Box<str>>,
}

/// The formats that a site believes, compiled.
#[derive(Debug)]
pub struct SiteSignals {
    pub(super) index: CookieIndex,
    /// In their order of precedence.
    pub(super) trusted: Vec<Trusted>,
}

/// A format that a site believes.
#[derive(Debug)]
pub(super) struct Trusted {
    /// Position in [`FORMATS`].
    pub position: usize,
    /// Formats of one rank are asked together, lower ranks first.
    pub rank: usize,
    pub ids: IdMap,
    pub revision: Option<Box<str>>,
    pub cookies: Option<Vec<Box<str>>>,
}

impl Trusted {
    pub fn bit(&self) -> u64 {
        1 << self.position
    }

    pub fn format(&self) -> Option<&'static Format> {
        FORMATS.get(self.position).copied()
    }
}

/// The position of the format called `name`, by its own name or another.
pub fn format_named(name: &str) -> Option<usize> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, format)| format);
    FORMATS.iter().position(|format| format.name == name)
}

impl SiteSignals {
    /// Believes the formats at the positions `listed`, in this order; all that are known, if none is listed. The own
    /// cookie, which is called `own_cookie`, is always believed first.
    pub fn new(
        listed: &[usize],
        settings: &HashMap<usize, FormatSettings>,
        own_cookie: &str,
        purposes: &Purposes,
    ) -> Self {
        let rank = |position: usize, format: &Format| match listed.iter().position(|listed| *listed == position) {
            _ if position == 0 => Some(0),
            Some(rank) => Some(rank + 1),
            None => listed.is_empty().then_some(format.tier as usize),
        };
        let default = FormatSettings::default();
        let mut trusted = Vec::new();
        let mut names: Vec<(&str, u64)> = vec![(own_cookie, 1)];
        for (position, format) in FORMATS.iter().enumerate() {
            let Some(rank) = rank(position, format) else { continue };
            let settings = settings.get(&position).unwrap_or(&default);
            let bit = 1 << position;
            match &settings.cookies {
                Some(cookies) => names.extend(cookies.iter().map(|name| (&**name, bit))),
                None => names.extend(format.cookies.iter().map(|name| (*name, bit))),
            }
            if !listed.is_empty() {
                names.extend(format.listed_cookies.iter().map(|name| (*name, bit)));
            }
            let ids = IdMap::new(format.ids, &settings.ids, purposes);
            let (revision, cookies) = (settings.revision.clone(), settings.cookies.clone());
            trusted.push(Trusted { position, rank, ids, revision, cookies });
        }
        trusted.sort_by_key(|trusted| trusted.rank);
        SiteSignals { index: CookieIndex::new(names), trusted }
    }

    /// The names of the formats that are believed, in their order of precedence.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.trusted.iter().filter_map(Trusted::format).map(|format| format.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_formats_than_bits_and_each_has_its_own_name() {
        assert!(FORMATS.len() <= 64);
        for (position, format) in FORMATS.iter().enumerate() {
            assert_eq!(format_named(format.name), Some(position), "{}", format.name);
            let purposes = Purposes::default();
            assert!(format.ids.iter().all(|(_, purpose)| purposes.get(purpose).is_some()), "{}", format.name);
        }
        assert!(ALIASES.iter().all(|(alias, format)| format_named(format).is_some() && alias != format));
    }
}
