//! Which certificates are for a name.

use std::collections::HashMap;

/// Positions of certificates by the names that they are for.
#[derive(Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Vec<usize>>,
    /// By what follows the first label and its dot.
    below: HashMap<Box<str>, Vec<usize>>,
    /// What is shown to those whose name no certificate is for.
    default: Vec<usize>,
}

impl Names {
    /// Takes up the certificate at `position`.
    pub fn add(&mut self, position: usize, names: &[Box<str>], is_default: bool) {
        for name in names {
            let (map, key) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.below, parent),
                None => (&mut self.exact, &**name),
            };
            map.entry(key.into()).or_default().push(position);
        }
        if is_default {
            self.default.push(position);
        }
    }

    /// The certificates for the name that a visitor asks for, in the order in which they were added. A wildcard stands
    /// for one label (RFC 6125, section 6.4.3), and the name itself comes before it.
    pub fn find(&self, name: Option<&str>) -> &[usize] {
        let lower = name.map(str::to_ascii_lowercase);
        let named = lower.as_deref().and_then(|name| {
            let parent = || name.split_once('.').filter(|(label, _)| !label.is_empty());
            self.exact.get(name).or_else(|| self.below.get(parent()?.1))
        });
        named.unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_itself_comes_before_a_wildcard_and_that_before_the_default() {
        let mut names = Names::default();
        for (position, own, is_default) in [
            (0, &["*.shop.example", "shop.example"][..], false),
            (1, &["www.shop.example"], false),
            (2, &["www.shop.example"], false),
            (3, &["other.example"], true),
        ] {
            names.add(position, &own.iter().map(|name| (*name).into()).collect::<Vec<_>>(), is_default);
        }
        for (asked, found) in [
            (Some("shop.example"), &[0][..]),
            (Some("SHOP.example"), &[0]),
            (Some("a.shop.example"), &[0]),
            (Some("www.shop.example"), &[1, 2]),
            (Some("a.b.shop.example"), &[3]),
            (Some(".shop.example"), &[3]),
            (Some("*.shop.example"), &[0]),
            (Some("example"), &[3]),
            (Some(""), &[3]),
            (None, &[3]),
        ] {
            assert_eq!(names.find(asked), found, "{asked:?}");
        }
        assert!(Names::default().find(Some("shop.example")).is_empty());
        assert!(Names::default().find(None).is_empty());
    }
}
