//! The bearer token: made anew at every start, known only to who can read the data folder.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use protocol::Hash;

/// 256 random bits, as 64 hex digits.
#[derive(Clone)]
pub(crate) struct Token(String);

/// The token is never printed.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(Hash::new(bytes).to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody who says `claimed` knows the token; takes equally long for every guess.
    pub(crate) fn is(&self, claimed: &str) -> bool {
        // Hashes are compared in constant time, and hide where two texts differ.
        blake3::hash(self.0.as_bytes()) == blake3::hash(claimed.as_bytes())
    }
}

/// Puts a file in its place at once, readable by its owner only.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
