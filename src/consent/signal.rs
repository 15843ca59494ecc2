//! The formats in which a request can say what its visitor agreed to.
//!
//! A format is one file with one [`Format`], listed in [`FORMATS`]: the cookies it lives in, what its ids mean by
//! default, and one pure function. To add one, write its file and add its line.

mod aspnet;
mod axeptio;
mod borlabs;
mod choices;
mod civic;
mod commanders_act;
mod complianz;
mod consentmo;
mod cookie_information;
mod cookiebot;
mod cookieconsent;
mod cookiefirst;
mod cookielawinfo;
mod cookiescript;
mod cookieyes;
mod cookiez;
mod decode;
mod didomi;
mod django;
mod drupal;
mod fides;
mod found;
mod gpc;
mod gpp;
mod hubspot;
mod iubenda;
mod ketch;
mod klaro;
mod matomo;
mod onetrust;
mod opaque;
mod osano;
mod own;
mod pandectes;
mod piwik_pro;
mod real_cookie_banner;
mod records;
mod securiti;
mod shopify;
mod symfony;
mod tarteaucitron;
mod tcf;
mod tealium;
#[cfg(test)]
mod testing;
mod transcend;
mod trustarc;
mod us_privacy;
mod wp_consent_api;
mod zaraz;

use std::borrow::Cow;

pub use choices::{Choices, IdMap};
pub use decode::iso_time;
pub use found::{CookieIndex, Found, FoundCookies, MAX_COOKIES, MAX_VALUE};
pub use gpc::global_privacy_control;

use super::own::OwnCookie;
use crate::policy::{Catalog, PurposeSet, Purposes, SiteOptions, VendorSet};

/// How much a signal says about the visitor's own will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The visitor chose.
    Explicit,
    /// A default that a banner wrote for the visitor's region.
    Implied,
    /// A choice was recorded, but in a form only the page can read.
    Opaque,
}

impl Strength {
    pub fn as_str(self) -> &'static str {
        match self {
            Strength::Explicit => "explicit",
            Strength::Implied => "implied",
            Strength::Opaque => "opaque",
        }
    }
}

/// Why a record that was found says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not of the format's form.
    Malformed,
    /// Longer than [`MAX_VALUE`].
    Oversized,
    /// More than [`MAX_COOKIES`] cookies claim to be consent.
    TooMany,
    /// The own cookie without a right signature.
    Unsigned,
    /// Made under other rules than the site's present ones: a revision, a policy id.
    OtherRevision,
    /// A TC string that the framework's policies declare invalid.
    InvalidByPolicy(&'static str),
}

impl Problem {
    pub fn as_str(self) -> &'static str {
        match self {
            Problem::Malformed => "malformed",
            Problem::Oversized => "too long",
            Problem::TooMany => "too many cookies claim to be consent",
            Problem::Unsigned => "malformed, or not rightly signed",
            Problem::OtherRevision => "made for another revision of the banner's settings",
            Problem::InvalidByPolicy(why) => why,
        }
    }
}

/// One source's reading of a request. A purpose in neither set is undecided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    pub granted: PurposeSet,
    /// Apart from `granted`.
    pub denied: PurposeSet,
    /// Vendors that are refused, whatever is granted.
    pub refused: VendorSet,
    pub strength: Strength,
    /// Unix time in seconds, if the format tells.
    pub decided_at: Option<u64>,
    /// The version of the policy that was agreed to, if the format tells.
    pub policy_version: Option<Cow<'a, str>>,
    pub problem: Option<Problem>,
}

impl Signal<'_> {
    /// A record that was made before any choice, or holds none.
    pub fn undecided() -> Self {
        Signal {
            granted: PurposeSet::EMPTY,
            denied: PurposeSet::EMPTY,
            refused: VendorSet::EMPTY,
            strength: Strength::Explicit,
            decided_at: None,
            policy_version: None,
            problem: None,
        }
    }

    /// A choice that only the page can read.
    pub fn opaque() -> Self {
        Signal { strength: Strength::Opaque, ..Signal::undecided() }
    }

    /// A record that says nothing, and why.
    pub fn problem(problem: Problem) -> Self {
        Signal { problem: Some(problem), ..Signal::undecided() }
    }

    /// Every purpose that it says something about.
    pub fn decided(&self) -> PurposeSet {
        self.granted.union(self.denied)
    }
}

