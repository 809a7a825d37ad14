//! Schemes that stop by counting: fixed quorums and lead-k, unit by unit.

use std::collections::BTreeMap;

use super::setting::{
    ASLEEP, Adversary, EXECUTION, FAULT_PERCENT, LATE_PERCENT, LEASE, LOST_PERCENT, Outcome,
    SLIP_ONE_IN, Setting,
};
use super::theory::Stop;
use crate::Chance;

/// A result as it is compared: the truth, the coalition's lie, or a number of its own.
pub(super) type Value = u64;
pub(super) const TRUTH: Value = 0;
pub(super) const LIE: Value = 1;

const MILLION: u64 = 1_000_000;
/// With lazy copiers about, so many of the others are flaky, in percent: their slips get copied.
const FLAKY_PERCENT: u64 = 5;

/// The workers of a scheme without a ledger.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) setting: Setting,
    pub(super) chance: Chance,
    paces: Vec<u64>,
    pub(super) results: Vec<u64>,
    slips: Value,
    /// Units that are done.
    pub(super) done: u64,
}

impl Crowd {
    pub(super) fn new(setting: Setting, label: &str) -> Self {
        let mut chance = setting.chance(label);
        let paces = setting.paces(&mut chance);
        let results = vec![0; setting.size.workers];
        Self { setting, chance, paces, results, slips: LIE, done: 0 }
    }

    pub(super) fn is_liar(&self, who: usize) -> bool {
        who < self.setting.liars()
    }

    /// Somebody who is not asked about this unit yet.
    pub(super) fn draw(&mut self, asked: &[usize]) -> usize {
        loop {
            let who = self.chance.below(self.setting.size.workers as u64) as usize;
            if !asked.contains(&who) {
                return who;
            }
        }
    }

    /// How long an execution takes, unless it is lost; a coalition does not lose what it holds.
    pub(super) fn execute(&mut self, who: usize, is_held: bool) -> Option<u64> {
        let jitter = self.chance.within(90..=110);
        (!self.chance.percent(LOST_PERCENT) || is_held).then_some(self.paces[who] * jitter / 100)
    }

    /// Whether a coalition that holds all of `deciding` lies about this unit.
    pub(super) fn lies_together(&mut self, deciding: &[usize]) -> bool {
        let Some(ppm) = self.setting.adversary.ppm() else { return false };
        let may = |who: &usize| {
            self.is_liar(*who)
                && match self.setting.adversary {
                    Adversary::Sleeper { .. } => ASLEEP <= self.results[*who],
                    Adversary::Late { .. } => {
                        self.setting.size.units * LATE_PERCENT <= self.done * 100
                    }
                    Adversary::Silent { .. }
                    | Adversary::Withholder { .. }
                    | Adversary::Whitewasher { .. } => true,
                    Adversary::Open | Adversary::Faulty | Adversary::Copier => false,
                }
        };
        deciding.iter().all(may) && self.chance.below(MILLION) < ppm
    }

    /// What a worker states; `seen` is what is there already.
    pub(super) fn state(&mut self, who: usize, lies: bool, seen: Option<Value>) -> Value {
        self.results[who] += 1;
        if !self.is_liar(who) {
            let is_flaky = self.setting.adversary == Adversary::Copier
                && (who as u64).is_multiple_of(100 / FLAKY_PERCENT);
            let one_in = if is_flaky { 100 / FAULT_PERCENT } else { SLIP_ONE_IN };
            return if self.chance.below(one_in) == 0 { self.slip() } else { TRUTH };
        }
        match self.setting.adversary {
            Adversary::Open => LIE,
            Adversary::Faulty if self.chance.percent(FAULT_PERCENT) => self.slip(),
            Adversary::Copier => match seen {
                Some(value) => value,
                None => TRUTH,
            },
            Adversary::Silent { .. }
            | Adversary::Sleeper { .. }
            | Adversary::Late { .. }
            | Adversary::Withholder { .. }
            | Adversary::Whitewasher { .. }
                if lies =>
            {
                LIE
            }
            Adversary::Silent { .. }
            | Adversary::Sleeper { .. }
            | Adversary::Late { .. }
            | Adversary::Withholder { .. }
            | Adversary::Whitewasher { .. }
            | Adversary::Faulty => TRUTH,
        }
    }

