//! What a decoder says of a token depends on the tokens before it, and on nothing else: not on how they were cut into
//! chunks, where their keys and values lie, nor who else was in the batch. Bit for bit, on the CPU.

#[path = "support/decoders.rs"]
mod decoders;
mod support;

use decoders::{DECODERS, cache, forward, rows, whole};
use llama_models::{Decoder, Output, Span};
use proptest::prelude::*;

/// A way to run some sequences.
#[derive(Clone, Debug)]
struct Schedule {
    sequences: Vec<Sequence>,
    block_len: usize,
    /// Says which physical block is handed out next.
    block_order: u64,
    /// Which sequences take part in a step: bit `i` for sequence `i`. All, when they are used up.
    steps: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Sequence {
    tokens: Vec<u32>,
    /// Lengths of its spans, repeated until the tokens are used up, and what each wants.
    chunks: Vec<(usize, Output)>,
}

impl Schedule {
    fn max_blocks(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens.len().div_ceil(self.block_len)).sum()
    }

    /// Blocks of each sequence: disjoint, in an arbitrary order, with gaps that belong to nobody.
    fn block_tables(&self, num_blocks: usize) -> Vec<Vec<u32>> {
        let mut blocks: Vec<u32> = (0..num_blocks as u32).collect();
        let mut state = self.block_order;
        for i in (1..blocks.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            blocks.swap(i, (state >> 33) as usize % (i + 1));
        }
        let mut blocks = blocks.into_iter();
        let table = |sequence: &Sequence| {
            blocks.by_ref().take(sequence.tokens.len().div_ceil(self.block_len)).collect()
        };
        self.sequences.iter().map(table).collect()
    }
}

/// A sequence on its way.
struct Progress<'a> {
    sequence: &'a Sequence,
    blocks: Vec<u32>,
    position: usize,
    num_spans: usize,
}

impl Progress<'_> {
    fn is_done(&self) -> bool {
        self.position == self.sequence.tokens.len()
    }

    fn next_span(&mut self, block_len: usize) -> Span {
        let (len, output) = self.sequence.chunks[self.num_spans % self.sequence.chunks.len()];
        let first_position = self.position;
        self.position = (first_position + len).min(self.sequence.tokens.len());
        self.num_spans += 1;
        Span {
            tokens: self.sequence.tokens[first_position..self.position].to_vec(),
            first_position,
            blocks: self.blocks[..self.position.div_ceil(block_len)].to_vec(),
            output,
        }
    }
}

/// Runs a schedule and compares every row that it asks for with the obvious way.
fn check(name: &str, decoder: &Decoder, schedule: &Schedule) {
    let tokens = |sequence: &Sequence| sequence.tokens.clone();
    let expected: Vec<_> = schedule
        .sequences
        .iter()
        .map(tokens)
        .map(|tokens| {
            (whole(decoder, &tokens, Output::AllLogits), whole(decoder, &tokens, Output::HiddenStates))
        })
        .collect();
    let num_blocks = schedule.max_blocks() + 3;
    let mut cache = cache(decoder, num_blocks, schedule.block_len);
    let tables = schedule.block_tables(num_blocks);
    let started = |(sequence, blocks)| Progress { sequence, blocks, position: 0, num_spans: 0 };
    let mut running: Vec<Progress> = schedule.sequences.iter().zip(tables).map(started).collect();
    let mut masks = schedule.steps.iter();
    while running.iter().any(|progress| !progress.is_done()) {
        let mask = masks.next().copied().unwrap_or(u8::MAX);
        let takes_part = |(i, progress): &(usize, &mut Progress)| mask >> i & 1 == 1 && !progress.is_done();
        let planned = running.iter_mut().enumerate().filter(takes_part);
        let (ids, spans): (Vec<usize>, Vec<Span>) =
            planned.map(|(i, progress)| (i, progress.next_span(schedule.block_len))).unzip();
        if spans.is_empty() {
            continue;
        }
        let outputs = forward(decoder, &mut cache, spans.clone());
        for ((i, span), output) in ids.into_iter().zip(spans).zip(&outputs) {
            let end = span.first_position + span.tokens.len();
            let (logits, states) = &expected[i];
            let expected = match span.output {
                Output::Nothing => &[],
                Output::LastLogits => &logits[end - 1..end],
                Output::AllLogits => &logits[span.first_position..end],
                Output::HiddenStates => &states[span.first_position..end],
            };
            let is_same = bits(&rows(output)) == bits(expected);
            assert!(is_same, "{name}: sequence {i}, {:?} of {:?}", span.output, span.first_position..end);
        }
    }
}

fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

fn check_all(schedule: &Schedule) {
    for (name, decoder) in DECODERS.iter() {
        check(name, decoder, schedule);
    }
}

/// Tokens that every vocabulary has.
fn tokens(max_len: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0u32..support::VOCAB_SIZE as u32, 1..=max_len)
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        1 => Just(Output::Nothing),
        1 => Just(Output::LastLogits),
        3 => Just(Output::AllLogits),
        1 => Just(Output::HiddenStates),
    ]
}

/// Sequences of any chunking, decode (chunks of one token) among them.
fn sequences(max_num: usize) -> impl Strategy<Value = Vec<Sequence>> {
    let len = prop_oneof![Just(1usize), 1usize..24];
    let chunks = prop::collection::vec((len, output()), 1..5);
    let sequence = (tokens(40), chunks).prop_map(|(tokens, chunks)| Sequence { tokens, chunks });
    prop::collection::vec(sequence, 1..=max_num)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_equal_the_whole(tokens in tokens(48), chunks in prop::collection::vec(1usize..20, 1..5)) {
        let chunks = chunks.into_iter().map(|len| (len, Output::AllLogits)).collect();
        let sequences = vec![Sequence { tokens, chunks }];
        check_all(&Schedule { sequences, block_len: 64, block_order: 0, steps: Vec::new() });
    }

    #[test]
    fn places_in_the_cache_do_not_show(tokens in tokens(48), block_len in 1usize..50, block_order: u64) {
        let sequences = vec![Sequence { tokens, chunks: vec![(17, Output::AllLogits), (1, Output::AllLogits)] }];
        check_all(&Schedule { sequences, block_len, block_order, steps: Vec::new() });
    }

    #[test]
    fn mates_do_not_show(
        sequences in sequences(5), block_len in 1usize..20, block_order: u64, steps in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        check_all(&Schedule { sequences, block_len, block_order, steps });
    }
}

#[test]
fn decode_beside_prefill_is_decode_alone() {
    let tokens = |first: u32, len: u32| (first..first + len).map(|token| token % 100).collect();
    let decoding = |first| Sequence { tokens: tokens(first, 30), chunks: vec![(1, Output::LastLogits)] };
    let prefilling = Sequence { tokens: tokens(50, 90), chunks: vec![(13, Output::AllLogits)] };
    let sequences = vec![decoding(3), prefilling, decoding(40), decoding(77)];
    check_all(&Schedule { sequences, block_len: 4, block_order: 9, steps: vec![0b0001, 0b1101, 0b1101] });
}
