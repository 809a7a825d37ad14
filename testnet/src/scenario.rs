//! Scenario files, as far as real processes can play them: who is there, who lies, who crashes.

use std::path::Path;

use anyhow::{Context, bail};
use sim::{LiarKind, Planned, Scenario, What};

/// Reads a scenario: a file, or the name of one of those that come with `sim`.
pub(crate) fn load(name: &Path) -> anyhow::Result<Scenario> {
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/sim/scenarios");
    let known = known.join(name).with_extension("toml");
    let path = if name.is_file() { name } else { &known };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let scenario = Scenario::parse(&text).with_context(|| path.display().to_string())?;
    for Planned { what, .. } in &scenario.events {
        match what {
            What::Crash | What::Restart | What::Leave | What::WorkOff | What::WorkOn => {}
            What::Partition | What::Heal | What::Open | What::Cancel => bail!(
                "{}: {what:?} can be played by `sim` only\nhint: leave it out for real processes",
                path.display()
            ),
        }
    }
    Ok(scenario)
}

/// The kind of liar that scenarios call so.
pub(crate) fn kind(name: &str) -> Result<LiarKind, String> {
    let name = serde_json::Value::String(name.to_owned());
    serde_json::from_value(name).map_err(|error| error.to_string())
}

/// What scenarios call this kind.
pub(crate) fn name(kind: LiarKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(_) | Err(_) => format!("{kind:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_liar_has_one_name() {
        assert_eq!(kind("junk-voter"), Ok(LiarKind::JunkVoter));
        assert_eq!(name(LiarKind::JunkVoter), "junk-voter");
        assert!(kind("saint").is_err());
    }
}
