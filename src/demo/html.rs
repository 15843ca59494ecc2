//! Filling templates, and making text harmless before it goes into one.

/// The template with each `{{name}}` replaced by its value. Values are put in as they are, and not looked at again:
/// what comes from outside has to be escaped before, and cannot name a placeholder.
pub(super) fn render(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Text for an element, or for an attribute in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text for the value of a query parameter.
pub(super) fn escape_query(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_templates() {
        let values = [("a", "{{b}}"), ("b", "B")];
        assert_eq!(render("<{{a}}|{{b}}|{{c}}|{{a}}>", &values), "<{{b}}|B||{{b}}>");
        for template in ["", "none", "open {{a", "close }}", "{ {a} }"] {
            assert_eq!(render(template, &values), template);
        }
    }

    #[test]
    fn nothing_that_is_escaped_is_markup() {
        assert_eq!(escape("<a b=\"c\" d='&amp;'>ü"), "&lt;a b=&quot;c&quot; d=&#39;&amp;amp;&#39;&gt;ü");
        assert_eq!(escape_query("http://a:1/b?c=d&e"), "http%3A%2F%2Fa%3A1%2Fb%3Fc%3Dd%26e");
    }
}
