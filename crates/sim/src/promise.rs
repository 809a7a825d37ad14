//! The promises by name, and how a broken one is told. Each is looked after by one function, in `inspect`,
//! `finish`, `trust`, `votes`, `rules`, `recount` and `watch`.

use std::fmt;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    NoWrongResult,
    NoWrongFinal,
    NoWrongSeal,
    FinalIsEarned,
    SealsStay,
    VotesAreRight,
    AnchorsAreOfOneMind,
    SameState,
    Finishes,
    Delivered,
    AuditsHappen,
    ConvictionsStay,
    BoundedMemory,
    NoCopierJoined,
    FewContests,
    PathsAnswer,
    ConvictedTogether,
    SilenceCounts,
    OneUnitFirst,
    ForkVoidsLittle,
    DecisionsHold,
    HonestPrevail,
    CoinsDiffer,
    NothingRedone,
    NoHonestConvicted,
    NoHonestBlamed,
    NoEquivocation,
    RecordedFirst,
    NoPanic,
    AddsUp,
    Readable,
    Judged,
    WithinCores,
    Calm,
    Deterministic,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub what: String,
    pub at_ms: u64,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWrongResult => "no wrong result is accepted below the bound",
            Self::NoWrongFinal => "nothing wrong becomes final below the bound",
            Self::NoWrongSeal => "nothing wrong is sealed below the bound",
            Self::FinalIsEarned => "nothing is final before enough others have audited it",
            Self::SealsStay => "sealed outcomes never change",
            Self::VotesAreRight => "an honest vote is what executing gives",
            Self::AnchorsAreOfOneMind => {
                "an anchor seals nothing that it has found to be otherwise"
            }
            Self::SameState => "same statements, same state",
            Self::Finishes => {
                "every job finishes once the faults stop, sealed if its submitter is there"
            }
            Self::Delivered => "results are delivered while one keeper is left",
            Self::AuditsHappen => "audits happen where the policy wants them",
            Self::ConvictionsStay => "a conviction has no effect outside its job",
            Self::BoundedMemory => "nobody makes a node keep more than its bounds",
            Self::NoCopierJoined => "who has not executed is joined with nobody",
            Self::FewContests => "nobody alone puts more in question than it may",
            Self::PathsAnswer => "a ballot with a path contests nothing",
            Self::ConvictedTogether => "who state one wrong thing are convicted together",
            Self::SilenceCounts => {
                "a contest waits for whoever has a say and is silent, and for nobody else"
            }
            Self::OneUnitFirst => "rival roots are told apart by one unit each",
            Self::ForkVoidsLittle => "a fork voids no vote before it",
            Self::DecisionsHold => "what is decided takes effect",
            Self::HonestPrevail => "in the end the honest prevail where they are the majority",
            Self::CoinsDiffer => "nobody can foresee what others audit",
            Self::NothingRedone => "nothing completed is executed again",
            Self::NoHonestConvicted => "no honest peer is convicted",
            Self::NoHonestBlamed => "no honest peer's gossip is rejected",
            Self::NoEquivocation => "honest nodes never equivocate",
            Self::RecordedFirst => "recorded before sent",
            Self::NoPanic => "no panic",
            Self::AddsUp => "progress adds up",
            Self::Readable => "what honest nodes say can be read",
            Self::Judged => "every gossip message is judged once",
            Self::WithinCores => "no more runs at a time than the owner has lent cores",
            Self::Calm => "no node runs in circles",
            Self::Deterministic => "the same seed gives the same trace",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, what, at_ms } = self;
        write!(f, "`{promise}` is broken after {}.{:03} s: {what}", at_ms / 1000, at_ms % 1000)
    }
}
