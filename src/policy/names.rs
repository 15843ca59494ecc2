//! Finding the most precise pattern for a cookie name, at a cost that does not grow with the number of patterns.
//!
//! Exact names, prefixes and the heads of inner-`*` patterns share one trie that a look-up walks once. Patterns that
//! begin with `*` are found by one pass of an automaton over their longest literals. Names are compared as they are
//! first (RFC 6265, section 5.3: case-sensitive), then with ASCII case ignored.

use std::collections::HashMap;

use super::literals::Literals;
use super::pattern::{Pattern, Precision};

/// Longest name that is looked for ignoring case. No vendor's name comes near.
const MAX_FOLDED: usize = 128;

/// Patterns by what they match; the value of an entry is its position in the order of insertion.
#[derive(Debug, Default)]
pub struct NameIndex {
    as_is: Trie,
    folded: Trie,
    /// Patterns that start with `*`.
    floating: Floating,
}

impl NameIndex {
    /// Compiles `patterns`. Of two equal ones the earlier is asked first.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Self {
        let mut as_is = TrieBuilder::default();
        let mut folded = TrieBuilder::default();
        let mut floating = Vec::new();
        for (id, pattern) in patterns.into_iter().enumerate() {
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            if pattern.head().is_empty() && pattern.as_prefix().is_none() {
                floating.push((pattern.clone(), id));
            } else {
                as_is.insert(pattern.head().as_bytes(), pattern, id);
                folded.insert(&pattern.head().as_bytes().to_ascii_lowercase(), pattern, id);
            }
        }
        NameIndex { as_is: as_is.build(), folded: folded.build(), floating: Floating::new(floating) }
    }

    /// The most precise entry for `name` that `accept` agrees to.
    pub fn find(&self, name: &[u8], accept: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best = Best::default();
        self.as_is.walk(name, Pattern::matches, &accept, &mut best);
        if !best.is_exact {
            self.floating.walk(name, &accept, &mut best);
        }
        if best.id.is_none() && name.len() <= MAX_FOLDED {
            let mut folded = [0u8; MAX_FOLDED];
            let folded = folded.get_mut(..name.len()).unwrap_or_default();
            for (to, from) in folded.iter_mut().zip(name) {
                *to = from.to_ascii_lowercase();
            }
            self.folded.walk(folded, Pattern::matches_ignoring_case, &accept, &mut best);
        }
        best.id
    }
}

#[derive(Default)]
struct Best {
    id: Option<usize>,
    precision: Option<Precision>,
    /// Nothing can be more precise.
    is_exact: bool,
}

