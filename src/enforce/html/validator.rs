//! Validators that tell one visitor's variant of a page from another's, so that no answer of 304 brings back a page that
//! was made for another choice (RFC 9110, sections 8.8.3 and 13.1.2).

/// What separates the upstream's tag from the variant.
const MARK: &[u8] = b"-consentry-";

/// The entity tag for a variant of what the upstream calls `tag`. It is weak, since bytes may differ.
pub(super) fn with_variant(tag: &[u8], variant: &str) -> Vec<u8> {
    let opaque = opaque(tag);
    [b"W/\"", opaque, MARK, variant.as_bytes(), b"\""].concat()
}

/// The members of `If-None-Match` that hold for `variant`, as the upstream knows them; `None` for a page as the upstream
/// sends it. Nothing left: the upstream has to send the page.
pub(super) fn for_variant(field: &[u8], variant: Option<&str>) -> Option<Vec<u8>> {
    let members = field.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let kept: Vec<Vec<u8>> = members
        .filter_map(|member| match (split(member), variant) {
            (Some((tag, made_for)), Some(variant)) if made_for == variant.as_bytes() => {
                Some([b"W/\"", tag, b"\""].concat())
            }
            (None, None) => Some(member.to_vec()),
            _ => None,
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join(&b", "[..]))
}

fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(tag)
}

fn split(tag: &[u8]) -> Option<(&[u8], &[u8])> {
    let tag = opaque(tag);
    let mark = memchr::memmem::rfind(tag, MARK)?;
    Some((tag.get(..mark)?, tag.get(mark + MARK.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_for_its_own_variant_only() {
        let tag = with_variant(b"\"abc\"", "a1");
        assert_eq!(tag, b"W/\"abc-consentry-a1\"");
        assert_eq!(with_variant(b"W/\"abc\"", "a1"), tag);
        for (field, variant, upstream) in [
            ("W/\"abc-consentry-a1\"", Some("a1"), Some("W/\"abc\"")),
            ("\"x\", W/\"abc-consentry-a1\"", Some("a1"), Some("W/\"abc\"")),
            ("W/\"abc-consentry-a1\"", Some("b2"), None),
            ("W/\"abc-consentry-a1\"", None, None),
            ("\"abc\"", Some("a1"), None),
            ("\"abc\", W/\"d\"", None, Some("\"abc\", W/\"d\"")),
            ("*", None, Some("*")),
            ("*", Some("a1"), None),
        ] {
            let found = for_variant(field.as_bytes(), variant);
            assert_eq!(found.as_deref(), upstream.map(str::as_bytes), "{field} for {variant:?}");
        }
    }
}
