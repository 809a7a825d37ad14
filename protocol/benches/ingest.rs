//! Steps per second on one core: good ones into a ledger, and junk that is turned away at the door.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people at a terminal")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use protocol::{
    About, BlobRef, Certificate, Hash, Item, Keypair, Ledger, Manifest, Message, NetworkId,
    PROTOCOL, PeerId, Plan, Policy, Range, SEMANTICS, Shown, Slot, Source, Stage, Stdin, Step,
    StepId, UnitLimits, Vote, hash, merkle_path, merkle_root, proof, seal,
};

/// Batches of the job, of 64 units each, and the workers that share them.
const BATCHES: u32 = 4000;
const BATCH: u32 = 64;
const WORKERS: u64 = 20;
/// Peers that flood, and messages from each.
const FLOODERS: u64 = 20;
const FLOOD: u64 = 20_000;
/// Refusals after which `net` sends a peer away for an hour: `FAULTS_MAX` by the weight of a bad message.
const REFUSALS_MAX: u64 = 8;

fn main() {
    let network = NetworkId::named("bench");
    let plan = Arc::new(Plan::new(manifest()));
    let messages = Town::new(network, &plan).work();
    ingest(network, &plan, &messages);
    flood(network, &messages);
}

/// Opens messages of one step each, inserts them and asks for the verdict after each.
fn ingest(network: NetworkId, plan: &Arc<Plan>, messages: &[Vec<u8>]) {
    let (began, memory) = (cpu_s(), resident_mib());
    let opened: Vec<Message> =
        messages.iter().map(|bytes| Message::open(bytes, network).unwrap()).collect();
    let open_s = cpu_s() - began;
    let mut ledger = Ledger::new(Arc::clone(plan));
    let mut items = 0;
    let began = cpu_s();
    for message in opened {
        let Message::Steps(steps) = message else { unreachable!("only steps were sent") };
        for step in steps {
            items += step.value().items.len();
            ledger.insert(step).unwrap();
        }
        black_box(ledger.verdict());
    }
    let insert_s = cpu_s() - began;
    let accepted = ledger.last_verdict().tally(plan, 0).accepted;
    assert_eq!(accepted, plan.partition(0).units(), "every unit is accepted");
    let count = messages.len() as f64;
    println!(
        "{count} steps of {items} items, a message each: {:.0} steps/s; opened {:.0}/s, inserted and judged \
         {:.0}/s; {:.0} MiB",
        count / (open_s + insert_s),
        count / open_s,
        count / insert_s,
        resident_mib() - memory,
    );
}

/// Opens messages that are all wrong in one way, from peers that are sent away for it, and from ones that
/// always come back.
fn flood(network: NetworkId, good: &[Vec<u8>]) {
    let kinds: [(&str, Junk); 4] = [
        ("random bytes", random),
        ("cut short", cut_short),
        ("a foreign network", |good, _| good.to_vec()),
        ("a signature that is none", forged),
    ];
    for (name, junk) in kinds {
        let other = if name == "a foreign network" { NetworkId::named("another") } else { network };
        let messages: Vec<Vec<u8>> =
            (0..FLOOD).map(|n| junk(&good[n as usize % good.len()], n)).collect();
        let memory = resident_mib();
        let mut refused: BTreeMap<u64, u64> = BTreeMap::new();
        let began = cpu_s();
        for flooder in 0..FLOODERS {
            for bytes in &messages {
                let is_refused = Message::open(black_box(bytes), other).is_err();
                *refused.entry(flooder).or_default() += u64::from(is_refused);
            }
        }
        let took_s = cpu_s() - began;
        let all = FLOODERS * FLOOD;
        assert_eq!(refused.values().sum::<u64>(), all, "{name}: something got in");
        println!(
            "{name}: {:.0} messages/s looked at and refused; {:.1} MiB more; all that {FLOODERS} peers can \
             have looked at before they are sent away, {} messages, takes {:.2} ms",
            all as f64 / took_s,
            resident_mib() - memory,
            FLOODERS * REFUSALS_MAX,
            took_s * 1000.0 * (FLOODERS * REFUSALS_MAX) as f64 / all as f64,
        );
    }
}

type Junk = fn(&[u8], u64) -> Vec<u8>;

fn random(good: &[u8], n: u64) -> Vec<u8> {
    let words = (0..good.len() as u64 / 32 + 1).map(|i| hash("junk", &[&(n + i).to_le_bytes()]));
    words.flat_map(|word| *word.as_bytes()).take(good.len()).collect()
}

fn cut_short(good: &[u8], n: u64) -> Vec<u8> {
    good[..good.len() - 1 - n as usize % (good.len() / 2)].to_vec()
}

