//! What is done to a module so that its runs are equal everywhere, to the bit of a NaN.

use std::borrow::Cow;

/// A module that is ready to be compiled.
#[derive(Debug)]
pub(crate) struct Prepared<'m> {
    pub(crate) bytes: Cow<'m, [u8]>,
    /// Whether the engine must make every NaN canonical, because `bytes` do not do so themselves.
    pub(crate) canonicalise_in_engine: bool,
}

/// Part of what a compiled module is cached under: to be raised whenever `prepare` changes.
pub(crate) const VERSION: u32 = 1;

/// Prepares an inspected module.
///
/// For now the engine does all of it, at up to four times the cost on float code; a pass over the
/// module that touches NaNs only where their bits become observable belongs here.
pub(crate) fn prepare(module: &[u8]) -> Prepared<'_> {
    Prepared { bytes: Cow::Borrowed(module), canonicalise_in_engine: true }
}
