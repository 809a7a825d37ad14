//! Where files appear below `/in`: none twice, and none below another one.

use std::collections::BTreeSet;

use super::PrepareError;

/// The paths below `/in` that a stage's files have.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts(BTreeSet<String>);

impl Mounts {
    /// Adds files of a stage.
    ///
    /// # Errors
    /// [`PrepareError::Mounts`] where no peer could mount them beside those that are there.
    pub(super) fn add(&mut self, stage: &str, files: Vec<String>) -> Result<(), PrepareError> {
        for path in files {
            if self.is_in_the_way_of(&path) {
                return Err(PrepareError::Mounts { stage: stage.to_owned(), path });
            }
            self.0.insert(path);
        }
        Ok(())
    }

    fn is_in_the_way_of(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.0.contains(path)
            || path.match_indices('/').any(|(end, _)| self.0.contains(&path[..end]))
            || self.0.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below))
    }
}
