//! A tree: a blob that lists other blobs by path. Outputs and datasets are trees.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::limits::{PATH_BYTES_MAX, TREE_BYTES_MAX, TREE_ENTRIES_MAX};
use crate::{BlobRef, DecodeError, decode, encode};

/// One file of a tree, or a tree within it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Entry {
    /// Relative, `/`-separated, without `.`, `..`, empty parts or control characters.
    pub path: String,
    pub blob: BlobRef,
    /// Whether `blob` is the encoding of another tree.
    pub is_tree: bool,
}

/// Entries in ascending byte order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    entries: Vec<Entry>,
}

/// Why a list of entries is no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{count} entries where a tree may have {TREE_ENTRIES_MAX}")]
    TooMany { count: usize },
    #[error("the path `{path}` is not relative, is too long, or has empty, `.` or `..` parts")]
    BadPath { path: String },
    #[error("the path `{path}` is out of order, occurs twice, or lies under a file")]
    Order { path: String },
}

impl Tree {
    /// Sorts the entries and checks them.
    ///
    /// # Errors
    /// [`TreeError`] names the first path that breaks a rule.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, TreeError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// Reads a tree's canonical bytes.
    ///
    /// # Errors
    /// [`TreeError`] if they are not exactly one valid tree.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TreeError> {
        let tree: Self = decode(bytes, TREE_BYTES_MAX)?;
        tree.check()?;
        Ok(tree)
    }

    /// The blob that this tree is.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn check(&self) -> Result<(), TreeError> {
        if TREE_ENTRIES_MAX < self.entries.len() {
            return Err(TreeError::TooMany { count: self.entries.len() });
        }
        let mut before: Option<&str> = None;
        // `a` before `a/b`: with `/` sorted among other bytes the two need not be neighbours.
        let mut seen = std::collections::BTreeSet::new();
        for Entry { path, .. } in &self.entries {
            if !is_clean_path(path) {
                return Err(TreeError::BadPath { path: path.chars().take(100).collect() });
            }
            let under_a_file = path.match_indices('/').any(|(at, _)| seen.contains(&path[..at]));
            if before.is_some_and(|before| path.as_str() <= before) || under_a_file {
                return Err(TreeError::Order { path: path.clone() });
            }
            seen.insert(path.as_str());
            before = Some(path);
        }
        Ok(())
    }
}

/// Whether a path can be created below any folder without leaving it, on every system.
pub(crate) fn is_clean_path(path: &str) -> bool {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == "..";
    path.len() <= PATH_BYTES_MAX
        && !path.split('/').any(bad_part)
        && !path.chars().any(|c| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry {
        Entry { path: path.to_owned(), blob: BlobRef::of(path.as_bytes()), is_tree: false }
    }

    #[test]
    fn a_tree_survives_its_encoding() {
        let tree = Tree::new(vec![entry("b"), entry("a/x"), entry("a.txt")]).unwrap();
        let paths: Vec<&str> = tree.entries().iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a.txt", "a/x", "b"]);
        assert_eq!(Tree::from_bytes(&tree.to_bytes()), Ok(tree));
    }

    #[test]
    fn paths_that_could_escape_or_collide_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            "a\0b",
            "a\\b",
            "a\nb",
            &"x".repeat(600),
        ] {
            assert!(
                matches!(Tree::new(vec![entry(path)]), Err(TreeError::BadPath { .. })),
                "{path:?}"
            );
        }
        assert!(matches!(Tree::new(vec![entry("a"), entry("a")]), Err(TreeError::Order { .. })));
        assert!(matches!(
            Tree::new(vec![entry("a"), entry("a.b"), entry("a/c")]),
            Err(TreeError::Order { .. })
        ));
        let unsorted = encode(&vec![entry("b"), entry("a")]);
        assert!(matches!(Tree::from_bytes(&unsorted), Err(TreeError::Order { .. })));
    }
}
