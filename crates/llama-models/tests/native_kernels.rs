//! Our kernels against the reference, through whole decoders; the counters prove that each path ran, and no other.
//! One test, because the counters belong to the process.

#[path = "support/decoders.rs"]
mod decoders;
mod support;

use decoders::{cache, decoders, forward, rows};
use llama_backend::ops::{Kernels, Op, Path, num_dispatches};
use llama_models::{Decoder, Output, Span};

/// Largest difference of a logit.
const TOLERANCE: f32 = 1e-3;

/// Prefill in two chunks, a second sequence beside it, decode; all logits, sequence after sequence.
fn logits(decoder: &Decoder) -> Vec<Vec<f32>> {
    let mut cache = cache(decoder, 16, 4);
    let span = |tokens: std::ops::Range<u32>, first_position: usize, blocks: &[u32]| Span {
        tokens: tokens.map(|token| token * 37 % 100).collect(),
        first_position,
        blocks: blocks.to_vec(),
        output: Output::AllLogits,
    };
    let (first, second) = ([9, 2, 14, 0, 7], [1, 12, 5]);
    let steps = [
        vec![span(0..11, 0, &first[..3])],
        vec![span(11..17, 11, &first), span(40..49, 0, &second)],
        vec![span(17..18, 17, &first), span(49..50, 9, &second)],
        vec![span(18..19, 18, &first), span(50..51, 10, &second)],
    ];
    let outputs = steps.into_iter().flat_map(|spans| forward(decoder, &mut cache, spans));
    outputs.flat_map(|output| rows(&output)).collect()
}

/// Dispatches of each operation on each path.
fn counts() -> Vec<(u64, u64)> {
    Op::OF_DECODERS
        .iter()
        .map(|&op| (num_dispatches(op, Path::Reference), num_dispatches(op, Path::Cpu)))
        .collect()
}

#[test]
fn native_kernels_compute_the_reference() {
    for ((name, native), (_, reference)) in
        decoders(Kernels::Native).iter().zip(&decoders(Kernels::Reference))
    {
        let before = counts();
        let found = logits(native);
        let between = counts();
        let expected = logits(reference);
        let after = counts();
        for (i, op) in Op::OF_DECODERS.iter().enumerate() {
            let [(r0, n0), (r1, n1), (r2, n2)] = [before[i], between[i], after[i]];
            // Our gated_linear does this one's work; its reference calls it.
            let is_fused = *op == Op::SwiGlu;
            assert!((n1 > n0) != is_fused && r1 == r0, "{name}: {op} took another path than our kernel");
            assert!(r2 > r1 && n2 == n1, "{name}: {op} took another path than the reference");
        }
        assert_eq!((found.len(), expected.len()), (17 + 9 + 4, 17 + 9 + 4));
        let pairs = found.iter().flatten().zip(expected.iter().flatten());
        let worst = pairs
            .map(|(x, y)| (x - y).abs())
            .fold(0f32, |worst, x| if x > worst || x.is_nan() { x } else { worst });
        println!("{name}: worst difference {worst:e}");
        assert!(worst <= TOLERANCE, "{name}: worst difference {worst}");
    }
}
