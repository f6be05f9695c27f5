//! The thread that looks at the counter.

use std::{
    convert::Infallible,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use llama_backend::{BackendError, power::PowerSensor};

use super::{
    PerPhase,
    meter::{Reading, Shared},
};
use crate::events;

/// So many looks in a row at a counter that stands still, and it is broken.
const MOST_STILL_LOOKS: u32 = 10;

struct Sampler {
    sensor: Box<dyn PowerSensor>,
    last_look: Instant,
    last_joules: f64,
    last_busy: PerPhase<f64>,
    num_still_looks: u32,
    num_readings: u64,
}

/// Looks every `interval` until `closed` is, or the counter fails.
pub(super) fn run(
    open: impl FnOnce() -> Result<Box<dyn PowerSensor>, BackendError>,
    shared: &Shared,
    closed: &Receiver<Infallible>,
    interval: Duration,
) {
    let ended = open().and_then(|mut sensor| {
        let last_joules = sensor.joules()?;
        let last_busy = shared.busy_seconds();
        let last_look = Instant::now();
        let (num_still_looks, num_readings) = (0, 0);
        let mut sampler =
            Sampler { sensor, last_look, last_joules, last_busy, num_still_looks, num_readings };
        while matches!(closed.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            sampler.look(shared, Instant::now())?;
        }
        Ok(())
    });
    shared.publish(None);
    if let Err(error) = ended {
        events::power_unavailable(&error);
    }
}

impl Sampler {
    /// Publishes what was used since the last look, unless the counter has not moved: then the interval goes on.
    fn look(&mut self, shared: &Shared, now: Instant) -> Result<(), BackendError> {
        let joules = self.sensor.joules()?;
        let used = joules - self.last_joules;
        let seconds = (now - self.last_look).as_secs_f64();
        if used <= 0.0 || seconds <= 0.0 {
            self.num_still_looks += 1;
            return match self.num_still_looks {
                MOST_STILL_LOOKS => {
                    let source = self.sensor.source();
                    let reason = format!("{source}: its counter has stood still {MOST_STILL_LOOKS} times");
                    Err(BackendError::PowerUnavailable { reason })
                }
                _ => Ok(()),
            };
        }
        let (watts, busy) = (used / seconds, shared.busy_seconds());
        let attributed = [0, 1, 2].map(|phase| watts * (busy[phase] - self.last_busy[phase]));
        (self.last_look, self.last_joules, self.last_busy) = (now, joules, busy);
        self.num_still_looks = 0;
        self.num_readings += 1;
        shared.publish(Some(Reading { idx: self.num_readings, watts }));
        events::power_sample(self.sensor.source(), (watts, used), attributed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use llama_backend::power::PowerSource;

    use super::*;
    use crate::energy::{Meter, Phase};

    /// Shows these numbers one after the other, then fails.
    #[derive(Debug)]
    struct Shown(Vec<f64>);

    impl PowerSensor for Shown {
        fn source(&self) -> PowerSource {
            PowerSource::Rapl
        }

        fn joules(&mut self) -> Result<f64, BackendError> {
            let error = || BackendError::PowerUnavailable { reason: "broken".to_owned() };
            if self.0.is_empty() { Err(error()) } else { Ok(self.0.remove(0)) }
        }
    }

    fn sampler(joules: &[f64], start: Instant) -> Sampler {
        Sampler {
            sensor: Box::new(Shown(joules.to_vec())),
            last_look: start,
            last_joules: 0.0,
            last_busy: [0.0; 3],
            num_still_looks: 0,
            num_readings: 0,
        }
    }

    #[test]
    fn a_counter_that_rests_between_two_looks_prolongs_the_interval() {
        let (start, shared) = (Instant::now(), Shared::default());
        let mut sampler = sampler(&[2.0, 2.0, 5.0], start);
        let mut watts = || {
            sampler.look(&shared, sampler.last_look + Duration::from_secs(1)).unwrap();
            shared.latest().unwrap().watts
        };
        assert_eq!((watts(), watts()), (2.0, 2.0));
        sampler.look(&shared, start + Duration::from_secs(3)).unwrap();
        let latest = shared.latest().unwrap();
        assert_eq!((latest.watts, latest.idx), (1.5, 2));
    }

    #[test]
    fn a_counter_that_stands_still_is_broken() {
        let (start, shared) = (Instant::now(), Shared::default());
        let mut sampler = sampler(&[0.0; 20], start);
        let looks = (1..=10).map(|second| sampler.look(&shared, start + Duration::from_secs(second)));
        let outcomes: Vec<bool> = looks.map(|outcome| outcome.is_ok()).collect();
        assert_eq!(outcomes, [vec![true; 9], vec![false]].concat());
        assert!(shared.latest().is_none());
    }

    #[test]
    fn a_broken_counter_takes_its_readings_back() {
        let shared = Shared::default();
        let (_open, closed) = mpsc::channel();
        shared.publish(Some(Reading { idx: 1, watts: 7.0 }));
        run(|| Ok(Box::new(Shown(vec![1.0, 2.0]))), &shared, &closed, Duration::from_millis(1));
        assert!(shared.latest().is_none());
    }

    #[test]
    fn each_reading_is_news_once() {
        let mut meter = Meter::start(
            || Ok(Box::new(Shown((0..1_000_000).map(f64::from).collect()))),
            Duration::from_millis(1),
        );
        meter.add(Phase::Decode, Duration::from_millis(1));
        let deadline = Instant::now() + Duration::from_secs(20);
        while meter.news().is_none() {
            assert!(Instant::now() < deadline, "no reading");
            std::thread::yield_now();
        }
        assert!(meter.watts().is_some());
    }
}