impl Best {
    fn offer(&mut self, id: usize, precision: Precision) {
        if self.precision.is_none_or(|held| precision > held) {
            *self = Best { id: Some(id), precision: Some(precision), is_exact: precision.is_exact() };
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    id: usize,
    precision: Precision,
    /// Only for a `*` inside: the trie knows just the head.
    verify: Option<Pattern>,
    exact: bool,
}

/// A node's entries and outgoing edges are runs in the two arrays of the trie.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    entries: (u32, u32),
    edges: (u32, u32),
    /// Bytes that follow the edge here before anything else can happen: a run in `labels`.
    label: (u32, u32),
    /// Position in `tables`, from 1, of a node with many edges.
    table: u32,
}

/// A node with more edges than this finds the next one in a table and not by looking at each.
const MANY_EDGES: usize = 6;

/// Where each byte leads, as the position of a node; 0 is the root, to which nothing leads back.
type Table = [u32; 256];

#[derive(Debug, Default)]
struct Trie {
    nodes: Vec<Node>,
    edges: Vec<(u8, u32)>,
    entries: Vec<Entry>,
    labels: Vec<u8>,
    tables: Vec<Table>,
}

impl Trie {
    fn walk(
        &self,
        name: &[u8],
        matches: impl Fn(&Pattern, &[u8]) -> bool,
        accept: &impl Fn(usize) -> bool,
        best: &mut Best,
    ) {
        let Some(mut node) = self.nodes.first() else { return };
        let mut read = 0;
        loop {
            for entry in run(&self.entries, node.entries) {
                let here = match &entry.verify {
                    Some(pattern) => matches(pattern, name),
                    None => !entry.exact || read == name.len(),
                };
                if here && accept(entry.id) {
                    best.offer(entry.id, entry.precision);
                }
            }
            let Some(byte) = name.get(read) else { return };
            let Some(next) = self.next(node, *byte) else { return };
            let label = run(&self.labels, next.label);
            read += 1;
            if !name.get(read..).is_some_and(|rest| rest.starts_with(label)) {
                return;
            }
            read += label.len();
            node = next;
        }
    }
}

impl Trie {
    fn next(&self, node: &Node, byte: u8) -> Option<&Node> {
        let to = match node.table.checked_sub(1) {
            Some(table) => *self.tables.get(table as usize)?.get(usize::from(byte))?,
            None => run(&self.edges, node.edges).iter().find(|(label, _)| *label == byte)?.1,
        };
        self.nodes.get(to as usize).filter(|_| to > 0)
    }
}

fn run<T>(all: &[T], (start, end): (u32, u32)) -> &[T] {
    all.get(start as usize..end as usize).unwrap_or_default()
}

#[derive(Default)]
struct TrieBuilder {
    children: Vec<HashMap<u8, usize>>,
    entries: Vec<Vec<Entry>>,
}

impl TrieBuilder {
    fn insert(&mut self, head: &[u8], pattern: &Pattern, id: u32) {
        let mut node = self.node_count_at_least_one();
        for byte in head {
            let fresh = self.children.len();
            let next = self.children.get_mut(node).map(|edges| *edges.entry(*byte).or_insert(fresh));
            if next == Some(fresh) {
                self.children.push(HashMap::new());
                self.entries.push(Vec::new());
            }
            node = next.unwrap_or(fresh);
        }
        let exact = pattern.is_exact();
        let verify = (!exact && pattern.as_prefix().is_none()).then(|| pattern.clone());
        let entry = Entry { id: id as usize, precision: pattern.precision(), verify, exact };
        if let Some(entries) = self.entries.get_mut(node) {
            entries.push(entry);
        }
    }

    fn node_count_at_least_one(&mut self) -> usize {
        if self.children.is_empty() {
            self.children.push(HashMap::new());
            self.entries.push(Vec::new());
        }
        0
    }

    /// Lays the nodes out, chains of single edges drawn together to labels: a look-up touches few places in memory.
    fn build(self) -> Trie {
        let mut trie = Trie::default();
        let mut waiting = std::collections::VecDeque::new();
        if !self.children.is_empty() {
            trie.nodes.push(Node::default());
            waiting.push_back((0, 0));
        }
        while let Some((built, position)) = waiting.pop_front() {
            let (at, label) = self.end_of_chain(built, position == 0);
            let label = trie.add_label(&label);
            let mut children: Vec<_> = self.children.get(at).into_iter().flatten().collect();
            children.sort_unstable();
            let first_edge = trie.edges.len();
            for (byte, child) in children {
                waiting.push_back((*child, trie.nodes.len()));
                trie.edges.push((*byte, index(trie.nodes.len())));
                trie.nodes.push(Node::default());
            }
            let edges = (index(first_edge), index(trie.edges.len()));
            let entries = trie.add_entries(self.entries.get(at).map_or(&[], Vec::as_slice));
            let table = trie.add_table(edges);
            if let Some(node) = trie.nodes.get_mut(position) {
                *node = Node { entries, edges, label, table };
            }
        }
        trie
    }

