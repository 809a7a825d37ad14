//! Files by a pattern: `*`, `?` and `[…]` within a name, `**` for folders within folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use protocol::limits::TREE_ENTRIES_MAX;

use super::PrepareError;

const HOW: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Whether a path is meant as a pattern, unless there is a file of that very name.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// All files that match, in the order of their names, each with its path below the folder before
/// the first wildcard.
pub(super) fn find(folder: &Path, text: &str) -> Result<Vec<(String, PathBuf)>, PrepareError> {
    let refuse = |why: String| PrepareError::Pattern { path: folder.join(text), why };
    let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let fixed = parts.iter().position(|part| is_pattern(part)).unwrap_or(0);
    let start = if text.starts_with('/') { Path::new("/") } else { folder };
    let start = parts.drain(..fixed).fold(start.to_owned(), |path, part| path.join(part));
    let patterns = parts.iter().map(|part| Pattern::new(part));
    let patterns: Vec<Pattern> =
        patterns.collect::<Result<_, _>>().map_err(|e| refuse(e.msg.to_owned()))?;
    let mut search = Search::default();
    search.walk(&start, "", &patterns)?;
    let mut found = search.found;
    found.sort();
    match found.is_empty() {
        true => Err(refuse("no file matches it".to_owned())),
        false => Ok(found),
    }
}

/// What was found, and where it was looked for already: several `**` lead to one place in many ways.
#[derive(Debug, Default)]
struct Search {
    found: Vec<(String, PathBuf)>,
    /// Each place with the number of patterns that were left there.
    seen: BTreeSet<(PathBuf, usize)>,
}

impl Search {
    fn walk(&mut self, path: &Path, name: &str, patterns: &[Pattern]) -> Result<(), PrepareError> {
        if !self.seen.insert((path.to_owned(), patterns.len())) {
            return Ok(());
        }
        let Some((pattern, rest)) = patterns.split_first() else {
            if self.found.len() == TREE_ENTRIES_MAX {
                return Err(PrepareError::TooMany { path: path.to_owned() });
            }
            self.found.push((name.to_owned(), path.to_owned()));
            return Ok(());
        };
        let deep = pattern.as_str() == "**";
        // At the end `**` stands for all files, and not for the folders that they are in.
        let all_files = deep && rest.is_empty();
        if deep && !all_files {
            self.walk_in(path, name, rest)?;
        }
        let here = std::fs::read_dir(if path == Path::new("") { Path::new(".") } else { path });
        for child in here.map_err(PrepareError::unreadable(path))? {
            let child = child.map_err(PrepareError::unreadable(path))?;
            let (file_name, path) = (child.file_name(), path.join(child.file_name()));
            let lossy = file_name.to_string_lossy();
            if deep {
                // Links to folders are not followed here: one could lead in a circle.
                if lossy.starts_with('.') {
                    continue;
                } else if child.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.walk(&path, &below(name, &path, &lossy)?, patterns)?;
                } else if all_files && !path.is_dir() {
                    self.walk(&path, &below(name, &path, &lossy)?, rest)?;
                }
            } else if pattern.matches_with(&lossy, HOW) {
                self.walk_in(&path, &below(name, &path, &lossy)?, rest)?;
            }
        }
        Ok(())
    }

    /// Goes on in a folder, or ends with a file.
    fn walk_in(&mut self, path: &Path, name: &str, rest: &[Pattern]) -> Result<(), PrepareError> {
        if rest.is_empty() || path.is_dir() || path == Path::new("") {
            self.walk(path, name, rest)?;
        }
        Ok(())
    }
}

fn below(name: &str, path: &Path, child: &str) -> Result<String, PrepareError> {
    match path.to_str() {
        None => Err(PrepareError::Name { path: path.to_owned() }),
        Some(_) if name.is_empty() => Ok(child.to_owned()),
        Some(_) => Ok(format!("{name}/{child}")),
    }
}
