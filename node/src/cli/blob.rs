//! `dugnad blob …`

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use client::api::{Blob, Done};
use client::{Client, ClientError, pack, show_bytes};
use protocol::BlobId;

use crate::cli::args::{BlobVerb, Output};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::many::for_each;
use crate::cli::save::Folder;
use crate::cli::terminal::{copy, data, json, table, talk};
use crate::cli::tree;

pub(crate) fn run(context: &Context, verb: BlobVerb) -> Outcome {
    let client = running(context)?;
    match verb {
        BlobVerb::Add { paths } => add(context, &client, &paths)?,
        BlobVerb::Get { blob, to, raw } => get(&client, blob, to.as_deref(), raw)?,
        BlobVerb::List => list(context, &client)?,
        BlobVerb::Pin { blob, tree } => keep(&client, blob, tree, Client::pin)?,
        BlobVerb::Unpin { blob, tree } => keep(&client, blob, tree, Client::unpin)?,
        BlobVerb::Remove { blob } => drop(client.remove(blob)?),
    }
    Ok(End::Done)
}

fn add(context: &Context, client: &Client, paths: &[PathBuf]) -> Outcome<()> {
    let stdin = Path::new("-");
    let (blob, of) = if paths == [stdin] {
        let blob = client.put_reader(&mut io::stdin().lock(), None)?;
        client.pin(blob.id)?;
        (blob, None)
    } else if paths.iter().any(|path| path == stdin) {
        let hint = "add stdin alone, or save it to a file first; a file called `-` is `./-`";
        return Err(Failure::new(End::BadInput, "stdin has no name in a tree", hint));
    } else {
        tree::put(client, pack(paths)?)?
    };
    match context.output {
        Output::Json => json(&serde_json::json!({
            "id": blob.id,
            "size": blob.size,
            "files": of.map(|(files, _)| files),
            "bytes": of.map(|(_, bytes)| bytes),
        })),
        Output::Table => {
            talk(match of {
                None => format!("{} pinned", show_bytes(blob.size)),
                Some((files, bytes)) => {
                    format!("a tree of {files} files, {}, pinned", show_bytes(bytes))
                }
            });
            data(blob.id.to_string())
        }
    }
}

fn get(client: &Client, id: BlobId, to: Option<&Path>, raw: bool) -> Outcome<()> {
    let Some(path) = to else {
        let mut checked = Checked { reader: client.blob(id)?, hasher: blake3::Hasher::new(), id };
        return copy(&mut checked);
    };
    let Some(size) = client.blob_size(id)? else {
        let error = format!("{id} is not in the store");
        return Err(Failure::new(End::BadInput, error, "`dugnad blob list` shows what is"));
    };
    let blob = Blob { id, size };
    if !raw && let Some(tree) = tree::read(client, blob)? {
        return tree::restore(client, &tree, path);
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Err(Failure::new(End::BadInput, "the path names no file", "give a file's path"));
    };
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    Folder::open(parent)?.write(name, blob, &mut client.blob(id)?)
}

/// Pins or unpins a blob, and if it is one, the files of a tree.
fn keep(
    client: &Client,
    id: BlobId,
    with_files: bool,
    verb: fn(&Client, BlobId) -> Result<Done, ClientError>,
) -> Outcome<()> {
    if with_files {
        let size = client.blob_size(id)?.unwrap_or_default();
        let Some(tree) = tree::read(client, Blob { id, size })? else {
            let error = format!("{id} is no tree");
            return Err(Failure::new(End::BadInput, error, "leave out --tree"));
        };
        for_each(tree.entries(), |entry| Ok(verb(client, entry.blob.id).map(drop)?))?;
    }
    Ok(verb(client, id).map(drop)?)
}

fn list(context: &Context, client: &Client) -> Outcome<()> {
    let blobs = client.blobs()?;
    if context.output == Output::Json {
        return json(&blobs);
    }
    let pinned = |pinned| if pinned { "pinned" } else { "" };
    let rows: Vec<Vec<String>> = blobs
        .iter()
        .map(|b| vec![b.id.to_string(), b.size.to_string(), pinned(b.pinned).to_owned()])
        .collect();
    table(&["BLOB", "BYTES", "KEPT"], &rows)
}

/// Reads a blob, and fails at its end if it was another one.
struct Checked<R> {
    reader: R,
    hasher: blake3::Hasher,
    id: BlobId,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        if len == 0 && BlobId::new(*self.hasher.finalize().as_bytes()) != self.id {
            return Err(io::Error::other("the node sent other bytes than those of the blob"));
        }
        Ok(len)
    }
}
