//! What each element names, and how it is parked: attributes that name what is denied are renamed, the element stays.

use std::borrow::Cow;

use super::address::decode;
use super::inspector::Inspector;
use super::scan::{MAX_NAME, lower};
use super::tags::{Attribute, Tag};
use super::window::Window;
use crate::enforce::link::{destination_kind, is_fetching, refresh_target};
use crate::policy::ResourceKind;

/// What an attribute's value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// One address.
    Url(ResourceKind),
    /// Addresses between white space.
    Urls,
    /// Addresses with sizes.
    Srcset,
    Css,
    /// Where a form goes.
    Action,
    /// A document of its own.
    Srcdoc,
    /// Seconds, and an address.
    Refresh,
    /// Values between semicolons, some of which may be addresses.
    Values,
}

/// What a script element holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScriptKind {
    /// Nothing: it is fetched.
    External,
    Code,
    ImportMap,
    SpeculationRules,
    /// Something that browsers do not run.
    Data,
}

/// An element's tag, with what is asked of it again and again.
pub(super) struct Element<'t> {
    pub tag: &'t Tag,
    /// In small letters, without prefix.
    pub name: &'t [u8],
    pub foreign: bool,
    pub xml: bool,
}

/// Edits of one tag, as far as they belong together.
#[derive(Default)]
struct Parking {
    renamed: Vec<usize>,
    /// Attributes that come first, and so count.
    added: String,
}

