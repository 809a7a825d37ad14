//! Hostile bytes: what strangers send is refused or read, and never panics.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

use std::sync::Arc;

use protocol::*;

struct Dice(blake3::OutputReader);

impl Dice {
    fn new(purpose: &str) -> Self {
        Self(blake3::Hasher::new().update(purpose.as_bytes()).finalize_xof())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }

    fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end as u64) as usize
    }

    /// The bytes with one thing wrong.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.below(256) as u8,
            3 => bytes.insert(at, self.below(256) as u8),
            4 => drop(bytes.remove(at)),
            _ => {
                let piece = bytes[at..].iter().take(self.below(40)).copied().collect::<Vec<u8>>();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
        bytes
    }
}

fn network() -> NetworkId {
    NetworkId::named("hostile")
}

fn key() -> Keypair {
    Keypair::from_secret(&[3; 32])
}

fn manifest() -> Manifest {
    let source = Source::Range(Range { from: 0, to: 40, block: 1 });
    let limits = UnitLimits::default();
    let stage = |name: &str, source| Stage {
        name: name.to_owned(),
        source,
        module: BlobRef::of(b"module"),
        args: vec!["{index}".to_owned(), "{{}}".to_owned()],
        env: vec![("KEY".to_owned(), "{index}".to_owned())],
        stdin: Stdin::Nothing,
        inputs: vec![Input {
            path: "data".to_owned(),
            source: InputSource::Tree(BlobRef::of(b"tree")),
        }],
        limits,
        batch: 4,
        links: protocol::Links::default(),
    };
    let axes = vec![Axis { name: "x".to_owned(), values: vec!["1".to_owned(), "2".to_owned()] }];
    Manifest {
        protocol: PROTOCOL,
        semantics: SEMANTICS,
        name: "hostile".to_owned(),
        description: String::new(),
        submitter: key().peer(),
        created_ms: 1,
        expires_ms: 2,
        nonce: Hash::ZERO,
        stages: vec![
            stage("a", source),
            stage("b", Source::Grid(Grid { axes })),
            stage("c", Source::Gather(Gather { stage: 0, fan_in: None })),
        ],
        policy: Policy::standard(key().peer()),
        priority: 0,
        window: None,
    }
}

fn step() -> Step {
    let plan = Plan::new(manifest());
    let slot = |about, units| Slot { stage: 0, about, units };
    let batch = slot(About::Batch(1), plan.units_root(0, 1, None).unwrap());
    let unit = slot(About::Unit(5), plan.unit_root(0, 5, None).unwrap());
    let (root, seal) = (Hash::new([1; 32]), Hash::new([2; 32]));
    let proofs = vec![Shown { voter: key().peer(), proof: Hash::ZERO }];
    let abstention = Abstention { slot: batch, unit: 5, reason: Reason::Timeout };
    Step {
        job: plan.manifest().job(),
        shard: 0,
        seq: 0,
        prev: StepId::new([0; 32]),
        level: 0,
        stamp: Some(Stamp { epoch: 1, bits: 2, nonce: 3 }),
        report: Some(Report { engine: "engine".to_owned(), cpu: "cpu".to_owned() }),
        items: vec![
            Item::Vote(Vote {
                slot: batch,
                root,
                seal,
                pack: Some(BlobRef::of(b"p")),
                path: vec![],
            }),
            Item::Vote(Vote { slot: unit, root, seal, pack: None, path: vec![root, seal] }),
            Item::Certificate(Certificate { slot: batch, root, proofs }),
            Item::Leaves(Leaves {
                slot: batch,
                root: merkle_root(&[root; 4]),
                digests: vec![root; 4],
            }),
            Item::Abstention(abstention),
            Item::Seal(Seal { stage: 0, first: 1, batches: vec![(root, seal)] }),
            Item::Keepers(vec![key().peer()]),
            Item::Cancel,
        ],
    }
}

