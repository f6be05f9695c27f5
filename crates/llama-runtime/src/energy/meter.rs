//! The worker's side: how long its steps took, and what power is now.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use llama_backend::{BackendError, power::PowerSensor};

use super::{PerPhase, Phase, sampler};

/// Laps of the worker's time, and the sampler's news. Its drop ends the sampler.
pub(crate) struct Meter {
    shared: Arc<Shared>,
    last_lap: Instant,
    seen_idx: u64,
    _open: Sender<Infallible>,
}

/// What worker and sampler tell each other.
#[derive(Default)]
pub(super) struct Shared {
    latest: Mutex<Option<Reading>>,
    busy_ns: PerPhase<AtomicU64>,
}

/// Power over the last interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Counts from one.
    pub(super) idx: u64,
    pub(super) watts: f64,
}

impl Meter {
    /// Starts the sampler, on a thread of its own that opens the sensor and ends if there is none.
    pub(crate) fn start(
        open: impl FnOnce() -> Result<Box<dyn PowerSensor>, BackendError> + Send + 'static,
        interval: Duration,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (sender, closed) = mpsc::channel();
        let board = shared.clone();
        let work = move || sampler::run(open, &board, &closed, interval);
        // Without the thread there is no reading, as without a sensor.
        let _ = thread::Builder::new().name("llama-power".to_owned()).spawn(work);
        Self { shared, last_lap: Instant::now(), seen_idx: 0, _open: sender }
    }

    /// Notes that work begins after a rest.
    pub(crate) fn wake(&mut self) {
        self.last_lap = Instant::now();
    }

    /// Time since the last lap, or since work began.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last_lap, now)
    }

    /// Attributes time.
    pub(crate) fn add(&self, phase: Phase, time: Duration) {
        self.shared.busy_ns[phase as usize].fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What has been attributed to a phase so far.
    #[cfg(test)]
    pub(crate) fn attributed(&self, phase: Phase) -> Duration {
        Duration::from_nanos(self.shared.busy_ns[phase as usize].load(Ordering::Relaxed))
    }

    /// Power over the last interval; `None` where nobody measures it.
    pub(crate) fn watts(&self) -> Option<f64> {
        self.shared.latest().map(|reading| reading.watts)
    }

    /// As [`Meter::watts`], but once per interval.
    pub(crate) fn news(&mut self) -> Option<f64> {
        let reading = self.shared.latest().filter(|reading| reading.idx != self.seen_idx)?;
        self.seen_idx = reading.idx;
        Some(reading.watts)
    }
}

impl Shared {
    pub(super) fn latest(&self) -> Option<Reading> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, reading: Option<Reading>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// Seconds of work so far.
    pub(super) fn busy_seconds(&self) -> PerPhase<f64> {
        [0, 1, 2].map(|phase| self.busy_ns[phase].load(Ordering::Relaxed) as f64 / 1e9)
    }
}
