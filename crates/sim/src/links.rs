//! Links: who is connected to whom, and who believes it.

use crate::chance::Chance;
use crate::scenario::Scenario;

/// Worlds up to this size are fully connected.
const FULL_MESH_MAX: usize = 12;

/// All pairs of nodes.
#[derive(Debug)]
pub(crate) struct Links {
    nodes: usize,
    pairs: Vec<Pair>,
    /// The side of the current partition that each node is on.
    sides: Vec<bool>,
    /// Nodes that nobody hears.
    muted: Vec<bool>,
}

/// One direction of one pair.
#[derive(Clone, Debug, Default)]
struct Pair {
    is_wanted: bool,
    is_up: bool,
    /// The first node's engine has been told that the link is up.
    is_seen: bool,
    /// A direct message was lost on it, as on a stream that broke.
    is_torn: bool,
    delay_mean_ms: u64,
}

impl Links {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let nodes = scenario.nodes;
        let mut chance = Chance::fork(seed, "links", 0);
        let mean = scenario.network.delay_mean_ms;
        let pair = |chance: &mut Chance| Pair {
            is_wanted: nodes <= FULL_MESH_MAX,
            delay_mean_ms: (mean as f64 * chance.factor(60)) as u64,
            ..Pair::default()
        };
        let pairs = (0..nodes * nodes).map(|_| pair(&mut chance)).collect();
        let mut links = Self { nodes, pairs, sides: vec![false; nodes], muted: vec![false; nodes] };
        if FULL_MESH_MAX < nodes {
            for node in 0..nodes {
                links.want(node, (node + 1) % nodes);
                (0..3).for_each(|_| links.want(node, chance.below(nodes as u64) as usize));
            }
        }
        links
    }

    pub(crate) fn is_full_mesh(&self) -> bool {
        self.nodes <= FULL_MESH_MAX
    }

    pub(crate) fn want(&mut self, a: usize, b: usize) {
        for (x, y) in [(a, b), (b, a)] {
            self.pair_mut(x, y).is_wanted = true;
        }
    }

    /// Peers that `node` would like to be connected to.
    pub(crate) fn wanted(&self, node: usize) -> Vec<usize> {
        (0..self.nodes).filter(|b| *b != node && self.pair(node, *b).is_wanted).collect()
    }

    pub(crate) fn connected(&self, node: usize) -> Vec<usize> {
        (0..self.nodes).filter(|b| self.is_up(node, *b)).collect()
    }

    pub(crate) fn is_up(&self, a: usize, b: usize) -> bool {
        a != b && self.pair(a, b).is_up
    }

    /// Whether no partition lies between two nodes.
    pub(crate) fn same_side(&self, a: usize, b: usize) -> bool {
        self.sides[a] == self.sides[b]
    }

    pub(crate) fn set_up(&mut self, a: usize, b: usize, is_up: bool) {
        for (x, y) in [(a, b), (b, a)] {
            let pair = self.pair_mut(x, y);
            (pair.is_up, pair.is_torn) = (is_up, false);
        }
    }

    pub(crate) fn is_seen(&self, a: usize, b: usize) -> bool {
        self.pair(a, b).is_seen
    }

    pub(crate) fn set_seen(&mut self, a: usize, b: usize, is_seen: bool) {
        self.pair_mut(a, b).is_seen = is_seen;
    }

    pub(crate) fn tear(&mut self, a: usize, b: usize) {
        self.pair_mut(a, b).is_torn = true;
    }

    /// Links that are up and have lost a direct message.
    pub(crate) fn torn(&self) -> Vec<(usize, usize)> {
        let pairs = (0..self.nodes).flat_map(|a| (0..self.nodes).map(move |b| (a, b)));
        pairs.filter(|(a, b)| self.is_up(*a, *b) && self.pair(*a, *b).is_torn).collect()
    }

    pub(crate) fn delay_mean_ms(&self, a: usize, b: usize) -> u64 {
        self.pair(a, b).delay_mean_ms
    }

    /// Puts `nodes` on one side and everybody else on the other; no nodes heal the partition.
    pub(crate) fn divide(&mut self, nodes: &[usize]) {
        (0..self.nodes).for_each(|node| self.sides[node] = nodes.contains(&node));
    }

    /// From now on these nodes hear the others and are not heard.
    pub(crate) fn mute(&mut self, nodes: &[usize]) {
        (0..self.nodes).for_each(|node| self.muted[node] = nodes.contains(&node));
    }

    /// Whether what `from` says gets through to `to`.
    pub(crate) fn is_heard(&self, from: usize, to: usize) -> bool {
        !self.muted[from] || self.muted[to]
    }

    fn pair(&self, a: usize, b: usize) -> &Pair {
        &self.pairs[a * self.nodes + b]
    }

    fn pair_mut(&mut self, a: usize, b: usize) -> &mut Pair {
        &mut self.pairs[a * self.nodes + b]
    }
}
