//! The mask between a node's engine and its shell.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use engine::{Effect, Event};
use node::Tamper;
use sim::Mask;
use store::Store;
use tracing::warn;

/// The store of the node that wears the mask, once it is open.
pub(super) type Shelf = Arc<OnceLock<Arc<Store>>>;

/// Passes everything through a mask, and stores the outputs that it makes up.
#[derive(Debug)]
pub(super) struct Masked {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
    shelf: Shelf,
    /// Made up before the store was open.
    forged: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Question {
    Event(Box<Event>),
    Effect(Box<Effect>),
}

#[derive(Debug)]
enum Answer {
    Event(Box<Event>, Vec<Vec<u8>>),
    Effects(Vec<Effect>),
}

impl Masked {
    /// A mask cannot change threads: it is made in one of its own by `mask`.
    pub(super) fn new(
        mask: impl FnOnce() -> Mask + Send + 'static,
        shelf: Shelf,
    ) -> anyhow::Result<Self> {
        let (questions, asked) = sync_channel(0);
        let (answer, answers) = sync_channel(0);
        let wear = move || wear(mask(), &asked, &answer);
        let thread = std::thread::Builder::new().name("mask".to_owned());
        thread.spawn(wear).context("no thread for the mask")?;
        Ok(Self { questions, answers, shelf, forged: Vec::new() })
    }

    fn ask(&self, question: Question) -> Answer {
        self.questions.send(question).expect("the mask's thread ends after this");
        self.answers.recv().expect("the mask's thread answers every question")
    }

    /// What was made up must be there when the engine asks for its pack.
    fn store(&mut self, forged: Vec<Vec<u8>>) {
        self.forged.extend(forged);
        let Some(store) = self.shelf.get() else { return };
        for bytes in self.forged.drain(..) {
            if let Err(error) = store.put(&bytes) {
                warn!(%error, "a lie was not stored");
            }
        }
    }
}

impl Tamper for Masked {
    fn event(&mut self, event: &mut Event) -> Vec<Effect> {
        let honest = std::mem::replace(event, Event::Tick);
        if let Answer::Event(told, forged) = self.ask(Question::Event(Box::new(honest))) {
            *event = *told;
            self.store(forged);
        }
        Vec::new()
    }

    fn effect(&mut self, effect: Effect) -> Vec<Effect> {
        match self.ask(Question::Effect(Box::new(effect))) {
            Answer::Effects(effects) => effects,
            Answer::Event(..) => Vec::new(),
        }
    }
}

fn wear(mut mask: Mask, questions: &Receiver<Question>, answers: &SyncSender<Answer>) {
    for question in questions {
        let answer = match question {
            Question::Event(event) => {
                let event = Box::new(mask.event(*event));
                Answer::Event(event, mask.forged())
            }
            Question::Effect(effect) => Answer::Effects(mask.effect(*effect)),
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}
