//! Merkle trees over 32-byte digests: roots that votes are about, and paths that ballots show.

use crate::{Hash, hash};

/// The root over `leaves` in order: leaves and nodes are hashed under different domains, and the odd
/// one out moves up unchanged.
///
/// # Panics
/// If there are no leaves.
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    assert!(!leaves.is_empty(), "a tree without leaves");
    let mut level: Vec<Hash> = leaves.iter().map(leaf).collect();
    while 1 < level.len() {
        level = level.chunks(2).map(pair).collect();
    }
    level[0]
}

/// The siblings of leaf `index`, from the bottom up.
///
/// # Panics
/// If there is no such leaf.
pub fn merkle_path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < leaves.len(), "no leaf {index}");
    let mut level: Vec<Hash> = leaves.iter().map(leaf).collect();
    let (mut at, mut path) = (index, Vec::new());
    while 1 < level.len() {
        path.extend(level.get(at ^ 1));
        level = level.chunks(2).map(pair).collect();
        at /= 2;
    }
    path
}

/// The root that `path` shows for `digest` as leaf `index` of `count`; `None` if the path does not fit.
pub fn merkle_root_by(path: &[Hash], digest: Hash, index: usize, count: usize) -> Option<Hash> {
    if count <= index {
        return None;
    }
    let mut siblings = path.iter();
    let (mut node, mut at, mut width) = (leaf(&digest), index, count);
    while 1 < width {
        if at ^ 1 < width {
            let sibling = *siblings.next()?;
            node = if at % 2 == 0 { pair(&[node, sibling]) } else { pair(&[sibling, node]) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then_some(node)
}

fn leaf(digest: &Hash) -> Hash {
    hash("leaf", &[digest.as_bytes()])
}

fn pair(nodes: &[Hash]) -> Hash {
    match nodes {
        [left, right] => hash("node", &[left.as_bytes(), right.as_bytes()]),
        [odd] => *odd,
        _ => unreachable!("chunks of two"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shows_its_leaf_and_no_other() {
        for count in 1..20usize {
            let leaves: Vec<Hash> = (0..count).map(|i| hash("test", &[&[i as u8]])).collect();
            let root = merkle_root(&leaves);
            for index in 0..count {
                let path = merkle_path(&leaves, index);
                assert_eq!(merkle_root_by(&path, leaves[index], index, count), Some(root));
                assert_ne!(merkle_root_by(&path, Hash::ZERO, index, count), Some(root));
                if 1 < count {
                    let other = (index + 1) % count;
                    assert_ne!(merkle_root_by(&path, leaves[index], other, count), Some(root));
                    assert_eq!(merkle_root_by(&path[1..], leaves[index], index, count), None);
                }
                let long = [path, vec![Hash::ZERO]].concat();
                assert_eq!(merkle_root_by(&long, leaves[index], index, count), None);
            }
        }
    }
}
