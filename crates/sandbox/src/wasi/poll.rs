//! Waiting: files and streams are always ready, and waiting for time makes it pass at once.

use super::clock::ClockId;
use super::descriptors::{Target, rights};
use super::memory::Call;
use crate::errno::{Errno, Stop};
use crate::limits::SUBSCRIPTIONS_MAX;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
const ABSOLUTE: u16 = 1;

#[derive(Clone, Copy, Debug)]
enum Wait {
    Until { clock: ClockId, time: u64 },
    Ready { bytes: u64 },
    Failed(Errno),
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    userdata: u64,
    tag: u8,
    wait: Wait,
}

pub(super) fn poll_oneoff(
    call: &mut Call<'_>,
    subscriptions: u32,
    events: u32,
    count: u32,
    out: u32,
) -> Result<(), Stop> {
    if count == 0 || SUBSCRIPTIONS_MAX < count {
        return Err(Errno::Inval.into());
    }
    let list = call.memory.bytes(subscriptions, SUBSCRIPTION_BYTES * count)?;
    let (list, _) = list.as_chunks::<{ SUBSCRIPTION_BYTES as usize }>();
    let mut waits = Vec::with_capacity(count as usize);
    for bytes in list {
        waits.push(subscription(call, bytes)?);
    }
    // The answer may overlap the question, which has been read.
    call.memory.bytes(events, EVENT_BYTES * count)?;

    let is_clock = |s: &Subscription| matches!(s.wait, Wait::Until { .. });
    if waits.iter().all(is_clock) {
        let first = waits.iter().filter_map(|s| match s.wait {
            Wait::Until { clock, time } => {
                Some((time.saturating_sub(call.guest.clock.now(clock)), clock, time))
            }
            Wait::Ready { .. } | Wait::Failed(_) => None,
        });
        if let Some((_, clock, time)) = first.min_by_key(|(left, ..)| *left) {
            call.guest.clock.advance_to(clock, time);
        }
    }
    let mut done = 0;
    for subscription in &waits {
        let (errno, bytes) = match subscription.wait {
            Wait::Until { clock, time } if time <= call.guest.clock.now(clock) => (0, 0),
            Wait::Until { .. } => continue,
            Wait::Ready { bytes } => (0, bytes),
            Wait::Failed(errno) => (errno as u16, 0),
        };
        let mut event = [0; EVENT_BYTES as usize];
        event[0..8].copy_from_slice(&subscription.userdata.to_le_bytes());
        event[8..10].copy_from_slice(&errno.to_le_bytes());
        event[10] = subscription.tag;
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        call.memory.write(events + done * EVENT_BYTES, &event)?;
        done += 1;
    }
    call.guest.clock.step();
    Ok(call.memory.write_u32(out, done)?)
}

fn subscription(
    call: &Call<'_>,
    bytes: &[u8; SUBSCRIPTION_BYTES as usize],
) -> Result<Subscription, Errno> {
    let u64_at = |at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were taken"))
    };
    let u32_at = |at: usize| u64_at(at) as u32;
    let tag = bytes[8];
    let wait = match tag {
        0 => {
            let clock = ClockId::parse(u32_at(16));
            let is_absolute = u64_at(40) as u16 & ABSOLUTE != 0;
            match clock {
                Err(errno) => Wait::Failed(errno),
                Ok(clock) if is_absolute => Wait::Until { clock, time: u64_at(24) },
                Ok(clock) => {
                    let time = call.guest.clock.now(clock).saturating_add(u64_at(24));
                    Wait::Until { clock, time }
                }
            }
        }
        1 => ready(call, u32_at(16), rights::FD_READ),
        2 => ready(call, u32_at(16), rights::FD_WRITE),
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { userdata: u64_at(0), tag, wait })
}

fn ready(call: &Call<'_>, fd: u32, right: u64) -> Wait {
    let guest = &call.guest;
    let descriptor = match guest.descriptors.get(fd) {
        Ok(descriptor) if descriptor.rights & right != 0 => descriptor,
        Ok(_) | Err(_) => return Wait::Failed(Errno::Badf),
    };
    let left = match descriptor.target {
        Target::Stdin => guest.stdin.content.len().saturating_sub(guest.stdin.offset),
        Target::Stdout | Target::Stderr => 0,
        Target::Node(node) => guest.files.stat(node).size.saturating_sub(descriptor.offset),
    };
    Wait::Ready { bytes: if right == rights::FD_READ { left } else { 0 } }
}
