//! Blobs: whatever providers do, only right bytes arrive.

use net::{Config, FetchError, Misdeed, Patience, ProbeError, SourceEnd};
use protocol::BlobRef;

use crate::harness::{
    Basket, Gate, Manner, Node, Shelf, config, holder, in_time, node, noise, start, until_fact,
};
use crate::raw::{Raw, name_of};

const SIZE: usize = (5 << 20) + 7;

/// A node whose patience ends soon: only for stories in which nothing but slowness can come.
async fn impatient(name: u8) -> Node {
    let patience = Patience { stall: std::time::Duration::from_millis(300), ..Patience::default() };
    start(Config { patience, ..config(name) }, Shelf::default()).await
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
    let (node, impatient) = (node(1).await, impatient(4).await);
    let stalls = holder(2, Shelf::of(&bytes, Manner::Waits(gate.clone()))).await;
    let honest = holder(3, Shelf::of(&bytes, Manner::Honest)).await;
    node.dial(&stalls).await;
    node.dial(&honest).await;
    let basket = Basket::all_of(blob);
    let providers = vec![stalls.me(), honest.me()];
    in_time(node.net.fetch(blob, providers, basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes);

    impatient.dial(&stalls).await;
    let fetching = impatient.net.fetch(blob, vec![stalls.me()], Basket::all_of(blob).sink());
    let alone = in_time(fetching).await;
    let Err(FetchError::Unavailable { missing, sources }) = alone else { panic!("{alone:?}") };
    assert_eq!(missing, 6);
    assert_eq!(sources[0].end, SourceEnd::Fault(Misdeed::TooSlow));
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
    for (peer, wanted) in [
        (empty.me(), Some(SourceEnd::Absent)),
        (liar.me(), Some(SourceEnd::Fault(Misdeed::WrongBytes))),
        // It notices by itself.
        (short.me(), Some(SourceEnd::Absent)),
        // Nobody has heard of this one.
        (name_of(77), None),
    ] {
        let basket = Basket::all_of(blob);
        let result = in_time(node.net.fetch(blob, vec![peer], basket.sink())).await;
        let Err(FetchError::Unavailable { missing: 6, sources }) = result else {
            panic!("{result:?}")
        };
        match wanted {
            Some(end) => assert_eq!(sources[0].end, end),
            None => assert!(matches!(sources[0].end, SourceEnd::Lost(_)), "{sources:?}"),
        }
        assert!(basket.look().pieces.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_faults() {
    let bytes = noise(100);
    let blob = BlobRef::of(&bytes);
    let (mut patient, mut impatient) = (node(1).await, impatient(2).await);
    let mut to_patient = Raw::connect(9, &patient.address()).await;
    let mut to_impatient = Raw::connect(10, &impatient.address()).await;
    patient.until_up(name_of(9)).await;
    impatient.until_up(name_of(10)).await;
    for (answer, misdeed) in [
        (vec![7], Misdeed::BadFrame),
        (vec![1, 9], Misdeed::BadFrame),
        ([&[1, 1][..], &[0; 100]].concat(), Misdeed::WrongBytes),
    ] {
        assert_eq!(answered(&patient, &mut to_patient, 9, blob, answer).await, misdeed);
    }
    let half = [&[1, 1][..], &bytes[..50]].concat();
    for answer in [half, Vec::new()] {
        let misdeed = answered(&impatient, &mut to_impatient, 10, blob, answer).await;
        assert_eq!(misdeed, Misdeed::TooSlow);
    }
}

/// What a node finds wrong with an answer.
async fn answered(node: &Node, raw: &mut Raw, name: u8, blob: BlobRef, answer: Vec<u8>) -> Misdeed {
    let basket = Basket::all_of(blob);
    let fetching = node.net.fetch(blob, vec![name_of(name)], basket.sink());
    let (result, _stream) = tokio::join!(in_time(fetching), raw.answer_blob(answer));
    let Err(FetchError::Unavailable { sources, .. }) = result else { panic!("{result:?}") };
    assert!(basket.look().pieces.is_empty());
    match &sources[0].end {
        SourceEnd::Fault(misdeed) => *misdeed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_nobody_asked_for_are_a_fault() {
    let bytes = noise(100);
    let blob = BlobRef::of(&bytes);
    let mut node = node(1).await;
    let mut raw = Raw::connect(9, &node.address()).await;
    node.until_up(name_of(9)).await;
    let endless = [&[1, 1][..], &bytes, &[1; 1000]].concat();
    let basket = Basket::all_of(blob);
    let fetching = node.net.fetch(blob, vec![name_of(9)], basket.sink());
    let (result, _stream) = tokio::join!(in_time(fetching), raw.answer_blob(endless));
    result.unwrap();
    assert!(basket.bytes() == bytes, "what was asked for is right");
    until_fact(|| node.net.stats().faults == 1).await;
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
