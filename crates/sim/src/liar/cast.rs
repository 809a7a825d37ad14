//! The cast: which part a liar of each kind plays.

use protocol::{Keypair, NetworkId};

use super::gang::Gang;
use super::part::Part;
use super::{
    abstainer::Abstainer, coalition::Coalition, contester::Contester, copier::Copier, crowd::Crowd,
    equivocator::Equivocator, garbage::Garbage, impostor::Impostor, junk_voter::JunkVoter,
    late_equivocator::LateEquivocator, leaker::Leaker, mutual_auditor::MutualAuditor,
    patient::Patient, replayer::Replayer, sleeper::Sleeper, spammer::Spammer, squatter::Squatter,
    stager::Stager, swarm::Swarm, withholder::Withholder, wrong_outcome::WrongOutcome,
};
use crate::chance::Chance;
use crate::liars::LiarKind;

pub(super) fn cast(
    kind: LiarKind,
    keypair: &Keypair,
    network: NetworkId,
    gang: Gang,
    chance: Chance,
) -> Box<dyn Part> {
    let (me, keypair) = (keypair.peer(), keypair.clone());
    match kind {
        LiarKind::WrongOutcome => Box::new(WrongOutcome::new(chance)),
        LiarKind::Coalition => Box::new(Coalition::new(gang.flavour)),
        LiarKind::Patient => Box::new(Patient::new(gang)),
        LiarKind::Sleeper => Box::new(Sleeper::new(gang)),
        LiarKind::MutualAuditor => Box::new(MutualAuditor::new(network, me, gang)),
        LiarKind::Swarm => Box::new(Swarm::new(chance, network, me, gang)),
        LiarKind::Idlers => Box::new(Crowd::of_idlers(network, me, &gang)),
        LiarKind::Flood => Box::new(Crowd::of_strangers(network, me)),
        LiarKind::Stager => Box::new(Stager::new(Swarm::new(chance, network, me, gang))),
        LiarKind::Spammer => Box::new(Spammer::new(chance, keypair, network)),
        LiarKind::Impostor => Box::new(Impostor::new(chance, keypair, network, &gang)),
        LiarKind::Copier => Box::new(Copier::new(network, me)),
        LiarKind::Leaker => Box::new(Leaker::new(network, me, gang)),
        LiarKind::JunkVoter => Box::new(JunkVoter::new(chance)),
        LiarKind::Contester => Box::new(Contester::new(chance)),
        LiarKind::Equivocator => Box::new(Equivocator::new(chance)),
        LiarKind::LateEquivocator => Box::new(LateEquivocator::new(chance, keypair, network)),
        LiarKind::Squatter => Box::new(Squatter),
        LiarKind::Withholder => Box::new(Withholder::of_words()),
        LiarKind::CertificateWithholder => Box::new(Withholder::of_certificates()),
        LiarKind::LeafWithholder => Box::new(Withholder::of_leaves(gang)),
        LiarKind::OutputWithholder => Box::new(Withholder::of_outputs()),
        LiarKind::Abstainer => Box::new(Abstainer::new(chance)),
        LiarKind::Garbage => Box::new(Garbage::new(chance, keypair, network)),
        LiarKind::Replayer => Box::new(Replayer::new(chance)),
    }
}
