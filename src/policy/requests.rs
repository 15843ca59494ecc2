//! Finding the rule for a request to the site's own host that is really tracking.
//!
//! One automaton over the path and one over the query find candidates by their longest literal, so that the cost does
//! not grow with the number of shapes; only candidates are compared in full.

use std::fmt;

use super::literals::Literals;
use super::pattern::Pattern;
use super::url::{decode_percent, normal_path, query_pairs};

/// A literal shorter than this would be found in most URLs, and is no use to look for.
const SHORTEST_LITERAL: usize = 3;

/// What a tracking request looks like. All parts that are present must match.
#[derive(Clone, Debug)]
pub struct RequestShape {
    /// The normalised path, whole.
    pub path: Pattern,
    pub query: Vec<QueryShape>,
    /// Upper case. `None` is any method.
    pub method: Option<Box<str>>,
    /// Literals that all occur in the payload once white space is taken out of both, since JSON may have any.
    pub body: Vec<Box<[u8]>>,
}

/// A query parameter that must be there, with a value of this shape.
#[derive(Clone, Debug)]
pub struct QueryShape {
    pub key: Box<str>,
    /// `None` is any value.
    pub value: Option<Pattern>,
}

/// The parts of a request that shapes ask for.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    pub method: &'a str,
    /// As it came, without query.
    pub path: &'a [u8],
    /// As it came, without `?`.
    pub query: &'a [u8],
    /// The payload, if it was read.
    pub body: Option<&'a [u8]>,
}

/// What is known about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMatch {
    None,
    /// The most precise shape that matches, as its position in the order of insertion.
    Shape(usize),
    /// Everything but the payload matches this shape: read it, and ask again.
    NeedsBody(usize),
}

/// What is known about a request, as the rule that says so, or what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRule<R> {
    /// No rule knows it.
    None,
    Known(R),
    /// This rule, if the payload is what it describes; otherwise none.
    IfBodyMatches(R),
}

impl<'r, R> RequestRule<&'r R> {
    pub(super) fn of(found: RequestMatch, rules: &'r [R]) -> Self {
        match found {
            RequestMatch::None => RequestRule::None,
            RequestMatch::Shape(id) => rules.get(id).map_or(RequestRule::None, RequestRule::Known),
            RequestMatch::NeedsBody(id) => rules.get(id).map_or(RequestRule::None, RequestRule::IfBodyMatches),
        }
    }
}

impl<R> RequestRule<R> {
    pub fn map<T>(self, convert: impl FnOnce(R) -> T) -> RequestRule<T> {
        match self {
            RequestRule::None => RequestRule::None,
            RequestRule::Known(rule) => RequestRule::Known(convert(rule)),
            RequestRule::IfBodyMatches(rule) => RequestRule::IfBodyMatches(convert(rule)),
        }
    }

    /// What is known for sure.
    pub fn known(self) -> Option<R> {
        match self {
            RequestRule::Known(rule) => Some(rule),
            RequestRule::None | RequestRule::IfBodyMatches(_) => None,
        }
    }
}

/// Compiled shapes.
#[derive(Debug, Default)]
pub struct RequestIndex {
    shapes: Vec<RequestShape>,
    by_path: Literals,
    by_query: Literals,
    /// Shapes without a literal worth looking for. The catalog has none; an operator's rule may.
    always: Vec<usize>,
}

impl RequestIndex {
    pub fn new(mut shapes: Vec<RequestShape>) -> Self {
        let (mut by_path, mut by_query, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (id, shape) in shapes.iter().enumerate() {
            let path = shape.path.longest_literal();
            if path.len() >= SHORTEST_LITERAL {
                by_path.push((path.to_owned(), id));
            } else if let Some(literal) = shape.query_literal() {
                by_query.push((literal, id));
            } else {
                always.push(id);
            }
        }
        for literal in shapes.iter_mut().flat_map(|shape| &mut shape.body) {
            *literal = without_space(literal).into();
        }
        RequestIndex { by_path: Literals::new(by_path), by_query: Literals::new(by_query), always, shapes }
    }

    /// The most precise shape of `request`. Allocates only for a path or query in odd spelling.
    pub fn find(&self, request: &RequestFacts<'_>) -> RequestMatch {
        let dense = request.body.map(without_space);
        let request = &RequestFacts { body: dense.as_deref(), ..*request };
        let path = normal_path(request.path);
        let query = decode_percent(request.query);
        let mut best: Option<(usize, usize)> = None;
        let mut needs_body: Option<(usize, usize)> = None;
        let mut consider = |id: usize| {
            let Some(shape) = self.shapes.get(id).filter(|shape| shape.matches_head(request, &path)) else { return };
            let precision = shape.literals();
            if shape.matches_body(request.body) {
                if best.is_none_or(|held| is_better(precision, id, held)) {
                    best = Some((precision, id));
                }
            } else if request.body.is_none() && needs_body.is_none_or(|held| is_better(precision, id, held)) {
                needs_body = Some((precision, id));
            }
        };
        self.by_path.candidates(&path, &mut consider);
        if !query.is_empty() {
            self.by_query.candidates(&query, &mut consider);
        }
        self.always.iter().copied().for_each(&mut consider);
        match best {
            Some((_, id)) => RequestMatch::Shape(id),
            None => needs_body.map_or(RequestMatch::None, |(_, id)| RequestMatch::NeedsBody(id)),
        }
    }
}

impl RequestShape {
    /// The text that the query must hold as it stands, if a value's shape begins with one or a key is distinctive.
    fn query_literal(&self) -> Option<String> {
        let literal =
            |shape: &QueryShape| format!("{}={}", shape.key, shape.value.as_ref().map_or("", |value| value.head()));
        let valued = self.query.iter().filter(|shape| shape.value.is_some()).map(literal);
        valued
            .max_by_key(String::len)
            .or_else(|| self.query.iter().map(|shape| shape.key.to_string()).max_by_key(String::len))
    }

