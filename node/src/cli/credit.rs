//! `dugnad credit …`: verified work, for display only; whoever checks it believes nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::api::JobStatus;
use client::{Client, show_bytes, show_duration_ms};
use protocol::limits::BUNDLE_BYTES_MAX;
use protocol::{Bundle, Credit, JobId, PeerId};
use serde::Serialize;
use serde_json::json;

use crate::cli::args::{CreditVerb, Output};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::proof;
use crate::cli::terminal::{self, table, talk};

/// What somebody did, over some jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Sum {
    jobs: u64,
    units: u64,
    /// Of the units: final or sealed.
    sure: u64,
    audits: u64,
    /// The most CPU time that this work was allowed to take.
    cpu_ms_at_most: u64,
}

impl Sum {
    fn add(&mut self, credit: &Credit) {
        self.jobs += 1;
        self.units += credit.units;
        self.sure += credit.sure;
        self.audits += credit.audits;
        self.cpu_ms_at_most = self.cpu_ms_at_most.saturating_add(credit.cpu_ms);
    }
}

/// A job, and the verified work of everybody else for it.
struct Worked {
    job: JobId,
    submitter: PeerId,
    credits: BTreeMap<PeerId, Credit>,
}

impl Worked {
    fn of(bundle: Bundle) -> Outcome<Self> {
        let ledger = proof::open(bundle)?.ledger;
        let manifest = ledger.plan().manifest();
        let (job, submitter) = (manifest.job(), manifest.submitter);
        Ok(Self { job, submitter, credits: ledger.credits() })
    }
}

pub(crate) fn run(context: &Context, verb: CreditVerb) -> Outcome {
    match verb {
        CreditVerb::Show => show(context),
        CreditVerb::Export { to } => export(context, &to),
        CreditVerb::Verify { file, peer } => verify(context, &file, peer),
    }
}

fn show(context: &Context) -> Outcome {
    let client = running(context)?;
    let me = client.node()?.peer;
    let mut all = Vec::new();
    for (_, bundle) in own(&client, me)? {
        all.push(Worked::of(bundle)?);
    }
    by_submitter(context, me, &all)
}

fn export(context: &Context, to: &Path) -> Outcome {
    let client = running(context)?;
    let me = client.node()?.peer;
    let (mut pieces, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for (piece, bundle) in own(&client, me)? {
        if !Worked::of(bundle)?.credits.contains_key(&me) {
            continue;
        }
        if left_out != 0 || BUNDLE_BYTES_MAX < bytes + piece.len() {
            left_out += 1;
            continue;
        }
        bytes += piece.len();
        pieces.push(piece);
    }
    if pieces.is_empty() {
        let hint = "it appears once units that were executed here are verified";
        return Err(Failure::new(End::Undecided, "there is no verified work yet", hint));
    }
    let jobs = pieces.len();
    proof::write(to, &pieces)?;
    if left_out != 0 {
        talk(format!("{left_out} older jobs did not fit into the file"));
    }
    match context.output {
        Output::Json => {
            terminal::json(&json!({ "peer": me, "jobs": jobs, "left_out": left_out }))?;
        }
        Output::Table => talk(format!(
            "{jobs} jobs, {}; `dugnad credit verify {} --peer {me}` checks them",
            show_bytes(bytes as u64),
            to.display()
        )),
    }
    Ok(End::Done)
}

fn verify(context: &Context, file: &Path, peer: Option<PeerId>) -> Outcome {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for bundle in proof::read(file)? {
        if !seen.insert(bundle.job()) {
            let error = format!("the file has {} twice", bundle.job());
            return Err(Failure::new(
                End::BadInput,
                error,
                "work counts once: ask for another file",
            ));
        }
        all.push(Worked::of(bundle)?);
    }
    match peer {
        Some(peer) => by_submitter(context, peer, &all),
        None => by_peer(context, &all),
    }
}

/// Bundles of the node's jobs on which it has worked for others, newest first.
fn own(client: &Client, me: PeerId) -> Outcome<Vec<(Vec<u8>, Bundle)>> {
    let worked = |status: &JobStatus| {
        status.submitter != me && status.workers.iter().any(|worker| worker.peer == me)
    };
    let mut jobs: Vec<JobStatus> = client.jobs()?.into_iter().filter(worked).collect();
    jobs.sort_by_key(|status| std::cmp::Reverse((status.created_ms, status.job)));
    jobs.iter().map(|status| proof::fetch(client, &status.job.to_string())).collect()
}

fn by_submitter(context: &Context, peer: PeerId, all: &[Worked]) -> Outcome {
    let mut sums: BTreeMap<PeerId, Sum> = BTreeMap::new();
    for worked in all {
        if let Some(credit) = worked.credits.get(&peer) {
            sums.entry(worked.submitter).or_default().add(credit);
        }
    }
    if context.output == Output::Json {
        let list =
            |(submitter, sum): (&PeerId, &Sum)| json!({ "submitter": submitter, "work": sum });
        let jobs: Vec<JobId> = all.iter().map(|worked| worked.job).collect();
        let sums: Vec<_> = sums.iter().map(list).collect();
        terminal::json(&json!({ "peer": peer, "jobs": jobs, "submitters": sums }))?;
    } else {
        print("SUBMITTER", &sums)?;
    }
    Ok(if sums.is_empty() { End::Undecided } else { End::Done })
}

fn by_peer(context: &Context, all: &[Worked]) -> Outcome {
    let mut sums: BTreeMap<PeerId, Sum> = BTreeMap::new();
    for (peer, credit) in all.iter().flat_map(|worked| &worked.credits) {
        sums.entry(*peer).or_default().add(credit);
    }
    if context.output == Output::Json {
        let list = |(peer, sum): (&PeerId, &Sum)| json!({ "peer": peer, "work": sum });
        terminal::json(&sums.iter().map(list).collect::<Vec<_>>())?;
    } else {
        print("PEER", &sums)?;
    }
    Ok(if sums.is_empty() { End::Undecided } else { End::Done })
}

fn print(who: &str, sums: &BTreeMap<PeerId, Sum>) -> Outcome<()> {
    let row = |(peer, sum): (&PeerId, &Sum)| {
        let counts = [sum.jobs, sum.units, sum.sure, sum.audits].map(|n| n.to_string());
        let cpu = show_duration_ms(sum.cpu_ms_at_most);
        [vec![peer.to_string()], counts.to_vec(), vec![cpu]].concat()
    };
    let rows: Vec<Vec<String>> = sums.iter().map(row).collect();
    table(&[who, "JOBS", "UNITS", "FINAL OR SEALED", "AUDITS", "CPU AT MOST"], &rows)
}
