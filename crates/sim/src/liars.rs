//! Liars as scenarios name them: how many of which kind.

use serde::{Deserialize, Serialize};

/// Liars of one kind; they take the highest node numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Liars {
    pub count: usize,
    pub kind: LiarKind,
    /// Of what a gang could lie about, the share that it does, in percent.
    #[serde(default = "always")]
    pub rate: u64,
    /// Units that a sleeper executes honestly.
    #[serde(default)]
    pub after: u64,
    /// Identities that each one speaks for beside its own, in kinds that have some.
    #[serde(default)]
    pub identities: usize,
}

fn always() -> u64 {
    100
}

/// What a liar does; each has a page of its own under `liar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiarKind {
    /// States made-up outcomes, each liar its own.
    WrongOutcome,
    /// All of this kind state the same made-up outcomes with the same traces.
    Coalition,
    /// A coalition that lies only about batches whose whole deciding set it holds.
    Patient,
    /// Honest for some units, and then one of a coalition.
    Sleeper,
    /// One of a coalition that also audits its own lies and confirms those audits.
    MutualAuditor,
    /// One node that signs for many identities, which lie, copy, certify and audit each other.
    Swarm,
    /// One node that signs for many identities, which cast one junk vote each.
    Idlers,
    /// One node that signs for more identities than a job has room for.
    Flood,
    /// A submitter that frames who works for it; its jobs are promised nothing.
    Stager,
    /// Floods jobs with steps and claims that are valid and useless.
    Spammer,
    /// Announces others' jobs as its own, with false numbers, under several names.
    Impostor,
    /// States right outcomes that it has not computed, and repeats others' proofs.
    Copier,
    /// Publishes proofs in the names of peers that have not voted, for copiers to use.
    Leaker,
    /// Votes for nonsense, on batches and on single units.
    JunkVoter,
    /// States made-up outcomes and stands by them with ballots.
    Contester,
    /// Signs two different steps with one number.
    Equivocator,
    /// Contradicts itself once the job is over.
    LateEquivocator,
    /// Claims and never runs.
    Squatter,
    /// Never posts certificates or leaves.
    Withholder,
    CertificateWithholder,
    /// One of a coalition that never posts leaves.
    LeafWithholder,
    /// Gives nobody the outputs that it has voted for.
    OutputWithholder,
    /// Says of half the units that they gave no outcome.
    Abstainer,
    /// Says things that no honest peer says: slots that do not exist, absurd heads and claims.
    Garbage,
    /// Repeats old messages of others.
    Replayer,
}

impl LiarKind {
    /// Every kind there is.
    pub const ALL: [Self; 25] = [
        Self::WrongOutcome,
        Self::Coalition,
        Self::Patient,
        Self::Sleeper,
        Self::MutualAuditor,
        Self::Swarm,
        Self::Idlers,
        Self::Flood,
        Self::Stager,
        Self::Spammer,
        Self::Impostor,
        Self::Copier,
        Self::Leaker,
        Self::JunkVoter,
        Self::Contester,
        Self::Equivocator,
        Self::LateEquivocator,
        Self::Squatter,
        Self::Withholder,
        Self::CertificateWithholder,
        Self::LeafWithholder,
        Self::OutputWithholder,
        Self::Abstainer,
        Self::Garbage,
        Self::Replayer,
    ];

    /// Whether it signs for others that take part in jobs.
    pub(crate) fn has_puppets(self) -> bool {
        [Self::Swarm, Self::Idlers, Self::Stager].contains(&self)
    }

    /// Whether it never states an outcome that it has not computed.
    pub(crate) fn computes_rightly(self) -> bool {
        let kinds = [
            Self::Withholder,
            Self::CertificateWithholder,
            Self::OutputWithholder,
            Self::Squatter,
            Self::Abstainer,
        ];
        kinds.contains(&self)
    }

    /// Whether all of this kind say the same wrong things.
    pub fn colludes(self) -> bool {
        match self {
            Self::Coalition
            | Self::Patient
            | Self::Sleeper
            | Self::MutualAuditor
            | Self::Swarm
            | Self::LeafWithholder => true,
            Self::WrongOutcome
            | Self::Idlers
            | Self::Flood
            | Self::Stager
            | Self::Spammer
            | Self::Impostor
            | Self::Copier
            | Self::Leaker
            | Self::JunkVoter
            | Self::Contester
            | Self::Equivocator
            | Self::LateEquivocator
            | Self::Squatter
            | Self::Withholder
            | Self::CertificateWithholder
            | Self::OutputWithholder
            | Self::Abstainer
            | Self::Garbage
            | Self::Replayer => false,
        }
    }
}

impl Liars {
    /// So many of this kind, as they come.
    pub fn of(kind: LiarKind, count: usize) -> Self {
        let identities = if kind.has_puppets() || kind == LiarKind::Impostor { 4 } else { 0 };
        Self { count, kind, rate: always(), after: 0, identities }
    }

    /// Identities of theirs that take part in jobs beside their own.
    pub(crate) fn puppets(&self) -> usize {
        if self.kind.has_puppets() { self.count * self.identities } else { 0 }
    }

    /// Identities that say the same wrong things.
    pub(crate) fn colluders(&self) -> usize {
        let together = if self.kind.colludes() { self.count } else { 0 };
        // A swarm's own node works honestly.
        if self.kind == LiarKind::Swarm { self.count * self.identities.max(2) } else { together }
    }
}
