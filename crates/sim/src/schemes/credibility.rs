//! Sarmenta's credibility: workers earn it in spot-checks, and who is caught loses all its results.
//!
//! Checks are perfect and nobody can recognise them, as he assumes.

use std::collections::{BTreeMap, VecDeque};

use super::fixed::{Crowd, TRUTH, Value};
use super::setting::{EXECUTION, Outcome, Setting};

/// Spot-checks, in percent of units.
const CHECK_PERCENT: u64 = 10;
/// The share of bad workers that is assumed.
const ASSUMED: f64 = 0.2;

#[derive(Debug)]
struct Play {
    crowd: Crowd,
    checks: Vec<u64>,
    is_caught: Vec<bool>,
    stated: Vec<Vec<(usize, Value)>>,
    /// Which units a worker has stated something about.
    of: Vec<Vec<usize>>,
    wrong: f64,
    outcome: Outcome,
}

/// Plays one job with a target of wrong results.
pub(super) fn run(target: f64, setting: Setting) -> Outcome {
    let units = setting.size.units as usize;
    let mut play = Play {
        crowd: Crowd::new(setting, "credibility"),
        checks: vec![0; setting.size.workers],
        is_caught: vec![false; setting.size.workers],
        stated: vec![Vec::new(); units],
        of: vec![Vec::new(); setting.size.workers],
        wrong: target,
        outcome: Outcome { units: setting.size.units, ..Outcome::default() },
    };
    let mut open: VecDeque<usize> = (0..units).collect();
    let mut times: Vec<(u64, u64, u64)> = vec![(0, 0, 0); units];
    let mut is_first = vec![true; units];
    while let Some(unit) = open.pop_front() {
        let begin = play.now();
        let span = play.settle(unit);
        if std::mem::take(&mut is_first[unit]) {
            times[unit] = (begin, begin + span, begin + span);
            play.crowd.done += 1;
            let value = play.accepted(unit).unwrap_or(TRUTH);
            play.outcome.wrong_first += u64::from(value != TRUTH);
        } else {
            times[unit].2 = play.now() + span;
        }
        if play.crowd.chance.percent(CHECK_PERCENT) {
            for reopened in play.check() {
                if !is_first[reopened] && play.accepted(reopened).is_none() {
                    open.push_back(reopened);
                }
            }
        }
    }
    for unit in 0..units {
        let value = play.accepted(unit);
        play.outcome.open += u64::from(value.is_none());
        play.outcome.wrong += u64::from(value.is_some_and(|value| value != TRUTH));
    }
    play.outcome.first = times.iter().map(|(begin, first, _)| first - begin).sum();
    play.outcome.last = times.iter().map(|(begin, _, last)| last - begin).sum();
    play.outcome
}

impl Play {
    /// The clock of a crowd that is never idle.
    fn now(&self) -> u64 {
        self.outcome.executions * EXECUTION / self.crowd.setting.size.workers as u64
    }

    /// The chance that a worker's result is bad, after the checks it has survived.
    fn doubt(&self, who: usize) -> f64 {
        match self.checks[who] {
            0 => ASSUMED,
            n => (ASSUMED / (1.0 - ASSUMED) / (n as f64 * std::f64::consts::E)).min(ASSUMED),
        }
    }

    /// The result that is credible enough.
    fn accepted(&self, unit: usize) -> Option<Value> {
        let mut odds: BTreeMap<Value, f64> = BTreeMap::new();
        for (who, value) in &self.stated[unit] {
            let doubt = self.doubt(*who);
            *odds.entry(*value).or_insert(1.0) *= (1.0 - doubt) / doubt;
        }
        let all = 1.0 + odds.values().sum::<f64>();
        odds.into_iter().find(|(_, odds)| 1.0 - self.wrong <= odds / all).map(|(value, _)| value)
    }

    /// Asks workers one after the other until a result is credible; returns how long that took.
    fn settle(&mut self, unit: usize) -> u64 {
        let mut time = 0;
        // Whoever sees all assignments knows who would have to be asked if all agreed.
        let mut asked: Vec<usize> = self.stated[unit].iter().map(|(who, _)| *who).collect();
        let before = asked.len();
        let mut odds: f64 = 1.0;
        while before == 0 && odds / (1.0 + odds) < 1.0 - self.wrong && self.is_anybody_left(&asked)
        {
            let who = self.draw(&asked);
            let doubt = self.doubt(who);
            odds *= (1.0 - doubt) / doubt;
            asked.push(who);
        }
        let lies = before == 0 && self.crowd.lies_together(&asked);
        let mut planned: VecDeque<usize> = asked.split_off(before).into();
        while self.accepted(unit).is_none() {
            let asked: Vec<usize> = self.stated[unit].iter().map(|(who, _)| *who).collect();
            let Some(who) = planned
                .pop_front()
                .or_else(|| self.is_anybody_left(&asked).then(|| self.draw(&asked)))
            else {
                return time;
            };
            self.outcome.executions += 1;
            let Some(span) = self.crowd.execute(who, lies && self.crowd.is_liar(who)) else {
                continue;
            };
            let seen = self.stated[unit].first().map(|(_, value)| *value);
            let value = self.crowd.state(who, lies, seen);
            self.stated[unit].push((who, value));
            self.of[who].push(unit);
            time += span;
        }
        time
    }

    fn is_anybody_left(&self, asked: &[usize]) -> bool {
        let caught = self.is_caught.iter().filter(|caught| **caught).count();
        asked.len() + caught < self.is_caught.len()
    }

    fn draw(&mut self, asked: &[usize]) -> usize {
        loop {
            let who = self.crowd.draw(asked);
            if !self.is_caught[who] {
                return who;
            }
        }
    }

    /// Checks somebody with a unit whose result is known; returns the units of whoever is caught.
    fn check(&mut self) -> Vec<usize> {
        let who = self.draw(&[]);
        self.outcome.executions += 1;
        // It lies as it would about a unit that was assigned to it and to others by chance.
        let mut deciding = vec![who];
        let mut odds = (1.0 - self.doubt(who)) / self.doubt(who);
        while odds / (1.0 + odds) < 1.0 - self.wrong && self.is_anybody_left(&deciding) {
            let other = self.draw(&deciding);
            odds *= (1.0 - self.doubt(other)) / self.doubt(other);
            deciding.push(other);
        }
        let lies = self.crowd.lies_together(&deciding);
        if self.crowd.state(who, lies, None) == TRUTH {
            self.checks[who] += 1;
            return Vec::new();
        }
        if self.is_caught.iter().filter(|caught| !**caught).count() < 12 {
            return Vec::new();
        }
        self.is_caught[who] = true;
        self.outcome.convicted += u64::from(self.crowd.is_liar(who));
        self.outcome.framed += u64::from(!self.crowd.is_liar(who));
        let units = std::mem::take(&mut self.of[who]);
        for unit in &units {
            self.stated[*unit].retain(|(author, _)| *author != who);
        }
        units
    }
}
