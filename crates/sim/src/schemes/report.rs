//! The survey as Markdown tables.

use std::fmt::Write;

use super::scheme::Scheme;
use super::survey::{SMALL, Survey, THREATS, TRIED_BY_ALL};
use super::theory::of_so_many;
use super::trial::{Cell, Mean, Sum, Threat};

/// All tables.
pub(super) fn markdown(survey: &Survey) -> String {
    let mut text = String::new();
    let size = survey.extent.size;
    let effort = &survey.extent.effort;
    let _ = writeln!(
        text,
        "# Verification schemes, measured\n\n\
         {} workers, {} units, batches of {}; seed {}, {} runs of each cell with a ledger and five \
         times as many of the others. Adversaries see all assignments. *f* is their share of the \
         workers. Ranges are standard errors over the runs; *0* means that no run had any.\n",
        size.workers, size.units, size.batch, effort.seed, effort.runs
    );
    silent(&mut text, survey);
    times(&mut text, survey);
    theory(&mut text, survey);
    threats(&mut text, survey);
    clocks(&mut text, survey);
    small(&mut text, survey);
    let _ = writeln!(text, "## Economy\n\n{}", survey.economy());
    text
}

/// Executions and wrong results by scheme and share.
fn silent(text: &mut String, survey: &Survey) {
    let _ = writeln!(
        text,
        "## A coalition that lies only where it holds the whole deciding set\n\n\
         Executions per unit / wrong results accepted in the end, at the rate of lying that leaves \
         the most wrong results.\n"
    );
    let percents = &survey.extent.percents;
    header(text, "scheme", percents.iter().map(|f| format!("f = {f} %")));
    for scheme in &survey.extent.schemes {
        let cells = percents.iter().map(|f| survey.cell(*scheme, Threat::Silent, *f));
        row(text, &scheme.name(), cells.map(|cell| cell.map_or_else(String::new, both)));
    }
    text.push('\n');
}

/// More about each scheme at one share.
fn times(text: &mut String, survey: &Survey) {
    let percent = survey.extent.percent;
    let _ = writeln!(
        text,
        "## The same coalition at f = {percent} %, in more detail\n\n\
         Provisional: wrong when first accepted. Times are those from the first claim to the first \
         and to the last verdict, in median executions; of a batch where the scheme has batches, \
         whose second voter comes to it in the order of its own ranks. Dearest: the most executions \
         at any rate of lying. Final: as the ledger's verdict calls it, when every voter has passed \
         its quota of audits. Sealed: the submitter comes back when all is over, executes as many units \
         as an anchor does, and seals what is left.\n"
    );
    let columns = [
        "executions",
        "dearest",
        "provisional",
        "wrong",
        "rate of lying",
        "first verdict",
        "last verdict",
        "liars convicted",
        "others convicted",
        "undecided",
        "final",
        "wrong and final",
        "executed by the anchor",
        "wrong and sealed",
    ];
    header(text, "scheme", columns.into_iter().map(str::to_owned));
    for scheme in &survey.extent.schemes {
        let Some(cell) = survey.cell(*scheme, Threat::Silent, percent) else { continue };
        row(text, &scheme.name(), details(cell).into_iter());
    }
    text.push('\n');
}

fn details(cell: &Cell) -> Vec<String> {
    let Sum {
        executions,
        wrong,
        wrong_first,
        first,
        last,
        open,
        convicted,
        framed,
        settled_finally,
        wrong_finally,
        anchored,
        wrong_sealed,
        ..
    } = cell.worst;
    let with_ledger =
        |text: String| if cell.trial.scheme.has_ledger() { text } else { String::new() };
    vec![
        plain(executions),
        plain(cell.dearest),
        share(wrong_first),
        share(wrong),
        rate(&cell.worst),
        format!("{:.1}", first.mean),
        format!("{:.1}", last.mean),
        format!("{:.1}", convicted.mean),
        format!("{:.1}", framed.mean),
        share(open),
        with_ledger(format!("{:.0} %", settled_finally.mean * 100.0)),
        with_ledger(share(wrong_finally)),
        with_ledger(format!("{:.0}", anchored.mean)),
        with_ledger(share(wrong_sealed)),
    ]
}

/// What was counted beside what was to be expected.
fn theory(text: &mut String, survey: &Survey) {
    let _ = writeln!(
        text,
        "## Fixed quorums beside theory\n\n\
         Wrong results: as counted / as expected for exactly this many liars among this many \
         workers, each asked at most once about a unit.\n"
    );
    let percents = &survey.extent.percents;
    header(text, "scheme, adversary", percents.iter().map(|f| format!("f = {f} %")));
    for scheme in &survey.extent.schemes {
        let Scheme::Counted(stop) = *scheme else { continue };
        for (threat, words) in [(Threat::Silent, "silent"), (Threat::Open, "open")] {
            let cells = percents.iter().map(|percent| {
                let Some(cell) = survey.cell(*scheme, threat, *percent) else {
                    return String::new();
                };
                let workers = cell.trial.size.workers;
                let liars = (workers as u64 * percent / 100) as usize;
                let expected = of_so_many(stop, liars, workers, threat == Threat::Silent);
                format!("{} / {}", share(cell.worst.wrong), number(expected))
            });
            row(text, &format!("{}, {words}", scheme.name()), cells);
        }
    }
    text.push('\n');
}