/// What a format may look at.
#[derive(Clone, Copy)]
pub struct SignalInput<'a> {
    /// The cookies whose names the format knows, in order, each at most [`MAX_VALUE`] bytes long.
    pub cookies: FoundCookies<'a>,
    pub own: &'a OwnCookie,
    /// Finds a purpose by its name.
    pub purposes: &'a Purposes,
    pub site: &'a SiteOptions,
    /// Knows vendors by their numbers in the Global Vendor List.
    pub catalog: &'a Catalog,
    /// The revision of the banner's settings that the site says is in force.
    pub revision: Option<&'a str>,
    /// The usual names of the format's cookies, and what the site calls them instead, in the same order.
    pub names: (&'static [&'static str], Option<&'a [Box<str>]>),
}

impl<'a> SignalInput<'a> {
    /// The values of all cookies that are usually called `name`, in order.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let (usual, own) = self.names;
        let name = match own {
            None => Some(name),
            Some(own) => {
                let position = usual.iter().position(|usual| *usual == name);
                position.and_then(|position| own.get(position)).map(|name| &**name)
            }
        };
        let is_meant = move |found: &[u8]| name.is_some_and(|name| found == name.as_bytes());
        self.cookies.iter().filter(move |cookie| is_meant(cookie.name)).map(|cookie| cookie.value)
    }

    /// Whether `revision`, as a record has it, is the one in force. Without a configured one, any is.
    pub fn is_current(&self, revision: &str) -> bool {
        self.revision.is_none_or(|current| current == revision)
    }
}

/// Which formats are believed before which, where a site lists none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The own cookie.
    Own,
    /// The WP Consent API: a neutral record that several banners write.
    Neutral,
    /// A banner's own record.
    Banner,
    /// The TC string.
    Tcf,
    /// GPP's US sections and the US Privacy string.
    UsOptOut,
}

/// A signal format.
pub struct Format {
    /// Its name in `signals = […]`, in metrics and in `explain`.
    pub name: &'static str,
    pub tier: Tier,
    /// The names of its cookies, unless the site says otherwise. A `*` at the end stands for anything.
    pub cookies: &'static [&'static str],
    /// Cookies that it also reads where a site lists it by name: others read them, too.
    pub listed_cookies: &'static [&'static str],
    /// What its ids mean, by the names of purposes, unless the site says otherwise.
    pub ids: &'static [(&'static str, &'static str)],
    /// Reads the cookies, of which there is at least one. `None`: they are of something else that shares the name.
    pub read: for<'a> fn(&SignalInput<'a>, Choices<'_>) -> Option<Signal<'a>>,
}

impl Format {
    /// Whether it says something about single vendors, and not only about purposes.
    pub fn names_vendors(&self) -> bool {
        self.cookies.iter().chain(self.listed_cookies).any(|name| name.ends_with("euconsent-v2"))
    }
}

/// Every format that is known, at most 64. `consentry` is always first.
pub static FORMATS: &[&Format] = &[
    &own::FORMAT,
    &wp_consent_api::FORMAT,
    &aspnet::FORMAT,
    &axeptio::FORMAT,
    &borlabs::FORMAT,
    &civic::FORMAT,
    &commanders_act::FORMAT,
    &complianz::FORMAT,
    &opaque::CONSENTMANAGER,
    &consentmo::FORMAT,
    &cookie_information::FORMAT,
    &cookiebot::FORMAT,
    &cookieconsent::FORMAT,
    &cookiefirst::FORMAT,
    &cookielawinfo::FORMAT,
    &cookiescript::FORMAT,
    &cookieyes::FORMAT,
    &cookiez::FORMAT,
    &didomi::FORMAT,
    &django::FORMAT,
    &drupal::FORMAT,
    &fides::FORMAT,
    &hubspot::FORMAT,
    &iubenda::FORMAT,
    &ketch::FORMAT,
    &klaro::FORMAT,
    &matomo::FORMAT,
    &onetrust::FORMAT,
    &osano::FORMAT,
    &pandectes::FORMAT,
    &piwik_pro::FORMAT,
    &real_cookie_banner::FORMAT,
    &securiti::FORMAT,
    &shopify::FORMAT,
    &opaque::SOURCEPOINT,
    &symfony::FORMAT,
    &tarteaucitron::FORMAT,
    &tealium::FORMAT,
    &transcend::FORMAT,
    &trustarc::FORMAT,
    &zaraz::FORMAT,
    &tcf::FORMAT,
    &gpp::FORMAT,
    &us_privacy::FORMAT,
];
