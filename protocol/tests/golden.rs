//! Golden vectors: the bytes and ids that every implementation must produce, kept in `golden.txt`.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::fmt::Write;

use protocol::*;

const KNOWN: &str = include_str!("golden.txt");

#[test]
fn bytes_and_ids_are_what_they_have_always_been() {
    let vectors = Vectors::all();
    if vectors.text == KNOWN {
        return;
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden.txt");
    std::fs::write(&path, &vectors.text).unwrap();
    let changed = vectors.text.lines().zip(KNOWN.lines()).find(|(now, known)| now != known);
    panic!(
        "the protocol's bytes have changed, first in {changed:?}; if that is meant, and the protocol's \
         version is raised, copy {} over golden.txt",
        path.display()
    );
}

#[test]
fn the_hashes_of_blobs_are_those_that_b3sum_prints() {
    // From the test vectors of the BLAKE3 project, whose input is 0, 1, … 250, 0, 1, …
    for (len, hash) in [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
        (102_400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"),
    ] {
        assert_eq!(hex(BlobId::of(&pattern(len)).as_bytes()), hash, "{len} bytes");
    }
    for len in [(1 << 20) + 1, 3 << 20, (5 << 20) + 12345] {
        let bytes = pattern(len);
        let pieces = (0..).zip(bytes.chunks(limits::CHUNK_BYTES as usize));
        let values: Vec<Hash> = pieces.map(|(i, piece)| Subtrees::value_of(i, piece)).collect();
        assert_eq!(Subtrees::name(&values), BlobId::of(&bytes), "{len} bytes");
    }
}

#[test]
fn every_statement_of_the_vectors_is_read_back_and_no_other_network_reads_it() {
    let (network, other) = (NetworkId::named("golden"), NetworkId::named("other"));
    for message in messages() {
        let bytes = message.to_bytes();
        assert_eq!(Message::open(&bytes, network), Ok(message.clone()));
        let signed = match &message {
            Message::Announce(_) | Message::Claim(_) => true,
            Message::Steps(steps) => !steps.is_empty(),
            Message::Hello(_)
            | Message::Jobs(_)
            | Message::WantJobs(_)
            | Message::Heads(_)
            | Message::Keep(_)
            | Message::Kept(_) => false,
        };
        assert_eq!(Message::open(&bytes, other).is_err(), signed, "{message:?}");
    }
}

#[derive(Default)]
struct Vectors {
    text: String,
}

impl Vectors {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        writeln!(self.text, "{name} = {value}").unwrap();
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.add(name, hex(bytes));
    }

    fn all() -> Self {
        let mut to = Self::default();
        names(&mut to);
        trees(&mut to);
        units(&mut to);
        feeds(&mut to);
        outcomes(&mut to);
        votes(&mut to);
        statements(&mut to);
        bundles(&mut to);
        to
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn h(n: u8) -> Hash {
    Hash::new([n; 32])
}

fn alice() -> Keypair {
    Keypair::from_secret(&[1; 32])
}

fn bob() -> Keypair {
    Keypair::from_secret(&[2; 32])
}

fn names(to: &mut Vectors) {
    to.bytes("network \"golden\"", NetworkId::named("golden").as_bytes());
    to.bytes("alice: public key of secret 01…", alice().peer().as_bytes());
    to.add("alice: text", alice().peer());
    to.bytes("bob: public key of secret 02…", bob().peer().as_bytes());
    to.bytes("hash \"x\" of \"ab\", \"c\"", hash("x", &[b"ab", b"c"]).as_bytes());
    to.add("blob \"hello\"", BlobId::of(b"hello"));
    to.bytes("blob \"hello\" encoded", &encode(&BlobRef::of(b"hello")));
}

fn trees(to: &mut Vectors) {
    let leaves: Vec<Hash> = (1..=5).map(h).collect();
    for count in [1, 2, 3, 5] {
        to.bytes(
            &format!("merkle root of 01… to {count:02}…"),
            merkle_root(&leaves[..count]).as_bytes(),
        );
    }
    for (n, node) in merkle_path(&leaves, 2).iter().enumerate() {
        to.bytes(&format!("merkle path of 03… among five, {n}"), node.as_bytes());
    }
    let bytes = pattern((2 << 20) + 1);
    for (n, piece) in (0..).zip(bytes.chunks(1 << 20)) {
        to.bytes(&format!("subtree {n} of 2 MiB + 1"), Subtrees::value_of(n, piece).as_bytes());
    }
    to.bytes("blob of 2 MiB + 1", BlobId::of(&bytes).as_bytes());
    let entry = |path: &str, is_tree| Entry {
        path: path.to_owned(),
        blob: BlobRef::of(path.as_bytes()),
        is_tree,
    };
    let tree = Tree::new(vec![entry("b", true), entry("a/x", false)]).unwrap();
    to.bytes("tree", &tree.to_bytes());
    to.add("tree: blob", BlobId::of(&tree.to_bytes()));
}

fn manifest() -> Manifest {
    let limits = UnitLimits::default();
    let stage = |name: &str, source, args: &[&str], inputs| Stage {
        name: name.to_owned(),
        source,
        module: BlobRef::of(b"module"),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("PART".to_owned(), "no {index}".to_owned())],
        stdin: Stdin::Nothing,
        inputs,
        limits,
        batch: 8,
        links: protocol::Links::default(),
    };
    let axis = |name: &str, values: &[&str]| Axis {
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let shared = Input { path: "data".to_owned(), source: InputSource::Blob(BlobRef::of(b"data")) };
    let grid = Grid { axes: vec![axis("x", &["0", "1"]), axis("y", &["a", "b", "c"])] };
    let parts = Parts { tree: parts_tree().1, count: 2 };
    let mut stages = vec![
        stage(
            "sum",
            Source::Range(Range { from: 5, to: 100, block: 10 }),
            &["{start}..{end}"],
            vec![shared],
        ),
        stage("sweep", Source::Grid(grid), &["--{{x}}={x}", "{y}{index}"], vec![]),
        stage("files", Source::Parts(parts), &["{name}"], vec![]),
        stage("all", Source::Gather(Gather { stage: 0, fan_in: None }), &[], vec![]),
    ];
    stages[2].stdin = Stdin::Part;
    stages[3].limits.fuel = Some(1_000_000);
    let manifest = Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "golden".to_owned(),
        description: "for a second implementer".to_owned(),
        submitter: alice().peer(),
        created_ms: 1_700_000_000_000,
        expires_ms: 1_700_604_800_000,
        nonce: h(9),
        stages,
        policy: Policy::standard(alice().peer()),
        priority: 5,
        window: None,
    };
    manifest.check().unwrap();
    manifest
}

fn feeds(to: &mut Vectors) {
    let first = Window { salt: h(5), number: 0, previous: None, lines: 7, is_last: false };
    let first = Manifest { window: Some(first), ..manifest() };
    let previous = Some(first.job());
    let last = Window { salt: h(5), number: 1, previous, lines: 7, is_last: true };
    let last = Manifest { window: Some(last), ..manifest() };
    for (name, manifest) in [("first", &first), ("last", &last)] {
        manifest.check().unwrap();
        to.bytes(&format!("window {name}"), &encode(&manifest.window.unwrap()));
        to.add(&format!("window {name}: job"), manifest.job());
        to.add(&format!("window {name}: feed"), manifest.feed().unwrap());
    }
}

fn parts_tree() -> (Tree, BlobRef) {
    let entry = |path: &str| Entry {
        path: path.to_owned(),
        blob: BlobRef::of(path.as_bytes()),
        is_tree: false,
    };
    let tree = Tree::new(vec![entry("one.csv"), entry("two.csv")]).unwrap();
    let blob = BlobRef::of(&tree.to_bytes());
    (tree, blob)
}

fn units(to: &mut Vectors) {
    let manifest = manifest();
    to.bytes("manifest", &manifest.to_bytes());
    to.add("job", manifest.job());
    let mut plan = Plan::new(manifest);
    let (tree, blob) = parts_tree();
    assert!(plan.add_parts(blob.id, tree));
    let gathered = Gathered::new(&[h(1), h(2), h(3)]);
    to.bytes("gathered root of 01…, 02…, 03…", gathered.root.as_bytes());
    for (stage, unit) in [(0, 0), (0, 9), (1, 4), (2, 1), (3, 0)] {
        let name = format!("unit {unit} of stage {stage}");
        let unit = plan.unit(stage, unit, Some(gathered)).unwrap();
        to.bytes(&name, &encode(&unit));
        to.bytes(&format!("{name}: seed"), unit.seed.as_bytes());
        to.bytes(&format!("{name}: id"), unit.id().as_bytes());
    }
    let root = plan.units_root(0, 0, None).unwrap();
    to.bytes("units root of batch 0 of stage 0", root.as_bytes());
    for (units, batch) in [(1, 1), (5, 4), (35, 4), (64, 8), (999, 7), (20_000, 512)] {
        let partition = Partition::new(units, batch);
        let mut runs: Vec<(u64, u32)> = Vec::new();
        for batch in 0..partition.batches() {
            let size = partition.units_of(batch).count() as u64;
            match runs.last_mut().filter(|(last, _)| *last == size) {
                Some((_, count)) => *count += 1,
                None => runs.push((size, 1)),
            }
        }
        let runs: Vec<String> =
            runs.iter().map(|(size, count)| format!("{count}×{size}")).collect();
        to.add(&format!("partition of {units} by {batch}"), runs.join(" "));
    }
    to.add("outcome folder 7 of 1000", outcome_folder(7, 1000));
}

fn outcomes(to: &mut Vectors) {
    let empty = BlobRef::of(&Tree::default().to_bytes());
    let exit = Outcome::Exit(Exit { code: 3, stdout: BlobRef::of(b"hello"), out: empty });
    let trap = Outcome::Trap(Trap::Unreachable);
    for (name, outcome) in [
        ("exit", exit),
        ("trap", trap),
        ("out of fuel", Outcome::OutOfFuel),
        ("output too large", Outcome::OutputTooLarge),
    ] {
        to.bytes(&format!("outcome {name}"), &encode(&outcome));
        to.bytes(&format!("outcome {name}: digest"), outcome.digest().as_bytes());
    }
    let trace = trace_digest(&exit, [(0, [1; 32]), (7, [2; 32])]);
    to.bytes("trace of the exit with blocks 0 and 7", trace.as_bytes());
    to.bytes("trace of the trap", trace_digest(&trap, []).as_bytes());
    let small = |id| {
        let known = [b"hello".to_vec(), Tree::default().to_bytes()];
        known.into_iter().find(|bytes| BlobId::of(bytes) == id).unwrap()
    };
    let pack = Pack::new(vec![exit, trap], small).to_bytes();
    to.bytes("pack of the exit and the trap", &pack);
    to.add("pack of the exit and the trap: blob", BlobId::of(&pack));
}

fn batch_slot() -> Slot {
    Slot { stage: 0, about: About::Batch(1), units: h(4) }
}

fn unit_slot() -> Slot {
    Slot { stage: 0, about: About::Unit(300), units: h(5) }
}

fn votes(to: &mut Vectors) {
    let (network, job) = (NetworkId::named("golden"), manifest().job());
    for (name, slot) in [("batch 1", batch_slot()), ("unit 300", unit_slot())] {
        to.bytes(&format!("slot of {name}"), &encode(&slot));
        let proof = proof(network, job, &slot, alice().peer(), h(6));
        to.bytes(&format!("slot of {name}: alice's proof for trace 06…"), proof.as_bytes());
        to.bytes(&format!("slot of {name}: alice's seal"), seal(proof).as_bytes());
    }
    let stamps = [(bob().peer(), Stamp { epoch: 680, bits: 9, nonce: 77 })].into();
    for level in [0, 5] {
        let ranks = Ranks { job, level, stamps: &stamps };
        for (name, peer) in [("alice", alice().peer()), ("bob, with a stamp,", bob().peer())] {
            let Rank(short, hash) = ranks.of(1, 3, peer);
            let what = format!("{name} in batch 3 of stage 1 at level {level}: levels short, rank");
            to.add(&what, format!("{short} {hash}"));
        }
    }
    to.add("bob is eligible up to level", level_of(job, 0, bob().peer()));
}

fn items() -> Vec<(&'static str, Item)> {
    let (root, pack) = (h(7), Some(BlobRef::of(b"pack")));
    let abstention = Abstention { slot: batch_slot(), unit: 8, reason: Reason::StackOverflow };
    let ballot = Vote { slot: unit_slot(), root, seal: h(1), pack: None, path: vec![h(2), h(3)] };
    vec![
        ("vote", Item::Vote(Vote { slot: batch_slot(), root, seal: h(1), pack, path: vec![] })),
        ("ballot", Item::Vote(ballot)),
        (
            "certificate",
            Item::Certificate(Certificate {
                slot: batch_slot(),
                root,
                proofs: vec![Shown { voter: bob().peer(), proof: h(2) }],
            }),
        ),
        ("leaves", Item::Leaves(Leaves { slot: batch_slot(), root, digests: vec![h(1), h(2)] })),
        ("abstention", Item::Abstention(abstention)),
        (
            "seal",
            Item::Seal(Seal { stage: 0, first: 1, batches: vec![(h(4), h(7)), (h(5), h(8))] }),
        ),
        ("keepers", Item::Keepers(vec![bob().peer()])),
        ("cancel", Item::Cancel),
    ]
}

/// One log with one item a step.
fn steps() -> Vec<(&'static str, Signed<Step>)> {
    let (job, network) = (manifest().job(), NetworkId::named("golden"));
    let mut prev = StepId::new([0; 32]);
    let mut steps = vec![];
    for (seq, (name, item)) in (0..).zip(items()) {
        let report = Report { engine: "wasmtime 48".to_owned(), cpu: "x86-64".to_owned() };
        let report = (seq == 0).then_some(report);
        let stamp = (seq == 0).then_some(Stamp { epoch: 680, bits: 9, nonce: 77 });
        let step = Step { job, shard: 0, seq, prev, level: 2, stamp, report, items: vec![item] };
        assert_eq!(step.check(), Ok(()));
        let step = alice().sign(network, step);
        prev = step.id();
        steps.push((name, step));
    }
    steps
}

fn messages() -> Vec<Message> {
    let network = NetworkId::named("golden");
    let (manifest, bob) = (manifest(), bob());
    let claim =
        Claim { job: manifest.job(), shard: 0, stage: 0, batches: vec![1, 2], span_ms: 5000 };
    let heads = Heads {
        job: manifest.job(),
        heads: vec![Head { author: bob.peer(), next: 3, last: StepId::new([8; 32]) }],
        forked: vec![Fork { author: alice().peer(), at: 2 }],
        answer: true,
    };
    vec![
        Message::Hello(Hello { works: true, keeps: false, stamp: None }),
        Message::Announce(alice().sign(network, Announcement::of(&manifest))),
        Message::Jobs(vec![manifest.job()]),
        Message::WantJobs(vec![manifest.job()]),
        Message::Steps(steps().into_iter().map(|(_, step)| step).collect()),
        Message::Claim(bob.sign(network, claim)),
        Message::Heads(heads),
        Message::Keep(manifest.job()),
        Message::Kept(manifest.job()),
    ]
}

fn statements(to: &mut Vectors) {
    for (name, step) in steps() {
        to.bytes(&format!("step {name}: body"), &encode(step.value()));
        to.bytes(&format!("step {name}: envelope"), &encode(step.envelope()));
        to.bytes(&format!("step {name}: id"), step.id().as_bytes());
    }
    let names =
        ["hello", "announce", "jobs", "want jobs", "steps", "claim", "heads", "keep", "kept"];
    for (name, message) in names.iter().zip(messages()) {
        // The steps are above, one by one.
        if !matches!(message, Message::Steps(_)) {
            to.bytes(&format!("message {name}"), &message.to_bytes());
        }
    }
}

/// Everything in a bundle but steps, which are above.
fn bundles(to: &mut Vectors) {
    let network = NetworkId::named("golden");
    let mut plan = Plan::new(manifest());
    let (tree, blob) = parts_tree();
    assert!(plan.add_parts(blob.id, tree));
    let announcement = alice().sign(network, Announcement::of(&manifest()));
    let bundle = Bundle::new(network, &Ledger::new(plan.into()), Some(&announcement));
    to.bytes("bundle", &bundle.to_bytes());
    assert_eq!(Bundle::from_bytes(&bundle.to_bytes()), Ok(bundle));
}
