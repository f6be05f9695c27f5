//! [`Counters`]: what the emulator has done in this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static DISPATCHES: AtomicU64 = AtomicU64::new(0);
static KERNEL_NANOS: AtomicU64 = AtomicU64::new(0);
static SUBSTITUTIONS: AtomicU64 = AtomicU64::new(0);

/// What the emulator has done in this process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Dispatches executed.
    pub dispatches: u64,
    /// Libraries and kernels compiled, rather than found in the cache.
    pub compiles: u64,
    /// Time spent in kernels.
    pub kernel_time: Duration,
    /// Places in Metal sources that a substitution has changed.
    pub substitutions: u64,
}

impl Counters {
    /// The counters as they stand.
    pub fn now() -> Counters {
        Counters {
            dispatches: DISPATCHES.load(Ordering::Relaxed),
            compiles: msl::num_compiled(),
            kernel_time: Duration::from_nanos(KERNEL_NANOS.load(Ordering::Relaxed)),
            substitutions: SUBSTITUTIONS.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn count_dispatch(time: Duration) {
    DISPATCHES.fetch_add(1, Ordering::Relaxed);
    KERNEL_NANOS.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

pub(crate) fn count_substitution() {
    SUBSTITUTIONS.fetch_add(1, Ordering::Relaxed);
}
