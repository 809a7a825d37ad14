//! The survey as a picture: what each scheme costs, and how many wrong results it leaves.

use super::rqa::{Form, Rqa};
use super::scheme::Scheme;
use super::survey::Survey;
use super::theory::Stop;
use super::trial::Threat;
use crate::plot::{Axis, Plot, Point, Scale, Series};

/// Families of schemes in the order of the legend, and whether their points form a line.
const FAMILIES: [(&str, bool); 9] = [
    ("fixed quorums", false),
    ("lead of k", false),
    ("BOINC adaptive", false),
    ("credibility", true),
    ("RQA k = 2, by audits", true),
    ("RQA k = 3", true),
    ("RQA k = 4", true),
    ("economy, k = 1", true),
    ("economy, by record", true),
];

pub(super) fn svg(survey: &Survey) -> String {
    let Survey { extent, .. } = survey;
    let mut series: Vec<Series> = FAMILIES
        .iter()
        .map(|(name, is_joined)| Series {
            name: (*name).to_owned(),
            points: Vec::new(),
            is_joined: *is_joined,
        })
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
            title: "share of wrong results in the end (hollow: none)".to_owned(),
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
        Scheme::Counted(Stop::Of { majority, issued }) => (0, format!("{majority}-of-{issued}")),
        Scheme::Counted(Stop::Lead(lead)) => (1, format!("lead {lead}")),
        Scheme::Adaptive => (2, String::new()),
        Scheme::Credibility { one_in } => (3, format!("1/{one_in}")),
        Scheme::Rqa(Rqa { quorum, audits, form, .. }) => {
            let family = match (form, quorum) {
                (Form::Record { .. }, _) => 8,
                (Form::Quorum, 1) => 7,
                (Form::Quorum, 2) => 4,
                (Form::Quorum, 3) => 5,
                (Form::Quorum, _) => 6,
            };
            (family, format!("{audits} %"))
        }
    }
}
