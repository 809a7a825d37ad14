//! A seam for tests and liars: whoever embeds a node may stand between its engine and its shell.

use engine::{Effect, Event};

/// Sees everything that passes between engine and shell, and may change it.
///
/// Only [`crate::Node::start_tampered`] takes one; nothing that the program can be told does.
pub trait Tamper: Send {
    /// Before the engine sees an event. The effects are carried out before the engine's own.
    fn event(&mut self, event: &mut Event) -> Vec<Effect>;

    /// Before the shell carries out an effect: what it shall do instead, in order.
    fn effect(&mut self, effect: Effect) -> Vec<Effect>;
}
