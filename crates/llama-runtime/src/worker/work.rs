//! The loop: take commands, run a step, tell the callers; sleep when there is nothing to do.

use std::{
    collections::BTreeMap,
    iter,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender},
    },
    time::Instant,
};

use llama_engine::{EngineError, FinishReason, PinnedContext, Priority};
use llama_kv::{Holder, PagedCache};
use llama_models::{Batch, Decoder, ModelError, Output, Outputs};

use super::{
    Command, EmbedJob, GenerateJob, Generation, PinJob, Reply,
    embedding::{Collector, Embedding},
    generation::EarlyEnd,
    masks::Masks,
    pins::Pins,
    prompt::PromptScores,
};
use crate::{
    EngineStats,
    energy::Meter,
    scheduler::{Refusal, Scheduler, SequenceId, SequenceSpec, Start},
    speculation::Speculator,
};

/// What a step needs of a model. Besides [`Decoder`] there is a scripted one in the worker's tests.
pub(crate) trait Forward {
    /// As [`Decoder::forward`].
    fn forward(&self, batch: &Batch, cache: &mut PagedCache) -> Result<Outputs, ModelError>;
}

impl Forward for Decoder {
    fn forward(&self, batch: &Batch, cache: &mut PagedCache) -> Result<Outputs, ModelError> {
        self.forward(batch, cache)
    }
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) decoder: Box<dyn Forward>,
    pub(crate) cache: PagedCache,
    pub(crate) scheduler: Scheduler,
    /// Tokens that have text; logits beyond them are padding of the checkpoint.
    pub(crate) vocab_size: usize,
    /// Tells engines of one process apart.
    pub(crate) engine: u64,
    /// Requests that wait: the engine counts them in, the worker out.
    pub(crate) num_waiting: Arc<AtomicUsize>,
    /// What drafts ahead.
    pub(crate) speculator: Option<Speculator>,
    /// What knows the device's power.
    pub(crate) meter: Meter,
}

/// The worker's state. Lives on its own thread.
pub(crate) struct Worker {
    pub(super) decoder: Box<dyn Forward>,
    pub(super) cache: PagedCache,
    pub(super) scheduler: Scheduler,
    pub(super) vocab_size: usize,
    pub(super) work: BTreeMap<SequenceId, Work>,
    /// Places in the queue of those that no step has worked on.
    not_started: BTreeMap<SequenceId, usize>,
    /// Prompts whose log-probabilities are wanted, until they are computed.
    pub(super) scores: BTreeMap<SequenceId, PromptScores>,
    pub(super) masks: Masks,
    pub(super) pins: Pins,
    pub(super) speculator: Option<Speculator>,
    pub(super) num_waiting: Arc<AtomicUsize>,
    pub(super) counts: Counts,
}

/// What has happened so far, and what it took.
pub(super) struct Counts {
    num_arrivals: u64,
    /// Where the next request stands in line: after the last one, and after what has been started.
    next_place: u64,
    pub(super) num_preemptions: u64,
    /// What was last said of the cache.
    pub(super) told: Option<EngineStats>,
    pub(super) meter: Meter,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nobody waits in vain: later calls shall hear that the worker is gone, not that the queue is full.
        self.num_waiting.store(0, Ordering::Relaxed);
    }
}

