//! `dugnad job verify`: every verdict of a job derived anew from signed steps, nobody believed.

use std::path::Path;

use client::api::Assurance;
use protocol::{BundleError, JobId, Opened};
use serde_json::json;

use crate::cli::args::{Output, SampleArgs, VerifyArgs};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::job::sample::{Sampled, sample};
use crate::cli::job::verdict::{Convict, Report};
use crate::cli::proof;
use crate::cli::show;
use crate::cli::terminal::{data, json, table};

/// What the ids of all jobs begin with.
const JOB_PREFIX: &str = "bafkr4i";
/// Units that are named one by one as evidence against a peer.
const LOST_SHOWN: usize = 4;

pub(crate) fn run(context: &Context, args: &VerifyArgs) -> Outcome {
    let opened = load(context, &args.what)?;
    let report = Report::new(&opened);
    let sampled = match &args.sample {
        SampleArgs { sample: Some(_), .. } => {
            Some(sample(context, &running(context)?, &opened, &args.sample)?)
        }
        SampleArgs { sample: None, .. } => None,
    };
    match context.output {
        Output::Json => json(&json!({ "verdict": report, "sample": sampled }))?,
        Output::Table => {
            print(&report)?;
            sampled.iter().try_for_each(Sampled::print)?;
        }
    }
    let end = report.end();
    Ok(match sampled.as_ref().map(Sampled::end) {
        Some(End::Failed) => End::Failed,
        Some(worse) if end == End::Done => worse,
        Some(_) | None => end,
    })
}

/// From a file, if it is one; else from the node.
fn load(context: &Context, what: &str) -> Outcome<Opened> {
    let path = Path::new(what);
    if what.parse::<JobId>().is_err() && path.exists() {
        let mut bundles = proof::read(path)?;
        return match (bundles.pop(), bundles.is_empty()) {
            (Some(bundle), true) => proof::open(bundle),
            (Some(_), false) => {
                let hint = "`dugnad credit verify` reads files of several bundles";
                Err(Failure::new(End::BadInput, "there are bundles of several jobs in it", hint))
            }
            (None, _) => Err(Failure::of(End::BadInput, &BundleError::Empty)),
        };
    }
    if !what.starts_with(JOB_PREFIX) {
        let error = format!("`{what}` is neither a file nor the id of a job");
        return Err(Failure::new(End::BadInput, error, "`dugnad job list` shows ids"));
    }
    let (_, bundle) = proof::fetch(&running(context)?, what)?;
    proof::open(bundle)
}

fn print(report: &Report) -> Outcome<()> {
    data(format!("job        {}", report.job))?;
    data(format!("name       {}", report.name))?;
    data(format!("submitter  {}", report.submitter))?;
    data(format!("network    {}", report.network))?;
    data(format!("steps      {}, every signature checked", report.steps))?;
    let verified = if report.verified { "verified" } else { "not verified" };
    let cancelled = if report.cancelled { ", cancelled" } else { "" };
    data(format!("verdict    {verified}, {}{cancelled}", sure(report.assurance)))?;
    data(format!("seals      {}", seals(report)))?;
    for stage in report.stages.iter().filter(|stage| stage.is_result) {
        let root = stage.root.map_or_else(|| "none yet".to_owned(), |root| root.to_string());
        data(format!("results    {root} (stage `{}`)", stage.name))?;
    }
    data("")?;
    let rows: Vec<Vec<String>> = report
        .stages
        .iter()
        .map(|stage| {
            let counts = [
                stage.units,
                stage.open,
                stage.accepted,
                stage.self_executed,
                stage.contested,
                stage.finals,
                stage.sealed,
            ];
            std::iter::once(stage.name.clone()).chain(counts.map(|n| n.to_string())).collect()
        })
        .collect();
    let heading =
        ["STAGE", "UNITS", "OPEN", "ACCEPTED", "SELF-EXECUTED", "CONTESTED", "FINAL", "SEALED"];
    table(&heading, &rows)?;
    peers(report)
}

const fn sure(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Provisional => "provisional: whoever holds a whole quorum could have made it up",
        Assurance::Final => "final: its voters have passed their audits",
        Assurance::Sealed => "sealed by an anchor",
    }
}

fn seals(report: &Report) -> String {
    let seals = &report.seals;
    match (seals.agreeing + seals.differing + seals.without_votes, seals.agreeing) {
        (0, _) => "none".to_owned(),
        (all, agreeing) if all == agreeing => {
            format!("{all} batches, as the votes alone would give")
        }
        (all, _) => format!(
            "{all} batches: {} other than the votes alone would give, {} without votes here",
            seals.differing, seals.without_votes
        ),
    }
}

fn peers(report: &Report) -> Outcome<()> {
    let voter = |voter: &super::verdict::Voter| {
        let (joined, voted) = (show::units(voter.joined), show::units(voter.voted));
        let what = format!("stands behind {joined} of {voted}, {} ballots", voter.ballots);
        vec![voter.peer.to_string(), what]
    };
    let mut rows: Vec<Vec<String>> = report.voters.iter().map(voter).collect();
    for convict in &report.convicted {
        rows.push(vec![convict.peer.to_string(), format!("convicted: {}", evidence(convict))]);
    }
    for one in &report.equivocators {
        let steps: Vec<String> = one.steps.iter().map(ToString::to_string).collect();
        let what = format!("contradicts itself in the steps {}", steps.join(" and "));
        rows.push(vec![one.peer.to_string(), what]);
    }
    for peer in &report.unstamped {
        rows.push(vec![peer.to_string(), "not heard: its stamp was not worked for".to_owned()]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    data("")?;
    table(&["PEER", "WHAT"], &rows)
}

fn evidence(convict: &Convict) -> String {
    let digest = |digest: Option<protocol::Hash>| match digest {
        Some(digest) => digest.to_string().chars().take(12).collect(),
        None => "unknown".to_owned(),
    };
    let shown = convict.units.iter().take(LOST_SHOWN).map(|lost| {
        let (stated, decided) = (digest(lost.stated), digest(lost.decided));
        format!("`{}` {}: stated {stated}…, decided {decided}…", lost.stage, lost.unit)
    });
    let more = match convict.units.len().saturating_sub(LOST_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let how = if convict.colluded { " like others" } else { "" };
    format!("wrong{how} on {}{more}", shown.collect::<Vec<_>>().join("; "))
}