    fn literals(&self) -> usize {
        let query = |shape: &QueryShape| shape.key.len() + shape.value.as_ref().map_or(0, Pattern::literals);
        let body: usize = self.body.iter().map(|literal| literal.len()).sum();
        self.path.literals() + self.query.iter().map(query).sum::<usize>() + body
    }

    fn matches_head(&self, request: &RequestFacts<'_>, path: &[u8]) -> bool {
        self.method.as_deref().is_none_or(|method| method == request.method)
            && self.path.matches(path)
            && self.query.iter().all(|shape| shape.is_in(request.query))
    }

    fn matches_body(&self, body: Option<&[u8]>) -> bool {
        self.body.is_empty()
            || body.is_some_and(|body| self.body.iter().all(|literal| memchr::memmem::find(body, literal).is_some()))
    }
}

/// More precise than what is held, or as precise and written earlier.
fn is_better(precision: usize, id: usize, (held, held_id): (usize, usize)) -> bool {
    precision > held || (precision == held && id < held_id)
}

fn without_space(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect()
}

impl fmt::Display for QueryShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={}", value.as_str()))
    }
}

impl QueryShape {
    fn is_in(&self, query: &[u8]) -> bool {
        query_pairs(query).any(|(key, value)| {
            *decode_percent(key) == *self.key.as_bytes()
                && self.value.as_ref().is_none_or(|pattern| pattern.matches(&decode_percent(value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(path: &str, query: &[(&str, Option<&str>)], body: &[&str]) -> RequestShape {
        RequestShape {
            path: Pattern::new(path).unwrap(),
            query: query
                .iter()
                .map(|(key, value)| QueryShape { key: (*key).into(), value: value.map(|v| Pattern::new(v).unwrap()) })
                .collect(),
            method: None,
            body: body.iter().map(|text| text.as_bytes().into()).collect(),
        }
    }

    fn index() -> RequestIndex {
        RequestIndex::new(vec![
            shape("*/g/collect", &[], &[]),
            shape("*", &[("v", Some("2")), ("tid", Some("G-*"))], &[]),
            shape("/api/event", &[], &["\"n\":", "\"d\":"]),
            shape("*/gtm.js", &[("id", Some("GTM-*"))], &[]),
        ])
    }

    fn find(target: &str, body: Option<&str>) -> RequestMatch {
        let (path, query) = super::super::url::split_query(target.as_bytes());
        let facts = RequestFacts { method: "POST", path, query, body: body.map(str::as_bytes) };
        index().find(&facts)
    }

    #[test]
    fn shapes_are_found_in_every_spelling() {
        use RequestMatch::{NeedsBody, None, Shape};
        for (target, body, expected) in [
            ("/g/collect", Option::None, Shape(0)),
            ("/metrics/g/collect?x=1", Option::None, Shape(0)),
            ("/%67/./collect", Option::None, Shape(0)),
            ("/g/collector", Option::None, None),
            ("/any?v=2&tid=G-ABC&cid=1", Option::None, Shape(1)),
            ("/any?v=2&t%69d=%47-ABC", Option::None, Shape(1)),
            ("/any?v=2&tid=UA-1", Option::None, None),
            ("/any?xtid=G-1&v=2", Option::None, None),
            ("/api/event", Option::None, NeedsBody(2)),
            ("/api/event", Some(r#"{"n":"pageview","d":"shop"}"#), Shape(2)),
            ("/api/event", Some(r#"{ "n" : "pageview", "d" : "shop" }"#), Shape(2)),
            ("/api/event", Some(r#"{"order":1}"#), None),
            ("/t/gtm.js?id=GTM-1", Option::None, Shape(3)),
            ("/t/gtm.js?id=1", Option::None, None),
        ] {
            assert_eq!(find(target, body), expected, "{target}");
        }
    }
}
