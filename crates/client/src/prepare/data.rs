//! A dataset becomes parts: found in files or taken from a stream, and cut.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use protocol::Entry;
use protocol::limits::TREE_ENTRIES_MAX;

use super::cut::{CutError, Cutter, Pieces};
use super::folder::{read_flat, read_folder};
use super::pattern::{find, is_pattern};
use super::source::{READ_BYTES, Stamped};
use super::spool::Spool;
use super::{BlobSource, PrepareError};
use crate::{Cut, DataSpec, PartsSpec, fetch};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The parts of a dataset, and where their bytes are.
#[derive(Debug)]
pub(super) struct Dataset {
    /// What it is called in errors.
    pub(super) name: PathBuf,
    pub(super) entries: Vec<Entry>,
    pub(super) sources: Vec<BlobSource>,
}

/// Standard input, until somebody has read it.
pub(crate) type Stdin<'i> = Option<&'i mut dyn Read>;

/// Finds and cuts a dataset; paths are relative to `folder`.
pub(super) fn dataset(
    folder: &Path,
    spec: &PartsSpec,
    stdin: &mut Stdin<'_>,
) -> Result<Dataset, PrepareError> {
    let (name, found) = match &spec.data {
        DataSpec::Path(text) => {
            let path = folder.join(text);
            let found = match spec.cut {
                Cut::File { recursive } => files(folder, text, &path, recursive)?,
                Cut::Bytes(_) | Cut::Records { .. } => {
                    let files = match is_pattern(text) && !path.exists() {
                        true => find(folder, text)?.into_iter().map(|(_, file)| file).collect(),
                        false => vec![path.clone()],
                    };
                    let cuts = files.iter().map(|file| cut_file(file, spec.cut));
                    numbered(cuts, &path)?
                }
            };
            (path, found)
        }
        DataSpec::Stdin => {
            let name = PathBuf::from("standard input");
            let reader = stdin.take().ok_or(PrepareError::NoStdin)?;
            let found = numbered([cut_stream(reader, &name, spec.cut)].into_iter(), &name)?;
            (name, found)
        }
        DataSpec::Url(url) => {
            let name = PathBuf::from(fetch::shown(&url.url));
            let mut reader = fetch::open(url)
                .map_err(|e| PrepareError::unreadable(&name)(io::Error::other(e)))?;
            let found = numbered([cut_stream(&mut reader, &name, spec.cut)].into_iter(), &name)?;
            (name, found)
        }
    };
    let (entries, sources) = found;
    match entries.is_empty() {
        true => Err(PrepareError::Empty { path: name }),
        false => Ok(Dataset { name, entries, sources }),
    }
}

type Found = (Vec<Entry>, Vec<BlobSource>);

/// Each file is a part.
fn files(folder: &Path, text: &str, path: &Path, recursive: bool) -> Result<Found, PrepareError> {
    if !is_pattern(text) || path.exists() {
        return if recursive { read_folder(path) } else { read_flat(path) };
    }
    let found = find(folder, text)?.into_iter().map(|(name, file)| {
        let source = BlobSource::file(&file)?;
        Ok((Entry { path: name, blob: source.blob(), is_tree: false }, source))
    });
    found.collect()
}

/// The parts of several streams, named by their zero-padded numbers.
pub(crate) fn numbered(
    cuts: impl Iterator<Item = Result<Vec<BlobSource>, PrepareError>>,
    path: &Path,
) -> Result<Found, PrepareError> {
    let mut sources = Vec::new();
    for cut in cuts {
        sources.extend(cut?);
        if TREE_ENTRIES_MAX < sources.len() {
            return Err(PrepareError::TooMany { path: path.to_owned() });
        }
    }
    let width = sources.len().saturating_sub(1).max(1).ilog10() as usize + 1;
    let entry = |(number, source): (usize, &BlobSource)| Entry {
        path: format!("{number:0width$}"),
        blob: source.blob(),
        is_tree: false,
    };
    Ok((sources.iter().enumerate().map(entry).collect(), sources))
}

fn cut_file(path: &Path, by: Cut) -> Result<Vec<BlobSource>, PrepareError> {
    let (mut file, stamp) = Stamped::open(path)?;
    let unpacks = matches!(by, Cut::Records { .. });
    if unpacks && is_gzip(&mut file).map_err(PrepareError::unreadable(path))? {
        let sources = cut_stream(&mut &file, path, by)?;
        stamp.check(&file)?;
        return Ok(sources);
    }
    let mut cutter = Cutter::new(by);
    stamp.read(&mut file, |bytes| cutter.take(bytes).map_err(|error| error.at(path)))?;
    let Pieces { header, pieces } = cutter.finish().map_err(|error| error.at(path))?;
    let (file, header) = (Arc::new(stamp), Arc::from(header));
    Ok(pieces.into_iter().map(|piece| BlobSource::part(&file, &header, piece)).collect())
}

/// Cuts what can be read once only: it is copied to disk on its way.
fn cut_stream(
    reader: &mut dyn Read,
    name: &Path,
    by: Cut,
) -> Result<Vec<BlobSource>, PrepareError> {
    let mut reader = match by {
        Cut::Records { .. } => unpacked(reader).map_err(PrepareError::unreadable(name))?,
        Cut::Bytes(_) | Cut::File { .. } => Box::new(reader),
    };
    cut_plain(&mut reader, name, by)
}

/// The same of bytes that are taken as they are.
pub(crate) fn cut_plain(
    reader: &mut dyn Read,
    name: &Path,
    by: Cut,
) -> Result<Vec<BlobSource>, PrepareError> {
    let mut spool = Spool::new(name)?;
    let mut cutter = Cutter::new(by);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let len = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PrepareError::unreadable(name)(error)),
        };
        cutter.take(&buffer[..len]).map_err(|error| error.at(name))?;
        spool.write(&buffer[..len])?;
    }
    let Pieces { header, pieces } = cutter.finish().map_err(|error| error.at(name))?;
    let (spool, header) = (Arc::new(spool), Arc::from(header));
    Ok(pieces.into_iter().map(|piece| BlobSource::spooled(&spool, &header, piece)).collect())
}

fn is_gzip(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    io::Seek::rewind(file)?;
    Ok(start == GZIP)
}

/// The bytes as they are, or if they are gzip, what they hold.
fn unpacked(reader: &mut dyn Read) -> io::Result<Box<dyn Read + '_>> {
    let mut start = Vec::new();
    reader.take(GZIP.len() as u64).read_to_end(&mut start)?;
    let is_gzip = start == GZIP;
    let all = io::Cursor::new(start).chain(reader);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(all)) } else { Box::new(all) })
}

impl CutError {
    fn at(self, path: &Path) -> PrepareError {
        let path = path.to_owned();
        match self {
            Self::Wrong(wrong) => {
                PrepareError::Data { path, why: wrong.to_string(), hint: wrong.hint() }
            }
            Self::TooMany => PrepareError::TooMany { path },
        }
    }
}
