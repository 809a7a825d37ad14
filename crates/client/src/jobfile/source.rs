//! The source of a stage's units: exactly one of `range`, `grid`, `parts`, `each`, `gather` and `by_name`.

use protocol::limits::{BUCKETS_MAX, FAN_IN_MAX};

use super::SourceSpec;
use super::parts::parts;
use super::section::{Fault, Item, Section};
use crate::DraftAxis;

const SOURCES: [&str; 6] = ["range", "grid", "parts", "each", "gather", "by_name"];
const EXAMPLES: &str = "give one of `range = { from = 0, to = 64 }`, `grid = { x = [1, 2] }`, \
                        `parts = { path = \"lines.txt\", by = \"lines\", size = 100 }`, \
                        `each = \"stage\"`, `gather = \"stage\"` and \
                        `by_name = { stage = \"stage\", buckets = 16 }`";

pub(super) fn read(stage: &Section<'_>) -> Result<SourceSpec, Fault> {
    let given: Vec<(&str, Item<'_>)> =
        SOURCES.iter().filter_map(|key| Some((*key, stage.get(key)?))).collect();
    let [(key, item)] = given.as_slice() else {
        let keys: Vec<&str> = given.iter().map(|(key, _)| *key).collect();
        let why = match keys.as_slice() {
            [] => format!("{} does not say how its units arise", stage.name()),
            several => format!(
                "{} has {} where one source is allowed",
                stage.name(),
                several.join(" and ")
            ),
        };
        return Err(Fault::new(stage.at(), why, EXAMPLES));
    };
    match *key {
        "range" => range(item),
        "grid" => grid(item),
        "parts" => Ok(SourceSpec::Parts(parts(item)?)),
        "each" => Ok(SourceSpec::Each { stage: item.string()?.to_owned() }),
        "by_name" => by_name(item),
        _ => gather(item),
    }
}

fn gather(item: &Item<'_>) -> Result<SourceSpec, Fault> {
    if let Ok(stage) = item.string() {
        return Ok(SourceSpec::Gather { stage: stage.to_owned(), fan_in: None });
    }
    let gather = item.section("`gather`", &["stage", "fan_in"])?;
    let stage = gather.need("stage", "`stage = \"…\"`")?.string()?.to_owned();
    let fan_in = gather.get("fan_in").map(|n| n.integer(2, FAN_IN_MAX.into())).transpose()?;
    Ok(SourceSpec::Gather { stage, fan_in: fan_in.map(|n| n as u32) })
}

fn by_name(item: &Item<'_>) -> Result<SourceSpec, Fault> {
    let by_name = item.section("`by_name`", &["stage", "buckets"])?;
    let stage = by_name.need("stage", "`stage = \"…\"`")?.string()?.to_owned();
    let buckets = by_name.need("buckets", "`buckets = …`: into how many units the names go")?;
    let buckets = buckets.integer(1, BUCKETS_MAX.into())? as u32;
    Ok(SourceSpec::ByName { stage, buckets })
}

fn range(item: &Item<'_>) -> Result<SourceSpec, Fault> {
    let range = item.section("a range", &["from", "to", "block"])?;
    let from = match range.get("from") {
        Some(from) => from.integer(0, i64::MAX as u64)?,
        None => 0,
    };
    let to = range.need("to", "`to = …`, the first integer that is not in the range")?;
    let to_value = to.integer(0, i64::MAX as u64)?;
    if to_value <= from {
        return to.refuse(
            format!("is {to_value}, so that the range from {from} is empty"),
            "`to` is the first integer that is not in the range",
        );
    }
    let block = match range.get("block") {
        Some(block) => block.integer(1, i64::MAX as u64)?,
        None => 1,
    };
    Ok(SourceSpec::Range { from, to: to_value, block })
}

fn grid(item: &Item<'_>) -> Result<SourceSpec, Fault> {
    let mut axes = Vec::new();
    for (name, values) in item.entries()? {
        let list = values.list()?;
        if list.is_empty() {
            return values.refuse("has no values", "give at least one value to every axis");
        }
        let values = list.iter().map(Item::text).collect::<Result<_, _>>()?;
        axes.push(DraftAxis { name: name.to_owned(), values });
    }
    if axes.is_empty() {
        return item.refuse("has no axes", "give names and lists: `grid = { x = [1, 2] }`");
    }
    Ok(SourceSpec::Grid { axes })
}
