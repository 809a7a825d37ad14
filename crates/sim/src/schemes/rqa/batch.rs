//! A batch as its takers see it: who claims it, who has voted for what.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use protocol::{Hash, Slot, merkle_root};

/// Outcomes of a whole batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) root: Hash,
    pub(super) digests: Vec<Hash>,
}

impl Content {
    pub(super) fn new(digests: Vec<Hash>) -> Rc<Self> {
        Rc::new(Self { root: merkle_root(&digests), digests })
    }
}

/// How far a taker has come.
#[derive(Clone, Debug)]
pub(super) enum Taken {
    Claimed,
    /// Executed by one of the coalition, which waits to see who else takes the batch.
    Waiting,
    Voted {
        content: Rc<Content>,
        has_executed: bool,
    },
}

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) slot: Slot,
    pub(super) units: Range<u64>,
    pub(super) takers: BTreeMap<usize, Taken>,
    pub(super) truth: Rc<Content>,
    /// What the coalition says of it, once it has said something.
    pub(super) lie: Option<Rc<Content>>,
    /// Whether it needs another taker.
    pub(super) open: bool,
    pub(super) claimed_at: Option<u64>,
    /// What was read in the verdict last, and since when.
    pub(super) seen: Seen,
}

/// What the verdict has said about a batch so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The outcomes that stand, if none of them is in question.
    pub(super) settled: Option<Hash>,
    pub(super) first: Option<u64>,
    pub(super) last: u64,
}

impl Batch {
    /// Those who count: takers who are not convicted.
    pub(super) fn live<'a>(
        &'a self,
        is_out: impl Fn(usize) -> bool + 'a,
    ) -> impl Iterator<Item = (usize, &'a Taken)> {
        self.takers.iter().map(|(who, taken)| (*who, taken)).filter(move |(who, _)| !is_out(*who))
    }

    /// How many of these stand together behind one root, and how many have not voted yet.
    pub(super) fn support<'a>(live: impl Iterator<Item = (usize, &'a Taken)>) -> (usize, usize) {
        let (mut groups, mut under_way) = (BTreeMap::new(), 0);
        for (_, taken) in live {
            match taken {
                Taken::Claimed | Taken::Waiting => under_way += 1,
                Taken::Voted { content, has_executed } => {
                    *groups.entry(content.root).or_insert(0) += usize::from(*has_executed);
                }
            }
        }
        (groups.into_values().max().unwrap_or(0), under_way)
    }

    /// What somebody voted here, if it did.
    pub(super) fn vote_of(&self, who: usize) -> Option<&Rc<Content>> {
        match self.takers.get(&who)? {
            Taken::Voted { content, .. } => Some(content),
            Taken::Claimed | Taken::Waiting => None,
        }
    }

    /// Everybody with a vote that others can vouch for.
    pub(super) fn votes(&self) -> impl Iterator<Item = (usize, &Rc<Content>)> {
        self.takers.iter().filter_map(|(who, taken)| match taken {
            Taken::Voted { content, has_executed: true } => Some((*who, content)),
            Taken::Voted { has_executed: false, .. } | Taken::Claimed | Taken::Waiting => None,
        })
    }

    /// The outcomes under a root that somebody voted for.
    pub(super) fn content(&self, root: Hash) -> Option<&Rc<Content>> {
        let known = [Some(&self.truth), self.lie.as_ref()].into_iter().flatten();
        let voted = self.takers.keys().filter_map(|who| self.vote_of(*who));
        known.chain(voted).find(|content| content.root == root)
    }

    pub(super) fn index(&self, unit: u64) -> usize {
        (unit - self.units.start) as usize
    }
}
