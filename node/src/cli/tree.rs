//! Trees of files: put into a node, and restored from it.

use std::path::Path;

use client::api::Blob;
use client::{BlobSource, Client, Packed};
use protocol::Tree;
use protocol::limits::TREE_BYTES_MAX;

use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::many::for_each;
use crate::cli::save::{Folder, copy_checked};

/// How many files a tree has, and how many bytes they have.
pub(crate) type Extent = (usize, u64);

/// Gives everything to the node and pins it: the files first, so that a tree is never without them.
pub(crate) fn put(client: &Client, packed: Packed) -> Outcome<(Blob, Option<Extent>)> {
    let put = |source: &BlobSource| {
        client.put(source)?;
        client.pin(source.blob().id)?;
        Ok(())
    };
    match packed {
        Packed::File(file) => {
            put(&file)?;
            Ok((file.blob().into(), None))
        }
        Packed::Tree { tree, files } => {
            for_each(&files, put)?;
            put(&tree)?;
            let bytes = files.iter().map(|file| file.blob().size).sum();
            Ok((tree.blob().into(), Some((files.len(), bytes))))
        }
    }
}

/// The tree that a blob is, if it is one. One without files is taken for a file of one byte.
pub(crate) fn read(client: &Client, blob: Blob) -> Outcome<Option<Tree>> {
    if (TREE_BYTES_MAX as u64) < blob.size {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    copy_checked(blob, &mut client.blob(blob.id)?, &mut bytes, Path::new("memory"))?;
    Ok(Tree::from_bytes(&bytes).ok().filter(|tree| !tree.entries().is_empty()))
}

/// Writes every file of a tree below a folder.
pub(crate) fn restore(client: &Client, tree: &Tree, to: &Path) -> Outcome<()> {
    if to.exists() && !to.is_dir() {
        let error = format!("{}: it is a file, and this blob is a tree", to.display());
        return Err(Failure::new(End::BadInput, error, "give a folder, or --raw"));
    }
    let folder = Folder::open(to)?;
    for_each(tree.entries(), |entry| {
        if entry.is_tree {
            let error = format!("`{}` is a tree within this tree", entry.path);
            let hint = format!("get it by itself: `dugnad blob get {}`", entry.blob.id);
            return Err(Failure::new(End::BadInput, error, hint));
        }
        let mut reader = client.blob(entry.blob.id).map_err(|error| {
            let failure = Failure::from(error);
            Failure { error: format!("`{}`: {}", entry.path, failure.error), ..failure }
        })?;
        folder.write(&entry.path, entry.blob.into(), &mut reader)
    })
}
