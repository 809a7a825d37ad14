//! Trees: files under the paths that they have below a folder, and what becomes one blob or one tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::limits::{TREE_BYTES_MAX, TREE_ENTRIES_MAX};
use protocol::{Entry, Tree};

use super::folder::read_folder;
use super::{BlobSource, PrepareError};

/// Files and folders as what a node can hold.
#[derive(Clone, Debug)]
pub enum Packed {
    /// A single file is a blob.
    File(BlobSource),
    /// Anything else is a tree, beside the files that it lists.
    Tree { tree: BlobSource, files: Vec<BlobSource> },
}

/// Packs a file, the files below a folder, or several of both, each of these under its own name.
///
/// # Errors
/// [`PrepareError`] names the path.
pub fn pack(paths: &[PathBuf]) -> Result<Packed, PrepareError> {
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    let whole = match paths {
        [one] if one.is_dir() => {
            (entries, files) = read_folder(one)?;
            one.clone()
        }
        [one] => return BlobSource::file(one).map(Packed::File),
        several => {
            let mut names: BTreeMap<String, &Path> = BTreeMap::new();
            for path in several {
                let name = name(path)?;
                if let Some(other) = names.insert(name.clone(), path) {
                    let (path, other) = (path.clone(), other.to_owned());
                    return Err(PrepareError::SameName { path, other, name });
                }
                add(path, name, &mut entries, &mut files)?;
            }
            several.first().cloned().unwrap_or_default()
        }
    };
    if entries.is_empty() {
        return Err(PrepareError::Empty { path: whole });
    }
    Ok(Packed::Tree { tree: tree(&whole, entries)?, files })
}

/// A tree as a blob; `path` is what it is called in errors.
pub(crate) fn tree(path: &Path, entries: Vec<Entry>) -> Result<BlobSource, PrepareError> {
    let tree = Tree::new(entries)
        .map_err(|source| PrepareError::Tree { path: path.to_owned(), source })?;
    let bytes = tree.to_bytes();
    if TREE_BYTES_MAX < bytes.len() {
        return Err(PrepareError::TreeTooLarge { path: path.to_owned() });
    }
    Ok(BlobSource::made(bytes))
}

fn add(
    path: &Path,
    name: String,
    entries: &mut Vec<Entry>,
    files: &mut Vec<BlobSource>,
) -> Result<(), PrepareError> {
    if path.is_dir() {
        let (below, sources) = read_folder(path)?;
        let under = |entry: Entry| Entry { path: format!("{name}/{}", entry.path), ..entry };
        entries.extend(below.into_iter().map(under));
        files.extend(sources);
    } else {
        let source = BlobSource::file(path)?;
        entries.push(Entry { path: name, blob: source.blob(), is_tree: false });
        files.push(source);
    }
    match entries.len() <= TREE_ENTRIES_MAX {
        true => Ok(()),
        false => Err(PrepareError::TooMany { path: path.to_owned() }),
    }
}

/// What a path ends with; of `..` and the like, what that is.
fn name(path: &Path) -> Result<String, PrepareError> {
    let full = match path.file_name() {
        Some(_) => path.to_owned(),
        None => path.canonicalize().map_err(PrepareError::unreadable(path))?,
    };
    PrepareError::name_of(&full)
}
