//! The scheduler against a scripted decoder: tokens are a function of the sequence so far, so any order of steps,
//! preemptions and sharing must give each sequence the same tokens as when it runs alone.

use std::collections::BTreeMap;

use llama_engine::Priority;
use llama_kv::{BlockPool, Holder};
use llama_models::Output;
use proptest::prelude::*;

use super::*;

/// The sequence that arrived as number `arrival`, of no particular priority.
fn name(arrival: u64) -> SequenceId {
    SequenceId::new(arrival, Priority(0))
}

/// The scripted decoder's next token.
fn next_token(tokens: &[u32]) -> u32 {
    tokens.iter().fold(17u32, |hash, token| hash.wrapping_mul(31).wrapping_add(*token)) % 5
}

#[derive(Debug)]
struct Job {
    prompt: Vec<u32>,
    num_new: usize,
    cancel_after: Option<usize>,
    priority: i8,
}

fn jobs() -> impl Strategy<Value = Vec<(usize, Job)>> {
    let job =
        (prop::collection::vec(0u32..3, 1..40), 1usize..20, prop::option::weighted(0.2, 0usize..10), -2i8..3);
    let job = job.prop_map(|(prompt, num_new, cancel_after, priority)| Job {
        prompt,
        num_new,
        cancel_after,
        priority,
    });
    prop::collection::vec((0usize..30, job), 1..25)
}

/// Runs jobs that arrive at given steps. Returns each one's tokens, or its refusal.
fn run(jobs: &[(usize, Job)], scheduler: &mut Scheduler) -> BTreeMap<SequenceId, Result<Vec<u32>, Refusal>> {
    let mut ended = BTreeMap::new();
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    for step in 0..100_000 {
        waiting.retain(|&i| {
            let arrives = jobs[i].0 <= step;
            if arrives {
                let (tokens, start) = (jobs[i].1.prompt.clone(), Start::Cached);
                let id = SequenceId::new(i as u64, Priority(jobs[i].1.priority));
                scheduler.submit(SequenceSpec { id, tokens, output: Output::LastLogits, start });
            }
            !arrives
        });
        let plan = scheduler.plan();
        ended.extend(plan.refused.iter().map(|refusal| (refusal.id, Err(*refusal))));
        check_plan(&plan, scheduler);
        scheduler.complete(&plan.spans);
        for span in plan.spans.iter().filter(|span| span.output == Output::LastLogits) {
            let job = &jobs[span.id.arrival() as usize].1;
            let tokens = scheduler.tokens(span.id).unwrap().to_vec();
            let num_new = tokens.len() - job.prompt.len();
            if num_new == job.num_new || job.cancel_after == Some(num_new) {
                assert!(scheduler.finish(span.id));
                assert!(ended.insert(span.id, Ok(tokens)).is_none(), "ended twice");
            } else {
                scheduler.append(span.id, next_token(&tokens));
            }
        }
        if waiting.is_empty() && ended.len() == jobs.len() {
            return ended;
        }
    }
    panic!("not finished after 100,000 steps: {} of {}", ended.len(), jobs.len());
}

fn check_plan(plan: &StepPlan, scheduler: &Scheduler) {
    let num_tokens: usize = plan.spans.iter().map(|span| span.positions.len()).sum();
    assert!(num_tokens <= 16, "{num_tokens} tokens in a step");
    let mut ids: Vec<SequenceId> = plan.spans.iter().map(|span| span.id).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "a sequence is planned twice");
    for span in &plan.spans {
        assert_eq!(span.positions.start, scheduler.num_cached(span.id), "tokens are skipped or repeated");
        assert_eq!(scheduler.span(span).tokens.len(), span.positions.len());
    }
}

