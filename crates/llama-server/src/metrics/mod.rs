//! What is measured, and how Prometheus reads it at `/metrics`.
//!
//! Two sources feed one registry. Whoever answers a request tells its `RequestObserver` what happens: that works for
//! any engine. What only an engine knows, such as its cache, comes from the events of the engine that runs here, by
//! [`EngineEvents`]; where no engine reports, those metrics are missing, and so is energy without a sensor: nothing
//! reads zero because nobody measured it. Names and buckets are vLLM's where it has the same, so dashboards made for it
//! work; `catalog` lists all. Labels have few values: none comes from a client.

mod catalog;
#[cfg(feature = "events")]
mod engine_events;
mod http;
mod observer;
mod registry;
mod scrape;
#[cfg(not(feature = "otel"))]
mod unfollowed;

use std::sync::Arc;
#[cfg(feature = "otel")]
use std::sync::OnceLock;

pub use catalog::{ALL, Kind, Metric};
#[cfg(feature = "events")]
pub use engine_events::EngineEvents;
pub(crate) use http::{count, show};
use observer::RequestHandles;
pub(crate) use observer::RequestObserver;
use registry::Registry;
pub use scrape::{NotMetrics, Scrape, Window};
#[cfg(not(feature = "otel"))]
pub(crate) use unfollowed::RequestSpan;

#[cfg(feature = "otel")]
pub(crate) use crate::otel::RequestSpan;

/// The metrics of one server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: RequestHandles,
    #[cfg(feature = "otel")]
    telemetry: Exported,
}

/// Where requests are told to besides `/metrics`, from [`Metrics::export`] on.
#[cfg(feature = "otel")]
#[derive(Debug)]
struct Exported {
    model: String,
    signals: OnceLock<Arc<crate::otel::Signals>>,
}

impl Metrics {
    /// Metrics labelled with the name of a model.
    pub fn new(model: &str) -> Self {
        let registry = Registry::new(model);
        let requests = RequestHandles::new(&registry);
        #[cfg(feature = "otel")]
        let telemetry = Exported { model: model.to_owned(), signals: OnceLock::new() };
        let inner = Inner {
            registry,
            requests,
            #[cfg(feature = "otel")]
            telemetry,
        };
        Self { inner: Arc::new(inner) }
    }

    /// From now on a collector is told of requests, too, and of all counters and gauges. Only the first call counts.
    #[cfg(feature = "otel")]
    pub fn export(&self, telemetry: &crate::otel::Telemetry) {
        let (exported, metrics) = (&self.inner.telemetry, self.clone());
        let signals = || telemetry.signals(&exported.model, Arc::new(move || metrics.render()));
        exported.signals.get_or_init(|| Arc::new(signals()));
    }

    /// All of them, as Prometheus reads them.
    pub fn render(&self) -> String {
        self.inner.registry.render()
    }
}

#[cfg(all(test, feature = "events"))]
mod tests;
