//! What a bundle's steps show of a job, worked out here from nothing but them.

use std::collections::BTreeMap;

use client::api::Assurance;
use protocol::{
    About, BatchVerdict, Hash, JobId, Ledger, NetworkId, Opened, PeerId, Slot, Standing, StepId,
    Tally, UnitVerdict, merkle_root,
};
use serde::Serialize;

use crate::cli::failure::End;

/// The verdict on a job, as people and programs read it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) job: JobId,
    pub(crate) name: String,
    pub(crate) submitter: PeerId,
    pub(crate) network: NetworkId,
    pub(crate) steps: u64,
    /// How sure the least sure outcome is.
    pub(crate) assurance: Assurance,
    /// Whether every unit has an outcome that nobody questions and no seal overrules.
    pub(crate) settled: bool,
    /// Whether independent peers stand behind all of them, too.
    pub(crate) verified: bool,
    pub(crate) cancelled: bool,
    pub(crate) stages: Vec<StageReport>,
    pub(crate) voters: Vec<Voter>,
    pub(crate) convicted: Vec<Convict>,
    pub(crate) equivocators: Vec<Equivocator>,
    /// Peers whose stamp was not worked for; they were not heard.
    pub(crate) unstamped: Vec<PeerId>,
    pub(crate) seals: Seals,
}

#[derive(Debug, Serialize)]
pub(crate) struct StageReport {
    pub(crate) name: String,
    pub(crate) units: u64,
    pub(crate) open: u64,
    pub(crate) self_executed: u64,
    pub(crate) accepted: u64,
    pub(crate) contested: u64,
    pub(crate) finals: u64,
    pub(crate) sealed: u64,
    /// Whether its outcomes are results: no other stage reads them.
    pub(crate) is_result: bool,
    /// Over all its outcomes, once every unit has one.
    pub(crate) root: Option<Hash>,
}

/// A peer that has voted.
#[derive(Debug, Serialize)]
pub(crate) struct Voter {
    pub(crate) peer: PeerId,
    /// Units of the batches that it voted on.
    pub(crate) voted: u64,
    /// Units whose accepted outcome it stands behind.
    pub(crate) joined: u64,
    /// Its votes on single units.
    pub(crate) ballots: u64,
}

/// A peer that stated something wrong, and the evidence.
#[derive(Debug, Serialize)]
pub(crate) struct Convict {
    pub(crate) peer: PeerId,
    /// Whether others stated the very same.
    pub(crate) colluded: bool,
    pub(crate) units: Vec<Lost>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Lost {
    pub(crate) stage: String,
    pub(crate) unit: u64,
    /// The digests of the outcomes.
    pub(crate) stated: Option<Hash>,
    pub(crate) decided: Option<Hash>,
}

/// A peer that contradicts itself, and the steps that show it.
#[derive(Debug, Serialize)]
pub(crate) struct Equivocator {
    pub(crate) peer: PeerId,
    pub(crate) steps: Vec<StepId>,
}

/// What anchors have sealed, in batches, beside what the votes alone would give.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seals {
    pub(crate) agreeing: u64,
    pub(crate) differing: u64,
    /// Sealed, and the votes give nothing: steps are missing here.
    pub(crate) without_votes: u64,
}

impl Report {
    pub(crate) fn new(opened: &Opened) -> Self {
        let Opened { network, ledger, unstamped, .. } = opened;
        let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
        let manifest = plan.manifest();
        let stages: Vec<StageReport> = plan.stages().map(|n| stage(ledger, n)).collect();
        let seals = seals(ledger);
        let all = |is: fn(&BatchVerdict) -> bool| {
            plan.stages().all(|stage| verdict.batches(stage).iter().all(is))
        };
        let as_voted = seals.differing + seals.without_votes == 0;
        Self {
            job: manifest.job(),
            name: manifest.name.clone(),
            submitter: manifest.submitter,
            network: *network,
            steps: ledger.steps().count() as u64,
            assurance: match verdict.weakest(plan) {
                protocol::Assurance::Provisional => Assurance::Provisional,
                protocol::Assurance::Final => Assurance::Final,
                protocol::Assurance::Sealed => Assurance::Sealed,
            },
            settled: all(BatchVerdict::is_settled) && as_voted,
            verified: all(BatchVerdict::is_verified) && as_voted,
            cancelled: ledger.is_cancelled(),
            stages,
            voters: voters(ledger),
            convicted: convicted(ledger),
            equivocators: equivocators(ledger),
            unstamped: unstamped.iter().copied().collect(),
            seals,
        }
    }

    /// The exit code that it amounts to: 0 only where everything is verified.
    pub(crate) fn end(&self) -> End {
        match (self.verified, self.settled) {
            (true, _) => End::Done,
            (false, true) => End::Unverified,
            (false, false) => End::Undecided,
        }
    }
}

