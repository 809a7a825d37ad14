//! `dugnad peer …`

use client::show_duration_ms;

use crate::cli::args::{Output, PeerVerb};
use crate::cli::door::running;
use crate::cli::entry::Context;
use crate::cli::failure::{End, Outcome};
use crate::cli::terminal::{data, json, table};

pub(crate) fn run(context: &Context, verb: PeerVerb) -> Outcome {
    let client = running(context)?;
    match verb {
        PeerVerb::List => {
            let peers = client.peers()?;
            if context.output == Output::Json {
                json(&peers)?;
                return Ok(End::Done);
            }
            let rows: Vec<Vec<String>> = peers
                .into_iter()
                .map(|peer| {
                    vec![
                        peer.peer.to_string(),
                        peer.round_trip_us.map_or_else(|| "-".to_owned(), millis),
                        show_duration_ms(peer.connected_ms),
                        peer.jobs.len().to_string(),
                        peer.shared_units.to_string(),
                        peer.lapsed_claims.to_string(),
                        peer.agent,
                        peer.addresses.into_iter().next().unwrap_or_default(),
                    ]
                })
                .collect();
            let heading = [
                "PEER",
                "ROUND TRIP",
                "CONNECTED",
                "JOBS",
                "SHARED UNITS",
                "LAPSED CLAIMS",
                "PROGRAM",
                "ADDRESS",
            ];
            table(&heading, &rows)?;
        }
        PeerVerb::Ping { peer } => {
            let pong = client.ping(peer)?;
            match context.output {
                Output::Json => json(&pong)?,
                Output::Table => data(millis(pong.round_trip_us))?,
            }
        }
    }
    Ok(End::Done)
}

fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}
