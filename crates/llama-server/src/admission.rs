//! Who may run now, who waits, and who is told to come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Limits, error::ApiError};

/// Places for answers that are made at the same time, and for requests that wait for one.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    num_places: usize,
    num_waiting: AtomicUsize,
    max_waiting: usize,
    max_time: Duration,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        let num_places = limits.max_running.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(num_places));
        Self {
            places,
            num_places,
            num_waiting: AtomicUsize::new(0),
            max_waiting: limits.max_waiting,
            max_time: limits.max_time,
        }
    }

    /// Waits for places for so many answers, all there are if that is fewer, and no longer than a request may take. They are given back with
    /// what is returned.
    pub(crate) async fn enter(&self, num_answers: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let wanted = num_answers.clamp(1, self.num_places) as u32;
        if let Ok(places) = self.places.clone().try_acquire_many_owned(wanted) {
            return Ok(places);
        }
        let waiting = Waiting(&self.num_waiting);
        if self.num_waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting {
            return Err(ApiError::overloaded(self.max_waiting));
        }
        let places =
            tokio::time::timeout(self.max_time, self.places.clone().acquire_many_owned(wanted)).await;
        drop(waiting);
        places.map_err(|_| ApiError::out_of_time())?.map_err(|_| ApiError::internal())
    }
}

/// One who waits; also counted down when the client leaves.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
