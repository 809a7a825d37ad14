//! Connections from somebody who does not speak the language.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;
use sim::Chance;
use testnet::{example, hand_over, until};

use crate::harness::{play, verified};

const CONNECTIONS: u64 = 40;
/// How a connection to any libp2p node begins.
const GREETING: &[u8] = b"\x13/multistream/1.0.0\n";
const NOISE: &[u8] = b"\x07/noise\n";

#[test]
fn noise_on_the_wire_hurts_nobody() {
    play(3, |fleet, deadline| {
        for member in fleet.members() {
            let mut ports = member.addresses().iter().filter_map(|address| port(address));
            let port = ports.next().context("a TCP address")?;
            for connection in 0..CONNECTIONS {
                annoy(SocketAddr::from(([127, 0, 0, 1], port)), connection);
            }
        }
        let client = fleet.member(2).client()?;
        let job = hand_over(client, &example("kmers")?)?;
        until(client, job, deadline, "a job was verified after the noise", verified)?;
        Ok(())
    });
}

/// Sends a good beginning, or part of one, and then anything; the node may hang up at any time.
fn annoy(address: SocketAddr, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut bytes = match seed % 4 {
        0 => Vec::new(),
        1 => GREETING[..GREETING.len() / 2].to_vec(),
        2 => GREETING.to_vec(),
        _ => [GREETING, NOISE].concat(),
    };
    bytes.extend((0..chance.below(1 << 16)).map(|_| chance.next() as u8));
    let sent = TcpStream::connect(address).and_then(|mut stream| stream.write_all(&bytes));
    // To be sent away is what such a peer has to expect.
    drop(sent);
}

/// The port of `/ip4/127.0.0.1/tcp/…`.
fn port(address: &str) -> Option<u16> {
    address.strip_prefix("/ip4/127.0.0.1/tcp/")?.split('/').next()?.parse().ok()
}
