//! Scripts that are data for the browser: import maps and speculation rules.

use serde_json::Value;

use super::inspector::Inspector;
use crate::policy::ResourceKind;

/// A module in which nothing is.
const EMPTY_MODULE: &str = "data:text/javascript,";

/// The import map (HTML Standard, section 8.1.6.2) with an empty module wherever a denied one would be; `None` if none
/// is denied. Browsers ignore what is not JSON.
pub(super) fn disarm_import_map(inspector: &mut Inspector<'_, '_>, text: &[u8]) -> Option<Vec<u8>> {
    let mut map: Value = serde_json::from_slice(text).ok()?;
    let mut changed = false;
    let scopes = map.get_mut("scopes").and_then(Value::as_object_mut);
    let mut disarm = |modules: &mut Value| {
        for address in modules.as_object_mut().into_iter().flat_map(|modules| modules.values_mut()) {
            if address.as_str().is_some_and(|url| inspector.url(url.as_bytes(), ResourceKind::Script)) {
                *address = EMPTY_MODULE.into();
                changed = true;
            }
        }
    };
    scopes.into_iter().flat_map(|scopes| scopes.values_mut()).for_each(&mut disarm);
    map.get_mut("imports").into_iter().for_each(&mut disarm);
    // `<` could end the script; in JSON it stands in strings only.
    changed.then(|| map.to_string().replace('<', "\\u003c").into_bytes())
}

/// Whether speculation rules (Speculation Rules, section 4) name a page that is denied.
pub(super) fn names_denied_rules(inspector: &mut Inspector<'_, '_>, text: &[u8]) -> bool {
    let rules = serde_json::from_slice::<Value>(text).unwrap_or_default();
    names_denied(inspector, &rules) || inspector.script(text)
}

fn names_denied(inspector: &mut Inspector<'_, '_>, value: &Value) -> bool {
    match value {
        Value::String(text) => inspector.url(text.as_bytes(), ResourceKind::Document),
        Value::Array(items) => items.iter().any(|item| names_denied(inspector, item)),
        Value::Object(fields) => fields.values().any(|field| names_denied(inspector, field)),
        _ => false,
    }
}
