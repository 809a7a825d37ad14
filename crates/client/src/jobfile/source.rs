//! The source of a stage's units: exactly one of `range`, `grid`, `parts` and `gather`.

use super::SourceSpec;
use super::parts::parts;
use super::section::{Fault, Item, Section};
use crate::DraftAxis;

const SOURCES: [&str; 4] = ["range", "grid", "parts", "gather"];
const LATER: [&str; 2] = ["each", "by_name"];
const EXAMPLES: &str = "give one of `range = { from = 0, to = 64 }`, `grid = { x = [1, 2] }`, \
                        `parts = { path = \"lines.txt\", by = \"lines\", size = 100 }` and \
                        `gather = \"stage\"`";

pub(super) fn read(stage: &Section<'_>) -> Result<SourceSpec, Fault> {
    if let Some(item) = LATER.iter().find_map(|key| stage.get(key)) {
        return item.refuse("is not in this version", EXAMPLES);
    }
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
        _ => Ok(SourceSpec::Gather { stage: item.string()?.to_owned() }),
    }
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
