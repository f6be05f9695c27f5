//! The seed, which chooses the order of everything that Metal leaves unordered.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that gives the first seed.
const VARIABLE: &str = "METAL_EMULATOR_SEED";

static STATE: OnceLock<State> = OnceLock::new();

struct State {
    seed: AtomicU64,
    next: AtomicU64,
}

fn state() -> &'static State {
    STATE.get_or_init(|| {
        let seed = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        State { seed: AtomicU64::new(seed), next: AtomicU64::new(0) }
    })
}

/// The seed: what [`set_seed`] said last, else the environment's `METAL_EMULATOR_SEED`, else 0.
pub fn seed() -> u64 {
    state().seed.load(Ordering::Relaxed)
}

/// Chooses an order of execution. 0 is the natural one: threads, threadgroups and dispatches one after
/// another, at once when they are committed. With any other, each of them comes in an order that follows
/// from the seed, and commands run when they are waited for.
pub fn set_seed(seed: u64) {
    state().seed.store(seed, Ordering::Relaxed);
    state().next.store(0, Ordering::Relaxed);
}

/// The next random number, never 0; 0 always in natural order.
pub(crate) fn next_random() -> u64 {
    match seed() {
        0 => 0,
        seed => mix(seed, state().next.fetch_add(1, Ordering::Relaxed)) | 1,
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014) at a place of its sequence.
fn mix(seed: u64, place: u64) -> u64 {
    let z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Puts items in an order that the seed chooses.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    if seed() == 0 {
        return;
    }
    for i in (1..items.len()).rev() {
        items.swap(i, (next_random() >> 1) as usize % (i + 1));
    }
}
