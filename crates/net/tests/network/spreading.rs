//! Spreading: who is on the way to a blob gives of it what has come, and bad providers cost little.

use net::{Config, FetchError, Misdeed, Patience, Rates, SourceEnd};
use protocol::BlobRef;

use crate::harness::{
    Basket, Gate, Manner, Node, Shelf, config, holder, in_time, node, noise, start, until_fact,
};
use crate::raw::{Raw, name_of};

const MIB: usize = 1 << 20;
const PIECES: u64 = 12;
/// An answer that says: I have all of it, begin at the front, nobody else asked.
const WHOLE: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

fn large() -> (Vec<u8>, BlobRef) {
    let bytes = noise((PIECES as usize - 1) * MIB + 7);
    let blob = BlobRef::of(&bytes);
    (bytes, blob)
}

/// A node that gives of the basket what it has taken.
async fn sharing(name: u8, basket: &Basket) -> Node {
    start(config(name), Shelf::default().showing(basket)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_the_way_to_a_blob_gives_what_has_come_and_gets_the_rest() {
    let (bytes, blob) = large();
    let gate = Gate::default();
    // Nobody has all of it: the seed holds back the second half.
    let seed = holder(1, Shelf::of(&bytes, Manner::WaitsAt(6, gate.clone()))).await;
    let (first_basket, second_basket) = (Basket::all_of(blob), Basket::all_of(blob));
    let (first, second) = (sharing(2, &first_basket).await, sharing(3, &second_basket).await);
    first.dial(&seed).await;
    second.dial(&first).await;
    let fetching = |node: &Node, from, basket: &Basket| {
        let (net, sink) = (node.net.clone(), basket.sink());
        tokio::spawn(async move { net.fetch(blob, vec![from], sink).await })
    };
    let to_first = fetching(&first, seed.me(), &first_basket);
    until_fact(|| first_basket.look().pieces.len() == 6).await;
    // It knows only the one that is on its way itself.
    let to_second = fetching(&second, first.me(), &second_basket);
    until_fact(|| second_basket.look().pieces.len() == 6).await;
    gate.open();
    in_time(to_first).await.unwrap().unwrap();
    let done = in_time(to_second).await.unwrap().unwrap();
    assert!(first_basket.bytes() == bytes && second_basket.bytes() == bytes);
    let by_first = done.sources.iter().find(|source| source.peer == first.me());
    assert!(by_first.is_some_and(|source| 6 <= source.chunks));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_fetch_the_same_hear_of_each_other_from_its_holder() {
    let (bytes, blob) = large();
    // Its owner's limit makes the holder the slowest of all.
    let rates = Rates { upload: Some(2 << 20), ..Rates::default() };
    let slow = Config { rates, ..config(1) };
    let seed = start(slow, Shelf::of(&bytes, Manner::Honest)).await;
    let baskets: Vec<Basket> = (0..3).map(|_| Basket::all_of(blob)).collect();
    let mut nodes = Vec::new();
    for (name, basket) in (2..).zip(&baskets) {
        let node = sharing(name, basket).await;
        node.dial(&seed).await;
        nodes.push(node);
    }
    nodes[0].dial(&nodes[1]).await;
    nodes[0].dial(&nodes[2]).await;
    nodes[1].dial(&nodes[2]).await;
    let fetching: Vec<_> = nodes
        .iter()
        .zip(&baskets)
        .map(|(node, basket)| {
            let (net, sink, from) = (node.net.clone(), basket.sink(), seed.me());
            tokio::spawn(async move { net.fetch(blob, vec![from], sink).await })
        })
        .collect();
    for fetching in fetching {
        in_time(fetching).await.unwrap().unwrap();
    }
    assert!(baskets.iter().all(|basket| basket.bytes() == bytes));
    let given: u64 = nodes.iter().map(|node| node.net.stats().blob_sent).sum();
    assert!(0 < given, "they gave to each other");
    let faults: u64 = nodes.iter().map(|node| node.net.stats().faults).sum();
    assert_eq!(faults, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn false_hints_and_false_reports_cost_little() {
    let (bytes, blob) = large();
    let mut node = node(1).await;
    let honest = holder(2, Shelf::of(&bytes, Manner::Honest)).await;
    node.dial(&honest).await;
    let mut raw = Raw::connect(9, &node.address()).await;
    node.until_up(name_of(9)).await;
    // It says that it has a part, all of the blob, and names peers whom nobody knows; then it is silent.
    let strangers = (100..116u8).flat_map(|name| *name_of(name).as_bytes());
    let report: Vec<u8> =
        [1, 1, 0, 0, 0, 0, 16].into_iter().chain(strangers).chain([0xff, 0x0f]).collect();
    let basket = Basket::all_of(blob);
    // The honest one is asked for the tree.
    let fetching = node.net.fetch(blob, vec![honest.me(), name_of(9)], basket.sink());
    let (done, _stream) = tokio::join!(in_time(fetching), raw.answer_blobs(vec![report]));
    done.unwrap();
    assert!(basket.bytes() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_arrives_although_one_provider_answers_wrong_or_endlessly() {
    let (bytes, blob) = large();
    let wrong = [&[1, 1], &vec![7; MIB][..]].concat();
    for (name, answer, misdeed) in [
        (10, wrong, Misdeed::WrongBytes),
        (11, vec![2; 1000], Misdeed::TooSlow),
        (12, vec![7], Misdeed::BadFrame),
    ] {
        let (mut node, gate) = (node(1).await, Gate::default());
        let honest = holder(2, Shelf::of(&bytes, Manner::WaitsAt(11, gate.clone()))).await;
        node.dial(&honest).await;
        let mut raw = Raw::connect(name, &node.address()).await;
        node.until_up(name_of(name)).await;
        let basket = Basket::all_of(blob);
        let fetching = {
            let (net, sink) = (node.net.clone(), basket.sink());
            let providers = vec![honest.me(), name_of(name)];
            tokio::spawn(async move { net.fetch(blob, providers, sink).await })
        };
        let _stream = raw.answer_blobs(vec![WHOLE.to_vec(), answer]).await;
        // The honest one holds the last piece back until the other is found out.
        until_fact(|| node.net.stats().faults == 1).await;
        gate.open();
        let done = in_time(fetching).await.unwrap().unwrap();
        assert!(basket.bytes() == bytes);
        let bad = done.sources.iter().find(|source| source.peer == name_of(name));
        assert_eq!(bad.map(|bad| bad.end.clone()), Some(SourceEnd::Fault(misdeed)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_arrives_although_one_provider_stops_in_the_middle() {
    let (bytes, blob) = large();
    for (name, answer) in [(10, vec![]), (11, vec![1]), (12, [&[1, 1], &bytes[..1000]].concat())] {
        let mut node = node(1).await;
        let honest = holder(2, Shelf::of(&bytes, Manner::Honest)).await;
        node.dial(&honest).await;
        let mut raw = Raw::connect(name, &node.address()).await;
        node.until_up(name_of(name)).await;
        let basket = Basket::all_of(blob);
        let providers = vec![honest.me(), name_of(name)];
        let fetching = node.net.fetch(blob, providers, basket.sink());
        let stopping = async {
            let _stream = raw.answer_blobs(vec![WHOLE.to_vec(), answer]).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = in_time(fetching) => drop(done.unwrap()),
            () = stopping => {}
        }
        assert!(basket.bytes() == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_full_ends_the_transfer_and_what_it_took_is_not_fetched_again() {
    let (bytes, blob) = large();
    let (node, holder) = (node(1).await, holder(2, Shelf::of(&bytes, Manner::Honest)).await);
    node.dial(&holder).await;
    let basket = Basket::with_room_for(blob, 5);
    let ended = in_time(node.net.fetch(blob, vec![holder.me()], basket.sink())).await;
    assert!(matches!(ended, Err(FetchError::Sink(_))), "{ended:?}");
    let taken: Vec<u64> = basket.look().pieces.keys().copied().collect();
    assert_eq!(taken.len(), 5);

    basket.make_room();
    in_time(node.net.fetch(blob, vec![holder.me()], basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes, "no piece was given twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_asks_for_much_does_not_keep_others_waiting() {
    let (bytes, blob) = large();
    let untaken = std::time::Duration::from_millis(50);
    let patience = Patience { untaken, ..Patience::default() };
    let shelf = Shelf::of(&bytes, Manner::Honest);
    let holder = start(Config { patience, ..config(1) }, shelf).await;
    // Each asks again and again for four pieces, and takes nothing.
    let mut greedy = Vec::new();
    for name in 20..40u8 {
        let mut raw = Raw::connect(name, &holder.address()).await;
        let request: Vec<u8> = [0u8]
            .into_iter()
            .chain(*blob.id.as_bytes())
            .chain(blob.size.to_be_bytes())
            .chain(0u64.to_be_bytes())
            .chain(4u32.to_be_bytes())
            .collect();
        greedy.push((raw.ask_and_take_nothing(&request.repeat(50)).await, raw));
    }
    let node = node(2).await;
    node.dial(&holder).await;
    let basket = Basket::all_of(blob);
    in_time(node.net.fetch(blob, vec![holder.me()], basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes);
    drop(greedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_have_no_more_than_we_are_let_go() {
    let (bytes, blob) = large();
    let gate = Gate::default();
    let seed = holder(1, Shelf::of(&bytes, Manner::WaitsAt(6, gate.clone()))).await;
    let (first_basket, second_basket) = (Basket::all_of(blob), Basket::all_of(blob));
    let first = sharing(2, &first_basket).await;
    let useless = std::time::Duration::from_millis(300);
    let patience = Patience { useless, ..Patience::default() };
    let second = start(Config { patience, ..config(3) }, Shelf::default()).await;
    first.dial(&seed).await;
    second.dial(&first).await;
    let (net, sink, from) = (first.net.clone(), first_basket.sink(), seed.me());
    let to_first = tokio::spawn(async move { net.fetch(blob, vec![from], sink).await });
    until_fact(|| first_basket.look().pieces.len() == 6).await;
    // The first gets no further, and the second asks nobody else.
    let ended = in_time(second.net.fetch(blob, vec![first.me()], second_basket.sink())).await;
    assert!(matches!(ended, Err(FetchError::Unavailable { missing: 6.., .. })), "{ended:?}");
    gate.open();
    in_time(to_first).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_only_promise_do_not_keep_others_from_being_asked() {
    let (bytes, blob) = large();
    let silence = std::time::Duration::from_millis(50);
    let patience = Patience { silence, ..Patience::default() };
    let mut node = start(Config { patience, ..config(1) }, Shelf::default()).await;
    // More than are asked at one time, and none of them answers anything.
    let mut silent = Vec::new();
    for name in 50..60u8 {
        silent.push(Raw::connect(name, &node.address()).await);
        node.until_up(name_of(name)).await;
    }
    // Nobody names the one that has it.
    let honest = holder(2, Shelf::of(&bytes, Manner::Honest)).await;
    node.dial(&honest).await;
    let basket = Basket::all_of(blob);
    let named = (50..60).map(name_of).collect();
    in_time(node.net.fetch(blob, named, basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes);
    assert_eq!(node.net.stats().faults, 0, "none was found out before");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_give_nothing_do_not_keep_the_memory_of_all_transfers() {
    let silence = std::time::Duration::from_millis(200);
    let patience = Patience { silence, ..Patience::default() };
    let node = start(Config { patience, ..config(1) }, Shelf::default()).await;
    let gate = Gate::default();
    let (mut slow, mut baskets) = (Vec::new(), Vec::new());
    for name in 10..18u8 {
        let bytes = noise((PIECES as usize - 1) * MIB + usize::from(name));
        let (blob, manner) = (BlobRef::of(&bytes), Manner::WaitsAt(1, gate.clone()));
        let one = holder(name, Shelf::of(&bytes, manner)).await;
        node.dial(&one).await;
        let basket = Basket::all_of(blob);
        let (net, sink, from) = (node.net.clone(), basket.sink(), one.me());
        tokio::spawn(async move { net.fetch(blob, vec![from], sink).await });
        slow.push(one);
        baskets.push(basket);
    }
    // They have shown that they have it, and owe as much as one may.
    until_fact(|| baskets.iter().all(|basket| basket.look().pieces.len() == 1)).await;
    let (bytes, blob) = large();
    let honest = holder(2, Shelf::of(&bytes, Manner::Honest)).await;
    node.dial(&honest).await;
    let basket = Basket::all_of(blob);
    in_time(node.net.fetch(blob, vec![honest.me()], basket.sink())).await.unwrap();
    assert!(basket.bytes() == bytes);
    gate.open();
}
