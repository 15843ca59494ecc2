//! The configuration as it is written. Everything is optional here; what must be there is for validation to say.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

type Text = Spanned<String>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    pub listen: Listen,
    pub tls: Tls,
    pub certificate: Vec<Spanned<Certificate>>,
    pub server: Server,
    pub limits: Limits,
    pub log: Log,
    pub consent: Consent,
    pub catalog: Catalog,
    pub filter_list: Vec<Spanned<FilterList>>,
    pub site: Vec<Spanned<Site>>,
    pub ledger: Option<Spanned<Ledger>>,
    pub admin: Admin,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listen {
    pub traffic: Vec<Text>,
    pub traffic_tls: Vec<Text>,
    pub admin: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub min_version: Option<Text>,
    pub client_ca: Option<Text>,
    pub client_certificates: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Certificate {
    pub chain: Option<Text>,
    pub key: Option<Text>,
    pub default: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub threads: Option<Spanned<u64>>,
    pub lame_duck_seconds: Option<Spanned<u64>>,
    pub drain_seconds: Option<Spanned<u64>>,
    pub trusted_proxies: Vec<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub header_bytes: Option<Spanned<u64>>,
    pub header_seconds: Option<Spanned<u64>>,
    pub idle_seconds: Option<Spanned<u64>>,
    pub body_bytes: Option<Spanned<u64>>,
    pub connections: Option<Spanned<u64>>,
    pub requests_per_connection: Option<Spanned<u64>>,
    pub connect_seconds: Option<Spanned<u64>>,
    pub io_seconds: Option<Spanned<u64>>,
    pub upstream_idle_seconds: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub access: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Consent {
    pub cookie: Option<Text>,
    pub prefix: Option<Text>,
    pub header: Option<Text>,
    pub signing_key: Option<Text>,
    pub country_header: Option<Text>,
    pub country_file: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Catalog {
    pub built_in: Option<bool>,
    pub files: Vec<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilterList {
    pub path: Option<Text>,
    pub purpose: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Site {
    pub name: Option<Text>,
    pub hosts: Vec<Text>,
    pub upstream: Vec<Text>,
    pub upstream_tls: Option<Spanned<UpstreamTls>>,
    pub https: Option<Text>,
    pub hsts_seconds: Option<Spanned<u64>>,
    pub hsts_subdomains: Option<Spanned<bool>>,
    pub mode: Option<Text>,
    pub jurisdiction: Option<Text>,
    pub unknown_cookies: Option<Text>,
    pub signals: Vec<Text>,
    pub signal: BTreeMap<Text, Spanned<Signal>>,
    /// Countries by what silence means there.
    pub jurisdictions: BTreeMap<Text, Vec<Text>>,
    pub version: Vec<Spanned<Version>>,
    pub on_refusal: Option<Text>,
    pub always_paths: Vec<Text>,
    pub validity_days: Option<Spanned<u64>>,
    pub on_unrewritable: Option<Text>,
    pub lazy_attributes: Vec<Text>,
    pub max_age_days: BTreeMap<Text, Spanned<u64>>,
    pub purpose: Vec<Spanned<Purpose>>,
    pub cookie: Vec<Spanned<NameRule>>,
    pub storage: Vec<Spanned<NameRule>>,
    pub tracker: Vec<Spanned<Tracker>>,
    pub share: Vec<Spanned<Share>>,
    pub csp: Option<Text>,
    pub csp_hosts: Vec<Text>,
    pub csp_vendors: Option<Vec<Text>>,
    pub clear_site_data: bool,
    pub bridge: bool,
    pub time_zone: Option<Text>,
    pub retention: Retention,
    pub forward_client_ip: Option<Text>,
}

/// TLS towards upstreams.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamTls {
    pub ca: Option<Text>,
    pub server_name: Option<Text>,
    pub client_certificate: Option<Text>,
    pub client_key: Option<Text>,
    pub verify: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Purpose {
    pub name: Option<Text>,
    /// Sale or sharing of personal data: `Sec-GPC` caps it, too.
    pub sale: bool,
}

/// What a banner's record is called and means.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Signal {
    pub cookies: Option<Vec<Text>>,
    pub purposes: BTreeMap<Text, Text>,
    pub revision: Option<Revision>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub(super) enum Revision {
    Number(i64),
    Text(String),
}

impl Revision {
    pub(super) fn into_text(self) -> Box<str> {
        match self {
            Revision::Number(number) => number.to_string().into(),
            Revision::Text(text) => text.into(),
        }
    }
}

/// A version of the policy.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Version {
    pub id: Option<Text>,
    /// The id, if it is a date.
    pub effective: Option<Text>,
    pub revision: Option<Revision>,
    pub adds: Option<Adds>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Adds {
    pub purposes: Vec<Text>,
    pub vendors: Vec<Text>,
    pub paths: Vec<Text>,
}

/// A cookie, or a key of `localStorage` or `sessionStorage`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NameRule {
    pub name: Option<Text>,
    pub purpose: Option<Text>,
    pub mode: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tracker {
    pub host: Option<Text>,
    pub path: Option<Text>,
    pub query: Vec<Text>,
    pub method: Option<Text>,
    pub body: Vec<Text>,
    pub purpose: Option<Text>,
    pub mode: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Share {
    pub path: Option<Text>,
    pub event: Option<Text>,
    pub session_cookies: Vec<Text>,
    pub open_window_minutes: Option<Spanned<u64>>,
    pub record: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Retention {
    pub share_months_min: Option<Spanned<u64>>,
    pub share_months_max: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ledger {
    pub path: Option<Text>,
    pub keys: Option<Text>,
    pub checkpoints: Option<Text>,
    pub pressure: Option<Text>,
    pub postgres: Option<Spanned<Postgres>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Postgres {
    pub connection: Option<Text>,
    pub password_file: Option<Text>,
    pub ca: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub token: Vec<Spanned<AdminToken>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdminToken {
    pub role: Option<Text>,
    pub name: Option<Text>,
    pub file: Option<Text>,
    pub sites: Option<Vec<Text>>,
}

/// A catalog file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CatalogFile {
    pub vendor: Vec<Spanned<Vendor>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Vendor {
    pub id: Option<Text>,
    pub name: Option<Text>,
    pub owner: Option<String>,
    pub country: Option<Text>,
    pub privacy: Option<Text>,
    pub purpose: Option<Text>,
    pub about: Option<String>,
    /// Number in the IAB's Global Vendor List.
    pub gvl: Option<Spanned<u64>>,
    pub cookies: Vec<Spanned<VendorCookie>>,
    pub storage: Vec<Spanned<VendorKey>>,
    pub globals: Vec<Text>,
    pub snippets: Vec<Text>,
    pub hosts: Vec<Spanned<VendorHost>>,
    pub paths: Vec<Spanned<VendorPath>>,
    pub click_ids: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name, or a table with `name` and, if need be, `purpose` and `domain`")]
pub(super) enum VendorCookie {
    Name(String),
    Table(VendorCookieTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorCookieTable {
    pub name: String,
    pub purpose: Option<String>,
    pub domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a key, or a table with `name` and, if need be, `purpose`")]
pub(super) enum VendorKey {
    Name(String),
    Table(VendorKeyTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorKeyTable {
    pub name: String,
    pub purpose: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a host, or a table with `host` and, if need be, `path` and `purpose`")]
pub(super) enum VendorHost {
    Host(String),
    Table(VendorHostTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorHostTable {
    pub host: String,
    pub path: Option<String>,
    pub purpose: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VendorPath {
    pub path: Option<Text>,
    pub query: Vec<Text>,
    pub method: Option<Text>,
    pub body: Vec<Text>,
    pub purpose: Option<Text>,
}
