//! A network to play with: started, explained, and stopped on Ctrl-C.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sim::{Planned, What};

use crate::entry::UpArgs;
use crate::fleet::Member;
use crate::{Deadline, Fleet, Recipe, interrupt, scenario, table};

/// A node is up within a second or two, even on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How often to look whether somebody wants to end it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    interrupt::listen()?;
    let (recipe, mut planned) = recipe(args)?;
    let mut fleet = Fleet::start(recipe, Deadline::within(START_WITHIN))?;
    explain(&fleet);
    let started = Instant::now();
    let mut gone = Vec::new();
    while !interrupt::is_asked() {
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        while let Some(event) = planned.pop_front_if(|event| event.at_ms <= now_ms) {
            happen(&mut fleet, &event)?;
        }
        for name in fleet.lost() {
            if !gone.contains(&name) {
                table::talk(format!("{name} has ended by itself\n{}", fleet.last_words()));
                gone.push(name);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    table::talk("stopping");
    fleet.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// What to start, and what happens later, in order.
fn recipe(args: &UpArgs) -> anyhow::Result<(Recipe, VecDeque<Planned>)> {
    let Some(path) = &args.scenario else {
        ensure!((1..=100).contains(&args.nodes), "between 1 and 100 nodes fit one machine");
        ensure!(args.liars < args.nodes, "the first node is honest: there are too many liars");
        let mut recipe = Recipe::of_this_program(args.nodes)?;
        recipe.cores = args.cores;
        recipe.nodes[args.nodes - args.liars..].fill(Some(args.kind));
        return Ok((recipe, VecDeque::new()));
    };
    let scenario = scenario::load(path)?;
    ensure!(scenario.nodes <= 100, "at most 100 nodes fit one machine");
    let mut recipe = Recipe::of_this_program(scenario.nodes)?;
    recipe.cores = scenario.cores;
    recipe.nodes = (0..scenario.nodes).map(|index| scenario.liar(index)).collect();
    let mut planned = scenario.events;
    planned.sort_by_key(|event| event.at_ms);
    Ok((recipe, planned.into()))
}

fn explain(fleet: &Fleet) {
    for member in fleet.members() {
        match member.lies() {
            Some(kind) => {
                table::talk(format!("{}: lies ({})", member.name(), scenario::name(kind)))
            }
            None => honest(member),
        }
    }
    table::talk("the jobs of a scenario are for `sim`; hand in your own. Ctrl-C stops the network");
}

fn honest(member: &Member) {
    let api = std::fs::read_to_string(client::api_file(member.data_dir())).unwrap_or_default();
    let api: Option<client::ApiFile> = serde_json::from_str(&api).ok();
    let api = api.map_or_else(String::new, |api| format!(", API http://{}", api.address));
    let dir = member.data_dir().display();
    table::talk(format!("{}{api}\n  dugnad --data-dir {dir} job run JOB.toml", member.name()));
}

fn happen(fleet: &mut Fleet, event: &Planned) -> anyhow::Result<()> {
    for index in event.nodes.iter().copied() {
        let name = fleet.member(index).name().to_owned();
        table::talk(format!("{name}: {:?}", event.what));
        match event.what {
            What::Crash | What::Leave => fleet.kill(index),
            What::Restart => fleet.restart(index, Deadline::within(START_WITHIN))?,
            What::WorkOff => drop(fleet.member(index).client()?.pause().context(name)?),
            What::WorkOn => drop(fleet.member(index).client()?.resume().context(name)?),
            // The scenario was refused.
            What::Partition | What::Heal | What::Open | What::Cancel => {}
        }
    }
    Ok(())
}
