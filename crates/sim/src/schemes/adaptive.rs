//! BOINC's adaptive replication: hosts with a long valid record are mostly believed alone.

use super::fixed::{Crowd, TRUTH, count};
use super::setting::{EXECUTION, LEASE, Outcome, Setting};
use super::theory::Stop;

/// Valid results in a row before a host may be believed alone.
const ENOUGH: u64 = 10;

/// Plays one job.
pub(super) fn run(setting: Setting) -> Outcome {
    let mut crowd = Crowd::new(setting, "adaptive");
    let mut valid = vec![0u64; setting.size.workers];
    let mut outcome = Outcome { units: setting.size.units, ..Outcome::default() };
    for _ in 0..setting.size.units {
        let (mut time, mut wait) = (None, 0);
        let mut tried = Vec::new();
        while time.is_none() {
            let who = crowd.draw(&tried);
            if valid[who] < ENOUGH || crowd.chance.below(valid[who]) == 0 {
                let counted = count(&mut crowd, Stop::First(2), &[who]);
                for (who, value) in &counted.stated {
                    valid[*who] = if *value == counted.value { valid[*who] + 1 } else { 0 };
                }
                outcome.executions += counted.executions;
                outcome.wrong += u64::from(counted.value != TRUTH);
                time = Some(counted.time);
                continue;
            }
            outcome.executions += 1;
            match crowd.execute(who, false) {
                Some(span) => {
                    let lies = crowd.lies_together(&[who]);
                    let value = crowd.state(who, lies, None);
                    outcome.wrong += u64::from(value != TRUTH);
                    time = Some(span);
                }
                None => {
                    // Too late is as bad as wrong.
                    valid[who] = 0;
                    wait += LEASE * EXECUTION;
                    tried.push(who);
                }
            }
        }
        crowd.done += 1;
        outcome.first += wait + time.unwrap_or(0);
    }
    outcome.last = outcome.first;
    outcome.wrong_first = outcome.wrong;
    outcome
}
