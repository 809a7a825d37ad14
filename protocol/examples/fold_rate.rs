//! How long the fold takes per step: a job of many batches, read step by step as an engine does.
//!
//! `cargo run --release -p protocol --example fold_rate -- [batches] [audits per 100 batches]`

#![expect(clippy::print_stdout, reason = "a program that prints what it measures")]

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::*;

const PEERS: usize = 50;
const BATCH: u32 = 16;
const STRETCHES: usize = 5;

struct Author {
    key: Keypair,
    seq: u64,
    prev: StepId,
}

struct Job {
    plan: Plan,
    network: NetworkId,
    authors: Vec<Author>,
    steps: Vec<Signed<Step>>,
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let (batches, audits) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(0));
    for (story, liars) in [("all honest", false), ("two liars, found out early", true)] {
        let mut job = Job::new(batches);
        job.play(batches, audits, liars);
        job.measure(story);
    }
}

impl Job {
    fn new(batches: usize) -> Self {
        let units = batches as u64 * u64::from(BATCH) * 10 / 9;
        let source = Source::Range(Range { from: 0, to: units / 10 * 10, block: 1 });
        let authors: Vec<Author> = (0..PEERS)
            .map(|n| Author {
                key: Keypair::from_secret(&[n as u8 + 1; 32]),
                seq: 0,
                prev: StepId::new([0; 32]),
            })
            .collect();
        let stage = Stage {
            name: "measured".to_owned(),
            source,
            module: BlobRef::of(b"module"),
            args: vec!["{index}".to_owned()],
            env: vec![],
            stdin: Stdin::Nothing,
            inputs: vec![],
            limits: UnitLimits::default(),
            batch: BATCH,
        };
        let manifest = Manifest {
            protocol: PROTOCOL,
            semantics: SEMANTICS,
            name: "fold rate".to_owned(),
            description: String::new(),
            submitter: authors[0].key.peer(),
            created_ms: 0,
            expires_ms: 1,
            nonce: Hash::ZERO,
            stages: vec![stage],
            policy: Policy::standard(authors[0].key.peer()),
            priority: 0,
        };
        Self {
            plan: Plan::new(manifest),
            network: NetworkId::named("rate"),
            authors,
            steps: vec![],
        }
    }

    /// Two votes and two certificates a batch, and ballots of others on some.
    fn play(&mut self, batches: usize, audits: usize, liars: bool) {
        for batch in 0..batches {
            let lying = liars && batch % 25 == 0;
            let (a, b) = if lying { (48, 49) } else { (1 + batch % 47, 1 + (batch * 7 + 3) % 47) };
            let b = if a == b { a % 47 + 1 } else { b };
            let mut digests: Vec<Hash> = (0..BATCH).map(|i| digest(batch, i)).collect();
            if lying && batch == 0 {
                digests[0] = hash("lie", &[]);
            }
            let units = self.plan.units_root(0, batch as u32, None).expect("it reads nothing");
            let slot = Slot { stage: 0, about: About::Batch(batch as u32), units };
            self.agree(slot, merkle_root(&digests), &[a, b], &[]);
            if lying && batch == 0 {
                let leaves = Leaves { slot, root: merkle_root(&digests), digests: digests.clone() };
                self.say(48, Item::Leaves(leaves));
                self.ballots(batch, &[1, 2, 3, 4, 5, 6, 7], digest(batch, 0), &[]);
            } else if batch * audits / 100 != (batch + 1) * audits / 100 {
                let c = (b + 5) % 47 + 1;
                self.ballots(batch, &[c, c % 47 + 1], digests[0], &merkle_path(&digests, 0));
            }
        }
    }

    fn ballots(&mut self, batch: usize, who: &[usize], digest: Hash, path: &[Hash]) {
        let unit = self.plan.partition(0).units_of(batch as u32).start;
        let units = self.plan.unit_root(0, unit, None).expect("it reads nothing");
        self.agree(Slot { stage: 0, about: About::Unit(unit), units }, digest, who, path);
    }

    /// Votes of some peers, each proved by all others.
    fn agree(&mut self, slot: Slot, root: Hash, who: &[usize], path: &[Hash]) {
        let job = self.plan.manifest().job();
        let proofs: BTreeMap<usize, Shown> = who
            .iter()
            .map(|n| {
                let voter = self.authors[*n].key.peer();
                (*n, Shown { voter, proof: proof(self.network, job, &slot, voter, root) })
            })
            .collect();
        for n in who {
            let seal = seal(proofs[n].proof);
            let vote = Vote { slot, root, seal, pack: None, path: path.to_vec() };
            self.say(*n, Item::Vote(vote));
        }
        for n in who {
            let others = proofs.iter().filter(|(m, _)| *m != n).map(|(_, shown)| *shown);
            self.say(*n, Item::Certificate(Certificate { slot, root, proofs: others.collect() }));
        }
    }

    fn say(&mut self, author: usize, item: Item) {
        let job = self.plan.manifest().job();
        let Author { key, seq, prev } = &mut self.authors[author];
        let step = Step {
            job,
            shard: 0,
            seq: *seq,
            prev: *prev,
            level: 0,
            stamp: None,
            report: None,
            items: vec![item],
        };
        let step = key.sign(self.network, step);
        (*seq, *prev) = (*seq + 1, step.id());
        self.steps.push(step);
    }

    /// Inserts step by step with a verdict after each, in stretches: a fold that is linear takes the
    /// same time in all of them.
    #[expect(clippy::disallowed_methods, reason = "measuring is about time")]
    fn measure(self, story: &str) {
        let mut ledger = Ledger::new(Arc::new(self.plan));
        println!("{story}: {} steps", self.steps.len());
        for stretch in self.steps.chunks(self.steps.len().div_ceil(STRETCHES)) {
            let start = std::time::Instant::now();
            for step in stretch {
                ledger.insert(step.clone()).expect("every step is in order");
                ledger.verdict();
            }
            let per_step = start.elapsed() / u32::try_from(stretch.len()).expect("few steps");
            println!("  {per_step:>10.1?} a step");
        }
        let verdict = ledger.verdict();
        let settled = verdict.batches(0).iter().filter(|batch| batch.is_settled()).count();
        println!("  {settled} batches settled, {} convicted", verdict.convicted.len());
    }
}

fn digest(batch: usize, unit: u32) -> Hash {
    hash("outcome", &[&batch.to_le_bytes(), &unit.to_le_bytes()])
}
