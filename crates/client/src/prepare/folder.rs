//! A folder's files as the entries of one tree.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::Entry;
use protocol::limits::TREE_ENTRIES_MAX;

use super::{BlobSource, PrepareError};

/// Folders within folders.
const DEPTH_MAX: usize = 32;

/// All files below `folder`, links followed, by their paths relative to it.
pub(super) fn read_folder(folder: &Path) -> Result<(Vec<Entry>, Vec<BlobSource>), PrepareError> {
    let mut entries = Vec::new();
    let mut sources = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new(), Vec::new())];
    while let Some((path, prefix, mut above)) = open.pop() {
        let metadata = std::fs::metadata(&path).map_err(PrepareError::unreadable(&path))?;
        let this = (metadata.dev(), metadata.ino());
        if above.contains(&this) || DEPTH_MAX < above.len() {
            return Err(PrepareError::Circle { path });
        }
        above.push(this);
        for (child, name) in children(&path)? {
            if entries.len() + open.len() == TREE_ENTRIES_MAX {
                return Err(PrepareError::TooMany { path: folder.to_owned() });
            }
            let metadata = std::fs::metadata(&child).map_err(PrepareError::unreadable(&child))?;
            if metadata.is_dir() {
                open.push((child, format!("{prefix}{name}/"), above.clone()));
            } else {
                let source = BlobSource::file(&child)?;
                let path = format!("{prefix}{name}");
                entries.push(Entry { path, blob: source.blob(), is_tree: false });
                sources.push(source);
            }
        }
    }
    Ok((entries, sources))
}

/// The files of a folder, each a part; a folder within it is refused.
pub(super) fn read_flat(folder: &Path) -> Result<(Vec<Entry>, Vec<BlobSource>), PrepareError> {
    let files = children(folder)?;
    let mut entries = Vec::new();
    let mut sources = Vec::new();
    for (path, name) in files {
        let source = BlobSource::file(&path)?;
        entries.push(Entry { path: name, blob: source.blob(), is_tree: false });
        sources.push(source);
    }
    Ok((entries, sources))
}

/// Children by name, in an order that does not hang on the file system.
fn children(folder: &Path) -> Result<Vec<(PathBuf, String)>, PrepareError> {
    let metadata = std::fs::metadata(folder).map_err(PrepareError::unreadable(folder))?;
    if !metadata.is_dir() {
        return Err(PrepareError::WrongKind { path: folder.to_owned(), wanted: "folder" });
    }
    let mut children = Vec::new();
    for child in std::fs::read_dir(folder).map_err(PrepareError::unreadable(folder))? {
        let path = child.map_err(PrepareError::unreadable(folder))?.path();
        let name = PrepareError::name_of(&path)?;
        if children.len() == TREE_ENTRIES_MAX {
            return Err(PrepareError::TooMany { path: folder.to_owned() });
        }
        children.push((path, name));
    }
    children.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(children)
}