fn scheduler(num_blocks: usize, block_len: usize) -> Scheduler {
    let config = SchedulerConfig { max_step_tokens: 16, max_running: 6 };
    Scheduler::new(config, BlockPool::new(num_blocks, block_len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_sequence_ends_once_with_the_tokens_it_has_alone(
        jobs in jobs(), num_blocks in 1usize..40, block_len in 1usize..6,
    ) {
        let mut scheduler = scheduler(num_blocks, block_len);
        for (id, outcome) in run(&jobs, &mut scheduler) {
            let job = &jobs[id.arrival() as usize].1;
            let mut expected = job.prompt.clone();
            let num_new = job.cancel_after.map_or(job.num_new, |cancel| cancel.min(job.num_new));
            for _ in 0..num_new {
                expected.push(next_token(&expected));
            }
            match outcome {
                Ok(tokens) => prop_assert_eq!(tokens, expected),
                Err(refusal) => prop_assert!(expected.len().div_ceil(block_len) > num_blocks, "{:?}", refusal),
            }
        }
        prop_assert_eq!(scheduler.pool().available_blocks(), num_blocks);
    }
}

#[test]
fn decode_goes_before_prefill() {
    let mut scheduler = scheduler(64, 4);
    let submit = |scheduler: &mut Scheduler, id, len| {
        let (output, start) = (Output::LastLogits, Start::Cached);
        scheduler.submit(SequenceSpec { id: name(id), tokens: vec![id as u32; len], output, start });
    };
    submit(&mut scheduler, 0, 3);
    let first = scheduler.plan();
    scheduler.complete(&first.spans);
    scheduler.append(name(0), 9);
    submit(&mut scheduler, 1, 40);
    let plan = scheduler.plan();
    let spans: Vec<_> =
        plan.spans.iter().map(|span| (span.id.arrival(), span.positions.clone(), span.output)).collect();
    assert_eq!(spans, [(0, 3..4, Output::LastLogits), (1, 0..15, Output::Nothing)]);
}

#[test]
fn a_sequence_beside_pins_is_refused_with_the_numbers() {
    let mut scheduler = scheduler(4, 2);
    let mut pin = scheduler.pool_mut().open(&[], Holder::Pin);
    scheduler.pool_mut().reserve(&mut pin, 5).unwrap();
    scheduler.pool_mut().commit(&mut pin, &[1, 2, 3, 4, 5]);
    let (output, start) = (Output::LastLogits, Start::Cached);
    scheduler.submit(SequenceSpec { id: name(0), tokens: vec![7; 3], output, start });
    let plan = scheduler.plan();
    let expected = Refusal { id: name(0), needed_blocks: 2, available_blocks: 1, total_blocks: 4 };
    assert_eq!(plan.refused, [expected]);
    scheduler.pool_mut().close(pin);
}

/// Submits a sequence that wants its last logits.
fn submit(scheduler: &mut Scheduler, id: u64, tokens: Vec<u32>, start: Start) {
    scheduler.submit(SequenceSpec { id: name(id), tokens, output: Output::LastLogits, start });
}

#[test]
fn a_waiting_fork_does_not_get_others_refused() {
    let mut scheduler = scheduler(4, 2);
    let context = [1, 2, 3, 4];
    let mut pin = scheduler.pool_mut().open(&[], Holder::Pin);
    scheduler.pool_mut().reserve(&mut pin, 4).unwrap();
    scheduler.pool_mut().commit(&mut pin, &context);
    submit(&mut scheduler, 0, vec![7; 5], Start::Cached);
    let table = scheduler.pool_mut().fork(&pin, Holder::Sequence);
    submit(&mut scheduler, 1, context.to_vec(), Start::Forked(table));
    scheduler.pool_mut().close(pin);
    let plan = scheduler.plan();
    assert_eq!(plan.refused, []);
    assert_eq!(plan.spans[0].id, name(0));
}

#[test]
fn newcomers_do_not_overtake_a_prompt_that_lacks_blocks() {
    let mut scheduler = scheduler(12, 2);
    let step = |scheduler: &mut Scheduler| {
        let plan = scheduler.plan();
        scheduler.complete(&plan.spans);
        for span in plan.spans.iter().filter(|span| span.output == Output::LastLogits) {
            scheduler.append(span.id, 9);
        }
        plan.spans.iter().map(|span| (span.id.arrival(), span.positions.clone())).collect::<Vec<_>>()
    };
    submit(&mut scheduler, 0, vec![5; 3], Start::Cached);
    assert_eq!(step(&mut scheduler), [(0, 0..3)]);
    submit(&mut scheduler, 1, (10..30).collect(), Start::Cached);
    assert_eq!(step(&mut scheduler), [(0, 3..4), (1, 0..15)]);
    submit(&mut scheduler, 2, vec![100; 2], Start::Cached);
    assert_eq!(step(&mut scheduler), [(0, 4..5)], "one block is free, the prompt lacks two");
    scheduler.finish(name(0));
    assert_eq!(step(&mut scheduler), [(1, 15..20), (2, 0..2)]);
}

#[test]
fn a_waiting_sequence_can_be_pinned_with_what_is_cached_of_it() {
    let mut scheduler = scheduler(8, 2);
    submit(&mut scheduler, 0, vec![1, 2, 3, 4, 5], Start::Cached);
    assert_eq!(scheduler.fork(name(7), Holder::Pin).map(|(tokens, _)| tokens), None);
    let (tokens, table) = scheduler.fork(name(0), Holder::Pin).unwrap();
    assert_eq!((tokens, table.len()), (vec![1, 2, 3, 4, 5], 0));
    let plan = scheduler.plan();
    scheduler.complete(&plan.spans);
    submit(&mut scheduler, 1, vec![1, 2, 3, 4, 6], Start::Cached);
    let (_, shared) = scheduler.fork(name(1), Holder::Pin).unwrap();
    assert_eq!(shared.len(), 4);
    for table in [table, shared] {
        scheduler.pool_mut().close(table);
    }
}

#[test]
fn urgent_sequences_take_the_place_of_others_and_only_of_so_many() {
    let mut scheduler = scheduler(64, 4);
    for arrival in 0..6 {
        submit(&mut scheduler, arrival, vec![arrival as u32; 2], Start::Cached);
    }
    assert_eq!(scheduler.plan().spans.len(), 6);
    let urgent = SequenceId::new(SequenceId::HEAD_START as u64 - 1, Priority(1));
    let spec = |id| SequenceSpec { id, tokens: vec![9; 2], output: Output::LastLogits, start: Start::Cached };
    scheduler.submit(spec(urgent));
    let plan = scheduler.plan();
    assert_eq!(plan.preempted, [name(5)], "all six places are taken");
    assert!(plan.spans.iter().any(|span| span.id == urgent));
    // Sixty-four arrivals later the head start is used up.
    scheduler.submit(spec(SequenceId::new(SequenceId::HEAD_START as u64 + 6, Priority(1))));
    assert_eq!(scheduler.plan().preempted, []);
    assert!(SequenceId::new(1000, Priority(127)) < SequenceId::new(1001, Priority(127)));
    assert_eq!(SequenceId::new(3, Priority(-128)).priority(), Priority(-128));
}

#[test]
fn a_prefix_that_is_being_computed_is_waited_for() {
    let mut scheduler = scheduler(64, 4);
    let prompt = |last| (0..20).chain([100 + last]).collect::<Vec<u32>>();
    for arrival in 0..4 {
        submit(&mut scheduler, arrival, prompt(arrival as u32), Start::Cached);
    }
    submit(&mut scheduler, 4, vec![77; 3], Start::Cached);
    let mut computed = Vec::new();
    for _ in 0..4 {
        let plan = scheduler.plan();
        scheduler.complete(&plan.spans);
        computed.extend(plan.spans.iter().map(|span| (span.id.arrival(), span.positions.clone())));
        plan.spans.iter().for_each(|span| _ = span.output == Output::LastLogits && scheduler.finish(span.id));
    }
    // The first one computes the prefix, the others their last token.
    assert_eq!(computed, [(0, 0..16), (0, 16..21), (1, 20..21), (2, 20..21), (3, 20..21), (4, 0..3)]);
}

/// Rows of logits take memory: few a step, for as many sequences as there are; each row once.
#[test]
fn rows_of_logits_are_rationed() {
    let limits = SchedulerConfig { max_step_tokens: 500, max_running: 9 };
    let mut scheduler = Scheduler::new(limits, BlockPool::new(200, 4));
    for arrival in 0..3 {
        let (id, tokens) = (name(arrival), (0..130).collect());
        scheduler.submit(SequenceSpec { id, tokens, output: Output::AllLogits, start: Start::Fresh });
    }
    let (id, tokens) = (name(3), (0..130).collect());
    scheduler.submit(SequenceSpec { id, tokens, output: Output::LastLogits, start: Start::Fresh });
    let mut num_rows = BTreeMap::new();
    while scheduler.num_running() + scheduler.num_waiting() > 0 {
        let plan = scheduler.plan();
        let scored = plan.spans.iter().filter(|span| span.output == Output::AllLogits);
        assert!(scored.map(|span| span.positions.len()).sum::<usize>() <= 64, "{:?}", plan.spans);
        scheduler.complete(&plan.spans);
        for span in plan.spans {
            *num_rows.entry(span.id).or_insert(0) += span.positions.len();
            if span.positions.end == 130 {
                scheduler.finish(span.id);
            }
        }
    }
    assert!(num_rows.len() == 4 && num_rows.values().all(|&rows| rows == 130), "{num_rows:?}");
}
