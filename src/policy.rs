//! What is known and what is allowed: purposes, vendors, cookies, tracker requests, sites, and the verdict on each.
//!
//! Owns the compiled [`Ruleset`]: immutable, swapped whole, built by `config` and asked by `enforce` and `proxy`.
//! Everything in here is a pure function over bytes. It must never name pingora or tokio, read a clock or a file, or
//! panic on any input; a test holds that.

mod catalog;
mod country;
mod filters;
mod grant;
mod hosts;
mod literals;
mod mentions;
mod names;
mod pattern;
mod purpose;
mod requests;
mod resource;
mod ruleset;
mod share;
mod site;
mod sources;
mod url;
mod vendors;
mod verdict;
mod versions;

pub use catalog::{Catalog, CatalogBuilder, ClickId, CookieFact, HostFact, StorageFact, Vendor};
pub use country::Country;
pub use filters::{FilterList, Filters};
pub use grant::Grant;
pub use hosts::{Host, HostMap, HostPattern};
pub use names::NameIndex;
pub use pattern::{Pattern, PatternError};
pub use purpose::{Purpose, PurposeSet, Purposes, TooManyPurposes};
pub use requests::{QueryShape, RequestFacts, RequestRule, RequestShape};
pub use resource::ResourceKind;
pub use ruleset::Ruleset;
pub use share::{Durability, ShareEvent, ShareLink, SharedObject};
pub use site::{
    CookieLifetimes, ForwardedAddress, Https, Jurisdiction, OperatorRules, Site, SiteOptions, UnknownCookies,
    Unrewritable,
};
pub use sources::{CspHost, CspMode, CspOptions, SourceLists};
pub use url::{Url, decode_form, decode_percent, normal_path, query_pairs, split_query};
pub use vendors::{TooManyVendors, VendorId, VendorSet};
pub use verdict::{Mode, Origin, Rule, RuleVendor, Verdict};
pub use versions::{Added, OnRefusal, PolicyVersion, PolicyVersions};
