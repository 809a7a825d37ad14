//! Verdicts that travel: what the program says of proof bundles, honest, forged and wrong ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::BlobSource;
use protocol::{
    About, BlobRef, Bundle, Certificate, Exit, Hash, Item, Keypair, Ledger, Manifest, NetworkId,
    Outcome, PROTOCOL, Pack, Plan, Policy, Range, SEMANTICS, Shown, Slot, Source, Stage, Stdin,
    Step, StepId, Tree, UnitLimits, Vote, hash, merkle_root, proof, seal,
};
use serde_json::Value;

use crate::process::{assert_ends, dugnad, text};
use crate::running::Running;

const SQUARE: &[u8] = include_bytes!("../../../examples/trivial/trivial.wasm");

const JOB: &str = r#"
name = "squares"
[[stage]]
name = "squares"
module = "square.wasm"
range = { from = 0, to = 12 }
args = ["{index}"]
batch = 3
[stage.limits]
cpu = "5s"
memory = "4MiB"
"#;

fn json(node: &Running, args: &[&str]) -> Value {
    let ran = node.run(&[&["--output", "json"], args].concat());
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// A job of squares whose two voters are known here, and their steps.
struct Told {
    bundle: Bundle,
    packs: Vec<Vec<u8>>,
    voters: [String; 2],
}

fn keys() -> [Keypair; 2] {
    [Keypair::from_secret(&[1; 32]), Keypair::from_secret(&[2; 32])]
}

fn manifest() -> Manifest {
    let submitter = Keypair::from_secret(&[9; 32]).peer();
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "told".to_owned(),
        description: String::new(),
        submitter,
        created_ms: 1,
        expires_ms: u64::MAX / 4,
        nonce: Hash::ZERO,
        stages: vec![Stage {
            name: "squares".to_owned(),
            source: Source::Range(Range { from: 0, to: 12, block: 1 }),
            module: BlobRef::of(SQUARE),
            args: vec!["{index}".to_owned()],
            env: vec![],
            stdin: Stdin::Nothing,
            inputs: vec![],
            limits: UnitLimits::default(),
            batch: 4,
            links: protocol::Links::default(),
        }],
        policy: Policy::standard(submitter),
        priority: 0,
        window: None,
    }
}

/// Both voters state the squares of 0 to 11, plus one, or what `bend` makes of one.
fn told(bend: impl Fn(u64, String) -> String) -> Told {
    let network = NetworkId::named("proof-told");
    let plan = Arc::new(Plan::new(manifest()));
    let job = plan.manifest().job();
    let mut votes = vec![vec![], vec![]];
    let mut packs = Vec::new();
    for batch in 0..plan.partition(0).batches() {
        let empty = Tree::default().to_bytes();
        let stdouts: Vec<Vec<u8>> = plan
            .partition(0)
            .units_of(batch)
            .map(|x| bend(x, format!("{}\n", x * x + 1)).into_bytes())
            .collect();
        let outcome = |stdout: &Vec<u8>| {
            let (stdout, out) = (BlobRef::of(stdout), BlobRef::of(&empty));
            Outcome::Exit(Exit { code: 0, stdout, out })
        };
        let pack = Pack::new(stdouts.iter().map(outcome).collect(), |id| {
            let mut all = stdouts.iter().chain([&empty]);
            all.find(|bytes| BlobRef::of(bytes).id == id).unwrap().clone()
        });
        let root = merkle_root(&pack.digests());
        packs.push(pack.to_bytes());
        let units = plan.units_root(0, batch, None).unwrap();
        let slot = Slot { stage: 0, about: About::Batch(batch), units };
        let trace = hash("trace", &[root.as_bytes()]);
        let of = |key: &Keypair| proof(network, job, &slot, key.peer(), trace);
        for (own, other) in [(0, 1), (1, 0)] {
            let seal = seal(of(&keys()[own]));
            let pack = packs.last().map(|bytes| BlobRef::of(bytes));
            votes[own].push(Item::Vote(Vote { slot, root, seal, pack, path: vec![] }));
            let shown = Shown { voter: keys()[other].peer(), proof: of(&keys()[other]) };
            let proofs = vec![shown];
            votes[own].push(Item::Certificate(Certificate { slot, root, proofs }));
        }
    }
    let mut ledger = Ledger::new(plan);
    for (key, items) in keys().iter().zip(votes) {
        let (level, prev) = (0, StepId::new([0; 32]));
        let step = Step { job, shard: 0, seq: 0, prev, level, stamp: None, report: None, items };
        ledger.insert(key.sign(network, step)).unwrap();
    }
    let voters = keys().map(|key| key.peer().to_string());
    Told { bundle: Bundle::new(network, &ledger, None), packs, voters }
}

