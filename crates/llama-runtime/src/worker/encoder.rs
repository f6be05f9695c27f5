//! The worker of an encoder: texts of all requests in one queue, computed in flat batches under a token budget.
//!
//! A request's texts are sorted by length, so that a batch is filled well, and stand in line one by one, between the
//! requests after it (start-time fair queueing: [`SequenceId`]). So requests take turns however
//! many texts they have, and nobody starves.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

use candle_core::Tensor;
use llama_engine::EngineError;
use llama_kv::PoolStats;
use llama_models::{Encoder, ModelError};

use super::{
    Command, EmbedJob,
    embedding::{Collector, Embedding},
    step::{StepFailure, contained},
};
use crate::{
    EngineStats,
    energy::{Meter, Phase},
    events::{self, StepTokens},
    scheduler::SequenceId,
};

/// What a batch needs of a model. Besides [`Encoder`] there is a scripted one in this file's tests.
pub(crate) trait Encode {
    /// As [`Encoder::forward`].
    fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Tensor>, ModelError>;
}

impl Encode for Encoder {
    fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Tensor>, ModelError> {
        self.forward(texts)
    }
}

/// The worker's state. Lives on its own thread.
pub(crate) struct EncoderWorker {
    encoder: Box<dyn Encode>,
    max_step_tokens: usize,
    num_waiting: Arc<AtomicUsize>,
    queue: BTreeMap<SequenceId, Text>,
    num_arrivals: u64,
    /// Where the next request stands in line: after the last one, and after what has been computed.
    next_place: u64,
    meter: Meter,
}

struct Text {
    tokens: Vec<u32>,
    embedding: Embedding,
    /// The request's place among those that wait, until its first text goes.
    waits: Option<Waits>,
}

/// One request among those that wait; counted out when dropped.
struct Waits(Arc<AtomicUsize>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for EncoderWorker {
    fn drop(&mut self) {
        self.queue.clear();
        // Nobody waits in vain: later calls shall hear that the worker is gone, not that the queue is full.
        self.num_waiting.store(0, Ordering::Relaxed);
    }
}

impl EncoderWorker {
    pub(crate) fn new(
        encoder: impl Encode + 'static,
        max_step_tokens: usize,
        num_waiting: Arc<AtomicUsize>,
        meter: Meter,
    ) -> Self {
        let queue = BTreeMap::new();
        Self {
            encoder: Box::new(encoder),
            max_step_tokens,
            num_waiting,
            queue,
            num_arrivals: 0,
            next_place: 0,
            meter,
        }
    }

    /// Serves until [`Command::Shutdown`] and the end of what was asked before.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut is_open = true;
        while is_open || !self.queue.is_empty() {
            if self.queue.is_empty() {
                let Ok(command) = commands.recv() else { return };
                self.meter.wake();
                is_open &= self.accept(command);
            }
            while let Ok(command) = commands.try_recv() {
                is_open &= self.accept(command);
            }
            self.step();
        }
    }

    /// Takes one command. Says whether more shall be taken.
    fn accept(&mut self, command: Command) -> bool {
        match command {
            Command::Embed(job) => self.embed(job),
            Command::Stats(reply) => {
                self.drop_abandoned();
                // If the caller has gone, nobody needs the numbers.
                let _ = reply.send(Ok(self.stats()));
            }
            Command::Shutdown => return false,
            // The engine's front lets none of these through to an encoder; dropped, they answer that it has stopped.
            Command::Generate(_)
            | Command::Pin(_)
            | Command::Release(_)
            | Command::Export { .. }
            | Command::Import { .. } => {}
        }
        true
    }

    fn stats(&self) -> EngineStats {
        EngineStats {
            cache: PoolStats::default(),
            num_running: 0,
            num_waiting: self.queue.len(),
            num_queued: self.num_waiting.load(Ordering::Relaxed),
            num_pins: 0,
            num_preemptions: 0,
        }
    }

    fn embed(&mut self, job: EmbedJob) {
        let EmbedJob { texts, pooling, normalization, dimensions, priority, reply } = job;
        let collector = Collector::new(texts.len(), reply);
        let mut texts: Vec<(usize, Vec<u32>)> = texts.into_iter().enumerate().collect();
        texts.sort_by_key(|(_, tokens)| Reverse(tokens.len()));
        let mut waits = Some(Waits(self.num_waiting.clone()));
        for (place, (text_idx, tokens)) in (self.next_place..).zip(texts) {
            let (collector, sum) = (collector.clone(), Vec::new());
            let embedding =
                Embedding { collector, text_idx, pooling, normalization, dimensions, sum, weight: 0.0 };
            let id = SequenceId::in_line(place, self.num_arrivals, priority);
            self.queue.insert(id, Text { tokens, embedding, waits: waits.take() });
            self.num_arrivals += 1;
        }
        self.next_place += 1;
    }

    /// Computes one batch, if there is anything to compute.
    fn step(&mut self) {
        self.drop_abandoned();
        let batch = self.next_batch();
        let Some(furthest) = batch.iter().map(|(id, _)| id.place()).max() else {
            return;
        };
        self.next_place = self.next_place.max(furthest + 1);
        let tokens: Vec<&[u32]> = batch.iter().map(|(_, text)| text.tokens.as_slice()).collect();
        let counts = StepTokens {
            sequences: tokens.len(),
            embed: tokens.iter().map(|text| text.len()).sum(),
            ..StepTokens::default()
        };
        let computed = contained(|| self.encoder.forward(&tokens));
        let took = self.meter.lap();
        self.meter.add(Phase::Embed, took);
        match computed.and_then(|states| states.map_err(|error| StepFailure::Model(Arc::new(error)))) {
            Ok(states) => {
                for ((_, text), states) in batch.into_iter().zip(states) {
                    finish(text.embedding, &states);
                }
            }
            Err(failure) => {
                for ((_, text), error) in batch.iter().zip(failure.errors()) {
                    text.embedding.collector.borrow_mut().fail(error);
                }
            }
        }
        events::step_finished(&counts, took);
    }

    /// What nobody waits for costs nothing.
    fn drop_abandoned(&mut self) {
        self.queue.retain(|_, text| !text.embedding.collector.borrow().is_abandoned());
    }

    /// The first texts in line, as many as the budget allows, and at least one.
    fn next_batch(&mut self) -> Vec<(SequenceId, Text)> {
        let (mut batch, mut num_tokens) = (Vec::new(), 0);
        while let Some(entry) = self.queue.first_entry() {
            num_tokens += entry.get().tokens.len();
            if num_tokens > self.max_step_tokens && !batch.is_empty() {
                break;
            }
            let (id, mut text) = entry.remove_entry();
            text.waits = None;
            batch.push((id, text));
        }
        batch
    }
}

