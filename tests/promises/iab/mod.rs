//! Consent strings of the IAB are read as its own libraries read them. Those are npm packages, which `make packages`
//! installs; a seed decides which strings they write.

mod gpp;
mod tcf;

use std::process::Command;

use serde_json::Value;

/// One line of a generator.
struct Line {
    /// The string.
    text: String,
    /// What the library reads from it, or `{"error": …}` if it throws.
    read: Value,
    /// Whether one character was changed after the library wrote it.
    mutated: bool,
    /// All that the generator says.
    all: Value,
}

impl Line {
    fn is_refused(&self) -> bool {
        self.read.get("error").is_some()
    }
}

/// What `tests/npm/{script}` prints.
fn generated(script: &str, seed: u32, count: usize, mutated: usize) -> Vec<Line> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/npm");
    let arguments = [script.to_owned(), seed.to_string(), count.to_string(), mutated.to_string()];
    let output = Command::new("node").args(arguments).current_dir(directory).output().expect("node is not installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "run `make packages` first if packages are missing: {errors}");
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines: Vec<_> = lines
        .map(|line| {
            let all: Value = serde_json::from_slice(line).unwrap();
            let text = all["text"].as_str().unwrap().to_owned();
            Line { text, read: all["read"].clone(), mutated: all["mutated"] == true, all }
        })
        .collect();
    assert_eq!(lines.iter().filter(|line| !line.mutated).count(), count);
    lines
}

/// The numbers of a set whose bit 0 is number 1.
fn members(set: u64) -> Vec<u16> {
    (1..=64).filter(|number| set >> (number - 1) & 1 == 1).collect()
}

/// Ranges in any order as the fewest that say the same, as the generators print them.
fn merged(ranges: impl IntoIterator<Item = (u16, u16)>) -> Vec<(u16, u16)> {
    let mut ranges: Vec<_> = ranges.into_iter().collect();
    ranges.sort_unstable();
    let mut found: Vec<(u16, u16)> = Vec::new();
    for (start, end) in ranges {
        match found.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => found.push((start, end)),
        }
    }
    found
}

/// Ranges as the generators print them.
fn ranges(value: &Value) -> Vec<(u16, u16)> {
    serde_json::from_value(value.clone()).unwrap()
}

fn within(inner: &[(u16, u16)], outer: &[(u16, u16)]) -> bool {
    inner.iter().all(|inner| outer.iter().any(|outer| outer.0 <= inner.0 && inner.1 <= outer.1))
}