/// One bit of the body differs from what was signed, where the body is a number.
fn forged(good: &[u8], _: u64) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes
}

/// Workers that execute a job, two to each batch, and audit some units of others.
struct Town {
    network: NetworkId,
    plan: Arc<Plan>,
    keys: Vec<Keypair>,
    logs: BTreeMap<PeerId, (u64, StepId)>,
}

impl Town {
    fn new(network: NetworkId, plan: &Arc<Plan>) -> Self {
        let key = |n: u64| Keypair::from_secret(hash("worker", &[&n.to_le_bytes()]).as_bytes());
        let keys = (0..WORKERS).map(key).collect();
        Self { network, plan: Arc::clone(plan), keys, logs: BTreeMap::new() }
    }

    /// Three steps for each batch, and two for every audit: who votes first, who votes and shows the first
    /// one's proof, who shows the second one's; an auditor, and who confirms it.
    fn work(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for batch in 0..self.plan.partition(0).batches() {
            let units = self.plan.partition(0).units_of(batch);
            let digests: Vec<Hash> = units.clone().map(digest).collect();
            let (root, name) = (merkle_root(&digests), self.plan.units_root(0, batch, None));
            let slot = Slot { stage: 0, about: About::Batch(batch), units: name.unwrap() };
            let at = batch as usize;
            let [one, two, three] = [at, at + 1, at + 2].map(|n| n % self.keys.len());
            messages.push(self.say(one, vec![self.vote(one, slot, root, vec![])]));
            let shown = self.show(one, slot, root);
            messages.push(self.say(two, vec![self.vote(two, slot, root, vec![]), shown]));
            messages.push(self.say(one, vec![self.show(two, slot, root)]));
            let index = at % digests.len();
            let unit = units.start + index as u64;
            let name = self.plan.unit_root(0, unit, None).unwrap();
            let slot = Slot { stage: 0, about: About::Unit(unit), units: name };
            let ballot = self.vote(three, slot, digests[index], merkle_path(&digests, index));
            messages.push(self.say(three, vec![ballot]));
            messages.push(self.say(one, vec![self.show(three, slot, digests[index])]));
        }
        messages
    }

    fn proof(&self, worker: usize, slot: &Slot) -> Hash {
        let (job, trace) = (self.plan.manifest().job(), hash("trace", &[slot.units.as_bytes()]));
        proof(self.network, job, slot, self.keys[worker].peer(), trace)
    }

    fn vote(&self, worker: usize, slot: Slot, root: Hash, path: Vec<Hash>) -> Item {
        let pack = path.is_empty().then(|| BlobRef::of(root.as_bytes()));
        Item::Vote(Vote { slot, root, seal: seal(self.proof(worker, &slot)), pack, path })
    }

    fn show(&self, voter: usize, slot: Slot, root: Hash) -> Item {
        let proofs =
            vec![Shown { voter: self.keys[voter].peer(), proof: self.proof(voter, &slot) }];
        Item::Certificate(Certificate { slot, root, proofs })
    }

    fn say(&mut self, worker: usize, items: Vec<Item>) -> Vec<u8> {
        let (key, job) = (&self.keys[worker], self.plan.manifest().job());
        let (seq, prev) = self.logs.get(&key.peer()).copied().unwrap_or((0, StepId::new([0; 32])));
        let step = Step { job, shard: 0, seq, prev, level: 0, stamp: None, report: None, items };
        let step = key.sign(self.network, step);
        self.logs.insert(key.peer(), (seq + 1, step.id()));
        Message::Steps(vec![step]).to_bytes()
    }
}

fn digest(unit: u64) -> Hash {
    hash("outcome of a bench", &[&unit.to_le_bytes()])
}

fn manifest() -> Manifest {
    let submitter = Keypair::from_secret(&[7; 32]).peer();
    let stage = Stage {
        name: "map".to_owned(),
        source: Source::Range(Range { from: 0, to: u64::from(BATCHES * BATCH), block: 1 }),
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned()],
        env: vec![],
        stdin: Stdin::Nothing,
        inputs: vec![],
        limits: UnitLimits::default(),
        batch: BATCH,
        links: protocol::Links::default(),
    };
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "ingest".to_owned(),
        description: String::new(),
        submitter,
        created_ms: 0,
        expires_ms: 1,
        nonce: Hash::ZERO,
        stages: vec![stage],
        policy: Policy::standard(submitter),
        priority: 0,
        window: None,
    }
}

/// CPU seconds that this process has used: what others do on the machine does not matter.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.map(|n| n.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 256.0
}
