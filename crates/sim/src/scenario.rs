//! Scenarios: stories in TOML, told alike to simulated worlds and to networks of real processes.

use serde::{Deserialize, Serialize};

use crate::liars::{LiarKind, Liars};

/// One story: who is there, what they compute, what goes wrong, and who lies.
///
/// Every number is an integer; times are in milliseconds of the world's clock from its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Scenario {
    pub name: String,
    /// Nodes, liars included; node 0 is the first submitter and always honest.
    pub nodes: usize,
    /// Units that each node runs at the same time.
    pub cores: usize,
    /// How much nodes' speeds differ: the spread of log2 of the time a unit takes, in percent.
    pub speed_spread: u64,
    /// How long the faults go on; afterwards the network heals and every job must finish.
    pub chaos_ms: u64,
    /// Whether messages travel as bytes and are opened with all their signatures checked.
    pub wire_bytes: bool,
    pub network: Network,
    pub disk: Disk,
    pub faults: Faults,
    pub jobs: Vec<Job>,
    pub liars: Vec<Liars>,
    pub events: Vec<Planned>,
}

/// What links do to messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Network {
    pub delay_min_ms: u64,
    pub delay_mean_ms: u64,
    /// Share of messages that take up to five seconds longer, in percent; faults phase only.
    pub tail: u64,
    /// Share of gossip that is lost, in percent; faults phase only.
    pub loss: u64,
    /// Share of direct messages that is lost, in percent; faults phase only.
    pub direct_loss: u64,
    /// Share of messages delivered twice, in percent; faults phase only.
    pub duplicates: u64,
}

/// How long a node's disk takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Disk {
    /// A record that is waited for is durable within this time, in microseconds.
    pub sync_max_us: u64,
    /// Other records are durable within this time.
    pub commit_max_ms: u64,
}

/// What goes wrong by chance while the faults phase lasts; 0 turns a fault off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Faults {
    /// Crashes in all, spread over the nodes.
    pub crashes: u64,
    /// The mean time until a crashed node is back.
    pub down_ms: u64,
    /// Partitions in all, one after another.
    pub partitions: u64,
    /// The mean time until a partition heals.
    pub partition_ms: u64,
    /// Pauses in all: a node stands still, and goes on as if nothing had happened.
    pub pauses: u64,
    pub pause_ms: u64,
    /// Steps of a node's wall clock in all.
    pub clock_steps: u64,
    pub clock_step_max_ms: u64,
    /// Share of runs of a unit that give no outcome, for reasons of the machine, in percent.
    pub run_loss: u64,
    /// Partitions that come and go several times within seconds, in all.
    pub flaps: u64,
    /// One-way partitions in all: some nodes hear the others and are not heard.
    pub mutes: u64,
    pub mute_ms: u64,
    /// Nodes that become ten times as slow, in all.
    pub slow: u64,
    /// Nodes, after the submitters and before the liars, that become slow and then die for good.
    pub dying: u64,
}

/// A job: units that sleep and then say something that follows from their identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Job {
    pub submitter: usize,
    pub at_ms: u64,
    pub source: SourceKind,
    pub units: u64,
    pub batch: u32,
    /// What an average node takes for one unit.
    pub unit_ms: u64,
    /// Further stages, each reading the one before.
    pub then: Vec<Then>,
    pub quorum: u8,
    pub lead: u8,
    pub audit_ppm: u32,
    /// The eligibility level at which peers start.
    pub level: u8,
    /// Bits of the stamp that identities need; every node has one, puppets have none.
    pub stamp_bits: u8,
    /// Anchors beside the submitter.
    pub co_anchors: Vec<usize>,
    /// Units of the first stage that never end anywhere.
    pub looping: Vec<u64>,
    /// Units of the first stage that end with exit code 1 everywhere.
    pub failing: Vec<u64>,
    /// Whether the submitter leaves for good as soon as its node says that it may.
    pub submitter_leaves: bool,
}

/// How the units of a job's first stage arise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    Range,
    Grid,
    Parts,
}

/// How a further stage reads the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// One unit reads everything.
    Gather,
    /// Every unit reads a few outcomes.
    Tree,
    /// Every unit reads one outcome.
    Each,
    /// Every unit reads files by their names.
    ByName,
    /// The units of the first stage again, each of which reads everything, too.
    Beside,
}

/// Something that happens at a given time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Planned {
    pub at_ms: u64,
    pub what: What,
    /// The nodes that it happens to; for a partition one side of it.
    #[serde(default)]
    pub nodes: Vec<usize>,
    /// The job's place in the list, where a job is meant.
    #[serde(default)]
    pub job: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Crash,
    Restart,
    /// A crash without return.
    Leave,
    Partition,
    Heal,
    /// The owner asks for the job by its id.
    Open,
    /// The submitter cancels the job.
    Cancel,
    WorkOff,
    WorkOn,
}

/// Why a scenario is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    #[error("{0}")]
    Senseless(String),
}

