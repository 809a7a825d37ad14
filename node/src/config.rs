//! What a node is told before it starts: a file, then the environment, then flags.

mod load;
mod setting;
mod values;

pub use load::{ConfigError, Layers, Loaded, Origin, set_in_file};
pub use setting::Setting;
pub use values::{Config, Program};
