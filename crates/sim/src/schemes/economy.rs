//! Economy: which of its forms is cheap and right enough, and whether the simpler one is as good.

use std::fmt::Write;

use super::report::share;
use super::rqa::{Form, Rqa};
use super::scheme::Scheme;
use super::survey::Survey;
use super::trial::{Cell, Threat};

/// What economy may cost, and the wrong results that it may leave.
const EXECUTIONS_MAX: f64 = 1.35;
const WRONG_MAX: f64 = 4e-3;

/// Says which forms reach both, and which to keep.
pub(super) fn advice(survey: &Survey) -> String {
    let percent = survey.extent.percent;
    let (mut plain, mut record) = (Vec::new(), Vec::new());
    for scheme in &survey.extent.schemes {
        let Scheme::Rqa(Rqa { quorum, form, .. }) = scheme else { continue };
        let Some(cell) = survey.cell(*scheme, Threat::Silent, percent) else { continue };
        match (form, quorum) {
            (Form::Quorum, 1) => plain.push(*cell),
            (Form::Quorum, _) => {}
            (Form::Record { .. }, _) => record.push(*cell),
        }
    }
    let mut text = format!(
        "Wanted at f = {percent} %: at most {EXECUTIONS_MAX} executions per unit and {WRONG_MAX:.0e} \
         wrong results.\n\n"
    );
    for cell in plain.iter().chain(&record) {
        let verdict = if reaches(cell) { "reaches both" } else { "does not" };
        let _ = writeln!(
            text,
            "- {}: {:.3} executions, {} wrong: {verdict}.",
            cell.trial.scheme.name(),
            cell.worst.executions.mean,
            share(cell.worst.wrong)
        );
    }
    let best = |cells: &[Cell]| {
        let fit = cells.iter().filter(|cell| reaches(cell));
        fit.min_by(|a, b| a.worst.wrong.mean.total_cmp(&b.worst.wrong.mean)).copied()
    };
    let advice = match (best(&plain), best(&record)) {
        (None, None) => "Neither form reaches both.".to_owned(),
        (Some(cell), None) => format!("Keep {}: the simpler form.", cell.trial.scheme.name()),
        (None, Some(cell)) => {
            format!("Keep {}: the simpler form does not reach both.", cell.trial.scheme.name())
        }
        (Some(simple), Some(other)) if is_as_good(&simple, &other) => {
            format!("Keep {}: the simpler form is as good.", simple.trial.scheme.name())
        }
        (Some(_), Some(other)) => {
            format!("Keep {}: the simpler form is worse.", other.trial.scheme.name())
        }
    };
    let _ = writeln!(text, "\n{advice}");
    text
}

fn reaches(cell: &Cell) -> bool {
    cell.worst.executions.mean <= EXECUTIONS_MAX && cell.worst.wrong.mean <= WRONG_MAX
}

/// Within two standard errors.
fn is_as_good(simple: &Cell, other: &Cell) -> bool {
    let (a, b) = (simple.worst.wrong, other.worst.wrong);
    a.mean <= b.mean + 2.0 * (a.error * a.error + b.error * b.error).sqrt()
}