/// Pools one text. What goes wrong here ends its request alone.
///
/// # Shapes
/// `states`: `[t, e]`
fn finish(mut embedding: Embedding, states: &Tensor) {
    let collector = embedding.collector.clone();
    let added = contained(|| embedding.add(states, 0));
    let error = match added {
        Ok(Ok(())) => return embedding.finish(),
        Ok(Err(error)) => Some(error),
        Err(failure) => failure.errors().next(),
    };
    error.into_iter().for_each(|error: EngineError| collector.borrow_mut().fail(error));
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use candle_core::Device;
    use futures_channel::oneshot;
    use llama_backend::BackendError;
    use llama_engine::{Normalization, Pooling, Priority};

    use super::*;
    use crate::{energy::INTERVAL, recording::Recorder};

    type Batches = Rc<RefCell<Vec<Vec<u32>>>>;

    /// Writes down the first token of each text; token 666 panics.
    struct Script(Batches);

    impl Encode for Script {
        fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Tensor>, ModelError> {
            self.0.borrow_mut().push(texts.iter().map(|text| text[0]).collect());
            if texts.iter().any(|text| text[0] == 666) {
                std::panic::resume_unwind(Box::new("scripted"));
            }
            let state = |text: &&[u32]| Ok(Tensor::full(text[0] as f32, (text.len(), 1), &Device::Cpu)?);
            texts.iter().map(state).collect()
        }
    }

    type Answer = oneshot::Receiver<Result<Vec<Vec<f32>>, EngineError>>;

    fn worker(max_step_tokens: usize) -> (EncoderWorker, Batches) {
        let batches = Batches::default();
        let unmeasured = || Err(BackendError::PowerUnavailable { reason: "a test".to_owned() });
        let meter = Meter::start(unmeasured, INTERVAL);
        (EncoderWorker::new(Script(batches.clone()), max_step_tokens, Arc::default(), meter), batches)
    }

    /// Asks for texts of so many tokens, which are all `name`.
    fn ask(worker: &mut EncoderWorker, name: u32, lens: &[usize], priority: i8) -> Answer {
        let (reply, answer) = oneshot::channel();
        worker.num_waiting.fetch_add(1, Ordering::Relaxed);
        worker.accept(Command::Embed(EmbedJob {
            texts: lens.iter().map(|&len| vec![name; len]).collect(),
            pooling: Pooling::Mean,
            normalization: Normalization::None,
            dimensions: 1,
            priority: Priority(priority),
            reply,
        }));
        answer
    }

    fn vectors(answer: &mut Answer) -> Option<Vec<Vec<f32>>> {
        answer.try_recv().unwrap().map(Result::unwrap)
    }

    #[test]
    fn a_batch_is_filled_up_to_the_budget_and_never_empty() {
        let (mut worker, batches) = worker(10);
        let mut answer = ask(&mut worker, 1, &[4, 12, 6, 3], 0);
        for _ in 0..3 {
            assert_eq!(vectors(&mut answer), None);
            worker.step();
        }
        assert_eq!(*batches.borrow(), [vec![1], vec![1, 1], vec![1]], "12 tokens, then 6 and 4, then 3");
        assert_eq!(vectors(&mut answer), Some(vec![vec![1.0]; 4]));
    }

    #[test]
    fn each_batch_is_reported_and_its_time_is_embedding() {
        let (mut worker, _) = worker(10);
        let _answers = [ask(&mut worker, 1, &[4, 12, 6], 0), ask(&mut worker, 666, &[5], 0)];
        let recorder = Recorder::default();
        recorder.during(|| {
            while !worker.queue.is_empty() {
                worker.step();
            }
            worker.step();
        });
        let steps = recorder.named("step.finished");
        let counts = |field| steps.iter().map(|step| step.u64(field).unwrap()).collect::<Vec<_>>();
        assert_eq!(counts("embed_tokens"), [12, 6, 9], "also of the last, which fails; none of no batch");
        assert_eq!(counts("sequences"), [1, 1, 2]);
        assert_eq!(counts("decode_tokens"), [0; 3]);
        let took = steps.iter().map(|step| step.f64("step_ms").unwrap()).sum::<f64>();
        let attributed = worker.meter.attributed(Phase::Embed).as_secs_f64() * 1e3;
        assert!(took > 0.0 && (took - attributed).abs() < 1e-3 * took, "{took} and {attributed} ms");
    }

    #[test]
    fn a_small_request_does_not_wait_for_a_large_one() {
        let (mut worker, batches) = worker(4);
        let mut large = ask(&mut worker, 1, &[2; 100], 0);
        worker.step();
        let mut small = ask(&mut worker, 2, &[2; 2], 0);
        worker.step();
        worker.step();
        assert_eq!(vectors(&mut small), Some(vec![vec![2.0]; 2]), "{batches:?}");
        while !worker.queue.is_empty() {
            worker.step();
        }
        assert_eq!(vectors(&mut large), Some(vec![vec![1.0]; 100]));
    }

    #[test]
    fn the_urgent_go_first_and_nobody_starves() {
        let (mut worker, batches) = worker(1);
        let mut patient = ask(&mut worker, 1, &[1], -1);
        let mut urgent = Vec::new();
        while vectors(&mut patient).is_none() {
            // Someone more urgent at each step.
            urgent.push(ask(&mut worker, 2, &[1, 1], 1));
            worker.step();
            assert!(urgent.len() < 300, "128 places are 256 of their texts, which come two by two");
        }
        assert_eq!(batches.borrow()[0], [2]);
    }

    #[test]
    fn abandoned_texts_are_not_computed() {
        let (mut worker, batches) = worker(4);
        let large = ask(&mut worker, 1, &[2; 100], 0);
        worker.step();
        drop(large);
        let mut small = ask(&mut worker, 2, &[2], 0);
        worker.step();
        assert_eq!(vectors(&mut small), Some(vec![vec![2.0]]));
        assert_eq!(*batches.borrow(), [vec![1, 1], vec![2]]);
        assert_eq!((worker.queue.len(), worker.num_waiting.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_failing_batch_ends_its_requests_only() {
        let (mut worker, _) = worker(4);
        let mut broken = ask(&mut worker, 666, &[4], 0);
        let mut whole = ask(&mut worker, 3, &[4], 0);
        worker.step();
        worker.step();
        assert!(matches!(broken.try_recv(), Ok(Some(Err(EngineError::Model(_))))));
        assert_eq!(vectors(&mut whole), Some(vec![vec![3.0]]));
    }
}
