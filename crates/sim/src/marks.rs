//! The marks of coverage: rare branches that many drawn worlds together must have gone through, or the
//! rehearsal has not tested what it seems to test.

/// What must have been seen at least once in [`SEEDS_ENOUGH`] drawn worlds.
pub const WANTED: [&str; 34] = [
    "forks seen",
    "logs full of authors",
    "steps too far ahead",
    "contests by rival roots",
    "contests by ballots",
    "contests decided by an anchor",
    "contests decided by lead",
    "contests decided by silence",
    "shared convictions",
    "lone convictions",
    "honest peers framed in a staged job",
    "batches re-opened",
    "leaves wanted",
    "fallen roots that stand again",
    "units accepted by ballots alone",
    "audits",
    "audits confirmed",
    "finals",
    "seals",
    "seals that hold what votes no longer carry",
    "levels relaxed",
    "keepers replaced",
    "poison",
    "self-executed",
    "cancellations",
    "failed jobs",
    "departures",
    "crashes that lost writes",
    "one-way partitions",
    "wrong acceptances above the bound",
    "wrong outcomes that were decided away",
    "gossip rejected",
    "jobs announced falsely",
    "jobs first heard of falsely",
];

/// Drawn worlds after which every mark must have been seen: as many as every change is rehearsed in.
pub const SEEDS_ENOUGH: u64 = 2000;