impl Scenario {
    /// Reads a scenario; unknown keys are refused.
    ///
    /// # Errors
    /// [`ScenarioError`] says where the text is wrong, or which number makes no sense.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The text that [`Scenario::parse`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario has only tables, lists, numbers and names")
    }

    pub fn liar_count(&self) -> usize {
        self.liars.iter().map(|liars| liars.count).sum()
    }

    /// What node `index` is, if it lies.
    pub fn liar(&self, index: usize) -> Option<LiarKind> {
        self.liars_of(index).map(|liars| liars.kind)
    }

    /// The liars that node `index` is one of.
    pub(crate) fn liars_of(&self, index: usize) -> Option<&Liars> {
        let mut from_the_end = self.nodes - 1 - index;
        for liars in &self.liars {
            if from_the_end < liars.count {
                return Some(liars);
            }
            from_the_end -= liars.count;
        }
        None
    }

    /// How many identities lie together.
    pub fn colluders(&self) -> usize {
        self.liars.iter().map(Liars::colluders).sum()
    }

    /// How many identities there may be that state one and the same wrong thing.
    pub(crate) fn voices(&self) -> usize {
        self.colluders().max(usize::from(!self.liars.is_empty()))
    }

    /// Whether a job is staged by a liar: nothing is promised of it.
    pub(crate) fn is_staged(&self, job: usize) -> bool {
        self.liar(self.jobs[job].submitter).is_some()
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let refuse = |why: &str| Err(ScenarioError::Senseless(why.to_owned()));
        if self.nodes == 0 || 1000 < self.nodes || self.cores == 0 {
            return refuse("`nodes` is 1 to 1000 and `cores` at least 1");
        }
        if self.nodes <= self.liar_count() {
            return refuse("there are more liars than nodes, and node 0 is honest");
        }
        if self
            .jobs
            .iter()
            .any(|job| self.nodes <= job.submitter || job.units == 0 || job.batch == 0)
        {
            return refuse("a job has a submitter among the nodes, units, and a batch size");
        }
        let is_stager = |job: &Job| match self.liar(job.submitter) {
            None | Some(LiarKind::Stager) => true,
            Some(_) => false,
        };
        if !self.jobs.iter().all(is_stager) || self.liar(0).is_some() {
            return refuse("submitters are honest, or stagers; node 0 is honest");
        }
        let anchors = || self.jobs.iter().flat_map(|job| &job.co_anchors);
        if anchors().any(|anchor| self.nodes <= *anchor || self.liar(*anchor).is_some()) {
            return refuse("anchors are honest nodes");
        }
        if self.events.iter().any(|e| e.nodes.iter().any(|node| self.nodes <= *node)) {
            return refuse("an event names a node that does not exist");
        }
        Ok(())
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            nodes: 5,
            cores: 2,
            speed_spread: 50,
            chaos_ms: 30_000,
            wire_bytes: false,
            network: Network::default(),
            disk: Disk::default(),
            faults: Faults::default(),
            jobs: vec![Job::default()],
            liars: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self { delay_min_ms: 1, delay_mean_ms: 30, tail: 0, loss: 0, direct_loss: 0, duplicates: 0 }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self { sync_max_us: 10_000, commit_max_ms: 1000 }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            crashes: 0,
            down_ms: 10_000,
            partitions: 0,
            partition_ms: 20_000,
            pauses: 0,
            pause_ms: 5000,
            clock_steps: 0,
            clock_step_max_ms: 600_000,
            run_loss: 0,
            flaps: 0,
            mutes: 0,
            mute_ms: 10_000,
            slow: 0,
            dying: 0,
        }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self {
            submitter: 0,
            at_ms: 1000,
            source: SourceKind::Range,
            units: 20,
            batch: 4,
            unit_ms: 200,
            then: Vec::new(),
            quorum: 2,
            lead: 6,
            audit_ppm: 100_000,
            level: 0,
            stamp_bits: 0,
            co_anchors: Vec::new(),
            looping: Vec::new(),
            failing: Vec::new(),
            submitter_leaves: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_survives_its_text_and_unknown_keys_are_refused() {
        let scenario = Scenario {
            liars: vec![Liars::of(LiarKind::Coalition, 2)],
            events: vec![Planned { at_ms: 5, what: What::Leave, nodes: vec![0], job: 0 }],
            ..Scenario::default()
        };
        assert_eq!(Scenario::parse(&scenario.to_toml()).unwrap(), scenario);
        assert!(Scenario::parse("nodes = 3\nspeling = 1").is_err());
        assert!(Scenario::parse("nodes = 1\n[[liars]]\ncount = 1\nkind = \"copier\"").is_err());
    }

    #[test]
    fn liars_take_the_highest_numbers() {
        let scenario = Scenario {
            nodes: 5,
            liars: vec![Liars::of(LiarKind::Coalition, 2), Liars::of(LiarKind::Copier, 1)],
            ..Scenario::default()
        };
        let kinds: Vec<_> = (0..5).map(|n| scenario.liar(n)).collect();
        let (coalition, copier) = (Some(LiarKind::Coalition), Some(LiarKind::Copier));
        assert_eq!(kinds, [None, None, copier, coalition, coalition]);
        assert_eq!(scenario.colluders(), 2);
    }
}