fn messages() -> Vec<Message> {
    let job = manifest().job();
    let claim = Claim { job, shard: 0, stage: 0, batches: vec![1], span_ms: 1 };
    let heads = Heads {
        job,
        heads: vec![Head { author: key().peer(), next: 1, last: StepId::new([1; 32]) }],
        forked: vec![Fork { author: key().peer(), at: 0 }],
        answer: false,
    };
    vec![
        Message::Hello(Hello { works: true, keeps: true, stamp: None }),
        Message::Announce(key().sign(network(), Announcement::of(&manifest()))),
        Message::Jobs(vec![job; 3]),
        Message::WantJobs(vec![job]),
        Message::Steps(vec![key().sign(network(), step()); 2]),
        Message::Claim(key().sign(network(), claim)),
        Message::Heads(heads),
        Message::Keep(job),
        Message::Kept(job),
    ]
}

/// Feeds a decoder with noise and with mutations of valid bytes; what it accepts must be canonical.
fn feed(
    purpose: &str,
    valid: &[Vec<u8>],
    cases: usize,
    mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) {
    let mut dice = Dice::new(purpose);
    for bytes in valid {
        assert_eq!(read(bytes).as_ref(), Some(bytes), "valid bytes are read");
        for end in 0..bytes.len().min(400) {
            assert_eq!(read(&bytes[..end]), None, "{end} of {} bytes", bytes.len());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(read(&longer), None, "trailing bytes");
    }
    for case in 0..cases {
        let len = dice.below(300);
        let bytes = match case % 4 {
            0 => dice.bytes(len),
            1 | 2 => dice.mutate(&valid[case / 4 % valid.len()]),
            _ => {
                let once = dice.mutate(&valid[case / 4 % valid.len()]);
                if once.is_empty() { once } else { dice.mutate(&once) }
            }
        };
        if let Some(again) = read(&bytes) {
            assert_eq!(again, bytes, "accepted, but not canonical");
        }
    }
}

#[test]
fn messages_from_strangers_never_panic() {
    let valid: Vec<Vec<u8>> = messages().iter().map(Message::to_bytes).collect();
    feed("messages", &valid, 20_000, |bytes| {
        Message::open(bytes, network()).ok().map(|message| message.to_bytes())
    });
}

#[test]
fn steps_that_are_signed_and_strange_never_panic_in_a_ledger() {
    let plan = Arc::new(Plan::new(manifest()));
    let mut inserted = 0;
    feed("steps", &[encode(&step())], 20_000, |bytes| {
        let step: Step = decode(bytes, limits::STEP_BYTES_MAX).ok()?;
        let mut ledger = Ledger::new(plan.clone());
        // Also what `Step::check` would have stopped: a ledger must not rely on it to stay alive.
        let again = encode(&step);
        if ledger.insert(key().sign(network(), step)).is_ok() {
            inserted += 1;
            ledger.verdict();
        }
        Some(again)
    });
    assert!(1000 < inserted, "{inserted} strange steps were taken in");
}

#[test]
fn envelopes_from_strangers_never_panic_and_no_changed_one_is_accepted() {
    let envelope = key().sign(network(), step()).envelope().clone();
    let valid = encode(&envelope);
    feed("envelopes", std::slice::from_ref(&valid), 5_000, |bytes| {
        let envelope: Envelope = decode(bytes, limits::MESSAGE_BYTES_MAX).ok()?;
        let signed = envelope.verify::<Step>(network()).ok()?;
        assert_eq!(bytes, valid, "a changed statement passed as its author's");
        Some(encode(signed.envelope()))
    });
}

#[test]
fn what_nobody_wants_is_left_out_whoever_has_signed_it() {
    let claim = |job| Claim {
        job: JobId::new([job; 32]),
        shard: 0,
        stage: 0,
        batches: vec![0],
        span_ms: 1000,
    };
    let wants_two = |said: Unchecked<'_>| match said {
        Unchecked::Claim(claim) => claim.job == JobId::new([2; 32]),
        Unchecked::Announcement(_) | Unchecked::Step(_) => false,
    };
    let open = |network_of, job| {
        let bytes = Message::Claim(key().sign(network_of, claim(job))).to_bytes();
        Message::open_if(&bytes, network(), wants_two)
    };
    let another = NetworkId::named("another");
    assert_eq!(open(network(), 1), Ok(None));
    assert_eq!(open(another, 1), Ok(None), "it is not looked at any further");
    assert_eq!(open(network(), 2), Ok(Some(Message::Claim(key().sign(network(), claim(2))))));
    assert_eq!(open(another, 2), Err(VerifyError::BadSignature.into()));
}

