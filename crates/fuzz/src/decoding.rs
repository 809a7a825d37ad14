//! Decoders: bytes from strangers are refused, or they are the one encoding of what was read.

use std::sync::Arc;

use protocol::limits::{
    ANNOUNCEMENT_BYTES_MAX, BLOB_BYTES_MAX, CLAIM_BYTES_MAX, MESSAGE_BYTES_MAX, PATH_BYTES_MAX,
    STEP_BYTES_MAX, STEPS_SENT_MAX,
};
use protocol::{
    Announcement, BlobId, Bundle, Claim, Envelope, Gathered, Hash, Heads, JobId, Ledger, Manifest,
    Message, NetworkId, Outcome, Pack, PeerId, Plan, Signed, SignedBody, Stamp, Step, Subtrees,
    Tree, Unit, UnitId, chunk_count, chunk_len, encode, job_stamp_bits,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::choices::Choices;
use crate::setup::{CREATED_MS, Setup, key, network};

/// The first byte chooses the decoder, the others are what it reads.
pub fn decode(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = choices.below(15);
    let bytes = choices.rest();
    match kind {
        0 => manifest(bytes),
        1 => step(bytes),
        2 => envelope(bytes),
        3 => announcement(bytes),
        4 => claim(bytes),
        5 => message(bytes),
        6 => tree(bytes),
        7 => pack(bytes),
        8 => unit(bytes),
        9 => heads(bytes),
        10 => texts(bytes),
        11 => subtrees(bytes),
        12 => drop(read::<Outcome>(bytes, bytes.len()).map(|outcome| outcome.digest())),
        13 => stamp(bytes),
        _ => bundles(bytes),
    }
}

/// Reads a value; if it is one, its encoding must be these very bytes.
fn read<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Option<T> {
    let value: T = protocol::decode(bytes, max).ok()?;
    assert!(encode(&value) == bytes, "accepted, and not canonical");
    assert!(bytes.len() <= max, "longer than allowed");
    Some(value)
}

/// A body as its author would sign it; it must come through the door as it was.
fn signed<T>(bytes: &[u8], value: T) -> Signed<T>
where
    T: SignedBody + Clone + PartialEq + std::fmt::Debug,
{
    let signed = key(0).sign(network(), value);
    let again = signed.envelope().clone().verify::<T>(network());
    assert_eq!(again.as_ref(), Ok(&signed), "a signed statement is not read as it was signed");
    assert_eq!(signed.envelope().body_len(), bytes.len());
    signed
}

/// What an honest peer says can be read by all.
fn speak(message: &Message) {
    let bytes = message.to_bytes();
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "a message of {} bytes", bytes.len());
    assert_eq!(Message::open(&bytes, network()).as_ref(), Ok(message));
}

fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::from_bytes(bytes) else { return };
    assert!(manifest.to_bytes() == bytes, "accepted, and not canonical");
    assert_eq!(manifest.job().blob(), BlobId::of(bytes));
    let _ = (manifest.unit_count(), manifest.work_ms(), manifest.blobs());
    speak(&Message::Announce(key(0).sign(network(), Announcement::of(&manifest))));
    let plan = Plan::new(manifest);
    for stage in plan.stages() {
        let partition = plan.partition(stage);
        let last = partition.batches() - 1;
        assert_eq!(partition.units_of(last).end, partition.units());
        assert_eq!(partition.batch_of(partition.units() - 1), last);
        let _ = plan.unit_hash(stage, 0, Some(Gathered::new(&[Hash::ZERO])));
        let _ = plan.unit_hash(stage, partition.units() - 1, None);
    }
}

fn a_plan() -> Plan {
    Plan::new(Setup::read(&mut Choices::new(&[2, 10]), 0).manifest)
}

fn step(bytes: &[u8]) {
    let Some(mut step) = read::<Step>(bytes, STEP_BYTES_MAX) else { return };
    let plan = a_plan();
    let is_formed = step.check().is_ok();
    let statement = signed(bytes, step.clone());
    let opened = Message::open(&Message::Steps(vec![statement]).to_bytes(), network());
    assert_eq!(
        opened.is_ok(),
        is_formed,
        "a message lets in what the form forbids, or the reverse"
    );
    step.job = plan.manifest().job();
    // Also what the door would have stopped: a ledger must not rely on that to stay alive.
    let mut ledger = Ledger::new(Arc::new(plan));
    let statement = key(0).sign(network(), step);
    if ledger.insert(statement.clone()).is_ok() {
        let before = ledger.verdict().clone();
        assert!(ledger.insert(statement).is_ok());
        assert_eq!(*ledger.verdict(), before, "the same step again changed the verdict");
        assert!(ledger.compare(&ledger.heads(true)) == (vec![], false));
    }
}

fn envelope(bytes: &[u8]) {
    let Some(envelope) = read::<Envelope>(bytes, MESSAGE_BYTES_MAX) else { return };
    let _ = envelope.id();
    if let Ok(step) = envelope.clone().verify::<Step>(vectors()) {
        assert!(envelope.verify::<Claim>(vectors()).is_err(), "{step:?} is signed as two things");
    }
}

/// The network of the golden vectors, whose signed statements are seeds of the corpus.
fn vectors() -> NetworkId {
    NetworkId::named("golden")
}

