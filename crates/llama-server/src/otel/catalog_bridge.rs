//! Counters and gauges of the catalog, as a collector reads them: the same figures that `/metrics` shows at that moment.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::Render;
use crate::metrics::{ALL, Kind, Metric, Scrape};

/// All metrics of one collection are read from one text.
const SAME_COLLECTION: Duration = Duration::from_millis(500);

/// Shows all counters and gauges: `vllm:num_requests_running` as `vllm.num_requests_running`, counters without `_total`.
pub(super) fn register(meter: &Meter, render: Render) {
    let page = Arc::new(Page { render, latest: Mutex::new(None) });
    for metric in ALL {
        let (page, name) = (page.clone(), metric.name.replace(':', "."));
        match metric.kind {
            Kind::Gauge => {
                let gauge = meter.f64_observable_gauge(name).with_description(metric.help);
                gauge.with_callback(move |seen| page.samples(metric, |x, of| seen.observe(x, of))).build();
            }
            Kind::Counter => {
                let name = name.trim_end_matches("_total").to_owned();
                let counter = meter.f64_observable_counter(name).with_description(metric.help);
                counter.with_callback(move |seen| page.samples(metric, |x, of| seen.observe(x, of))).build();
            }
            // The conventions have histograms of their own, and bucket counts cannot be handed over.
            Kind::Histogram(_) => {}
        }
    }
}

struct Page {
    render: Render,
    latest: Mutex<Option<(Instant, Arc<Scrape>)>>,
}

impl Page {
    fn scrape(&self) -> Arc<Scrape> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, scrape)) = &*latest
            && when.elapsed() < SAME_COLLECTION
        {
            return scrape.clone();
        }
        // What we show can be read, and if not, there is nothing to tell.
        let scrape: Arc<Scrape> = Arc::new((self.render)().parse().unwrap_or_default());
        *latest = Some((Instant::now(), scrape.clone()));
        scrape
    }

    /// Each series of a metric, with the metric's own labels. What nobody measures, or no longer, has none.
    fn samples(&self, metric: &Metric, mut observe: impl FnMut(f64, &[KeyValue])) {
        for (series, value) in self.scrape().named(metric.name).filter(|(_, value)| value.is_finite()) {
            let attribute =
                |label: &&'static str| Some(KeyValue::new(*label, series.label(label)?.to_owned()));
            observe(value, &metric.labels.iter().filter_map(attribute).collect::<Vec<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn series_are_read_as_they_are_shown() {
        let metrics = Metrics::new("bard");
        let shown = metrics.clone();
        let page = Page { render: Arc::new(move || shown.render()), latest: Mutex::new(None) };
        let mut seen = Vec::new();
        let of = |name| ALL.iter().find(|metric| metric.name == name).unwrap();
        page.samples(of("vllm:request_success_total"), |value, labels| seen.push((value, labels.to_vec())));
        seen.sort_by_key(|(_, labels)| labels[0].value.to_string());
        let reasons: Vec<String> = seen.iter().map(|(_, labels)| labels[0].value.to_string()).collect();
        assert_eq!(reasons, ["abort", "error", "length", "stop"]);
        assert!(seen.iter().all(|(value, labels)| *value == 0.0 && labels.len() == 1), "{seen:?}");
        page.samples(of("llama_power_watts"), |value, _| panic!("{value} W that nobody measured"));
    }
}
