//! Events of the engine that runs here, turned into metrics.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{Counter, Gauge, Histogram};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

use super::{Metrics, catalog, registry::Registry};

/// What listens. Install its [`layer`](EngineEvents::layer) before the engine is loaded, and tell it then whose metrics
/// it feeds. An engine of another process says nothing here.
#[derive(Clone, Debug, Default)]
pub struct EngineEvents {
    sink: Arc<OnceLock<Sink>>,
}

#[derive(Debug)]
struct Sink {
    metrics: Metrics,
    steps: OnceLock<(Histogram, Histogram)>,
    cache: OnceLock<CacheHandles>,
    masks: OnceLock<Histogram>,
    embeddings: OnceLock<(Counter, Counter, Histogram)>,
    power: Mutex<Option<Power>>,
}

impl EngineEvents {
    /// A layer for `tracing_subscriber`; it sees the engine's events whatever other layers filter.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        self.clone().with_filter(Targets::new().with_target("llama_runtime::events", Level::DEBUG))
    }

    /// From now on events are counted in these metrics. Only the first call counts.
    pub fn feed(&self, metrics: &Metrics) {
        let metrics = metrics.clone();
        self.sink.get_or_init(|| Sink {
            metrics,
            steps: OnceLock::new(),
            cache: OnceLock::new(),
            masks: OnceLock::new(),
            embeddings: OnceLock::new(),
            power: Mutex::new(None),
        });
    }
}

impl<S: Subscriber> Layer<S> for EngineEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(sink) = self.sink.get() else { return };
        let mut fields = Fields::default();
        match event.metadata().name() {
            "step.finished" | "kv.usage" | "grammar.mask" | "embed.finished" | "power.sample" => {
                event.record(&mut fields);
            }
            "speculation.failed" | "embed.failed" => {}
            _ => return,
        }
        match event.metadata().name() {
            "step.finished" => sink.step(&fields),
            "kv.usage" => sink.cache().usage(&fields),
            "grammar.mask" => sink.masks().record(fields.of("mask_us") / 1e6),
            "embed.finished" => sink.embedded(&fields),
            "power.sample" => sink.power(&fields),
            "embed.failed" => sink.registry().counter(&catalog::EMBED_FAILURES, &[]).increment(1),
            _ => sink.registry().counter(&catalog::DRAFTER_FAILURES, &[]).increment(1),
        }
        sink.registry().note();
    }
}

impl Sink {
    fn registry(&self) -> &Registry {
        &self.metrics.inner.registry
    }

    fn step(&self, fields: &Fields) {
        let (tokens, time) = self.steps.get_or_init(|| {
            let histogram = |metric| self.registry().histogram(metric, &[]);
            (histogram(&catalog::ITERATION_TOKENS), histogram(&catalog::STEP_TIME))
        });
        let counts = ["prefill_tokens", "decode_tokens", "embed_tokens"].map(|field| fields.of(field));
        tokens.record(counts.iter().sum::<f64>());
        time.record(fields.of("step_ms") / 1e3);
    }

    fn cache(&self) -> &CacheHandles {
        self.cache.get_or_init(|| CacheHandles::new(self.registry()))
    }

    fn masks(&self) -> &Histogram {
        self.masks.get_or_init(|| self.registry().histogram(&catalog::GRAMMAR_MASK, &[]))
    }

    fn embedded(&self, fields: &Fields) {
        let (texts, tokens, time) = self.embeddings.get_or_init(|| {
            let registry = self.registry();
            let (texts, tokens) =
                (registry.counter(&catalog::EMBED_TEXTS, &[]), registry.counter(&catalog::EMBED_TOKENS, &[]));
            (texts, tokens, registry.histogram(&catalog::EMBED_TIME, &[]))
        });
        texts.increment(fields.of("texts") as u64);
        tokens.increment(fields.of("tokens") as u64);
        time.record(fields.of("total_ms") / 1e3);
    }

    fn power(&self, fields: &Fields) {
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        match (fields.source, &mut *power) {
            (None, None) => {}
            // A sensor that has gone reads nothing, not zero.
            (None, Some(power)) => power.watts.set(f64::NAN),
            (Some(source), power) => {
                power.get_or_insert_with(|| Power::new(self.registry(), source)).sample(fields);
            }
        }
    }
}