fn announcement(bytes: &[u8]) {
    let Some(announcement) = read::<Announcement>(bytes, ANNOUNCEMENT_BYTES_MAX) else { return };
    let _ = (announcement.manifest(), job_stamp_bits(announcement.work_ms, u8::MAX));
    speak(&Message::Announce(signed(bytes, announcement)));
}

fn claim(bytes: &[u8]) {
    let Some(claim) = read::<Claim>(bytes, CLAIM_BYTES_MAX) else { return };
    let _ = claim.is_well_formed();
    speak(&Message::Claim(signed(bytes, claim)));
}

fn message(bytes: &[u8]) {
    if let Ok(message) = Message::open(bytes, vectors()) {
        assert!(message.to_bytes() == bytes, "accepted, and not canonical");
    }
}

fn tree(bytes: &[u8]) {
    let Ok(tree) = Tree::from_bytes(bytes) else { return };
    assert!(tree.to_bytes() == bytes, "accepted, and not canonical");
    for entry in tree.entries() {
        let bad = |part: &str| matches!(part, "" | "." | "..");
        assert!(!entry.path.split('/').any(bad), "{:?} leaves its folder", entry.path);
        assert!(entry.path.len() <= PATH_BYTES_MAX && !entry.path.contains('\\'));
    }
    assert_eq!(Tree::new(tree.entries().to_vec()).as_ref(), Ok(&tree), "not sorted");
}

fn pack(bytes: &[u8]) {
    let Ok(pack) = Pack::from_bytes(bytes) else { return };
    assert!(pack.to_bytes() == bytes, "accepted, and not canonical");
    assert_eq!(pack.digests().len(), pack.outcomes().len());
    assert!(pack.outside().iter().all(|blob| pack.inline(blob.id).is_none()));
    let inline = |id| pack.inline(id).unwrap_or_default().to_vec();
    assert_eq!(Pack::new(pack.outcomes().to_vec(), inline), pack, "packed otherwise");
}

fn unit(bytes: &[u8]) {
    let Some(unit) = read::<Unit>(bytes, bytes.len()) else { return };
    let (id, seeded) = (unit.id(), unit.clone().seeded());
    assert_eq!(seeded.clone().seeded(), seeded, "a seed hangs on the seed");
    assert_eq!(seeded == unit, seeded.id() == id, "two units of one name");
}

fn heads(bytes: &[u8]) {
    let Some(heads) = read::<Heads>(bytes, MESSAGE_BYTES_MAX) else { return };
    let ledger = Ledger::new(Arc::new(a_plan()));
    let (missing, _) = ledger.compare(&heads);
    assert!(missing.len() <= STEPS_SENT_MAX && missing.is_empty());
}

fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let same = |shown: String| assert_eq!(shown, text, "a name has two spellings");
    let _ = text.parse().map(|id: BlobId| same(id.to_string()));
    let _ = text.parse().map(|id: JobId| same(id.to_string()));
    let _ = text.parse().map(|id: PeerId| same(id.to_string()));
    let _ = text.parse().map(|id: Hash| same(id.to_string()));
    let _ = text.parse().map(|id: UnitId| same(id.to_string()));
}

/// Sizes and chaining values as a stranger states them.
fn subtrees(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (size, right) = (choices.number() >> choices.below(64), choices.flag());
    let count = chunk_count(size);
    let behind = if size <= BLOB_BYTES_MAX { chunk_len(size, count) } else { 0 };
    assert_eq!(behind, 0, "a piece behind the last one");
    assert!(size == 0 || chunk_len(size, count - 1) != 0, "an empty last piece");
    let piece = choices.rest();
    let values: Vec<Hash> =
        piece.chunks(32).map(|chunk| Hash::new(*BlobId::of(chunk).as_bytes())).collect();
    let named = right && 2 <= values.len();
    let blob = if named { Subtrees::name(&values) } else { BlobId::of(piece) };
    if let Some(trees) = Subtrees::check(blob, size, values) {
        for index in [0, 1, count - 1, count, u64::MAX] {
            let held = trees.holds(index, piece);
            assert!(!held || index < count, "a piece behind the last one was accepted");
        }
    }
}

fn stamp(bytes: &[u8]) {
    let Some(stamp) = read::<Stamp>(bytes, bytes.len()) else { return };
    let _ = (stamp.is_enough(1, CREATED_MS), stamp.is_enough(0, u64::MAX));
}

/// A file of proof bundles. Whatever one shows is bundled again as the same.
fn bundles(bytes: &[u8]) {
    let Ok(all) = Bundle::read_all(bytes) else { return };
    let again: Vec<u8> = all.iter().flat_map(Bundle::to_bytes).collect();
    assert!(again == bytes, "accepted, and not canonical");
    for bundle in all {
        let job = bundle.job();
        if let Ok(opened) = bundle.open() {
            assert_eq!(opened.ledger.plan().manifest().job(), job);
            let again = Bundle::new(opened.network, &opened.ledger, opened.announcement.as_ref());
            let reopened = again.open().expect("what was opened can be bundled and opened");
            assert_eq!(reopened.ledger.last_verdict(), opened.ledger.last_verdict());
        }
    }
}
