//! What the command can do beside rehearsing.

mod scale;
mod schemes;

pub(crate) use scale::Scale;
pub(crate) use schemes::Schemes;
