//! Strays: files among the blobs that the index does not know, after a crash or a lost index.

use std::fs::{self, File};
use std::io;

use protocol::BlobRef;
use tracing::{info, warn};

use crate::batch::{Batch, Op, Source};
use crate::blobs::SMALL_BYTES_MAX;
use crate::folder::{Folder, blob_of, remove_quietly};
use crate::pieces::digest;
use crate::{Store, StoreError};

impl Store {
    /// Hashes the files that the index does not know and takes back those that are what their
    /// names say; returns how many. It may run beside everything else.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the folder cannot be read, [`StoreError::Stopped`]. Files that do not
    /// fit the quota stay as they are.
    pub fn adopt_strays(&self) -> Result<u64, StoreError> {
        let shared = &*self.shared;
        let mut strays = Vec::new();
        let see = |file: BlobRef| {
            if !shared.ledger().knows(file.id) {
                strays.push(file);
            }
        };
        each_file(&shared.folder, see).map_err(|e| StoreError::io(&shared.folder.blobs(), e))?;
        let mut adopted = 0;
        for stray in strays {
            match self.adopt_stray(stray) {
                Ok(true) => adopted += 1,
                Ok(false) => {}
                Err(stopped @ StoreError::Stopped { .. }) => return Err(stopped),
                Err(error) => warn!(id = %stray.id, %error, "stray file left as it is"),
            }
        }
        info!(adopted, "stray files adopted");
        Ok(adopted)
    }

    fn adopt_stray(&self, named: BlobRef) -> Result<bool, StoreError> {
        let shared = &*self.shared;
        let path = shared.folder.blob(named.id);
        let file = File::open(&path).map_err(|e| StoreError::io(&path, e))?;
        let (found, values) = digest(&file)?;
        if found.id != named.id {
            warn!(id = %named.id, "a stray file is not what its name says");
            shared.folder.set_aside(named.id).map_err(|e| StoreError::io(&path, e))?;
            return Ok(false);
        }
        file.sync_data().map_err(|e| StoreError::io(&path, e))?;
        if found.size <= SMALL_BYTES_MAX {
            let bytes = fs::read(&path).map_err(|e| StoreError::io(&path, e))?;
            shared.put_small(bytes)?;
            remove_quietly(&path);
        } else {
            let from = Source::InPlace;
            shared.submit(Batch::of(Op::File { blob: found, values, from }))?;
        }
        Ok(true)
    }
}

/// Shows `see` every file among the blobs, by the name and the size that it has.
pub(crate) fn each_file(folder: &Folder, mut see: impl FnMut(BlobRef)) -> io::Result<()> {
    for shard in fs::read_dir(folder.blobs())? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(shard.path())? {
            let file = file?;
            if let Some(id) = file.file_name().to_str().and_then(blob_of)
                && file.file_type()?.is_file()
            {
                see(BlobRef { id, size: file.metadata()?.len() });
            }
        }
    }
    Ok(())
}
