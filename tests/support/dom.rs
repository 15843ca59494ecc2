//! A page as a browser's own parser sees it: what in it is alive.

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// Everything in `page` that would contact a host whose name holds `host`.
pub fn live(page: &[u8], host: &str, scripting: bool) -> Vec<String> {
    let tree_builder = TreeBuilderOpts { scripting_enabled: scripting, ..TreeBuilderOpts::default() };
    let options = ParseOpts { tree_builder, ..ParseOpts::default() };
    let dom = parse_document(RcDom::default(), options).from_utf8().read_from(&mut &*page).unwrap();
    let mut found = Vec::new();
    visit(&dom.document, host, &mut found);
    // Without scripting, no script runs.
    found.retain(|element| scripting || !element.starts_with("<script"));
    found
}

fn visit(node: &Handle, host: &str, found: &mut Vec<String>) {
    if let NodeData::Element { name, attrs, template_contents, .. } = &node.data {
        let name = &*name.local;
        let attributes: Vec<(String, String)> = attrs
            .borrow()
            .iter()
            .map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()))
            .collect();
        let value = |name: &str| attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let kind = value("type").unwrap_or_default().trim().to_ascii_lowercase();
        let script = name == "script";
        let inert = script && !matches!(&*kind, "" | "text/javascript" | "module" | "importmap" | "speculationrules");
        for (attribute, value) in &attributes {
            if names(value, host) && fetches(name, attribute, &attributes) && !inert {
                found.push(format!("<{name} {attribute}={value}>"));
            }
        }
        let text = text(node);
        let runs = script && !inert && value("src").is_none();
        // Between quotes it would be text; whether they are closed is not looked into here.
        let draws = name == "style" && !text.contains(['"', '\'']) && text.contains(&format!("url(//{host}"));
        if (runs && names(&text, host)) || draws {
            found.push(format!("<{name}>{text}"));
        }
        if let Some(content) = &*template_contents.borrow() {
            visit(content, host, found);
        }
    }
    node.children.borrow().iter().for_each(|child| visit(child, host, found));
}

/// Whether `host` is named, and not as the harmless address that the gate makes of it.
fn names(value: &str, host: &str) -> bool {
    let value = value.to_ascii_lowercase();
    value.match_indices(host).any(|(at, _)| {
        let before = value[..at].trim_end_matches('/');
        !before.ends_with("about:invalid#") && !before.starts_with("/.consentry/held?u=")
    })
}

fn fetches(element: &str, attribute: &str, attributes: &[(String, String)]) -> bool {
    let is = |name: &str, wanted: &str| {
        attributes.iter().any(|(known, value)| known == name && value.to_ascii_lowercase().contains(wanted))
    };
    match attribute {
        "style" | "background" => true,
        "src" => ["script", "img", "iframe", "frame", "embed", "video", "audio", "source", "track"].contains(&element),
        "srcset" => matches!(element, "img" | "source"),
        "ping" => matches!(element, "a" | "area"),
        "srcdoc" => element == "iframe",
        "poster" => element == "video",
        "data" => element == "object",
        "action" => element == "form",
        "href" => match element {
            "link" => is("rel", "stylesheet") || is("rel", "preconnect"),
            "a" | "area" | "base" => false,
            _ => matches!(element, "image" | "use" | "feImage"),
        },
        "content" => element == "meta" && is("http-equiv", "refresh"),
        _ => false,
    }
}

fn text(node: &Handle) -> String {
    let children = node.children.borrow();
    let texts = children.iter().filter_map(|child| match &child.data {
        NodeData::Text { contents } => Some(contents.borrow().to_string()),
        _ => None,
    });
    texts.collect()
}
