//! [`Fence`]: orders encoders.

use std::sync::atomic::{AtomicU64, Ordering};

/// Orders encoders: one that waits for it comes after the one that updates it.
#[derive(Debug)]
pub struct Fence {
    id: u64,
}

impl Fence {
    /// A fence that nothing has updated.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Fence {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Fence { id: NEXT_ID.fetch_add(1, Ordering::Relaxed) }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}