impl Element<'_> {
    /// The value of the first attribute called `name`, with character references resolved.
    pub(super) fn value<'w>(&self, window: &'w Window, name: &str) -> Option<Cow<'w, [u8]>> {
        let attribute = self.attribute(window, name)?;
        Some(decode(window.get(attribute.value.clone().unwrap_or(0..0))))
    }

    fn attribute(&self, window: &Window, name: &str) -> Option<&Attribute> {
        let mut all = self.tag.attributes.iter();
        all.find(|attribute| window.get(attribute.name.clone()).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn has_token(&self, window: &Window, name: &str, token: impl Fn(&[u8]) -> bool) -> bool {
        self.value(window, name).is_some_and(|value| value.split(u8::is_ascii_whitespace).any(token))
    }

    /// What a script element holds (HTML Standard, section 4.12.1.1).
    pub(super) fn script_kind(&self, window: &Window) -> ScriptKind {
        let source = ["src", "href", "xlink:href"].into_iter().take(if self.foreign { 3 } else { 1 });
        let kind = self.value(window, "type").map(|kind| kind.trim_ascii().to_ascii_lowercase());
        let by_language = || self.value(window, "language").map(|name| [b"text/", &*name].concat());
        let code = match kind.or_else(by_language).as_deref() {
            None | Some(b"" | b"text/" | b"module") => true,
            Some(b"importmap") => return ScriptKind::ImportMap,
            Some(b"speculationrules") => return ScriptKind::SpeculationRules,
            Some(kind) => is_javascript(kind),
        };
        match code {
            false => ScriptKind::Data,
            true if source.into_iter().any(|name| self.attribute(window, name).is_some()) => ScriptKind::External,
            true => ScriptKind::Code,
        }
    }

    /// Parks what is denied of the element's attributes.
    pub(super) fn inspect(&self, window: &mut Window, inspector: &mut Inspector<'_, '_>, script: Option<ScriptKind>) {
        let mut parking = Parking::default();
        let mut buffer = [0; MAX_NAME];
        for attribute in &self.tag.attributes {
            let name = lower(window.get(attribute.name.clone()), &mut buffer);
            let role = self.role(name, window).or_else(|| self.lazy_role(name, inspector));
            if let Some(role) = role {
                self.judge(attribute, name, role, window, inspector, &mut parking);
            }
        }
        if inspector.denied.is_empty() {
            return;
        }
        if script.is_some_and(|kind| kind == ScriptKind::External) {
            self.disarm(window, &mut parking);
        }
        self.park(window, inspector, parking);
    }

    /// Parks a script as a whole.
    pub(super) fn park_script(&self, window: &mut Window, inspector: &Inspector<'_, '_>) {
        let mut parking = Parking::default();
        self.disarm(window, &mut parking);
        self.park(window, inspector, parking);
    }

    /// Marks the element only: its content is edited.
    pub(super) fn mark(&self, window: &mut Window, inspector: &Inspector<'_, '_>) {
        self.park(window, inspector, Parking::default());
    }

    fn disarm(&self, window: &Window, parking: &mut Parking) {
        parking.added.push_str(" type=\"text/plain\"");
        let kinds = self.tag.attributes.iter().map(|attribute| attribute.name.clone());
        parking
            .renamed
            .extend(kinds.filter(|name| window.get(name.clone()).eq_ignore_ascii_case(b"type")).map(|name| name.start));
    }

    fn park(&self, window: &mut Window, inspector: &Inspector<'_, '_>, parking: Parking) {
        let mut mark = String::with_capacity(96);
        mark.push_str(" data-consentry=\"");
        for (number, word) in inspector.denied.words(inspector.rules.purposes).enumerate() {
            mark.push_str(if number > 0 { " " } else { "" });
            mark.push_str(word);
        }
        mark.push('"');
        if let Some(vendor) = &inspector.denied.vendor {
            mark.push_str(" data-consentry-vendor=\"");
            mark.push_str(&escape(vendor));
            mark.push('"');
        }
        mark.push_str(&parking.added);
        window.insert(self.tag.name_end, mark);
        for name in parking.renamed {
            window.insert(name, "data-consentry-");
        }
    }

    fn judge(
        &self,
        attribute: &Attribute,
        name: &[u8],
        role: Role,
        window: &mut Window,
        inspector: &mut Inspector<'_, '_>,
        parking: &mut Parking,
    ) {
        let value = decode(window.get(attribute.value.clone().unwrap_or(0..0)));
        let name = String::from_utf8_lossy(name);
        let rename = |parking: &mut Parking| parking.renamed.push(attribute.name.start);
        match role {
            Role::Url(kind) if inspector.url(&value, kind) => {
                rename(parking);
                if kind == ResourceKind::Frame && self.attribute(window, "srcdoc").is_none() && name == "src" {
                    parking.added.push_str(&format!(" src=\"{}\"", escape(&self.placeholder(&value, inspector))));
                }
            }
            Role::Action if inspector.url(&value, ResourceKind::Document) => {
                rename(parking);
                parking.added.push_str(&format!(" {name}=\"{}/blocked\"", escape(inspector.rules.prefix)));
            }
            Role::Refresh if refresh_target(&value).is_some_and(|url| inspector.url(url, ResourceKind::Document)) => {
                let directive = self.attribute(window, "http-equiv").map(|attribute| attribute.name.start);
                parking.renamed.extend(directive);
            }
            Role::Values => {
                let mut values = value.split(|b| *b == b';');
                if values.any(|value| inspector.url(value.trim_ascii(), ResourceKind::Image)) {
                    rename(parking);
                }
            }
            Role::Urls => {
                let urls = value.split(u8::is_ascii_whitespace).filter(|url| !url.is_empty());
                let (denied, left): (Vec<_>, Vec<_>) = urls.partition(|url| inspector.url(url, ResourceKind::Ping));
                if !denied.is_empty() {
                    rename(parking);
                    keep(&name, &String::from_utf8_lossy(&left.join(&b' ')), parking);
                }
            }
            Role::Srcset => {
                if let Some(left) = inspector.srcset(&String::from_utf8_lossy(&value)) {
                    rename(parking);
                    keep(&name, &left, parking);
                }
            }
            Role::Css => {
                let css = inspector.css(&value);
                drop(value);
                if let Some(css) = css {
                    window.replace(self.whole(attribute, window), quoted("style", &css));
                }
            }
            Role::Srcdoc => {
                let markup = inspector.markup(&value, inspector.rules.guard);
                drop(value);
                if let Some(markup) = markup {
                    window.replace(self.whole(attribute, window), quoted("srcdoc", &markup));
                }
            }
            Role::Url(_) | Role::Action | Role::Refresh => {}
        }
    }

    /// The own page that stands in a frame's place.
    fn placeholder(&self, address: &[u8], inspector: &Inspector<'_, '_>) -> String {
        let whole = inspector.addresses.resolve(inspector.rules, address);
        let address = whole.map_or_else(|| String::from_utf8_lossy(address).into_owned(), String::from);
        let address: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
        format!("{}/held?u={address}&l={}", inspector.rules.prefix, inspector.language)
    }

    /// From the attribute's name to behind its value and quote.
    fn whole(&self, attribute: &Attribute, window: &Window) -> std::ops::Range<usize> {
        let Some(value) = &attribute.value else { return attribute.name.clone() };
        let before = value.start.checked_sub(1).and_then(|place| window.byte(place));
        let quoted = before.is_some_and(|b| matches!(b, b'"' | b'\'')) && window.byte(value.end) == before;
        attribute.name.start..value.end + usize::from(quoted)
    }

    fn role(&self, attribute: &[u8], window: &Window) -> Option<Role> {
        let url = |kind| Some(Role::Url(kind));
        let foreign = self.foreign || self.xml;
        match (attribute, self.name) {
            (b"style", _) => Some(Role::Css),
            (b"background", _) => url(ResourceKind::Image),
            (b"src", b"script") => url(ResourceKind::Script),
            (b"src", b"img" | b"image" | b"input") => url(ResourceKind::Image),
            (b"src", b"iframe" | b"frame" | b"portal") => url(ResourceKind::Frame),
            (b"src", b"embed") | (b"data", b"object") => url(ResourceKind::Object),
            (b"src", b"video" | b"audio" | b"source" | b"track" | b"bgsound") => url(ResourceKind::Media),
            (b"poster", b"video") => url(ResourceKind::Image),
            (b"srcset", b"img" | b"source") | (b"imagesrcset", b"link") => Some(Role::Srcset),
            (b"srcdoc", b"iframe") => Some(Role::Srcdoc),
            (b"ping", b"a" | b"area") => Some(Role::Urls),
            (b"action", b"form") | (b"formaction", b"button" | b"input") => Some(Role::Action),
            (b"href", b"link") if self.has_token(window, "rel", is_fetching) => url(self.link_kind(window)),
            (b"content", b"meta") if self.has_token(window, "http-equiv", |t| t.eq_ignore_ascii_case(b"refresh")) => {
                Some(Role::Refresh)
            }
            (b"href" | b"xlink:href", b"script") if foreign => url(ResourceKind::Script),
            (b"href" | b"xlink:href", b"image" | b"use" | b"feimage") if foreign => url(ResourceKind::Image),
            (b"to" | b"from" | b"by" | b"values", b"animate" | b"set") if foreign => self
                .has_token(window, "attributename", |name| name.to_ascii_lowercase().ends_with(b"href"))
                .then_some(Role::Values),
            _ => None,
        }
    }

    /// What the site says its scripts take from an attribute later.
    fn lazy_role(&self, attribute: &[u8], inspector: &Inspector<'_, '_>) -> Option<Role> {
        let lazy = &inspector.rules.judge.site.options.lazy_attributes;
        lazy.iter().find(|name| name.as_bytes() == attribute)?;
        match self.name {
            b"iframe" | b"frame" => Some(Role::Url(ResourceKind::Frame)),
            b"script" => Some(Role::Url(ResourceKind::Script)),
            b"video" | b"audio" => Some(Role::Url(ResourceKind::Media)),
            b"img" | b"source" if attribute.ends_with(b"srcset") => Some(Role::Srcset),
            b"img" | b"source" => Some(Role::Url(ResourceKind::Image)),
            _ => None,
        }
    }

    fn link_kind(&self, window: &Window) -> ResourceKind {
        let rel = |name: &'static [u8]| self.has_token(window, "rel", |token| token.eq_ignore_ascii_case(name));
        let destination = || self.value(window, "as").and_then(|value| destination_kind(value.trim_ascii()));
        match () {
            () if rel(b"stylesheet") => ResourceKind::Stylesheet,
            () if rel(b"modulepreload") => ResourceKind::Script,
            () if rel(b"icon") => ResourceKind::Image,
            () => destination().unwrap_or(ResourceKind::Other),
        }
    }
}

/// What is allowed of a list stays in force.
fn keep(name: &str, left: &str, parking: &mut Parking) {
    if !left.trim().is_empty() {
        parking.added.push_str(&format!(" {name}=\"{}\"", escape(left)));
    }
}

/// MIME types that browsers run (MIME Sniffing Standard, section 4.6).
fn is_javascript(kind: &[u8]) -> bool {
    let essence = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let Some(name) = essence.strip_prefix(b"text/").or_else(|| essence.strip_prefix(b"application/")) else {
        return false;
    };
    let name = name.strip_prefix(b"x-").unwrap_or(name);
    name.starts_with(b"javascript") || matches!(name, b"ecmascript" | b"jscript" | b"livescript")
}

/// An attribute with this value, of whatever encoding.
fn quoted(name: &str, value: &[u8]) -> Vec<u8> {
    let mut text = format!("{name}=\"").into_bytes();
    for byte in value {
        match byte {
            b'"' => text.extend_from_slice(b"&quot;"),
            b'&' => text.extend_from_slice(b"&amp;"),
            b'<' => text.extend_from_slice(b"&lt;"),
            byte => text.push(*byte),
        }
    }
    text.push(b'"');
    text
}

/// `text` between double quotes.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '"', '<', '>']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
