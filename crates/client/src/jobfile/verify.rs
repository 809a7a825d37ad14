//! How much checking is wanted: a word, or a table with numbers or with what they are to reach.

use protocol::limits::{QUORUM_MAX, STAMP_BITS_MAX};

use super::read::optional;
use super::section::{Fault, Item};
use crate::assure::{AUDIT_PPM_MAX, LIARS_DEFAULT, LIARS_MAX};
use crate::{DraftPolicy, Goal};

const KEYS: [&str; 8] = ["quorum", "lead", "audit", "anchors", "level", "stamp", "target", "liars"];
/// A smaller share of liars is hope.
const LIARS_MIN: f64 = 0.01;
/// Whoever wants less than one wrong result in a million million wants a proof.
const TARGET_MIN: f64 = 1e-12;

pub(super) fn read(item: &Item<'_>) -> Result<(DraftPolicy, Goal), Fault> {
    if item.is_string() {
        return word(item).map(|policy| (policy, Goal::default()));
    }
    let verify = item.section("[verify]", &KEYS)?;
    let standard = DraftPolicy::standard();
    let small = |high: u8| move |item: &Item<'_>| item.integer(0, u64::from(high)).map(|n| n as u8);
    let quorum = optional(&verify, "quorum", |item| item.integer(1, u64::from(QUORUM_MAX)))?;
    let audit_ppm =
        optional(&verify, "audit", |item| item.share_ppm(f64::from(AUDIT_PPM_MAX) / 1e6))?;
    let goal = Goal {
        target: optional(&verify, "target", |item| item.number(TARGET_MIN, 0.5))?,
        liars: optional(&verify, "liars", |item| item.number(LIARS_MIN, LIARS_MAX))?
            .unwrap_or(LIARS_DEFAULT),
        keeps_quorum: quorum.is_some(),
        keeps_audit: audit_ppm.is_some(),
    };
    let policy = DraftPolicy {
        quorum: quorum.map_or(standard.quorum, |quorum| quorum as u8),
        lead: optional(&verify, "lead", |item| item.integer(1, 64))?
            .map_or(standard.lead, |lead| lead as u8),
        audit_ppm: audit_ppm.unwrap_or(standard.audit_ppm),
        anchors: optional(&verify, "anchors", anchors)?.unwrap_or_default(),
        level: optional(&verify, "level", small(32))?,
        stamp_bits: optional(&verify, "stamp", small(STAMP_BITS_MAX))?,
        ..standard
    };
    Ok((policy, goal))
}

fn word(item: &Item<'_>) -> Result<DraftPolicy, Fault> {
    match item.string()? {
        "standard" => Ok(DraftPolicy::standard()),
        "economy" => Ok(DraftPolicy::economy()),
        "strict" => Ok(DraftPolicy::strict()),
        other => {
            let other: String = other.chars().take(40).collect();
            item.refuse(
                format!("is `{other}`"),
                "known are \"standard\", \"economy\" and \"strict\"; a table `[verify]` takes numbers",
            )
        }
    }
}

fn anchors(item: &Item<'_>) -> Result<Vec<protocol::PeerId>, Fault> {
    item.list()?
        .iter()
        .map(|anchor| match anchor.string()?.parse() {
            Ok(peer) => Ok(peer),
            Err(error) => anchor.refuse(
                format!("has a name that is no peer's: {error}"),
                "`dugnad key show` prints a node's peer id",
            ),
        })
        .collect()
}
