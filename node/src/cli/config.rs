//! `dugnad config …`

use crate::cli::args::{ConfigVerb, Output};
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::terminal::{data, json, table};
use crate::config::{Config, Loaded, Origin, Setting};

pub(crate) fn run(context: &Context, verb: ConfigVerb) -> Outcome {
    let loaded = context.settings(&[], true)?;
    match verb {
        ConfigVerb::Path => data(Config::file_in(&loaded.config.data_dir).display().to_string())?,
        ConfigVerb::Show => show(context, &loaded)?,
    }
    Ok(End::Done)
}

fn show(context: &Context, loaded: &Loaded) -> Outcome<()> {
    let origin =
        |setting: &Setting| loaded.origins.get(setting).unwrap_or(&Origin::Default).to_string();
    let all = Setting::ALL
        .iter()
        .map(|setting| [setting.key().to_owned(), setting.show(&loaded.config), origin(setting)]);
    if context.output == Output::Json {
        let all = all.map(|[key, value, origin]| {
            (key, serde_json::json!({ "value": value, "origin": origin }))
        });
        return json(&all.collect::<serde_json::Map<_, _>>());
    }
    table(&["SETTING", "VALUE", "FROM"], &all.map(Vec::from).collect::<Vec<_>>())
}
