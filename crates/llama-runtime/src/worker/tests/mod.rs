//! The whole worker, step by step and without a thread, on a scripted model: thousands of requests that arrive, are
//! cancelled, run late, fail and run out of blocks.
//!
//! The script's next token is a function of all tokens before it, which it reads back from the cache through the block
//! table. So a block that is lost, shared by mistake, written by another or not copied changes an answer.

mod client;
mod energy;
mod script;

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize, mpsc},
};

use candle_core::DType;
use llama_backend::{BackendError, Device};
use llama_kv::{BlockPool, CacheConfig, PagedCache};

use super::{Command, Forward, Worker, WorkerParts};
use crate::{
    energy::Meter,
    scheduler::{Scheduler, SchedulerConfig},
    speculation::{
        CostTable, Costs, Draft, DraftError, Drafter, DrafterChoice, PromptLookup, SpeculationOptions,
        Speculator, Verification,
    },
};
use client::{Client, Random};
use script::{Faults, Script};

const BLOCK_LEN: usize = 4;
const NUM_REQUESTS: usize = 3000;
/// Steps that cost the same with any number of rows: as much is drafted as can be.
const FREE: CostTable =
    CostTable { step_us: [1000.0; 5], draft_us: 0.0, draft_token_us: 0.0, draft_read_us: 0.0 };

fn worker(
    num_blocks: usize,
    faults: &Rc<Cell<Faults>>,
    verification: Option<Verification>,
) -> (Worker, mpsc::Receiver<Command>) {
    let cache = CacheConfig {
        num_layers: 1,
        num_kv_heads: 1,
        head_dim: 1,
        num_blocks,
        block_len: BLOCK_LEN,
        dtype: DType::F32,
    };
    let backend = Device::Cpu.backend().unwrap();
    let limits = SchedulerConfig { max_step_tokens: 24, max_running: 8 };
    let decoder = Script { faults: faults.clone() };
    let mut cache = PagedCache::new(cache, &*backend).unwrap();
    let scheduler = Scheduler::new(limits, BlockPool::new(num_blocks, BLOCK_LEN));
    let speculator = verification.map(|verification| {
        // The drafter is given below; what the options name is for those who load.
        let options = SpeculationOptions {
            verification,
            costs: Costs::Given(FREE),
            ..SpeculationOptions::new(DrafterChoice::PromptLookup(PromptLookup::default()))
        };
        let drafter = Box::new(Guess(Random(7)));
        let model: (&dyn Forward, _) = (&decoder, &mut cache);
        Speculator::new(&options, drafter, model, (&scheduler, script::VOCAB_SIZE)).unwrap()
    });
    let parts = WorkerParts {
        decoder: Box::new(decoder),
        cache,
        scheduler,
        vocab_size: script::VOCAB_SIZE,
        engine: 1,
        num_waiting: Arc::new(AtomicUsize::new(0)),
        speculator,
        meter: no_meter(),
    };
    let (commands, inbox) = mpsc::channel();
    (Worker::new(parts, commands), inbox)
}

/// A device without a sensor.
fn no_meter() -> Meter {
    let unavailable = || Err(BackendError::PowerUnavailable { reason: "a test".to_owned() });
    Meter::start(unavailable, crate::energy::INTERVAL)
}

/// Lets `NUM_REQUESTS` come and go, and checks each one's answer and, after every step, the blocks.
fn run(seed: u64, fails: bool, verification: Option<Verification>) {
    let faults = Rc::new(Cell::new(Faults::default()));
    let (mut worker, inbox) = worker(70 + seed as usize, &faults, verification);
    let mut random = Random(seed);
    let (mut clients, mut contexts): (Vec<Client>, Vec<_>) = (Vec::new(), Vec::new());
    let (mut num_asked, mut num_failures, mut num_answered) = (0, 0, 0);
    while num_asked < NUM_REQUESTS || !clients.is_empty() {
        if num_asked < NUM_REQUESTS && clients.len() < 24 {
            for _ in 0..random.below(4) {
                clients.push(Client::ask(&mut worker, &mut random, &contexts));
                num_asked += 1;
            }
        }
        faults.set(Faults::random(&mut random, fails));
        worker.turn();
        num_failures += usize::from(faults.get().has_struck);
        for client in &mut clients {
            client.listen(&mut random, (&faults.get(), &worker));
        }
        clients.retain_mut(|client| {
            contexts.extend(client.take_context());
            num_answered += usize::from(client.is_answered());
            !client.is_done()
        });
        if contexts.len() > 3 {
            contexts.swap_remove(random.below(contexts.len()));
        }
        while let Ok(command) = inbox.try_recv() {
            worker.accept(command);
        }
        check(&worker);
    }
    contexts.clear();
    while let Ok(command) = inbox.try_recv() {
        worker.accept(command);
    }
    // A stream that was dropped last is noticed before the next step.
    worker.end_early();
    let stats = worker.stats();
    assert_eq!((stats.num_running, stats.num_waiting, stats.num_queued, stats.num_pins), (0, 0, 0, 0));
    assert_eq!(stats.cache.used_blocks, 0, "blocks are leaked: {stats:?}");
    assert!(worker.scores.is_empty(), "scores of prompts that are gone");
    assert!(
        stats.num_preemptions > 10 && stats.cache.hit_tokens > 100 && stats.cache.evictions > 10,
        "{stats:?}"
    );
    println!("{num_answered} of {NUM_REQUESTS} answered, {num_failures} failures, {stats:?}");
    assert!(num_answered > NUM_REQUESTS / 4, "{num_answered} answers");
    assert_eq!(num_failures > 10, fails, "{num_failures} failures");
}

fn check(worker: &Worker) {
    let stats = worker.stats().cache;
    assert_eq!(stats.free_blocks + stats.cached_blocks + stats.used_blocks, stats.total_blocks, "{stats:?}");
}

#[test]
fn every_request_ends_once_with_its_own_tokens() {
    for seed in 0..4 {
        run(seed, false, None);
    }
}

#[test]
fn failures_end_those_they_hit_and_nobody_else() {
    for seed in 10..14 {
        run(seed, true, None);
    }
}

#[test]
fn drafts_change_no_answer() {
    for (seed, verification) in [(20, Verification::Matching), (21, Verification::Rejection)] {
        run(seed, false, Some(verification));
        run(seed + 10, true, Some(verification));
    }
}

/// Guesses what the script says, and is wrong now and then.
struct Guess(Random);

impl Drafter for Guess {
    fn name(&self) -> &'static str {
        "guess"
    }

    fn extend(&mut self, drafts: &mut [Draft]) -> Result<(), DraftError> {
        for draft in drafts {
            loop {
                let token = match self.0.below(6) {
                    0 => self.0.below(script::VOCAB_SIZE + 1) as u32,
                    _ => script::next_token(draft.tokens()),
                };
                if !draft.push(token) {
                    break;
                }
            }
        }
        match self.0.below(50) {
            0 => Err("scripted".into()),
            1 => script::panic::quietly("scripted, while drafting"),
            _ => Ok(()),
        }
    }
}