    /// Where the chain of single edges ends that begins at `node`, and the bytes on it.
    fn end_of_chain(&self, mut node: usize, is_root: bool) -> (usize, Vec<u8>) {
        let mut label = Vec::new();
        while !is_root && self.entries.get(node).is_some_and(Vec::is_empty) {
            let mut children = self.children.get(node).into_iter().flatten();
            let (Some((byte, child)), None) = (children.next(), children.next()) else { break };
            label.push(*byte);
            node = *child;
        }
        (node, label)
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Trie {
    fn add_label(&mut self, label: &[u8]) -> (u32, u32) {
        let start = index(self.labels.len());
        self.labels.extend_from_slice(label);
        (start, index(self.labels.len()))
    }

    fn add_entries(&mut self, entries: &[Entry]) -> (u32, u32) {
        let start = index(self.entries.len());
        self.entries.extend_from_slice(entries);
        (start, index(self.entries.len()))
    }

    /// The table for a node with these edges, if they are many.
    fn add_table(&mut self, edges: (u32, u32)) -> u32 {
        let edges = run(&self.edges, edges);
        if edges.len() <= MANY_EDGES {
            return 0;
        }
        let mut table: Table = [0; 256];
        for (byte, to) in edges {
            if let Some(target) = table.get_mut(usize::from(*byte)) {
                *target = *to;
            }
        }
        self.tables.push(table);
        index(self.tables.len())
    }
}

#[derive(Debug, Default)]
struct Floating {
    literals: Literals,
    patterns: Vec<(Pattern, usize)>,
}

impl Floating {
    fn new(patterns: Vec<(Pattern, u32)>) -> Self {
        let patterns: Vec<_> = patterns.into_iter().map(|(pattern, id)| (pattern, id as usize)).collect();
        let literals = patterns.iter().enumerate().map(|(at, (pattern, _))| (pattern.longest_literal().to_owned(), at));
        Floating { literals: Literals::new(literals.collect()), patterns }
    }

    fn walk(&self, name: &[u8], accept: &impl Fn(usize) -> bool, best: &mut Best) {
        self.literals.candidates(name, |at| {
            if let Some((pattern, id)) = self.patterns.get(at).filter(|(pattern, _)| pattern.matches(name))
                && accept(*id)
            {
                best.offer(*id, pattern.precision());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
    }

    fn find(texts: &[&str], name: &str) -> Option<String> {
        let patterns = patterns(texts);
        let id = NameIndex::new(&patterns).find(name.as_bytes(), |_| true)?;
        Some(patterns[id].as_str().to_owned())
    }

    #[test]
    fn exact_before_inner_star_before_prefix_longest_wins() {
        let known = ["AMP_*", "AMP_TOKEN", "_ga", "_ga_*", "_g*", "*_gr_*", "mp_*_mixpanel", "mp_*", "Hm_lvt_*"];
        for (name, pattern) in [
            ("AMP_TOKEN", Some("AMP_TOKEN")),
            ("AMP_abc", Some("AMP_*")),
            ("_ga", Some("_ga")),
            ("_ga_X1", Some("_ga_*")),
            ("_gid", Some("_g*")),
            ("k_gr_session", Some("*_gr_*")),
            ("mp_1_mixpanel", Some("mp_*_mixpanel")),
            ("mp_1", Some("mp_*")),
            ("hm_LVT_1", Some("Hm_lvt_*")),
            ("session", None),
            ("", None),
        ] {
            assert_eq!(find(&known, name).as_deref(), pattern, "{name}");
        }
    }

    #[test]
    fn refused_entry_gives_way_to_the_next_best() {
        let patterns = patterns(&["IDE", "ID*"]);
        let index = NameIndex::new(&patterns);
        assert_eq!(index.find(b"IDE", |id| id != 0), Some(1));
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_pattern(texts in proptest::collection::vec("[ab_*]{1,6}", 1..12), name in "[ab_]{0,8}") {
            let patterns: Vec<_> = texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
            let best = patterns.iter().filter(|p| p.matches(name.as_bytes())).map(Pattern::precision).max();
            let found = NameIndex::new(&patterns).find(name.as_bytes(), |_| true).map(|id| patterns[id].precision());
            prop_assert_eq!(found, best);
        }
    }
}