/// What each step tells of the cache, where there is one.
#[derive(Debug)]
struct CacheHandles {
    running: Gauge,
    waiting: Gauge,
    usage: [Gauge; 2],
    blocks: [Gauge; 3],
    pinned: Gauge,
    queries: Counter,
    hits: Counter,
    evictions: Counter,
    preemptions: Counter,
}

impl CacheHandles {
    fn new(registry: &Registry) -> Self {
        let (counter, gauge) = (|metric| registry.counter(metric, &[]), |metric| registry.gauge(metric, &[]));
        Self {
            running: gauge(&catalog::NUM_REQUESTS_RUNNING),
            waiting: gauge(&catalog::NUM_REQUESTS_WAITING),
            usage: [gauge(&catalog::KV_CACHE_USAGE), gauge(&catalog::GPU_CACHE_USAGE)],
            blocks: ["used", "cached", "free"].map(|state| registry.gauge(&catalog::KV_BLOCKS, &[state])),
            pinned: gauge(&catalog::KV_PINNED_BLOCKS),
            queries: counter(&catalog::PREFIX_CACHE_QUERIES),
            hits: counter(&catalog::PREFIX_CACHE_HITS),
            evictions: counter(&catalog::KV_EVICTIONS),
            preemptions: counter(&catalog::NUM_PREEMPTIONS),
        }
    }

    fn usage(&self, fields: &Fields) {
        self.running.set(fields.of("running"));
        self.waiting.set(fields.of("waiting"));
        let share = fields.of("used_blocks") / fields.of("total_blocks").max(1.0);
        self.usage.iter().for_each(|gauge| gauge.set(share));
        for (gauge, field) in self.blocks.iter().zip(["used_blocks", "cached_blocks", "free_blocks"]) {
            gauge.set(fields.of(field));
        }
        self.pinned.set(fields.of("pinned_blocks"));
        self.queries.absolute(fields.of("queried_tokens") as u64);
        self.hits.absolute(fields.of("hit_tokens") as u64);
        self.evictions.absolute(fields.of("evictions") as u64);
        self.preemptions.absolute(fields.of("preemptions") as u64);
    }
}

/// Energy so far, kept exactly: counters are whole numbers.
#[derive(Debug)]
struct Power {
    watts: Gauge,
    energy: Joules,
    phases: [(&'static str, Joules); 3],
}

#[derive(Debug)]
struct Joules {
    counter: Counter,
    sum: f64,
}

impl Joules {
    fn new(counter: Counter) -> Self {
        Self { counter, sum: 0.0 }
    }

    fn add(&mut self, joules: f64) {
        self.sum += joules;
        self.counter.absolute((self.sum * 1e3) as u64);
    }
}

impl Power {
    fn new(registry: &Registry, source: &'static str) -> Self {
        let phase =
            |(name, field)| (field, Joules::new(registry.counter(&catalog::ENERGY_ATTRIBUTED, &[name])));
        let phases = [("prefill", "prefill_joules"), ("decode", "decode_joules"), ("embed", "embed_joules")]
            .map(phase);
        Self {
            watts: registry.gauge(&catalog::POWER, &[source]),
            energy: Joules::new(registry.counter(&catalog::ENERGY, &[source])),
            phases,
        }
    }

    fn sample(&mut self, fields: &Fields) {
        self.watts.set(fields.of("watts"));
        self.energy.add(fields.of("joules"));
        for (field, joules) in &mut self.phases {
            joules.add(fields.of(field));
        }
    }
}

/// Numbers of an event: as many as the longest has, so that none takes memory from the heap.
#[derive(Default)]
struct Fields {
    numbers: [(&'static str, f64); 12],
    len: usize,
    /// Who measures power, if somebody does.
    source: Option<&'static str>,
}

impl Fields {
    /// A number; none, if the event has no such field.
    fn of(&self, name: &str) -> f64 {
        self.numbers[..self.len]
            .iter()
            .find(|(field, _)| *field == name)
            .map_or(f64::NAN, |(_, number)| *number)
    }

    fn push(&mut self, field: &Field, value: f64) {
        if let Some(place) = self.numbers.get_mut(self.len) {
            *place = (field.name(), value);
            self.len += 1;
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value as f64);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "source" {
            self.source = ["metal", "nvml", "rapl"].into_iter().find(|source| *source == value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
