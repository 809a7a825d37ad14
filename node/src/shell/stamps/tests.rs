//! Who is let in with which stamps, and how often anybody is looked at.

use protocol::{Hello, JobId, Keypair, StepId};

use super::*;

const EPOCH: u32 = 680;

fn network() -> NetworkId {
    NetworkId::named("test")
}

/// A stamp of no bits: only its cheap part costs something.
fn sound(of: Stamped) -> Stamp {
    Stamp::mint(network(), of, EPOCH, 0, 0..1 << 20).unwrap()
}

const fn junk(nonce: u64) -> Stamp {
    Stamp { epoch: EPOCH, bits: 9, nonce }
}

fn hello(stamp: Option<Stamp>) -> Message {
    Message::Hello(Hello { works: true, keeps: true, stamp })
}

fn step(author: &Keypair, stamp: Option<Stamp>) -> Signed<Step> {
    let step = Step {
        job: JobId::new([1; 32]),
        shard: 0,
        seq: 0,
        prev: StepId::new([0; 32]),
        level: 0,
        stamp,
        report: None,
        items: vec![],
    };
    author.sign(network(), step)
}

struct Door(Stamps, Instant, Counted);

impl Door {
    fn new() -> Self {
        Self(Stamps::default(), Instant::now(), Counted::default())
    }

    fn admit(&mut self, from: PeerId, message: Message) -> Admitted {
        self.2 = Counted::default();
        self.0.admit(network(), from, message, self.1, &mut self.2)
    }
}

#[test]
fn a_sound_stamp_is_checked_once_and_a_lie_turned_away() {
    let (mut door, peer) = (Door::new(), PeerId::new([3; 32]));
    let good = hello(Some(sound(Stamped::Peer(peer))));
    assert_eq!(door.admit(peer, good.clone()), Admitted::Message(good.clone()));
    assert_eq!(door.2, Counted { checked: 1, unchecked: 0 });
    assert_eq!(door.admit(peer, good.clone()), Admitted::Message(good.clone()));
    assert_eq!(door.2, Counted::default());
    assert_eq!(door.admit(peer, hello(Some(junk(1)))), Admitted::Unsound);
    assert_eq!(door.admit(peer, hello(Some(junk(1)))), Admitted::Unsound);
    assert_eq!(door.2, Counted::default(), "a lie is remembered, too");
    // Another's stamp is a lie in one's own mouth.
    assert_eq!(door.admit(PeerId::new([4; 32]), good), Admitted::Unsound);
    let bare = hello(None);
    assert_eq!(door.admit(peer, bare.clone()), Admitted::Message(bare));
}

#[test]
fn a_step_with_an_unsound_stamp_condemns_the_message() {
    let (mut door, from) = (Door::new(), PeerId::new([3; 32]));
    let authors = [[1; 32], [2; 32]].map(|secret| Keypair::from_secret(&secret));
    let good = step(&authors[0], Some(sound(Stamped::Peer(authors[0].peer()))));
    let bad = step(&authors[1], Some(junk(1)));
    let both = Message::Steps(vec![good.clone(), bad]);
    assert_eq!(door.admit(from, both), Admitted::Unsound);
    let one = Message::Steps(vec![good, step(&authors[1], None)]);
    assert_eq!(door.admit(from, one.clone()), Admitted::Message(one));
}

#[test]
fn a_peer_that_causes_too_many_checks_waits_and_others_do_not() {
    let (mut door, peer) = (Door::new(), PeerId::new([3; 32]));
    for nonce in 0..u64::from(CHECKS_MAX) {
        assert_eq!(door.admit(peer, hello(Some(junk(nonce)))), Admitted::Unsound, "{nonce}");
    }
    let more = hello(Some(junk(999)));
    assert_eq!(door.admit(peer, more.clone()), Admitted::Message(hello(None)));
    assert_eq!(door.2, Counted { checked: 0, unchecked: 1 });
    let author = Keypair::from_secret(&[5; 32]);
    let stamped = step(&author, Some(sound(Stamped::Peer(author.peer()))));
    let bare = step(&Keypair::from_secret(&[6; 32]), None);
    let alone = Message::Steps(vec![stamped.clone()]);
    assert_eq!(door.admit(peer, alone.clone()), Admitted::TooMany);
    let both = Message::Steps(vec![stamped, bare.clone()]);
    assert_eq!(door.admit(peer, both), Admitted::Message(Message::Steps(vec![bare])));
    // Somebody else brings the same step.
    let other = PeerId::new([4; 32]);
    assert_eq!(door.admit(other, alone.clone()), Admitted::Message(alone.clone()));
    assert_eq!(door.admit(peer, alone.clone()), Admitted::Message(alone));
    door.1 += CHECK_EVERY;
    assert_eq!(door.admit(peer, more), Admitted::Unsound);
}

#[test]
fn what_is_remembered_is_bounded_and_the_longest_unused_goes_first() {
    let mut known = Known::default();
    let key = |nonce: usize| (Stamped::Job(JobId::new([0; 32])), junk(nonce as u64));
    for nonce in 0..KNOWN_MAX {
        known.learn(key(nonce), true);
    }
    assert_eq!(known.find(key(0)), Some(true));
    known.learn(key(KNOWN_MAX), false);
    assert_eq!((known.stamps.len(), known.by_turn.len()), (KNOWN_MAX, KNOWN_MAX));
    assert_eq!((known.find(key(0)), known.find(key(1))), (Some(true), None));
}
