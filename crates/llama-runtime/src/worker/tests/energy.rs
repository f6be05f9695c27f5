//! Joules of requests, on a device that uses ten watts whatever it does.

use std::time::{Duration, Instant};

use llama_backend::{
    BackendError,
    power::{PowerSensor, PowerSource},
};

use super::{client::Client, *};
use crate::{
    energy::Meter,
    recording::{Recorded, Recorder},
};

const WATTS: f64 = 10.0;

#[derive(Debug)]
struct TenWatts(Instant);

impl PowerSensor for TenWatts {
    fn source(&self) -> PowerSource {
        PowerSource::Rapl
    }

    fn joules(&mut self) -> Result<f64, BackendError> {
        Ok(WATTS * self.0.elapsed().as_secs_f64())
    }
}

/// Lets requests come and go. Returns the ends of those that were finished, and the seconds that it took.
fn finished(meter: Meter) -> (Vec<Recorded>, f64) {
    let faults = Rc::new(Cell::new(Faults::default()));
    let (mut worker, _inbox) = worker(200, &faults, None);
    worker.counts.meter = meter;
    let mut random = Random(5);
    let (recorder, mut clients) = (Recorder::default(), Vec::new());
    let start = Instant::now();
    worker.counts.meter.wake();
    tracing::subscriber::with_default(recorder.listener(), || {
        while recorder.named("request.finished").len() < 40 {
            if clients.len() < 8 {
                clients.push(Client::ask(&mut worker, &mut random, &[]));
            }
            worker.turn();
            clients.iter_mut().for_each(|client| client.listen(&mut random, (&faults.get(), &worker)));
            clients.retain(|client| !client.is_done());
        }
    });
    (recorder.named("request.finished"), start.elapsed().as_secs_f64())
}

#[test]
fn requests_cost_no_more_than_the_device_uses() {
    let meter = Meter::start(|| Ok(Box::new(TenWatts(Instant::now()))), Duration::from_millis(1));
    let deadline = Instant::now() + Duration::from_secs(20);
    while meter.watts().is_none() {
        assert!(Instant::now() < deadline, "no reading");
    }
    let (ends, seconds) = finished(meter);
    let joules: f64 = ends.iter().map(joules).sum();
    assert!(joules > 0.0 && joules < 1.01 * WATTS * seconds, "{joules} J in {seconds} s");
}

/// What a request has cost, which must be known for its prompt and for its answer; nothing, if it ended before any step
/// worked on it, as on a busy machine a deadline may see to.
fn joules(end: &Recorded) -> f64 {
    let count = |field| end.u64(field).unwrap() as f64;
    let Some(prefill) = end.f64("prefill_joules_per_token") else {
        assert_eq!(count("completion_tokens"), 0.0, "{end:?}");
        return 0.0;
    };
    let prefill = prefill * (count("prompt_tokens") - count("cached_tokens"));
    match count("completion_tokens") {
        num_tokens if num_tokens > 1.0 => {
            let decode = end.f64("decode_joules_per_token").unwrap();
            assert!(decode > 0.0, "{end:?}");
            prefill + decode * (num_tokens - 1.0)
        }
        _ => prefill,
    }
}

#[test]
fn joules_that_nobody_measures_are_absent() {
    let (ends, _) = finished(no_meter());
    let fields = ["prefill_joules_per_token", "decode_joules_per_token"];
    assert!(ends.iter().all(|end| fields.iter().all(|field| !end.values.contains_key(field))), "{ends:?}");
}

#[test]
fn the_cache_is_told_of_when_it_has_changed() {
    let faults = Rc::new(Cell::new(Faults::default()));
    let (mut worker, _inbox) = worker(200, &faults, None);
    let (mut random, recorder) = (Random(7), Recorder::default());
    let mut told = Vec::new();
    recorder.during(|| {
        let mut client = Client::ask(&mut worker, &mut random, &[]);
        while !client.is_done() || !worker.work.is_empty() {
            worker.turn();
            let stats = worker.stats();
            told.push((stats.cache.used_blocks, stats.num_running));
            client.listen(&mut random, (&faults.get(), &worker));
        }
        worker.turn();
    });
    told.dedup();
    let usage = recorder.named("kv.usage");
    let said = |field| usage.iter().map(|event| event.u64(field).unwrap() as usize).collect::<Vec<_>>();
    let mut said: Vec<_> = said("used_blocks").into_iter().zip(said("running")).collect();
    assert!(usage.len() < recorder.named("step.finished").len(), "{said:?}");
    assert!(said.last().is_some_and(|(_, running)| *running == 0), "the end is told, too: {said:?}");
    said.dedup();
    assert_eq!(said, told);
}
