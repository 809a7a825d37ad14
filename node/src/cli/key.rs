//! `dugnad key …`

use client::Client;
use serde_json::json;

use crate::cli::args::{KeyVerb, Output};
use crate::cli::entry::Context;
use crate::cli::failure::{End, Failure, Outcome};
use crate::cli::terminal::{self, data};
use crate::identity::Home;

pub(crate) fn run(context: &Context, verb: KeyVerb) -> Outcome {
    let KeyVerb::Show = verb;
    let config = context.settings(&[], true)?.config;
    // A running node has the folder locked, and knows its name.
    let peer = match Client::find(&config.data_dir) {
        Ok(client) => client.node()?.peer,
        Err(_) => Home::open(&config.data_dir)
            .and_then(|home| home.identity())
            .map_err(|error| Failure::of(End::BadInput, &error))?
            .keypair()
            .peer(),
    };
    match context.output {
        Output::Json => terminal::json(&json!({ "peer": peer }))?,
        Output::Table => data(peer.to_string())?,
    }
    Ok(End::Done)
}