#[test]
fn a_statement_of_one_kind_is_void_as_another() {
    let claim = Claim { job: manifest().job(), shard: 0, stage: 0, batches: vec![1], span_ms: 1 };
    let envelope = key().sign(network(), claim).envelope().clone();
    assert!(envelope.clone().verify::<Claim>(network()).is_ok());
    assert_eq!(envelope.clone().verify::<Step>(network()), Err(VerifyError::BadSignature));
    assert_eq!(envelope.verify::<Announcement>(network()), Err(VerifyError::BadSignature));
}

#[test]
fn manifests_from_strangers_never_panic_nor_do_the_units_of_those_that_pass() {
    let mut passed = 0;
    feed("manifests", &[manifest().to_bytes()], 30_000, |bytes| {
        let manifest = Manifest::from_bytes(bytes).ok()?;
        let again = manifest.to_bytes();
        let _ = (manifest.unit_count(), manifest.work_ms(), manifest.blobs());
        let _ = Announcement::of(&manifest);
        let plan = Plan::new(manifest);
        for stage in plan.stages() {
            let partition = plan.partition(stage);
            let last = partition.batches() - 1;
            assert_eq!(partition.units_of(last).end, partition.units());
            let _ = plan.units_root(stage, last, Some(Gathered::new(&[Hash::ZERO])));
        }
        passed += 1;
        Some(again)
    });
    assert!(100 < passed, "{passed} mutated manifests passed");
}

#[test]
fn trees_and_packs_from_strangers_never_panic() {
    let entry = |path: &str| Entry {
        path: path.to_owned(),
        blob: BlobRef::of(path.as_bytes()),
        is_tree: false,
    };
    let tree = Tree::new(vec![entry("a/b"), entry("c"), entry("d.txt")]).unwrap();
    feed("trees", &[tree.to_bytes(), Tree::default().to_bytes()], 20_000, |bytes| {
        Tree::from_bytes(bytes).ok().map(|tree| tree.to_bytes())
    });
    let blob = BlobRef::of(b"small");
    let exit = Outcome::Exit(Exit { code: 0, stdout: blob, out: blob });
    let pack = Pack::new(vec![exit, Outcome::OutOfFuel], |_| b"small".to_vec());
    feed("packs", &[pack.to_bytes()], 20_000, |bytes| {
        let pack = Pack::from_bytes(bytes).ok()?;
        let _ = (pack.digests(), pack.outside());
        Some(pack.to_bytes())
    });
}

#[test]
fn bundles_from_strangers_never_panic_and_what_opens_is_signed() {
    let mut ledger = Ledger::new(Arc::new(Plan::new(manifest())));
    ledger.insert(key().sign(network(), step())).unwrap();
    let announcement = key().sign(network(), Announcement::of(&manifest()));
    let valid = Bundle::new(network(), &ledger, Some(&announcement)).to_bytes();
    let mut opened = 0;
    feed("bundles", std::slice::from_ref(&valid), 20_000, |bytes| {
        let bundle = Bundle::from_bytes(bytes).ok()?;
        let again = bundle.to_bytes();
        if bundle.open().is_ok() {
            assert_eq!(bytes, valid, "a changed bundle passed");
            opened += 1;
        }
        Some(again)
    });
    assert!(0 < opened);
}

#[test]
fn texts_from_strangers_never_panic() {
    let mut dice = Dice::new("texts");
    let valid =
        [BlobId::of(b"x").to_string(), key().peer().to_string(), Hash::new([9; 32]).to_string()];
    for case in 0..10_000 {
        let bytes = dice.mutate(valid[case % 3].as_bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(id) = text.parse::<BlobId>() {
            assert_eq!(id.to_string(), text);
        }
        if let Ok(id) = text.parse::<PeerId>() {
            assert_eq!(id.to_string(), text);
        }
        if let Ok(id) = text.parse::<Hash>() {
            assert_eq!(id.to_string(), text);
        }
    }
}
