//! The thread that carries out orders: it mounts, runs and packs up, unit by unit.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use protocol::{BlobId, BlobRef, Loss};
use serde_bytes::ByteBuf;

use super::outbox::Outbox;
use super::watch::Watch;
use crate::cpu::CpuClock;
use crate::execute::{Finished, execute};
use crate::files::{Base, Content, Files, Space};
use crate::limits::{FRAME_OUTPUT_BYTES, FRAME_OUTPUTS_BYTES};
use crate::modules::{Modules, Ready};
use crate::trace::Pages;
use crate::wasi::Mounts;
use crate::wire::{Done, Job, Open, Order, Report, Start, WireOutput, WireRan, WireSource, parse};

/// Everything that outlives a request.
#[derive(Debug)]
pub(super) struct Server {
    modules: Modules,
    pages: Pages,
    clock: CpuClock,
    scratch: PathBuf,
    outputs: Outputs,
    outbox: Arc<Outbox>,
    watch: Arc<Watch>,
}

/// What the units of a request have in common.
#[derive(Debug)]
struct Opened {
    module: BlobId,
    plain: Option<Arc<Ready>>,
    metered: Option<Arc<Ready>>,
    base: Base,
    cautious: bool,
}

impl Server {
    /// To be called on the thread that runs guests: its clock is the one that is watched.
    ///
    /// # Errors
    /// A sentence for people, if the engine does not start.
    pub(super) fn new(
        start: Start,
        outbox: Arc<Outbox>,
        watch: Arc<Watch>,
    ) -> Result<Self, String> {
        let cache: PathBuf = start.cache.into();
        let outputs = Outputs { folder: start.outputs.into(), serial: start.serial, next: 0 };
        let mut modules = Modules::new(&cache);
        modules.warm_up()?;
        Ok(Self {
            modules,
            pages: Pages::new(),
            clock: CpuClock::of_this_thread(),
            scratch: start.scratch.into(),
            outputs,
            outbox,
            watch,
        })
    }

    /// Carries out orders until there can be no more, or one that makes no sense.
    pub(super) fn run(mut self, orders: Receiver<Order>) {
        let mut opened = None;
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.outbox.flush();
                    self.watch.set_busy(false);
                    let Ok(order) = orders.recv() else { return };
                    self.watch.set_busy(true);
                    order
                }
            };
            match order {
                Order::Start(_) => return,
                Order::Open(open) => {
                    let result = self.open(open);
                    self.watch.done();
                    let loss = result.as_ref().err().cloned();
                    opened = result.ok();
                    self.outbox.send(&Report::Module(loss));
                }
                Order::Units(jobs) => {
                    // Units may be on their way when the module turns out not to run.
                    let Some(opened) = &opened else { continue };
                    for job in jobs {
                        let Ok(job) = parse::<Job>(&job) else { return };
                        let index = job.index;
                        let result = self.unit(opened, job);
                        self.outbox.push(&Done { index, result }, opened.cautious);
                    }
                }
            }
        }
    }

    fn open(&mut self, open: Open) -> Result<Opened, Loss> {
        self.watch.compiling(&self.clock);
        let Open { module, bytes, plain, metered, shared, cautious } = open;
        let mut compiled = |wanted: bool, metered: bool| {
            let get = || self.modules.get(module, metered, || read_all(&bytes));
            wanted.then(get).transpose().map_err(Loss::Refused)
        };
        let (plain, metered) = (compiled(plain, false)?, compiled(metered, true)?);
        let mut files = Files::new(Space::new(&self.scratch, 0, 0));
        for (path, source) in shared {
            files.mount(&path, content(source)).map_err(Loss::Refused)?;
        }
        Ok(Opened { module, plain, metered, base: files.share(), cautious })
    }

    fn unit(&mut self, opened: &Opened, job: Job) -> Result<WireRan, Loss> {
        let Job { index, unit, stdin, files } = job;
        if unit.module != opened.module {
            return Err(Loss::Refused("the unit is another module's".to_owned()));
        }
        let ready = if unit.limits.fuel.is_some() { &opened.metered } else { &opened.plain };
        let Some(ready) = ready else {
            return Err(Loss::Refused("the unit was not announced with its request".to_owned()));
        };
        let mounts = Mounts {
            base: opened.base.clone(),
            stdin: stdin.map(content),
            files: files.into_iter().map(|(path, source)| (path, content(source))).collect(),
        };
        if opened.cautious {
            self.outbox.send(&Report::Running(index));
        }
        self.watch.running(index, &self.clock, unit.limits.cpu_ms);
        let finished = execute(ready, &unit, mounts, &self.scratch, &mut self.pages);
        self.watch.done();
        self.outputs.ship(finished?).map_err(|_| Loss::HostMemory)
    }
}

fn content(source: WireSource) -> Content {
    match source {
        WireSource::Bytes(bytes) => Content::Given(bytes.into_vec().into()),
        WireSource::Path(path, size) => Content::host(path.into(), size),
    }
}

fn read_all(source: &WireSource) -> Result<Vec<u8>, String> {
    match source {
        WireSource::Bytes(bytes) => Ok(bytes.to_vec()),
        WireSource::Path(path, size) => {
            let path: PathBuf = path.clone().into();
            let shown = path.display();
            let most = protocol::limits::MODULE_BYTES_MAX + 1;
            let mut bytes = Vec::new();
            fs::File::open(&path)
                .and_then(|file| {
                    file.take(size.saturating_add(1).min(most)).read_to_end(&mut bytes)
                })
                .map_err(|error| format!("the module in {shown} cannot be read: {error}"))?;
            Ok(bytes)
        }
    }
}

/// Where outputs go on their way to the parent.
#[derive(Debug)]
struct Outputs {
    folder: PathBuf,
    serial: u64,
    next: u64,
}

impl Outputs {
    /// Small outputs travel inside the frame, scratch files are handed over as they are, and what is
    /// between them goes into one file.
    fn ship(&mut self, finished: Finished) -> io::Result<WireRan> {
        let mut room = FRAME_OUTPUTS_BYTES;
        let mut bundle: Option<(String, fs::File, u64)> = None;
        let mut outputs: Vec<(BlobRef, WireOutput)> = Vec::with_capacity(finished.outputs.len());
        for (blob, content) in finished.outputs {
            let output = match content {
                Content::Memory(bytes) if bytes.len() <= FRAME_OUTPUT_BYTES.min(room) => {
                    room -= bytes.len();
                    WireOutput::Inline(ByteBuf::from(bytes))
                }
                Content::Memory(bytes) => {
                    let (name, file, end) = match &mut bundle {
                        Some(bundle) => bundle,
                        None => {
                            let name = self.name();
                            let file = OpenOptions::new()
                                .write(true)
                                .create_new(true)
                                .mode(0o600)
                                .open(self.folder.join(&name))?;
                            bundle.insert((name, file, 0))
                        }
                    };
                    file.write_all(&bytes)?;
                    let at = *end;
                    *end += bytes.len() as u64;
                    WireOutput::File(name.clone(), at)
                }
                Content::Scratch { scratch, .. } => {
                    let name = self.name();
                    fs::rename(scratch.give_away(), self.folder.join(&name))?;
                    WireOutput::File(name, 0)
                }
                Content::Given(_) | Content::Host(_) => {
                    return Err(io::Error::other("an input is no output"));
                }
            };
            outputs.push((blob, output));
        }
        let stderr = ByteBuf::from(finished.stderr);
        Ok(WireRan { execution: finished.execution, outputs, stderr })
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.serial, self.next)
    }
}