/// Writes a bundle, and gives a node the bytes that its job runs on.
fn given(folder: &Path, node: Option<&Running>, told: &Told) -> PathBuf {
    let file = folder.join("job.proof");
    std::fs::write(&file, told.bundle.to_bytes()).unwrap();
    if let Some(node) = node {
        let blobs = told.packs.iter().map(Vec::as_slice).chain([SQUARE]);
        blobs.for_each(|bytes| node.client().put(&BlobSource::made(bytes.to_vec())).unwrap());
    }
    file
}

#[test]
fn a_file_is_checked_without_a_node_and_one_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let told = told(|_, right| right);
    let file = given(folder.path(), None, &told);
    let path = file.to_str().unwrap();
    let said = assert_ends(&dugnad(folder.path(), &["job", "verify", path]), 0);
    assert!(said.contains("verdict    verified, provisional"), "{said}");
    assert!(told.voters.iter().all(|voter| said.contains(voter)), "{said}");
    let json = dugnad(folder.path(), &["--output", "json", "job", "verify", path]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["verdict"]["verified"], true);
    assert_eq!(json["verdict"]["stages"][0]["accepted"], 12);
    assert_eq!(json["verdict"]["voters"][0]["joined"], 12);

    let mut bytes = told.bundle.to_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = dugnad(folder.path(), &["job", "verify", path]);
    assert_eq!(assert_ends(&refused, 2), "");
    assert!(text(&refused.stderr).contains("the bundle shows nothing"), "{refused:?}");
    assert_ends(&dugnad(folder.path(), &["job", "verify", "none.proof"]), 2);
    let id = told.bundle.job().to_string();
    assert_ends(&dugnad(folder.path(), &["job", "verify", &id]), 5);
}

#[test]
fn a_bundle_without_one_voters_steps_is_not_called_verified() {
    let folder = tempfile::tempdir().unwrap();
    let told = told(|_, right| right);
    let ledger = told.bundle.open().unwrap().ledger;
    let mut fewer = Ledger::new(Arc::clone(ledger.plan()));
    fewer.insert(ledger.steps().next().unwrap().clone()).unwrap();
    let file = folder.path().join("job.proof");
    let bundle = Bundle::new(NetworkId::named("proof-told"), &fewer, None);
    std::fs::write(&file, bundle.to_bytes()).unwrap();
    let ran = dugnad(folder.path(), &["job", "verify", file.to_str().unwrap()]);
    assert!(assert_ends(&ran, 3).contains("not verified"));
}

#[test]
fn a_sample_agrees_with_the_right_outcomes_and_names_who_stands_behind_a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = Running::start(folder.path(), "proof-sample", &[]);
    let right = told(|_, right| right);
    let file = given(folder.path(), Some(&node), &right);
    let path = file.to_str().unwrap();
    let said = assert_ends(&node.run(&["job", "verify", path, "--sample", "5"]), 0);
    assert!(said.contains("5 of 12 units executed again here: 5 agree"), "{said}");
    // 1 − 0.05^(1/5)
    assert!(said.contains("at most 45.07 % of the outcomes are wrong"), "{said}");
    let none = ["job", "verify", path, "--sample", "5", "--budget", "0s"];
    assert!(assert_ends(&node.run(&none), 3).contains("0 of 12 units executed"));

    let wrong = told(|x, right| if x == 7 { "51\n".to_owned() } else { right });
    given(folder.path(), Some(&node), &wrong);
    let told = json(&node, &["job", "verify", path, "--sample", "12"]);
    assert_eq!(told["verdict"]["verified"], true, "two colluders hold its quorum");
    let sample = &told["sample"];
    assert_eq!(sample["agreeing"], 11);
    assert_eq!(sample["wrong_at_most"], Value::Null);
    let mismatch = &sample["mismatches"][0];
    assert_eq!((&mismatch["stage"], &mismatch["unit"]), (&"squares".into(), &7.into()));
    assert_ne!(mismatch["verdict"], mismatch["here"]);
    assert_eq!(mismatch["voters"].as_array().unwrap().len(), 2);
    assert_ends(&node.run(&["job", "verify", path, "--sample", "12"]), 1);
}

