//! The setting of a story: a small job, and who of its peers is honest.

use protocol::{
    BlobRef, ByName, Each, Entry, Gather, Hash, Keypair, Links, Manifest, NetworkId, PROTOCOL,
    Parts, PeerId, Plan, Policy, Range, SEMANTICS, Source, Stage, Stdin, Tree, UnitLimits, hash,
};

use crate::choices::Choices;

/// How many peers a story has. The first is the submitter.
pub(crate) const PEERS: usize = 8;
/// When every story's job is published, in milliseconds since 1970.
pub(crate) const CREATED_MS: u64 = 1_800_000_000_000;
/// When it expires.
pub(crate) const EXPIRES_MS: u64 = CREATED_MS + 7 * 86_400_000;

/// Files of the dataset.
const PARTS: usize = 5;

/// A job and its peers.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) manifest: Manifest,
    pub(crate) keys: Vec<Keypair>,
    /// Who does as it pleases.
    pub(crate) bad: Vec<bool>,
    /// Who of those helps the others to lie.
    pub(crate) colluding: Vec<bool>,
}

pub(crate) fn network() -> NetworkId {
    NetworkId::named("fuzz")
}

pub(crate) fn key(number: usize) -> Keypair {
    Keypair::from_secret(hash("key of a fuzzer", &[&[number as u8]]).as_bytes())
}

impl Setup {
    /// Reads a setting: eight bytes. Peer 0 submits, with the key of that number.
    pub(crate) fn read(choices: &mut Choices<'_>, first_key: usize) -> Self {
        let keys: Vec<Keypair> = (first_key..first_key + PEERS).map(key).collect();
        let peers: Vec<PeerId> = keys.iter().map(Keypair::peer).collect();
        let stages = stages(choices);
        let policy = policy(choices, &peers);
        let flags = |mask: u8| (0..PEERS).map(move |n| mask >> n & 1 == 1);
        let bad: Vec<bool> = flags(choices.byte()).collect();
        let colluding = flags(choices.byte()).zip(&bad).map(|(c, bad)| c && *bad).collect();
        let manifest = Manifest {
            protocol: PROTOCOL,
            semantics: SEMANTICS,
            name: "story".to_owned(),
            description: String::new(),
            submitter: peers[0],
            created_ms: CREATED_MS,
            expires_ms: EXPIRES_MS,
            nonce: Hash::ZERO,
            stages,
            policy,
            priority: 5,
            window: None,
        };
        assert_eq!(manifest.check(), Ok(()), "a story has a good manifest");
        Self { manifest, keys, bad, colluding }
    }

    /// The job's plan, with the tree of a stage of parts.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::new(self.manifest.clone());
        for blob in plan.missing_parts() {
            assert!(plan.add_parts(blob.id, parts()), "the tree is the one that the stage names");
        }
        plan
    }

    pub(crate) fn number_of(&self, peer: PeerId) -> Option<usize> {
        self.keys.iter().position(|key| key.peer() == peer)
    }

    /// Whether whoever has the last word tells the truth.
    pub(crate) fn has_honest_anchors(&self) -> bool {
        let anchors = &self.manifest.policy.anchors;
        anchors.iter().all(|anchor| self.number_of(*anchor).is_some_and(|n| !self.bad[n]))
    }
}

fn stages(choices: &mut Choices<'_>) -> Vec<Stage> {
    let (shape, units) = (choices.below(10), 3 + choices.below(12) as u64);
    let batch = [4, 1, 2, 3][choices.below(4)];
    let first = range("first", units, batch);
    match shape {
        0 => vec![first],
        1 => vec![first, gather("all", 0)],
        2 => vec![first, gather("all", 0), gather("again", 1)],
        3 => vec![first, range("second", 5, 2), gather("all", 1)],
        4 => vec![first, gather("all", 0), gather("other", 0)],
        5 => vec![first, read("each", Source::Each(Each { stage: 0 }), batch), gather("all", 1)],
        6 => {
            let tree = |stage| Source::Gather(Gather { stage, fan_in: Some(2) });
            vec![first, read("low", tree(0), 2), read("high", tree(1), 1)]
        }
        7 => {
            let names = Source::ByName(ByName { stage: 0, buckets: 3 });
            vec![first, read("names", names, 2), read("each", Source::Each(Each { stage: 1 }), 1)]
        }
        8 => {
            let links = Links { reads: vec![1], continues: Some(0), ..Links::default() };
            let on = Stage { name: "on".to_owned(), links, ..first.clone() };
            vec![first, gather("all", 0), on]
        }
        _ => {
            let tree = BlobRef::of(&parts().to_bytes());
            let source = Source::Parts(Parts { tree, count: PARTS as u64 });
            vec![first, Stage { source, ..range("parts", 1, 2) }]
        }
    }
}

/// The dataset of a stage of parts.
pub(crate) fn parts() -> Tree {
    let entry = |n: usize| Entry {
        path: format!("part{n}"),
        blob: BlobRef::of(&[n as u8]),
        is_tree: false,
    };
    Tree::new((0..PARTS).map(entry).collect()).expect("the paths are clean and differ")
}

fn policy(choices: &mut Choices<'_>, peers: &[PeerId]) -> Policy {
    let (quorum, weights, named) = (choices.byte(), choices.byte(), choices.byte());
    let anchors = match named % 4 {
        0 => vec![peers[0]],
        1 => vec![],
        2 => vec![peers[1]],
        _ => vec![peers[0], peers[1]],
    };
    Policy {
        quorum: [2, 2, 3, 1][usize::from(quorum % 4)],
        lead: [6, 2, 1, 3][usize::from(weights % 4)],
        audit_ppm: [100_000, 500_000, 0][usize::from(weights / 4 % 3)],
        loss_div: if weights & 64 == 0 { 100 } else { 1 },
        level: named / 4 % 3,
        stamp_bits: u8::from(192 <= named),
        anchors,
    }
}

fn range(name: &str, units: u64, batch: u32) -> Stage {
    Stage {
        name: name.to_owned(),
        source: Source::Range(Range { from: 0, to: units, block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch,
        links: protocol::Links::default(),
    }
}

fn read(name: &str, source: Source, batch: u32) -> Stage {
    Stage { source, ..range(name, 1, batch) }
}

fn gather(name: &str, stage: u16) -> Stage {
    let source = Source::Gather(Gather { stage, fan_in: None });
    Stage { source, args: vec![], ..range(name, 1, 1) }
}
