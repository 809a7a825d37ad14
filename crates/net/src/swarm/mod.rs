//! The swarm's task: it routes events, and never waits for anybody.

mod behaviour;
mod connections;
mod discovery;
mod gossip;
mod identify;
mod orders;
mod routing;
mod voice;

pub(crate) use behaviour::Behaviour;
pub(crate) use voice::Voice;
