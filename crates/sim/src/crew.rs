//! The crew: all nodes of a world, the liars among them masked and knowing each other.

use std::collections::BTreeMap;

use protocol::{Hash, NetworkId, PeerId, Stamp, hash};

use crate::chance::Chance;
use crate::liar::{Gang, Mask};
use crate::node::{Node, UNIX_START_MS};
use crate::scenario::Scenario;

/// The nodes of a scenario.
pub(crate) fn crew(scenario: &Scenario, seed: u64, network: NetworkId) -> Vec<Node> {
    let node = |index| Node::new(index, seed, scenario.speed_spread);
    let mut nodes: Vec<Node> = (0..scenario.nodes).map(node).collect();
    let bits = scenario.jobs.iter().map(|job| job.stamp_bits).max().unwrap_or(0);
    if bits != 0 {
        for node in &mut nodes {
            node.stamp = Some(stamp(seed, node.index, bits));
        }
    }
    let gang = gang(scenario, seed, &nodes);
    for node in &mut nodes {
        let Some(liars) = scenario.liars_of(node.index) else { continue };
        let own = seed.wrapping_mul(1000).wrapping_add(node.index as u64);
        let gang = Gang {
            rate: liars.rate,
            after: liars.after,
            identities: liars.identities,
            ..gang.clone()
        };
        node.mask = Some(Mask::among(liars.kind, node.keypair.clone(), network, gang, own));
    }
    nodes
}

/// A stamp as if somebody had worked for it; nobody checks that where messages travel as values.
fn stamp(seed: u64, index: usize, bits: u8) -> Stamp {
    let epoch = Stamp::epoch_of(UNIX_START_MS);
    Stamp { epoch, bits, nonce: Chance::fork(seed, "stamp", index as u64).next() }
}

fn gang(scenario: &Scenario, seed: u64, nodes: &[Node]) -> Gang {
    let colludes =
        |node: &&Node| scenario.liar(node.index).is_some_and(crate::liars::LiarKind::colludes);
    let stamps: BTreeMap<PeerId, Stamp> =
        nodes.iter().filter_map(|node| Some((node.peer, node.stamp?))).collect();
    let flavour: Hash = hash("coalition", &[&seed.to_le_bytes()]);
    Gang {
        members: nodes.iter().filter(colludes).map(|node| node.peer).collect(),
        workers: nodes.iter().map(|node| node.peer).collect(),
        stamps,
        ..Gang::alone(flavour)
    }
}
