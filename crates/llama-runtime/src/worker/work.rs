//! The loop: take commands, run a step, tell the callers; sleep when there is nothing to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender},
    },
};

use llama_engine::{EngineError, FinishReason, KeepContext, PinnedContext};
use llama_kv::PagedCache;
use llama_models::{Decoder, Output};

use super::{
    Command, EmbedJob, GenerateJob, PinJob, Reply,
    embedding::{Collector, Embedding},
    generation::Generation,
    pins::Pins,
};
use crate::{
    EngineStats,
    scheduler::{Refusal, Scheduler, SequenceId, SequenceSpec, Start},
};

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) decoder: Decoder,
    pub(crate) cache: PagedCache,
    pub(crate) scheduler: Scheduler,
    /// Tokens that have text; logits beyond them are padding of the checkpoint.
    pub(crate) vocab_size: usize,
    /// Tells engines of one process apart.
    pub(crate) engine: u64,
    /// Requests that wait: the engine counts them in, the worker out.
    pub(crate) num_waiting: Arc<AtomicUsize>,
}

/// The worker's state. Lives on its own thread.
pub(crate) struct Worker {
    pub(super) decoder: Decoder,
    pub(super) cache: PagedCache,
    pub(super) scheduler: Scheduler,
    pub(super) vocab_size: usize,
    pub(super) work: BTreeMap<SequenceId, Work>,
    /// Those that no step has worked on: they count as waiting.
    not_started: BTreeSet<SequenceId>,
    pins: Pins,
    next_id: u64,
    num_waiting: Arc<AtomicUsize>,
    pub(super) num_preemptions: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nobody waits in vain: later calls shall hear that the worker is gone, not that the queue is full.
        self.num_waiting.store(0, Ordering::Relaxed);
    }
}

/// What a sequence is run for.
pub(super) enum Work {
    Generate(Box<Generation>),
    Embed(Embedding),
    Pin(Reply<PinnedContext>),
}

impl Worker {
    /// `commands` is where handles announce their last drop.
    pub(crate) fn new(parts: WorkerParts, commands: Sender<Command>) -> Self {
        Self {
            decoder: parts.decoder,
            cache: parts.cache,
            scheduler: parts.scheduler,
            vocab_size: parts.vocab_size,
            work: BTreeMap::new(),
            not_started: BTreeSet::new(),
            pins: Pins::new(parts.engine, commands),
            next_id: 0,
            num_waiting: parts.num_waiting,
            num_preemptions: 0,
        }
    }

