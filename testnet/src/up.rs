//! A network to play with: started, explained, and stopped on Ctrl-C.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sim::{LiarKind, Planned, Scenario, What};

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
    let scenario = match &args.scenario {
        Some(path) => scenario::load(path)?,
        None => Scenario {
            nodes: 3,
            cores: 1,
            liars: Vec::new(),
            events: Vec::new(),
            ..Default::default()
        },
    };
    let nodes = args.nodes.unwrap_or(scenario.nodes);
    ensure!((1..=100).contains(&nodes), "between 1 and 100 nodes fit one machine");
    let mut lies = lies(&scenario, nodes);
    if let Some(liars) = args.liars {
        ensure!(liars < nodes, "the first node is honest: there are too many liars");
        let kind = lies.iter().flatten().last().copied();
        let kind = args.kind.or(kind).unwrap_or(LiarKind::Contester);
        lies.fill(None);
        lies[nodes - liars..].fill(Some(kind));
    } else if let Some(kind) = args.kind {
        lies.iter_mut().flatten().for_each(|lie| *lie = kind);
    }
    let late = scenario.events.iter().flat_map(|event| &event.nodes).any(|node| nodes <= *node);
    ensure!(!late, "the scenario's events name more than {nodes} nodes");
    let mut recipe = Recipe::of_this_program(nodes)?;
    recipe.cores = args.cores.unwrap_or(scenario.cores);
    recipe.nodes = lies;
    let mut planned = scenario.events;
    planned.sort_by_key(|event| event.at_ms);
    Ok((recipe, planned.into()))
}

/// Who lies how, the liars last; on a smaller network than the scenario's there are fewer of them.
fn lies(scenario: &Scenario, nodes: usize) -> Vec<Option<LiarKind>> {
    let all: Vec<Option<LiarKind>> =
        (0..scenario.nodes).map(|index| scenario.liar(index)).collect();
    let mut liars: Vec<LiarKind> = all.into_iter().flatten().take(nodes - 1).collect();
    let mut lies = vec![None; nodes - liars.len()];
    lies.extend(liars.drain(..).map(Some));
    lies
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