/// Other adversaries.
fn threats(text: &mut String, survey: &Survey) {
    let percent = survey.extent.percent;
    let _ = writeln!(
        text,
        "## Other adversaries at f = {percent} %\n\n\
         Executions per unit / wrong results accepted in the end / units undecided, if any. Open: \
         always lies, with one voice. Sleepers and latecomers lie as the coalition above does, the \
         former after 20 honest results each, the latter when 80 % of the job are settled. \
         Withholders show nobody what is under their roots. Whitewashers come back under a new name \
         when convicted. Faulty machines get 10 % of their units wrong, each in its own way. Copiers \
         repeat what they see; where results are visible, 5 % of the other workers are flaky.\n"
    );
    header(text, "scheme", THREATS.into_iter().map(|threat| name(threat).to_owned()));
    for scheme in TRIED_BY_ALL {
        let cells = THREATS.into_iter().map(|threat| match survey.cell(scheme, threat, percent) {
            Some(_) if !scheme.has_ledger() && needs_ledger(threat) => "–".to_owned(),
            Some(cell) if 0.0 < cell.worst.open.mean => {
                format!("{} / {}", both(cell), share(cell.worst.open))
            }
            Some(cell) => both(cell),
            None => String::new(),
        });
        row(text, &scheme.name(), cells);
    }
    text.push('\n');
}

/// How long verdicts take, by adversary and share.
fn clocks(text: &mut String, survey: &Survey) {
    let percent = survey.extent.percent;
    let _ = writeln!(
        text,
        "## Time to a verdict\n\n\
         From the first claim to the first / to the last verdict, in median executions, at the rate of lying \
         that leaves the most wrong results: the silent coalition by its share, and the others at f = {percent} %.\n"
    );
    let silent = survey.extent.percents.iter().map(|f| (Threat::Silent, *f));
    let tried: Vec<_> = silent.chain(THREATS.map(|threat| (threat, percent))).collect();
    header(
        text,
        "scheme",
        tried.iter().map(|(threat, f)| match threat {
            Threat::Silent => format!("silent, f = {f} %"),
            Threat::Open
            | Threat::Sleeper
            | Threat::Late
            | Threat::Withholder
            | Threat::Whitewasher
            | Threat::Faulty
            | Threat::Copier => name(*threat).to_owned(),
        }),
    );
    for scheme in TRIED_BY_ALL {
        let cells = tried.iter().map(|(threat, f)| match survey.cell(scheme, *threat, *f) {
            Some(_) if !scheme.has_ledger() && needs_ledger(*threat) => "–".to_owned(),
            Some(cell) => format!("{:.1} / {:.1}", cell.worst.first.mean, cell.worst.last.mean),
            None => String::new(),
        });
        row(text, &scheme.name(), cells);
    }
    text.push('\n');
}

/// Small networks.
fn small(text: &mut String, survey: &Survey) {
    let _ = writeln!(
        text,
        "## Small networks\n\n\
         The coalition of the first table, with the submitter gone: executions per unit / wrong \
         results accepted in the end / units undecided, if any.\n"
    );
    let columns =
        survey.extent.small.iter().map(|(workers, percent)| {
            format!("{} of {workers} lie", *workers as u64 * percent / 100)
        });
    header(text, "scheme", columns);
    for scheme in SMALL {
        let cells = survey.extent.small.iter().map(|(workers, percent)| {
            match survey.find(scheme, Threat::Silent, *percent, *workers) {
                Some(cell) if 0.0 < cell.worst.open.mean => {
                    format!("{} / {}", both(cell), share(cell.worst.open))
                }
                Some(cell) => both(cell),
                None => String::new(),
            }
        });
        row(text, &scheme.name(), cells);
    }
    text.push('\n');
}

fn needs_ledger(threat: Threat) -> bool {
    match threat {
        Threat::Withholder | Threat::Whitewasher => true,
        Threat::Silent
        | Threat::Open
        | Threat::Sleeper
        | Threat::Late
        | Threat::Faulty
        | Threat::Copier => false,
    }
}

pub(super) fn name(threat: Threat) -> &'static str {
    match threat {
        Threat::Silent => "silent coalition",
        Threat::Open => "open lying",
        Threat::Sleeper => "sleepers",
        Threat::Late => "latecomers",
        Threat::Withholder => "withholders",
        Threat::Whitewasher => "whitewashers",
        Threat::Faulty => "faulty machines",
        Threat::Copier => "lazy copiers",
    }
}

fn header(text: &mut String, first: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    let _ = writeln!(text, "| {first} | {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
}

/// One scheme's row, if it was tried at all.
fn row(text: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    if cells.iter().any(|cell| !cell.is_empty()) {
        let _ = writeln!(text, "| {first} | {} |", cells.join(" | "));
    }
}

fn both(cell: &Cell) -> String {
    format!("{:.2} / {}", cell.worst.executions.mean, share(cell.worst.wrong))
}

fn plain(value: Mean) -> String {
    format!("{:.3} ± {:.3}", value.mean, value.error)
}

/// A share with its standard error, in the same power of ten.
pub(super) fn share(value: Mean) -> String {
    if value.mean <= 0.0 {
        return "0".to_owned();
    }
    let power = value.mean.log10().floor();
    let unit = 10f64.powf(power);
    format!("({:.1} ± {:.1})e{power}", value.mean / unit, value.error / unit)
}

fn number(value: f64) -> String {
    format!("{value:.1e}")
}

fn rate(sum: &Sum) -> String {
    let ppm = sum.adversary.ppm().unwrap_or(1_000_000);
    format!("{} %", ppm as f64 / 10_000.0)
}
