//! `dugnad blob …`

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use client::api::Blob;
use client::{Client, show_bytes};
use protocol::BlobId;

use crate::cli::args::{BlobVerb, Output};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::save::Folder;
use crate::cli::terminal::{copy, data, json, table, talk};

pub(crate) fn run(context: &Context, verb: BlobVerb) -> Outcome {
    let client = running(context)?;
    match verb {
        BlobVerb::Add { file } => add(context, &client, &file)?,
        BlobVerb::Get { blob, to } => get(&client, blob, to.as_deref())?,
        BlobVerb::List => list(context, &client)?,
        BlobVerb::Pin { blob } => drop(client.pin(blob)?),
        BlobVerb::Unpin { blob } => drop(client.unpin(blob)?),
        BlobVerb::Remove { blob } => drop(client.remove(blob)?),
    }
    Ok(End::Done)
}

fn add(context: &Context, client: &Client, path: &Path) -> Outcome<()> {
    let unreadable = |error: io::Error| {
        let error = format!("{}: {error}", path.display());
        Failure::new(End::BadInput, error, "give a file, or `-` for stdin")
    };
    let blob = if path == Path::new("-") {
        client.put_reader(&mut io::stdin().lock(), None)?
    } else {
        let mut file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        // Without a length, so that a file that grows meanwhile is taken as it ends.
        client.put_reader(&mut file, None)?
    };
    client.pin(blob.id)?;
    match context.output {
        Output::Json => json(&blob),
        Output::Table => {
            talk(format!("{} pinned", show_bytes(blob.size)));
            data(blob.id.to_string())
        }
    }
}

fn get(client: &Client, id: BlobId, to: Option<&Path>) -> Outcome<()> {
    let Some(path) = to else {
        let mut checked = Checked { reader: client.blob(id)?, hasher: blake3::Hasher::new(), id };
        return copy(&mut checked);
    };
    let Some(size) = client.blob_size(id)? else {
        let error = format!("{id} is not in the store");
        return Err(Failure::new(End::BadInput, error, "`dugnad blob list` shows what is"));
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Err(Failure::new(End::BadInput, "the path names no file", "give a file's path"));
    };
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    Folder::open(parent)?.write(name, Blob { id, size }, &mut client.blob(id)?)
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
