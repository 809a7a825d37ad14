//! The whole network: a name of its own, a folder of its own, nodes that know the first one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use client::Client;
use sim::LiarKind;
use tempfile::TempDir;

use super::member::Member;
use super::process::Process;
use crate::{Deadline, scenario};

/// What nodes may take to end when they are asked to.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The program that is every node.
    pub program: PathBuf,
    /// One node each: how it lies, or `None` if it is honest. The first one is.
    pub nodes: Vec<Option<LiarKind>>,
    /// Units that sleepers execute honestly before they lie.
    pub lies_after: u64,
    /// Of the batches that a gang could lie about, the percentage that it does.
    pub lies_about: u64,
    /// Units that each runs at the same time.
    pub cores: usize,
    /// Below this folder is everything that the network writes.
    pub below: PathBuf,
    /// What its nodes log.
    pub log: String,
}

/// A network of processes; they are killed when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    recipe: Recipe,
    network: String,
    members: Vec<Member>,
    /// Given back last.
    _ground: TempDir,
}

impl Recipe {
    /// So many honest nodes, each of which is `program`.
    pub fn honest(program: PathBuf, nodes: usize) -> Self {
        Self {
            program,
            nodes: vec![None; nodes],
            lies_after: 20,
            lies_about: 40,
            cores: 1,
            below: std::env::temp_dir(),
            log: "info".to_owned(),
        }
    }

    /// The same of this very program.
    pub(crate) fn of_this_program(nodes: usize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        Ok(Self::honest(program, nodes))
    }
}

impl Fleet {
    /// Starts the nodes one after another.
    ///
    /// # Errors
    /// With the last words of whoever did not start.
    pub fn start(recipe: Recipe, deadline: Deadline) -> anyhow::Result<Self> {
        let ground = tempfile::Builder::new().prefix("dugnad-testnet-").tempdir_in(&recipe.below);
        let ground = ground.with_context(|| recipe.below.display().to_string())?;
        let chance = ground.path().file_name().unwrap_or_default().to_string_lossy();
        let network = format!("{chance}-{}", std::process::id());
        let members = recipe.nodes.iter().enumerate();
        let members = members.map(|(index, lies)| Member::new(ground.path(), index, *lies));
        let members = members.collect();
        let mut fleet = Self { recipe, network, members, _ground: ground };
        for index in 0..fleet.members.len() {
            fleet.start_member(index, deadline)?;
        }
        Ok(fleet)
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// # Panics
    /// If there is no such node.
    pub fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    /// Processes that run now, workers not among them.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(Member::pid).collect()
    }

    /// Waits until every honest node is connected to every other node.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn formed(&self, deadline: Deadline) -> anyhow::Result<()> {
        let others = (self.pids().len() - 1) as u64;
        for client in self.members.iter().filter_map(|member| member.client.as_ref()) {
            let mut seen = 0;
            let mut look = || {
                seen = client.node()?.peers;
                Ok((others <= seen).then_some(()))
            };
            deadline.until(&format!("every node has {others} peers"), &mut look)?;
        }
        Ok(())
    }

    /// Kills a node as `kill -9` does.
    pub fn kill(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.client = None;
        drop(member.process.take());
    }

    /// Starts a node again that was killed, on its old folder and its old ports.
    ///
    /// # Errors
    /// With its last words.
    pub fn restart(&mut self, index: usize, deadline: Deadline) -> anyhow::Result<()> {
        self.start_member(index, deadline)
    }

    /// Nodes that have ended although nobody asked them to.
    pub(crate) fn lost(&mut self) -> Vec<String> {
        let ended = |member: &mut Member| {
            let ended = member.process.as_mut().is_some_and(Process::has_ended);
            ended.then(|| member.name.clone())
        };
        self.members.iter_mut().filter_map(ended).collect()
    }

    /// Asks all nodes to end, and kills those that have not within five seconds.
    ///
    /// # Errors
    /// If some had to be killed.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let until = Instant::now() + END_WITHIN;
        for process in self.members.iter().filter_map(|member| member.process.as_ref()) {
            process.terminate();
        }
        let mut killed = Vec::new();
        for member in &mut self.members {
            if let Some(process) = member.process.take()
                && !process.end(until)
            {
                killed.push(member.name.clone());
            }
        }
        if killed.is_empty() { Ok(()) } else { bail!("{} had to be killed", killed.join(", ")) }
    }

    /// The end of every node's log.
    pub fn last_words(&self) -> String {
        self.members.iter().map(Member::last_words).collect::<Vec<_>>().join("\n")
    }

    fn start_member(&mut self, index: usize, deadline: Deadline) -> anyhow::Result<()> {
        let command = self.command(index);
        let member = &mut self.members[index];
        let (process, stdout) = Process::start(command, &member.log)?;
        let process = member.process.insert(process);
        let ready = process.ready(stdout, deadline);
        let info = ready.with_context(|| format!("starting {}", member.name));
        member.info = Some(info.with_context(|| member.last_words())?);
        if member.lies.is_none() {
            member.client = Some(Client::find(&member.data_dir)?);
        }
        Ok(())
    }

    fn command(&self, index: usize) -> Command {
        let member = &self.members[index];
        let mut command = Command::new(&self.recipe.program);
        match member.lies {
            None => command.args(["node", "run", "--output", "json", "--reachability", "public"]),
            Some(kind) => command.args(["liar", "--kind", &scenario::name(kind)]),
        };
        let listen = match member.addresses() {
            [] => "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1".to_owned(),
            // A node that comes back is where it was.
            old => old.iter().map(|address| without_peer(address)).collect::<Vec<_>>().join(","),
        };
        if member.lies.is_none() {
            command.args(["--mdns", "false", "--api", "127.0.0.1:0", "--listen", &listen]);
        }
        let cores = self.recipe.cores.to_string();
        let mut flag = |name: &str, value: OsString| {
            command.arg(name).arg(value);
        };
        flag("--data-dir", member.data_dir.clone().into());
        flag("--network", self.network.clone().into());
        flag("--cores", cores.into());
        flag("--log", self.recipe.log.clone().into());
        if member.lies.is_some() {
            flag("--after", self.recipe.lies_after.to_string().into());
            flag("--about", self.recipe.lies_about.to_string().into());
        }
        if let Some(bootstrap) = self.bootstrap(index) {
            flag("--bootstrap", bootstrap.into());
        }
        command
    }

    /// The addresses of the first other node that runs.
    fn bootstrap(&self, index: usize) -> Option<String> {
        let mut others = self.members.iter().enumerate();
        let other = others.find(|(other, member)| *other != index && member.process.is_some());
        other.map(|(_, member)| member.addresses().join(","))
    }
}

/// A multiaddress to listen on has no peer's name at its end.
fn without_peer(address: &str) -> &str {
    address.split_once("/p2p/").map_or(address, |(bare, _)| bare)
}