    /// Serves until [`Command::Shutdown`] and the end of what was asked before.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut is_open = true;
        while is_open || !self.work.is_empty() {
            if self.work.is_empty() {
                match commands.recv() {
                    Ok(command) => is_open &= self.accept(command),
                    Err(_) => return,
                }
            }
            while let Ok(command) = commands.try_recv() {
                is_open &= self.accept(command);
            }
            self.drop_abandoned();
            self.step();
        }
    }

    /// Takes one command. Says whether more shall be taken.
    fn accept(&mut self, command: Command) -> bool {
        match command {
            Command::Generate(job) => self.generate(*job),
            Command::Embed(job) => self.embed(job),
            Command::Pin(PinJob { tokens, reply }) => {
                self.submit(tokens, (Output::Nothing, Start::Cached), Work::Pin(reply));
            }
            Command::Release(id) => self.pins.release(id, self.scheduler.pool_mut()),
            Command::Stats(reply) => {
                // Whoever has dropped a stream before asking shall not find it here.
                self.drop_abandoned();
                // If the caller has gone, nobody needs the numbers.
                let _ = reply.send(Ok(self.stats()));
            }
            Command::Shutdown => return false,
        }
        true
    }

    fn stats(&self) -> EngineStats {
        EngineStats {
            cache: self.scheduler.pool().stats(),
            num_running: self.scheduler.num_running(),
            num_waiting: self.scheduler.num_waiting(),
            num_queued: self.num_waiting.load(Ordering::Relaxed),
            num_pins: self.pins.len(),
            num_preemptions: self.num_preemptions,
        }
    }

    fn generate(&mut self, mut job: GenerateJob) {
        let (mut tokens, mut start) = (Vec::new(), Start::Cached);
        if let Some((id, handle)) = job.context.take() {
            let pool = self.scheduler.pool_mut();
            let Some((known, table)) = self.pins.fork(id, handle.len(), pool) else {
                self.num_waiting.fetch_sub(1, Ordering::Relaxed);
                return Generation::new(job, 0).fail(EngineError::ForeignContext);
            };
            (tokens, start) = (known, Start::Forked(table));
        }
        tokens.append(&mut job.tokens);
        let generation = Generation::new(job, tokens.len());
        self.submit(tokens, (Output::LastLogits, start), Work::Generate(Box::new(generation)));
    }

    fn embed(&mut self, job: EmbedJob) {
        let EmbedJob { texts, pooling, normalization, dimensions, reply } = job;
        // One place in the queue for the whole request; each text takes one more back when it starts.
        self.num_waiting.fetch_add(texts.len(), Ordering::Relaxed);
        self.num_waiting.fetch_sub(1, Ordering::Relaxed);
        let collector = Collector::new(texts.len(), reply);
        for (text_idx, tokens) in texts.into_iter().enumerate() {
            let (collector, sum) = (collector.clone(), Vec::new());
            let embedding =
                Embedding { collector, text_idx, pooling, normalization, dimensions, sum, weight: 0.0 };
            self.submit(tokens, (Output::HiddenStates, Start::Fresh), Work::Embed(embedding));
        }
    }

    fn submit(&mut self, tokens: Vec<u32>, (output, start): (Output, Start), work: Work) {
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.scheduler.submit(SequenceSpec { id, tokens, output, start });
        self.work.insert(id, work);
        self.not_started.insert(id);
    }

    /// Ends what nobody waits for, before it costs another step.
    fn drop_abandoned(&mut self) {
        let (mut abandoned, mut interrupted) = (Vec::new(), Vec::new());
        for (&id, work) in &mut self.work {
            let is_abandoned = match work {
                Work::Generate(generation) => generation.is_abandoned(),
                Work::Embed(embedding) => embedding.collector.borrow().is_abandoned(),
                Work::Pin(reply) => reply.is_canceled(),
            };
            if is_abandoned {
                abandoned.push(id);
            } else if let Work::Generate(generation) = work
                && generation.is_interrupted()
            {
                interrupted.push(id);
            }
        }
        for id in abandoned {
            self.end(id);
        }
        for id in interrupted {
            self.finish_generation(id, FinishReason::Interrupted);
        }
    }

    /// Takes a sequence out of everything and returns its work.
    pub(super) fn end(&mut self, id: SequenceId) -> Option<Work> {
        let work = self.work.remove(&id)?;
        self.leave_queue(id);
        self.scheduler.finish(id);
        Some(work)
    }

    fn leave_queue(&mut self, id: SequenceId) {
        if self.not_started.remove(&id) {
            self.num_waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes that a step works on a sequence, and how much of it the cache already held.
    pub(super) fn note_started(&mut self, id: SequenceId, num_cached: usize) {
        self.leave_queue(id);
        if let Some(Work::Generate(generation)) = self.work.get_mut(&id) {
            generation.start(num_cached);
        }
    }

    /// Ends a generation, with a handle on its context if it asked for one.
    pub(super) fn finish_generation(&mut self, id: SequenceId, reason: FinishReason) {
        let keeps = matches!(
            self.work.get(&id),
            Some(Work::Generate(generation)) if generation.keep == KeepContext::Yes
        );
        let context = if keeps { self.pin(id) } else { None };
        if let Some(Work::Generate(generation)) = self.end(id) {
            generation.finish(reason, context);
        }
    }

    /// Answers a pin request whose prompt is computed.
    pub(super) fn finish_pin(&mut self, id: SequenceId) {
        let context = self.pin(id);
        if let Some(Work::Pin(reply)) = self.end(id) {
            // If the caller has gone, the handle is dropped here and the blocks with it.
            let _ = reply.send(context.ok_or(EngineError::Stopped));
        }
    }

    fn pin(&mut self, id: SequenceId) -> Option<PinnedContext> {
        let (tokens, table) = self.scheduler.pin(id)?;
        Some(self.pins.keep(tokens, table))
    }

    /// Ends a sequence with an error.
    pub(super) fn fail(&mut self, id: SequenceId, error: EngineError) {
        match self.end(id) {
            Some(Work::Generate(generation)) => generation.fail(error),
            Some(Work::Embed(embedding)) => embedding.collector.borrow_mut().fail(error),
            Some(Work::Pin(reply)) => {
                // If the caller has gone, nobody needs the error.
                let _ = reply.send(Err(error));
            }
            None => {}
        }
    }

    /// Ends a sequence that the scheduler has refused.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let Refusal { id, needed_blocks, available_blocks, total_blocks } = refusal;
        self.fail(id, EngineError::DoesNotFit { needed_blocks, available_blocks, total_blocks });
    }
}
