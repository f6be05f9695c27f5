//! Counters and gauges of the catalog, as a collector reads them: the same figures that `/metrics` shows at that moment.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::Render;
use crate::metrics::{ALL, Kind, Metric};

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
    latest: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Page {
    fn text(&self) -> Arc<str> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, text)) = &*latest
            && when.elapsed() < SAME_COLLECTION
        {
            return text.clone();
        }
        let text: Arc<str> = (self.render)().into();
        *latest = Some((Instant::now(), text.clone()));
        text
    }

    /// Each series of a metric. What nobody measures, or no longer, has none.
    fn samples(&self, metric: &Metric, mut observe: impl FnMut(f64, &[KeyValue])) {
        for line in self.text().lines() {
            let Some(series) = line.strip_prefix(metric.name).and_then(|rest| rest.strip_prefix('{')) else {
                continue;
            };
            let Some((labels, value)) = series.rsplit_once("} ") else { continue };
            if let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) {
                observe(value, &attributes(metric, labels));
            }
        }
    }
}

/// The metric's own labels. Their values are words of ours, so that nothing in them is escaped.
fn attributes(metric: &Metric, labels: &str) -> Vec<KeyValue> {
    let value = |label: &&'static str| {
        let (_, rest) = labels.split_once(&format!("{label}=\""))?;
        let (value, _) = rest.split_once('"')?;
        Some(KeyValue::new(*label, value.to_owned()))
    };
    metric.labels.iter().filter_map(value).collect()
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
