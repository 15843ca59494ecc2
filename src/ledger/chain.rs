//! The chain of records, and the tree over the records of a day.
//!
//! A record's hash covers the one before it, so that nothing can be changed without changing all that follows. The tree
//! (RFC 6962 §2.1) proves one record of a day to somebody who has only the root.

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The random name of a journal, in each of its records.
pub type Writer = [u8; 16];

/// What stands before the first record.
pub const BEFORE_THE_FIRST: Hash = [0; 32];

/// The hash of record `seq` with the canonical bytes `core`, which follows the record with the hash `previous`.
pub fn record_hash(writer: &Writer, seq: u64, previous: &Hash, core: &[u8]) -> Hash {
    digest(&[b"rec/1", writer, &seq.to_be_bytes(), previous, core])
}

/// What a record's core says of its erasable `part`. Without the salt, nobody can try out what the part was.
pub fn commitment(salt: &[u8; 16], part: &[u8]) -> Hash {
    digest(&[b"erasable/1", salt, part])
}

/// The root of the tree over `leaves` in their order (RFC 6962 §2.1).
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => digest(&[]),
        [leaf] => leaf_hash(leaf),
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node(&merkle_root(left), &merkle_root(right))
        }
    }
}

/// The audit path of leaf `index`, from the leaf upwards (RFC 6962 §2.1.1). `None` if there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split_point(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (inclusion_proof(left, index)?, right)
    } else {
        (inclusion_proof(right, index - left.len())?, left)
    };
    path.push(merkle_root(sibling));
    Some(path)
}

/// Whether `path` leads from leaf `index` of `size` leaves to `root` (RFC 9162 §2.1.3.2).
pub fn proves_inclusion(root: &Hash, leaf: &Hash, index: usize, size: usize, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut index, mut last) = (index, size - 1);
    let mut hash = leaf_hash(leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index % 2 == 1 || index == last {
            hash = node(sibling, &hash);
            while index % 2 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The largest power of two below `count`, which is at least 2.
fn split_point(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn leaf_hash(leaf: &Hash) -> Hash {
    digest(&[&[0], leaf])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| digest(&[&i.to_be_bytes()])).collect()
    }

    #[test]
    fn the_empty_tree_is_the_digest_of_nothing() {
        let empty = merkle_root(&[]).map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn three_leaves_by_hand() {
        let [a, b, c]: [Hash; 3] = leaves(3).try_into().unwrap();
        let left = digest(&[&[1], &digest(&[&[0], &a]), &digest(&[&[0], &b])]);
        assert_eq!(merkle_root(&[a, b, c]), digest(&[&[1], &left, &digest(&[&[0], &c])]));
    }

    proptest! {
        #[test]
        fn each_leaf_is_proven_and_no_other(count in 1usize..70, index in 0usize..70, other in 0usize..70) {
            let (index, other, leaves) = (index % count, other % count, leaves(count));
            let path = inclusion_proof(&leaves, index).unwrap();
            let root = merkle_root(&leaves);
            prop_assert!(proves_inclusion(&root, &leaves[index], index, count, &path));
            prop_assert_eq!(proves_inclusion(&root, &leaves[other], index, count, &path), index == other);
            prop_assert_eq!(proves_inclusion(&root, &leaves[index], other, count, &path), index == other);
        }

        #[test]
        fn a_root_tells_what_it_was_made_of(count in 2usize..70, index in 0usize..70) {
            let mut leaves = leaves(count);
            let root = merkle_root(&leaves);
            leaves[index % count][0] ^= 1;
            prop_assert_ne!(merkle_root(&leaves), root);
        }
    }

    #[test]
    fn there_is_no_proof_of_what_is_not_there() {
        assert!(inclusion_proof(&leaves(3), 3).is_none());
        assert!(!proves_inclusion(&merkle_root(&[]), &[0; 32], 0, 0, &[]));
    }
}
