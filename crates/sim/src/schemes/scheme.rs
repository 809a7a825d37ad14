//! The schemes that are compared, by name.

use super::adaptive;
use super::credibility;
use super::fixed;
use super::rqa::{Form, Rqa};
use super::setting::{Outcome, Setting};
use super::theory::Stop;

/// A way to decide which results to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Counted(Stop),
    /// BOINC's adaptive replication.
    Adaptive,
    /// Sarmenta's credibility, with one wrong result in so many as its target.
    Credibility {
        one_in: u32,
    },
    Rqa(Rqa),
}

/// Units that others must have confirmed before economy believes a worker alone.
const RECORD: u64 = 20;

impl Scheme {
    pub const fn first(count: usize) -> Self {
        Self::Counted(Stop::First(count))
    }

    pub const fn of(majority: usize, issued: usize) -> Self {
        Self::Counted(Stop::Of { majority, issued })
    }

    pub const fn lead(lead: usize) -> Self {
        Self::Counted(Stop::Lead(lead))
    }

    pub const fn rqa(quorum: u8, audits: u64) -> Self {
        Self::Rqa(Rqa { quorum, audits, form: Form::Quorum })
    }

    /// Single execution by anybody.
    pub const fn plain(audits: u64) -> Self {
        Self::rqa(1, audits)
    }

    /// Single execution by workers with a record.
    pub const fn record(audits: u64) -> Self {
        let form = Form::Record { units: RECORD };
        Self::Rqa(Rqa { quorum: 2, audits, form })
    }

    pub fn name(self) -> String {
        match self {
            Self::Counted(Stop::First(count)) => format!("{count}-first"),
            Self::Counted(Stop::Of { majority, issued }) => format!("{majority}-of-{issued}"),
            Self::Counted(Stop::Lead(lead)) => format!("lead {lead}"),
            Self::Adaptive => "BOINC adaptive".to_owned(),
            Self::Credibility { one_in } => format!("credibility 1/{one_in}"),
            Self::Rqa(Rqa { quorum, audits, form, .. }) => match (form, quorum) {
                (Form::Quorum, 1) => format!("economy k = 1, {audits} %"),
                (Form::Quorum, _) => format!("RQA k = {quorum}, {audits} %"),
                (Form::Record { .. }, _) => format!("economy record, {audits} %"),
            },
        }
    }

    pub fn run(self, setting: Setting) -> Outcome {
        match self {
            Self::Counted(stop) => fixed::run(stop, setting),
            Self::Adaptive => adaptive::run(setting),
            Self::Credibility { one_in } => credibility::run(1.0 / f64::from(one_in), setting),
            Self::Rqa(rqa) => rqa.run(setting),
        }
    }

    /// How many liars hold a unit between them, if lies that stay hidden may still cost them something.
    pub(super) fn risked_by(self) -> Option<usize> {
        match self {
            Self::Counted(_) | Self::Adaptive | Self::Rqa(Rqa { audits: 0, .. }) => None,
            Self::Credibility { .. } | Self::Rqa(Rqa { form: Form::Record { .. }, .. }) => Some(1),
            Self::Rqa(Rqa { form: Form::Quorum, quorum, .. }) => Some(usize::from(quorum)),
        }
    }

    /// Whether real steps are signed and judged, which takes a thousand times as long.
    pub(super) fn has_ledger(self) -> bool {
        matches!(self, Self::Rqa(_))
    }
}
