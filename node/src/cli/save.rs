//! Writing what came from peers into a folder, and never beside it.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use client::api::Blob;
use protocol::BlobId;

use crate::cli::failure::{End, Failure, Outcome};

/// A folder that everything is written below.
#[derive(Debug)]
pub(crate) struct Folder {
    /// As the person wrote it.
    shown: PathBuf,
    /// Without links, to compare with.
    root: PathBuf,
}

impl Folder {
    /// Makes the folder, if it is not there.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
        let root = made.map_err(|error| at(path, &error))?;
        Ok(Self { shown: path.to_owned(), root })
    }

    /// Writes a blob to `place` below the folder: beside it first, and renamed once it is whole.
    pub(crate) fn write(&self, place: &str, blob: Blob, reader: &mut dyn Read) -> Outcome<()> {
        let path = self.shown.join(self.check(place)?);
        let parent = path.parent().unwrap_or(&self.shown);
        let error = |error: io::Error| at(&path, &error);
        std::fs::create_dir_all(parent).map_err(error)?;
        // A link that lay in the folder before could lead out of it.
        if !parent.canonicalize().map_err(error)?.starts_with(&self.root) {
            return Err(self.outside(place));
        }
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(error)?;
        copy_checked(blob, reader, file.as_file_mut(), &path)?;
        open_to_others(file.as_file()).map_err(error)?;
        file.persist(&path).map_err(|e| at(&path, &e.error))?;
        Ok(())
    }

    fn check(&self, place: &str) -> Outcome<PathBuf> {
        let path = Path::new(place);
        let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
        let clean = !place.is_empty()
            && path.components().all(normal)
            && !place.contains(['\\', '\0'])
            && !place.chars().any(char::is_control);
        if clean { Ok(path.to_owned()) } else { Err(self.outside(place)) }
    }

    fn outside(&self, place: &str) -> Failure {
        let place: String = place.chars().take(200).collect();
        let error = format!("`{place}` would be written outside {}", self.shown.display());
        Failure::new(End::BadInput, error, "give an empty folder")
    }
}

/// Copies exactly the blob's bytes; others are an error.
pub(crate) fn copy_checked(
    blob: Blob,
    reader: &mut dyn Read,
    writer: &mut dyn Write,
    path: &Path,
) -> Outcome<()> {
    let mut hasher = blake3::Hasher::new();
    let mut left = blob.size;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let len = match reader.read(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::of(End::NoNode, &error)),
        };
        if len == 0 {
            break;
        }
        left = match left.checked_sub(len as u64) {
            Some(left) => left,
            None => return Err(wrong_bytes(blob)),
        };
        hasher.update(&buffer[..len]);
        writer.write_all(&buffer[..len]).map_err(|error| at(path, &error))?;
    }
    let id = BlobId::new(*hasher.finalize().as_bytes());
    if left == 0 && id == blob.id { Ok(()) } else { Err(wrong_bytes(blob)) }
}

fn wrong_bytes(blob: Blob) -> Failure {
    let error = format!("the node sent other bytes than those of {}", blob.id);
    Failure::new(End::NoNode, error, "try again")
}

/// Temporary files are private; results get what the person's umask would give.
pub(crate) fn open_to_others(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn at(path: &Path, error: &io::Error) -> Failure {
    let hint = "choose a folder in which this user can write";
    Failure::new(End::BadInput, format!("{}: {error}", path.display()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8]) -> Blob {
        protocol::BlobRef::of(bytes).into()
    }

    #[test]
    fn files_are_written_below_the_folder_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(&temp.path().join("new/out")).unwrap();
        folder.write("a/b/c", blob(b"1"), &mut &b"1"[..]).unwrap();
        folder.write("a/b/c", blob(b"22"), &mut &b"22"[..]).unwrap();
        assert_eq!(std::fs::read(temp.path().join("new/out/a/b/c")).unwrap(), b"22");
        for wrong in [&b"3"[..], b"333", b"2"] {
            assert!(folder.write("a/x", blob(b"33"), &mut &wrong[..]).is_err());
        }
        let left: Vec<_> = std::fs::read_dir(temp.path().join("new/out/a")).unwrap().collect();
        assert_eq!(left.len(), 1, "only b is there: {left:?}");
    }

    #[test]
    fn nothing_is_written_beside_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(&temp.path().join("out")).unwrap();
        std::fs::create_dir(temp.path().join("beside")).unwrap();
        std::os::unix::fs::symlink("../beside", temp.path().join("out/link")).unwrap();
        std::os::unix::fs::symlink("../beside/f", temp.path().join("out/file")).unwrap();
        for place in
            ["../beside/x", "/etc/x", "a/../../beside/x", "link/x", "", ".", "a\\b", "a\nb"]
        {
            assert!(folder.write(place, blob(b"1"), &mut &b"1"[..]).is_err(), "{place:?}");
        }
        folder.write("file", blob(b"1"), &mut &b"1"[..]).unwrap();
        assert_eq!(std::fs::read_dir(temp.path().join("beside")).unwrap().count(), 0);
        assert_eq!(std::fs::read(temp.path().join("out/file")).unwrap(), b"1");
    }
}
