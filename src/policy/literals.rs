//! Many literals looked for in one pass.

use aho_corasick::AhoCorasick;

/// Literals, each announcing the entries that need it. A scan costs one step per byte and one call per literal that is
/// there, however often it is there.
#[derive(Debug, Default)]
pub(super) struct Literals {
    automaton: Option<AhoCorasick>,
    entries: Vec<Vec<usize>>,
}

/// Words of the set of literals that a scan has met; what lies beyond is announced at each occurrence.
const SEEN_WORDS: usize = 16;

impl Literals {
    /// `literals` are pairs of text and entry; texts are not empty.
    pub(super) fn new(mut literals: Vec<(String, usize)>) -> Self {
        literals.sort();
        let (mut texts, mut entries) = (Vec::<String>::new(), Vec::<Vec<usize>>::new());
        for (text, id) in literals {
            match entries.last_mut().filter(|_| texts.last() == Some(&text)) {
                Some(same) => same.push(id),
                None => {
                    texts.push(text);
                    entries.push(vec![id]);
                }
            }
        }
        // Building fails only past 2^31 states, which no configuration file can reach.
        let automaton = (!texts.is_empty()).then(|| AhoCorasick::new(&texts).ok()).flatten();
        Literals { automaton, entries }
    }

    /// Calls `consider` with every entry whose literal is in `text`.
    pub(super) fn candidates(&self, text: &[u8], mut consider: impl FnMut(usize)) {
        let Some(automaton) = &self.automaton else { return };
        let mut seen = [0u64; SEEN_WORDS];
        for hit in automaton.find_overlapping_iter(text) {
            let literal = hit.pattern().as_usize();
            if let Some(word) = seen.get_mut(literal / 64) {
                let bit = 1 << (literal % 64);
                if *word & bit != 0 {
                    continue;
                }
                *word |= bit;
            }
            self.entries.get(literal).into_iter().flatten().copied().for_each(&mut consider);
        }
    }
}