    fn slip(&mut self) -> Value {
        self.slips += 1;
        self.slips
    }
}

/// What became of one unit.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) value: Value,
    pub(super) executions: u64,
    pub(super) time: u64,
    pub(super) stated: Vec<(usize, Value)>,
}

/// Asks workers about one unit until counting stops.
pub(super) fn count(crowd: &mut Crowd, stop: Stop, first: &[usize]) -> Counted {
    let mut asked: Vec<usize> = first.to_vec();
    while asked.len() < stop.at_once() {
        let who = crowd.draw(&asked);
        asked.push(who);
    }
    let lies = lies(crowd, stop, &asked);
    let mut counted = Counted { value: TRUTH, executions: 0, time: 0, stated: Vec::new() };
    let mut round: Vec<usize> = asked.clone();
    let (mut started, mut votes) = (0, BTreeMap::new());
    loop {
        let mut arrivals: Vec<(u64, usize)> = Vec::new();
        let mut over = started;
        for who in round.drain(..) {
            counted.executions += 1;
            let done = crowd.execute(who, lies && crowd.is_liar(who));
            match done {
                Some(span) => arrivals.push((started + span, who)),
                None => over = over.max(started + LEASE * EXECUTION),
            }
        }
        arrivals.sort_unstable();
        let mut decided = None;
        for (at, who) in arrivals {
            over = over.max(at);
            let seen = counted.stated.first().map(|(_, value)| *value);
            let value = crowd.state(who, lies, seen);
            counted.stated.push((who, value));
            *votes.entry(value).or_insert(0usize) += 1;
            let against =
                votes.iter().filter(|(v, _)| **v != value).map(|(_, n)| *n).max().unwrap_or(0);
            if decided.is_none() && stop.stands(votes[&value], against) {
                decided = Some((at, value));
            }
        }
        if let Some((at, value)) = decided {
            (counted.time, counted.value) = (at, value);
            return counted;
        }
        started = over;
        // As many as would decide if they all agreed with the best so far.
        for _ in 0..missing(stop, &votes) {
            if asked.len() == crowd.setting.size.workers {
                counted.time = started;
                return counted;
            }
            let who = crowd.draw(&asked);
            asked.push(who);
            round.push(who);
        }
    }
}

/// The coalition lies where it holds the deciding set among those who are asked at once.
fn lies(crowd: &mut Crowd, stop: Stop, asked: &[usize]) -> bool {
    let mut liars: Vec<usize> = asked.iter().copied().filter(|who| crowd.is_liar(*who)).collect();
    if liars.len() < stop.deciding() {
        return false;
    }
    liars.truncate(stop.deciding());
    crowd.lies_together(&liars)
}

fn missing(stop: Stop, votes: &BTreeMap<Value, usize>) -> usize {
    let mut counts: Vec<usize> = votes.values().copied().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let (best, second) =
        (counts.first().copied().unwrap_or(0), counts.get(1).copied().unwrap_or(0));
    match stop {
        Stop::First(count) | Stop::Of { majority: count, .. } => count - best,
        Stop::Lead(lead) => second + lead - best,
    }
}

/// Plays one job under a scheme that stops by counting.
pub(super) fn run(stop: Stop, setting: Setting) -> Outcome {
    let mut crowd = Crowd::new(setting, "fixed");
    let mut outcome = Outcome { units: setting.size.units, ..Outcome::default() };
    for _ in 0..setting.size.units {
        let counted = count(&mut crowd, stop, &[]);
        crowd.done += 1;
        outcome.executions += counted.executions;
        outcome.wrong += u64::from(counted.value != TRUTH);
        outcome.first += counted.time;
        outcome.last += counted.time;
    }
    outcome.wrong_first = outcome.wrong;
    outcome
}
