//! Blobs: whatever providers do, only right bytes arrive.

use net::{Config, FetchError, Misdeed, Patience, ProbeError, SourceEnd};
use protocol::BlobRef;

use crate::harness::{
    Basket, Gate, Manner, Node, Shelf, config, holder, in_time, node, noise, start, until_fact,
};
use crate::raw::{Raw, name_of};

const SIZE: usize = (5 << 20) + 7;

async fn fetcher() -> Node {
    let patience = Patience { stall: std::time::Duration::from_millis(300), ..Patience::default() };
    start(Config { patience, ..config(1) }, Shelf::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_all_shapes_arrive_as_they_are() {
    for len in [0, 1, 1 << 20, (1 << 20) + 1, SIZE] {
        let bytes = noise(len);
        let blob = BlobRef::of(&bytes);
        let (node, holder) = (node(1).await, holder(2, Shelf::of(&bytes, Manner::Honest)).await);
        node.dial(&holder).await;
        let basket = Basket::all_of(blob);
        let done = in_time(node.net.fetch(blob, vec![holder.me()], basket.sink())).await.unwrap();
        assert!(basket.bytes() == bytes, "{len} bytes");
        assert!(basket.look().ended);
        assert_eq!(done.sources.len(), 1);
        assert_eq!(done.sources[0].bytes, len as u64);
        assert_eq!(done.sources[0].end, SourceEnd::Finished);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_lies_is_dropped_and_another_goes_on() {
    let bytes = noise(SIZE);
    let blob = BlobRef::of(&bytes);
    let gate = Gate::default();
    let node = node(1).await;
    let liar = holder(2, Shelf::of(&bytes, Manner::WrongBytes)).await;
    let honest = holder(3, Shelf::of(&bytes, Manner::Waits(gate.clone()))).await;
    node.dial(&liar).await;
    node.dial(&honest).await;

    let basket = Basket::all_of(blob);
    let fetching = {
        let (net, sink) = (node.net.clone(), basket.sink());
        let providers = vec![liar.me(), honest.me()];
        tokio::spawn(async move { net.fetch(blob, providers, sink).await })
    };
    // The honest one is held back until the lie is out.
    until_fact(|| node.net.stats().faults == 1).await;
    gate.open();
    let done = in_time(fetching).await.unwrap().unwrap();
    assert!(basket.bytes() == bytes);
    let end = |peer| done.sources.iter().find(|s| s.peer == peer).map(|s| s.end.clone());
    assert_eq!(end(liar.me()), Some(SourceEnd::Fault(Misdeed::WrongBytes)));
    assert_eq!(end(honest.me()), Some(SourceEnd::Finished));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_stalls_does_not_hold_up_the_others() {
    let bytes = noise(SIZE);
    let blob = BlobRef::of(&bytes);
    let gate = Gate::default();
    let node = fetcher().await;
    let stalls = holder(2, Shelf::of(&bytes, Manner::Waits(gate.clone()))).await;
    let honest = holder(3, Shelf::of(&bytes, Manner::Honest)).await;
    node.dial(&stalls).await;
    node.dial(&honest).await;
    let basket = Basket::all_of(blob);
    let providers = vec![stalls.me(), honest.me()];
    in_time(node.net.fetch(blob, providers, basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes);

    let alone = in_time(node.net.fetch(blob, vec![stalls.me()], Basket::all_of(blob).sink())).await;
    let Err(FetchError::Unavailable { missing, sources }) = alone else { panic!("{alone:?}") };
    assert_eq!(missing, 6);
    assert_eq!(sources[0].end, SourceEnd::Fault(Misdeed::TooSlow));
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_resumed_with_only_the_missing_pieces() {
    let bytes = noise(SIZE);
    let blob = BlobRef::of(&bytes);
    let (node, holder) = (node(1).await, holder(2, Shelf::of(&bytes, Manner::Honest)).await);
    node.dial(&holder).await;
    let basket = Basket::missing([1, 4, 5]);
    in_time(node.net.fetch(blob, vec![holder.me()], basket.sink())).await.unwrap();
    let taken: Vec<u64> = basket.look().pieces.keys().copied().collect();
    assert_eq!(taken, [1, 4, 5]);
    assert_eq!(node.net.stats().blob_received, 3);
    assert_eq!(holder.net.stats().blob_sent, 3);

    let whole = Basket::missing([]);
    in_time(node.net.fetch(blob, Vec::new(), whole.sink())).await.unwrap();
    assert!(whole.look().ended, "nothing was missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_without_the_blob_or_with_a_wrong_tree_are_passed_over() {
    let bytes = noise(SIZE);
    let blob = BlobRef::of(&bytes);
    let node = node(1).await;
    let empty = holder(2, Shelf::default()).await;
    let liar = holder(3, Shelf::of(&bytes, Manner::WrongTree)).await;
    let short = holder(4, Shelf::of(&bytes, Manner::ShortPieces)).await;
    for other in [&empty, &liar, &short] {
        node.dial(other).await;
    }
    let providers = vec![empty.me(), liar.me(), short.me(), name_of(77)];
    let result = in_time(node.net.fetch(blob, providers, Basket::all_of(blob).sink())).await;
    let Err(FetchError::Unavailable { missing: 6, sources }) = result else { panic!("{result:?}") };
    let end = |peer| sources.iter().find(|s| s.peer == peer).map(|s| s.end.clone());
    assert_eq!(end(empty.me()), Some(SourceEnd::Absent));
    assert_eq!(end(liar.me()), Some(SourceEnd::Fault(Misdeed::WrongBytes)));
    assert_eq!(end(short.me()), Some(SourceEnd::Absent), "it noticed by itself");
    assert!(matches!(end(name_of(77)), Some(SourceEnd::Lost(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_faults() {
    let bytes = noise(100);
    let blob = BlobRef::of(&bytes);
    let mut node = fetcher().await;
    let mut raw = Raw::connect(9, &node.address()).await;
    node.until_up(name_of(9)).await;
    let honest: Vec<u8> = [&[1, 1][..], &bytes].concat();
    for (answer, misdeed) in [
        (vec![7], Misdeed::BadFrame),
        (vec![1, 9], Misdeed::BadFrame),
        ([&[1, 1][..], &[0; 100]].concat(), Misdeed::WrongBytes),
        (honest[..50].to_vec(), Misdeed::TooSlow),
        (Vec::new(), Misdeed::TooSlow),
    ] {
        let basket = Basket::all_of(blob);
        let fetching = node.net.fetch(blob, vec![name_of(9)], basket.sink());
        let (result, _stream) = tokio::join!(in_time(fetching), raw.answer_blob(answer));
        let Err(FetchError::Unavailable { sources, .. }) = result else { panic!("{result:?}") };
        assert_eq!(sources[0].end, SourceEnd::Fault(misdeed));
        assert!(basket.look().pieces.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_who_holds_a_blob_and_who_pretends_to() {
    let bytes = noise(SIZE);
    let blob = BlobRef::of(&bytes);
    let node = node(1).await;
    let honest = holder(2, Shelf::of(&bytes, Manner::Honest)).await;
    let liar = holder(3, Shelf::of(&bytes, Manner::WrongBytes)).await;
    node.dial(&honest).await;
    node.dial(&liar).await;
    let shown = in_time(node.net.probe(honest.me(), blob, 5)).await;
    assert_eq!(shown, Ok(bytes[5 << 20..].to_vec()));
    let wrong = in_time(node.net.probe(liar.me(), blob, 5)).await;
    assert_eq!(wrong, Err(ProbeError::Fault(Misdeed::WrongBytes)));
    assert_eq!(node.net.probe(honest.me(), blob, 6).await, Err(ProbeError::NoSuchPiece));
    let other = BlobRef::of(b"another");
    assert_eq!(in_time(node.net.probe(honest.me(), other, 0)).await, Err(ProbeError::Absent));
}
