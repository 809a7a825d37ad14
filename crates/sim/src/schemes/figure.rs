//! The survey as a picture: what each scheme costs, and how many wrong results it leaves.

use super::rqa::{Form, Rqa};
use super::scheme::Scheme;
use super::survey::Survey;
use super::theory::Stop;
use super::trial::Threat;
use crate::plot::{Axis, Plot, Point, Scale, Series};

/// Families of schemes, in the order of the legend.
const FAMILIES: [&str; 8] = [
    "first m agree",
    "majority of n",
    "lead of k",
    "BOINC adaptive",
    "credibility",
    "RQA, hidden audits",
    "economy, k = 1",
    "economy, by record",
];

pub(super) fn svg(survey: &Survey) -> String {
    let Survey { extent, .. } = survey;
    let mut series: Vec<Series> = FAMILIES
        .iter()
        .map(|name| Series { name: (*name).to_owned(), points: Vec::new(), is_joined: false })
        .collect();
    for scheme in &extent.schemes {
        let Some(cell) = survey.cell(*scheme, Threat::Silent, extent.percent) else { continue };
        let (wrong, executions) = (cell.worst.wrong, cell.worst.executions);
        let (family, label) = place(*scheme);
        series[family].points.push(Point {
            x: executions.mean,
            y: wrong.mean,
            error: wrong.error,
            label,
        });
    }
    series.retain(|series| !series.points.is_empty());
    let points = || series.iter().flat_map(|series| &series.points);
    let most = points().map(|point| point.x).fold(2.0, f64::max);
    let least = points().map(|p| p.y).filter(|y| 0.0 < *y).fold(1e-2, f64::min);
    let floor = 10f64.powf(least.log10().floor());
    let plot = Plot {
        title: format!("What a silent coalition of {} % gets through", extent.percent),
        x: Axis {
            title: "executions per unit".to_owned(),
            scale: Scale::Linear,
            from: 1.0,
            to: (most * 2.0).ceil() / 2.0,
        },
        y: Axis {
            title: "share of wrong results in the end".to_owned(),
            scale: Scale::Log,
            from: floor,
            to: 1.0,
        },
        series,
    };
    plot.to_svg()
}

/// The family of a scheme, and what tells it from its kin.
fn place(scheme: Scheme) -> (usize, String) {
    match scheme {
        Scheme::Counted(Stop::First(count)) => (0, format!("{count}-first")),
        Scheme::Counted(Stop::Of { majority, issued }) => (1, format!("{majority}-of-{issued}")),
        Scheme::Counted(Stop::Lead(lead)) => (2, format!("lead {lead}")),
        Scheme::Adaptive => (3, String::new()),
        Scheme::Credibility { one_in } => (4, format!("1/{one_in}")),
        Scheme::Rqa(Rqa { quorum, audits, form, .. }) => match (form, quorum) {
            (Form::Quorum, 1) => (6, format!("{audits} %")),
            (Form::Quorum, _) => (5, format!("k = {quorum}, {audits} %")),
            (Form::Record { .. }, _) => (7, format!("{audits} %")),
        },
    }
}