fn stage(ledger: &Ledger, number: u16) -> StageReport {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let Tally { units, open, self_executed, accepted, contested, finals, sealed } =
        verdict.tally(plan, number);
    let roots: Option<Vec<Hash>> = verdict.batches(number).iter().map(|of| of.effective).collect();
    StageReport {
        name: plan.stage(number).name.clone(),
        units,
        open,
        self_executed,
        accepted,
        contested,
        finals,
        sealed,
        is_result: !plan.is_read(number),
        root: roots.map(|roots| merkle_root(&roots)),
    }
}

fn voters(ledger: &Ledger) -> Vec<Voter> {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let mut voters: BTreeMap<PeerId, Voter> = BTreeMap::new();
    let new = |peer| Voter { peer, voted: 0, joined: 0, ballots: 0 };
    for (slot, book) in ledger.books() {
        for (peer, _) in book.votes() {
            let voter = voters.entry(peer).or_insert_with(|| new(peer));
            match slot.about {
                About::Batch(batch) => {
                    voter.voted += plan.partition(slot.stage).units_of(batch).count() as u64;
                }
                About::Unit(_) => voter.ballots += 1,
            }
        }
    }
    for number in plan.stages() {
        for (batch, of) in (0..).zip(verdict.batches(number)) {
            let Standing::Quorum { voters: joined, .. } = &of.standing else { continue };
            let units = plan.partition(number).units_of(batch).count() as u64;
            for peer in joined {
                voters.entry(*peer).or_insert_with(|| new(*peer)).joined += units;
            }
        }
    }
    voters.into_values().collect()
}

fn convicted(ledger: &Ledger) -> Vec<Convict> {
    let verdict = ledger.last_verdict();
    let convict = |(peer, conviction): (&PeerId, &protocol::Conviction)| {
        let lost = |(stage, unit): &(u16, u64)| Lost {
            stage: ledger.plan().stage(*stage).name.clone(),
            unit: *unit,
            stated: stated(ledger, *stage, *unit, *peer),
            decided: decided(ledger, *stage, *unit),
        };
        let units = conviction.units.iter().map(lost).collect();
        Convict { peer: *peer, colluded: conviction.colluded, units }
    };
    verdict.convicted.iter().map(convict).collect()
}

fn decided(ledger: &Ledger, stage: u16, unit: u64) -> Option<Hash> {
    let batch = ledger.plan().partition(stage).batch_of(unit);
    let batch = ledger.last_verdict().batch(stage, batch);
    match batch.units.get(&unit) {
        Some(UnitVerdict::Decided(digest) | UnitVerdict::Accepted(digest)) => Some(*digest),
        Some(UnitVerdict::Contested) => None,
        None => leaf(ledger, stage, unit, batch.effective?),
    }
}

/// The digest of a unit under a root of its batch, if that is posted.
fn leaf(ledger: &Ledger, stage: u16, unit: u64, root: Hash) -> Option<Hash> {
    let partition = ledger.plan().partition(stage);
    let batch = partition.batch_of(unit);
    let book = ledger.book(&slot(ledger, stage, About::Batch(batch))?)?;
    let leaves = book.leaves_of(root)?;
    leaves.get((unit - partition.units_of(batch).start) as usize).copied()
}

/// What a peer says that a unit's outcome is: by a ballot, or by the posted leaf under its vote.
fn stated(ledger: &Ledger, stage: u16, unit: u64, peer: PeerId) -> Option<Hash> {
    let ballot = slot(ledger, stage, About::Unit(unit)).and_then(|slot| {
        let root = ledger.book(&slot)?.vote_of(peer)?.root;
        Some(root)
    });
    ballot.or_else(|| {
        let batch = ledger.plan().partition(stage).batch_of(unit);
        let book = ledger.book(&slot(ledger, stage, About::Batch(batch))?)?;
        leaf(ledger, stage, unit, book.vote_of(peer)?.root)
    })
}

/// The slot of a batch or unit under the last verdict.
pub(crate) fn slot(ledger: &Ledger, stage: u16, about: About) -> Option<Slot> {
    ledger.slot(stage, about)
}

fn equivocators(ledger: &Ledger) -> Vec<Equivocator> {
    let forked = |peer: &PeerId| Equivocator {
        peer: *peer,
        steps: ledger.fork_of(*peer).map(protocol::Signed::id).collect(),
    };
    ledger.last_verdict().equivocators.iter().map(forked).collect()
}

fn seals(ledger: &Ledger) -> Seals {
    let (plan, verdict) = (ledger.plan(), ledger.last_verdict());
    let mut seals = Seals::default();
    let is_sealed = |stage: u16| verdict.batches(stage).iter().any(|of| of.is_sealed);
    if !plan.stages().any(is_sealed) {
        return seals;
    }
    let alone = ledger.without_seals();
    for stage in plan.stages() {
        let pairs = verdict.batches(stage).iter().zip(alone.last_verdict().batches(stage));
        for (sealed, voted) in pairs.filter(|(of, _)| of.is_sealed) {
            match voted.effective {
                Some(root) if Some(root) == sealed.effective => seals.agreeing += 1,
                Some(_) => seals.differing += 1,
                None => seals.without_votes += 1,
            }
        }
    }
    seals
}
