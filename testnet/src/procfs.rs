//! What processes use, as the kernel tells it: a node together with its workers.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// What some processes use, and have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time, that of children which have ended included.
    pub(crate) cpu: Duration,
    /// Resident memory; pages that several share are counted for each.
    pub(crate) rss_bytes: u64,
    /// Resident memory, shared pages divided among those who share them.
    pub(crate) pss_bytes: u64,
    pub(crate) processes: u64,
}

/// One process's line in `/proc`.
#[derive(Clone, Copy, Debug)]
struct Stat {
    pid: u32,
    parent: u32,
    /// Of itself.
    own_ticks: u64,
    /// Of its children that have ended.
    reaped_ticks: u64,
    rss_pages: u64,
}

/// These processes, with everything that they have started.
pub(crate) fn trees(roots: &[u32]) -> Usage {
    let all = all();
    let within = within(roots, &all);
    let mut usage = Usage::default();
    for stat in all.iter().filter(|stat| within.contains(&stat.pid)) {
        usage.cpu += ticks(stat.own_ticks + stat.reaped_ticks);
        usage.rss_bytes += stat.rss_pages * rustix::param::page_size() as u64;
        usage.pss_bytes += pss_bytes(stat.pid);
        usage.processes += 1;
    }
    usage
}

/// The most memory that this process and those which it has started have ever had resident, each at its own
/// time; those that have ended are not among them.
pub(crate) fn peak_bytes(root: u32) -> u64 {
    within(&[root], &all()).into_iter().map(|pid| status_bytes(pid, "VmHWM:")).sum()
}

/// The most memory that this process alone has ever had resident.
pub(crate) fn own_peak_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// CPU time of this very process, without its children.
pub(crate) fn own_cpu() -> Duration {
    read(std::process::id()).map_or(Duration::ZERO, |stat| ticks(stat.own_ticks))
}

/// CPU time of the whole machine that was not idle.
pub(crate) fn busy() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let numbers: Vec<u64> = first.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let busy = [0, 1, 2, 5, 6].into_iter().filter_map(|at| numbers.get(at)).sum();
    ticks(busy)
}

/// Bytes that went through the loopback device, whoever sent them.
pub(crate) fn loopback_bytes() -> u64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processes that these have started, and those started, and these themselves.
fn within(roots: &[u32], all: &[Stat]) -> BTreeSet<u32> {
    let mut within: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let more = all.iter().filter(|stat| within.contains(&stat.parent)).map(|stat| stat.pid);
        let more: Vec<u32> = more.filter(|pid| !within.contains(pid)).collect();
        if more.is_empty() {
            return within;
        }
        within.extend(more);
    }
}

fn all() -> Vec<Stat> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

fn read(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &text)
}

/// The program's name may hold spaces and brackets: what counts comes after the last one.
fn parse(pid: u32, text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: u32::try_from(number(1)?).ok()?,
        own_ticks: number(11)? + number(12)?,
        reaped_ticks: number(13)? + number(14)?,
        rss_pages: number(21)?,
    })
}

fn pss_bytes(pid: u32) -> u64 {
    kib_line(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    kib_line(&format!("/proc/{pid}/status"), name)
}

/// The bytes that a line of such a file tells in KiB.
fn kib_line(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_micros(count * 1_000_000 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5 6000 77 1";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.own_ticks, stat.reaped_ticks), (3, 33, 77));
        assert_eq!(stat.rss_pages, 77);
        assert!(parse(7, "7 (short").is_none());
    }

    #[test]
    fn a_tree_holds_its_root() {
        let usage = trees(&[std::process::id()]);
        assert!(1 <= usage.processes && 0 < usage.rss_bytes);
        assert!(0 < peak_bytes(std::process::id()));
    }
}
