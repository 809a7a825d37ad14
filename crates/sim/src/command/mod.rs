//! What the command can do beside rehearsing.

mod schemes;

pub(crate) use schemes::Schemes;
