//! Minting stamps: this node's own, in the background and once an epoch, and those of its jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use engine::Event;
use protocol::{NetworkId, PeerId, Stamp, Stamped, decode, encode};
use store::{Batch, Store};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::shell::{Shared, unix_ms};

/// Under this key lies the identity's stamp.
const STAMP: &[u8] = b"s/identity";
const STAMP_BYTES_MAX: usize = 64;
/// Nonces that are tried between two looks whether to stop: on average half a hash of ten milliseconds.
const SLICE: u64 = 1 << 13;
/// How often to look whether a new epoch has begun; clocks may jump.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// The stamp of an earlier session, if it is what this network asks for and still counts.
pub(crate) fn kept(store: &Store, network: NetworkId, me: PeerId, bits: u8) -> Option<Stamp> {
    let record = store.record(STAMP).ok().flatten()?;
    let stamp: Stamp = decode(&record, STAMP_BYTES_MAX).ok()?;
    let is_good =
        bits != 0 && stamp.is_enough(bits, unix_ms()) && stamp.is_sound(network, Stamped::Peer(me));
    is_good.then_some(stamp)
}

/// Keeps this node stamped with `bits`, for as long as it runs.
pub(crate) async fn stay_stamped(shared: Arc<Shared>, bits: u8, mut own: Option<Stamp>) {
    if bits == 0 {
        return;
    }
    loop {
        let epoch = Stamp::epoch_of(unix_ms());
        if own.is_none_or(|stamp| stamp.epoch != epoch) {
            info!(bits, epoch, "making this node's stamp");
            let of = Stamped::Peer(shared.me);
            let Some(stamp) = mint(&shared, of, epoch, bits, 1).await else {
                return;
            };
            let mut batch = Batch::default();
            batch.write(STAMP.to_vec(), encode(&stamp));
            if let Err(error) = shared.store.write_soon(batch) {
                warn!(%error, "the stamp was not written down: it will be made again");
            }
            info!(bits, epoch, "this node's stamp is made");
            own = Some(stamp);
            shared.is_stamped.store(true, Relaxed);
            shared.tell(Event::Stamped { stamp }).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Makes a stamp on some threads of the lowest priority; `None` if the node stops before.
pub(crate) async fn mint(
    shared: &Shared,
    of: Stamped,
    epoch: u32,
    bits: u8,
    threads: usize,
) -> Option<Stamp> {
    let network = shared.network;
    // Whoever does not wait any more wants no stamp, either.
    let stop = shared.stop.child_token();
    let _unwanted = stop.clone().drop_guard();
    let work = move || search(network, of, epoch, bits, threads, &stop);
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

fn search(
    network: NetworkId,
    of: Stamped,
    epoch: u32,
    bits: u8,
    threads: usize,
    stop: &CancellationToken,
) -> Option<Stamp> {
    // From anywhere, so that a search that was broken off is not made again from its beginning.
    let next = AtomicU64::new(getrandom::u64().unwrap_or(0) >> 1);
    let found = stop.child_token();
    let one_of_them = || {
        // A pool's thread would stay as slow as this makes it.
        yield_to_others();
        while !found.is_cancelled() {
            let from = next.fetch_add(SLICE, Relaxed);
            let stamp = Stamp::mint(network, of, epoch, bits, from..from + SLICE);
            if stamp.is_some() {
                found.cancel();
                return stamp;
            }
        }
        None
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one_of_them)).collect();
        all.into_iter().find_map(|thread| thread.join().ok().flatten())
    })
}

/// Gives this thread what others leave over. On Linux, niceness is a thread's own.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    // At a higher priority it works, too.
    let _ = rustix::process::nice(19);
}

#[cfg(not(target_os = "linux"))]
const fn yield_to_others() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_find_a_stamp_and_stop_when_told() {
        let (network, of) = (NetworkId::named("test"), Stamped::Peer(PeerId::new([3; 32])));
        let stop = CancellationToken::new();
        let stamp = search(network, of, 680, 1, 2, &stop).unwrap();
        assert!(stamp.bits == 1 && stamp.is_sound(network, of));
        stop.cancel();
        assert_eq!(search(network, of, 680, 1, 2, &stop), None);
    }

    #[test]
    fn a_stamp_is_kept_as_long_as_it_counts() {
        let temp = tempfile::tempdir().unwrap();
        let opened = Store::open(temp.path(), store::Options::new(64 << 20)).unwrap();
        let (network, me) = (NetworkId::named("test"), PeerId::new([3; 32]));
        let epoch = Stamp::epoch_of(unix_ms());
        let stop = CancellationToken::new();
        let stamp = search(network, Stamped::Peer(me), epoch, 1, 1, &stop).unwrap();
        let kept = |bits| kept(&opened.store, network, me, bits);
        assert_eq!(kept(1), None);
        let write = |stamp: Stamp| {
            let mut batch = Batch::default();
            batch.write(STAMP.to_vec(), encode(&stamp));
            opened.store.commit(batch).unwrap();
        };
        write(stamp);
        assert_eq!((kept(1), kept(2), kept(0)), (Some(stamp), None, None));
        write(Stamp { nonce: stamp.nonce ^ 1, ..stamp });
        assert_eq!(kept(1), None);
    }
}