#[test]
fn credit_is_shown_for_a_file_of_several_jobs_and_counts_no_job_twice() {
    let folder = tempfile::tempdir().unwrap();
    let one = told(|_, right| right);
    let file = given(folder.path(), None, &one);
    let path = file.to_str().unwrap();
    let said = assert_ends(&dugnad(folder.path(), &["credit", "verify", path]), 0);
    assert!(one.voters.iter().all(|voter| said.contains(voter)), "{said}");
    let verify = ["--output", "json", "credit", "verify", path, "--peer", &one.voters[0]];
    let json: Value = serde_json::from_slice(&dugnad(folder.path(), &verify).stdout).unwrap();
    let work = &json["submitters"][0]["work"];
    assert_eq!((&work["units"], &work["cpu_ms_at_most"]), (&12.into(), &(12 * 60_000).into()));
    let nobody = Keypair::from_secret(&[7; 32]).peer().to_string();
    assert_ends(&dugnad(folder.path(), &["credit", "verify", path, "--peer", &nobody]), 3);
    let bytes = one.bundle.to_bytes();
    std::fs::write(&file, [bytes.clone(), bytes].concat()).unwrap();
    let twice = dugnad(folder.path(), &["credit", "verify", path]);
    assert_ends(&twice, 2);
    assert!(text(&twice.stderr).contains("twice"), "{twice:?}");
    let several = dugnad(folder.path(), &["job", "verify", path]);
    assert!(text(&several.stderr).contains("several jobs"), "{several:?}");
}

#[test]
fn a_real_jobs_verdict_leaves_the_network_and_is_verified_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        |name: &str, flags: &[&str]| Running::start(&folder.path().join(name), "proof-real", flags);
    let first = start("first", &[]);
    let known = ["--bootstrap", &first.addresses()];
    let nodes = [start("second", &known), start("third", &known)];
    first.until("both know the first node", || match first.client().node().unwrap().peers {
        2 => Ok(()),
        peers => Err(peers),
    });
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("square.wasm"), SQUARE).unwrap();
    std::fs::write(at("job.toml"), JOB).unwrap();
    assert_ends(&first.run(&["job", "run", &at("job.toml"), "-o", &at("out")]), 0);
    let job = first.client().jobs().unwrap()[0].job.to_string();

    assert_ends(&first.run(&["job", "prove", &job, "-o", &at("job.proof")]), 0);
    let said = assert_ends(&dugnad(folder.path(), &["job", "verify", &at("job.proof")]), 0);
    assert!(said.contains(&job) && said.contains("12"), "{said}");
    // Last certificates and seals may still be on their way to who has worked on it.
    for node in &nodes {
        node.until("the job was verified from its steps", || {
            let ran = node.run(&["job", "verify", &job]);
            if ran.status.code() == Some(0) { Ok(()) } else { Err(ran) }
        });
    }
    // A node that has only worked on it lacks nothing that its peers can bring.
    let sampled = json(&nodes[0], &["job", "verify", &job, "--sample", "12"]);
    assert_eq!(sampled["sample"]["agreeing"], 12, "{sampled}");
    let got = first.run(&["job", "get", &job[..20], "-o", &at("again"), "--sample", "3"]);
    assert_ends(&got, 0);
    assert!(text(&got.stderr).contains("3 of 12 units executed again here: 3 agree"), "{got:?}");

    let node = &nodes[1];
    let shown = assert_ends(&node.run(&["credit", "show"]), 0);
    assert!(shown.contains(first.peer()) && shown.contains("12"), "{shown}");
    assert_ends(&node.run(&["credit", "export", "-o", &at("credit")]), 0);
    let verify = ["credit", "verify", &at("credit"), "--peer", node.peer()];
    assert!(assert_ends(&dugnad(folder.path(), &verify), 0).contains(first.peer()));
}