/// What a sequence is run for.
pub(super) enum Work {
    /// Several samples until their prompt is computed, then one. Never none.
    Generate(Vec<Generation>),
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
            not_started: BTreeMap::new(),
            scores: BTreeMap::new(),
            masks: Masks::default(),
            pins: Pins::new(parts.engine, commands),
            speculator: parts.speculator,
            num_waiting: parts.num_waiting,
            counts: Counts {
                num_arrivals: 0,
                next_place: 0,
                num_preemptions: 0,
                told: None,
                meter: parts.meter,
            },
        }
    }

    /// Serves until [`Command::Shutdown`] and the end of what was asked before.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut is_open = true;
        while is_open || !self.work.is_empty() {
            if self.work.is_empty() {
                let Ok(command) = commands.recv() else { return };
                self.counts.meter.wake();
                is_open &= self.accept(command);
            }
            while let Ok(command) = commands.try_recv() {
                is_open &= self.accept(command);
            }
            self.turn();
        }
    }

    /// Between two looks at the commands.
    pub(super) fn turn(&mut self) {
        self.end_early();
        self.step();
    }

    /// Takes one command. Says whether more shall be taken.
    pub(super) fn accept(&mut self, command: Command) -> bool {
        match command {
            Command::Generate(job) => self.generate(job),
            Command::Embed(job) => self.embed(job),
            Command::Pin(PinJob { tokens, reply }) => {
                let id = self.submit(
                    Priority::default(),
                    (tokens, Output::Nothing, Start::Cached),
                    Work::Pin(reply),
                );
                self.not_started.insert(id, 1);
            }
            Command::Release(id) => self.pins.release(id, self.scheduler.pool_mut()),
            Command::Stats(reply) => {
                // Whoever has dropped a stream before asking shall not find it here.
                self.end_early();
                // If the caller has gone, nobody needs the numbers.
                let _ = reply.send(Ok(self.stats()));
            }
            // If the caller has gone, nobody needs the answer; a handle is dropped, and its blocks with it.
            Command::Export { id, len, reply } => drop(reply.send(self.export(id, len))),
            Command::Import { snapshot, reply } => drop(reply.send(self.import(snapshot))),
            Command::Shutdown => return false,
        }
        true
    }

    pub(super) fn stats(&self) -> EngineStats {
        EngineStats {
            cache: self.scheduler.pool().stats(),
            num_running: self.scheduler.num_running(),
            num_waiting: self.scheduler.num_waiting(),
            num_queued: self.num_waiting.load(Ordering::Relaxed),
            num_pins: self.pins.len(),
            num_preemptions: self.counts.num_preemptions,
        }
    }

    fn generate(&mut self, job: GenerateJob) {
        let GenerateJob { tokens: mut prompt, context, priority, prompt_logprobs, samples } = job;
        let num_places = samples.len();
        let (mut tokens, mut start, mut output) = (Vec::new(), Start::Cached, Output::LastLogits);
        if prompt_logprobs.is_some() {
            // Every row is wanted, so the cache must not skip any.
            (start, output) = (Start::Fresh, Output::AllLogits);
        }
        // The handle lives until the blocks are shared.
        if let Some((id, handle)) = context {
            let pool = self.scheduler.pool_mut();
            let Some((known, mut table)) = self.pins.fork(id, handle.len(), pool) else {
                self.num_waiting.fetch_sub(num_places, Ordering::Relaxed);
                return samples.into_iter().for_each(|sample| sample.fail(EngineError::ForeignContext));
            };
            if output == Output::AllLogits {
                // The row after the context's last token is about the prompt's first.
                pool.truncate(&mut table, known.len().saturating_sub(1));
            }
            (tokens, start) = (known, Start::Forked(table));
        }
        let context_len = tokens.len();
        tokens.append(&mut prompt);
        let scores = prompt_logprobs.map(|number| PromptScores::new(&tokens, context_len, number));
        let id = self.submit(priority, (tokens, output, start), Work::Generate(samples));
        self.not_started.insert(id, num_places);
        self.scores.extend(scores.map(|scores| (id, scores)));
    }

    fn embed(&mut self, job: EmbedJob) {
        let EmbedJob { texts, pooling, normalization, dimensions, priority, reply } = job;
        let collector = Collector::new(texts.len(), reply);
        let first_place = self.counts.next_place;
        for (text_idx, tokens) in texts.into_iter().enumerate() {
            let (collector, sum) = (collector.clone(), Vec::new());
            let embedding =
                Embedding { collector, text_idx, pooling, normalization, dimensions, sum, weight: 0.0 };
            let sequence = (tokens, Output::HiddenStates, Start::Fresh);
            // The texts of a request take turns with the requests after it.
            let place = first_place + text_idx as u64;
            let id = self.submit_at(place, priority, sequence, Work::Embed(embedding));
            if text_idx == 0 {
                // One place in the queue for the whole request.
                self.not_started.insert(id, 1);
            }
        }
        self.counts.next_place += 1;
    }

    fn submit(&mut self, priority: Priority, sequence: (Vec<u32>, Output, Start), work: Work) -> SequenceId {
        let place = self.counts.next_place;
        self.counts.next_place += 1;
        self.submit_at(place, priority, sequence, work)
    }

    fn submit_at(
        &mut self,
        place: u64,
        priority: Priority,
        (tokens, output, start): (Vec<u32>, Output, Start),
        work: Work,
    ) -> SequenceId {
        let id = SequenceId::in_line(place, self.counts.num_arrivals, priority);
        self.counts.num_arrivals += 1;
        self.scheduler.submit(SequenceSpec { id, tokens, output, start });
        self.work.insert(id, work);
        id
    }

    /// Gives each sample of a computed prompt a sequence of its own: a fork. Returns all of them.
    pub(super) fn split_samples(&mut self, id: SequenceId) -> Vec<SequenceId> {
        let mut ids = vec![id];
        let others = match self.work.get_mut(&id) {
            Some(Work::Generate(samples)) => samples.split_off(1),
            _ => Vec::new(),
        };
        for sample in others {
            let (tokens, table) = self.scheduler.fork(id, Holder::Sequence).expect("the prompt is here");
            let sequence = (tokens, Output::LastLogits, Start::Forked(table));
            ids.push(self.submit(id.priority(), sequence, Work::Generate(vec![sample])));
        }
        ids
    }

    /// Ends what nobody waits for, and what shall not go on, before it costs another step.
    pub(super) fn end_early(&mut self) {
        let (now, mut ends) = (Instant::now(), Vec::new());
        for (&id, work) in &mut self.work {
            match work {
                Work::Generate(samples) => {
                    // From the last one on, so that those before keep their places when it is taken out.
                    for (sample_idx, sample) in samples.iter_mut().enumerate().rev() {
                        ends.extend(sample.early_end(now).map(|end| (id, sample_idx, end)));
                    }
                }
                Work::Embed(embedding) if embedding.collector.borrow().is_abandoned() => {
                    ends.push((id, 0, EarlyEnd::Abandoned));
                }
                Work::Pin(reply) if reply.is_canceled() => ends.push((id, 0, EarlyEnd::Abandoned)),
                Work::Embed(_) | Work::Pin(_) => {}
            }
        }
        for (id, sample_idx, end) in ends {
            match end {
                EarlyEnd::Abandoned => drop(self.end_sample(id, sample_idx)),
                EarlyEnd::Reported(reason) => self.finish_generation(id, sample_idx, reason),
            }
        }
    }

    /// Takes one sample out, and with the last one, or any other work, the sequence.
    fn end_sample(&mut self, id: SequenceId, sample_idx: usize) -> Option<Generation> {
        match self.work.get_mut(&id) {
            Some(Work::Generate(samples)) if samples.len() > 1 => Some(samples.remove(sample_idx)),
            _ => match self.end(id) {
                Some(Work::Generate(mut samples)) => samples.pop(),
                _ => None,
            },
        }
    }

    /// Takes a sequence out of everything and returns its work.
    pub(super) fn end(&mut self, id: SequenceId) -> Option<Work> {
        let work = self.work.remove(&id)?;
        self.scores.remove(&id);
        if let Some(speculator) = &mut self.speculator {
            speculator.forget(id);
        }
        self.leave_queue(id);
        self.scheduler.finish(id);
        Some(work)
    }

    fn leave_queue(&mut self, id: SequenceId) {
        if let Some(num_places) = self.not_started.remove(&id) {
            self.num_waiting.fetch_sub(num_places, Ordering::Relaxed);
        }
    }

    /// Notes that a step works on a sequence, and how much of it the cache already held.
    pub(super) fn note_started(&mut self, id: SequenceId, num_cached: usize) {
        self.counts.next_place = self.counts.next_place.max(id.place() + 1);
        self.leave_queue(id);
        if let Some(Work::Generate(samples)) = self.work.get_mut(&id) {
            samples.iter_mut().for_each(|sample| sample.start(num_cached));
        }
    }

    /// Ends a generation, with a handle on its context if it asked for one.
    pub(super) fn finish_generation(&mut self, id: SequenceId, sample_idx: usize, reason: FinishReason) {
        let sample = match self.work.get(&id) {
            Some(Work::Generate(samples)) => samples.get(sample_idx),
            _ => None,
        };
        let keeps = sample.is_some_and(Generation::keeps_context);
        let context = if keeps { self.pin(id) } else { None };
        if let Some(mut sample) = self.end_sample(id, sample_idx) {
            self.counts.meter.watts().into_iter().for_each(|watts| sample.energy.price(watts));
            sample.finish(reason, context);
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
        let (tokens, table) = self.scheduler.fork(id, Holder::Pin)?;
        Some(self.pins.keep(tokens, table))
    }

    /// Ends a sequence with an error for each of its samples.
    pub(super) fn fail(&mut self, id: SequenceId, mut errors: impl Iterator<Item = EngineError>) {
        match self.end(id) {
            Some(Work::Generate(samples)) => {
                samples.into_iter().zip(errors).for_each(|(sample, error)| sample.fail(error));
            }
            Some(Work::Embed(embedding)) => {
                errors.next().into_iter().for_each(|error| embedding.collector.borrow_mut().fail(error));
            }
            Some(Work::Pin(reply)) => {
                // If the caller has gone, nobody needs the error.
                let _ = errors.next().map(|error| reply.send(Err(error)));
            }
            None => {}
        }
    }

    /// Ends a sequence that the scheduler has refused.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let Refusal { id, needed_blocks, available_blocks, total_blocks } = refusal;
        let error = move || EngineError::DoesNotFit { needed_blocks, available_blocks, total_blocks };
        self.fail(id, iter::repeat_with(error));
    }
}
