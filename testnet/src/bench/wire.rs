//! On the wire: what nodes send each other until a trivial unit is verified.

use serde_json::json;

use super::figure::WireArgs;
use super::ground::{deadline, fleet, through, trivial};
use crate::{Fleet, procfs, table};

const NODES: usize = 3;
/// What nodes count as sent, before encryption and framing.
const SENT: [(&str, &str); 3] = [
    ("gossip", "dugnad_net_gossip_sent_bytes_total"),
    ("messages", "dugnad_net_talk_sent_bytes_total"),
    ("blobs", "dugnad_net_blob_sent_bytes_total"),
];

pub(super) fn run(args: &WireArgs) -> anyhow::Result<()> {
    let deadline = deadline();
    let fleet = fleet(NODES, &args.ground.below, &args.ground.log, deadline)?;
    let client = fleet.member(NODES - 1).client()?;
    through(client, &trivial(0, 100)?, deadline)?;
    let (before, device) = (sent(&fleet)?, procfs::loopback_bytes());
    through(client, &trivial(1 << 20, (1 << 20) + args.units)?, deadline)?;
    let (after, device) = (sent(&fleet)?, procfs::loopback_bytes() - device);
    fleet.stop()?;
    let per_unit = |bytes: u64| bytes as f64 / args.units as f64;
    let mut rows = Vec::new();
    let mut all = 0;
    for ((name, _), (before, after)) in SENT.iter().zip(before.iter().zip(&after)) {
        all += after - before;
        rows.push(vec![(*name).to_owned(), format!("{:.1}", per_unit(after - before))]);
    }
    rows.push(vec!["together".to_owned(), format!("{:.1}", per_unit(all))]);
    rows.push(vec!["loopback device".to_owned(), format!("{:.1}", per_unit(device))]);
    table::print(&["SENT", "BYTES/UNIT"], &rows)?;
    table::talk(
        "the loopback device also carries headers, acknowledgements, the HTTP API and others' traffic",
    );
    table::json(&json!({
        "figure": "wire", "nodes": NODES, "units": args.units,
        "bytes_per_unit": per_unit(all), "device_bytes_per_unit": per_unit(device),
    }))?;
    Ok(())
}

/// Bytes of each kind over all nodes.
fn sent(fleet: &Fleet) -> anyhow::Result<Vec<u64>> {
    let of = |name: &str| fleet.members().iter().map(|member| member.metric(name)).sum();
    SENT.iter().map(|(_, name)| of(name)).collect()
}
