//! Where metrics are kept: the exporter's recorder, without making it the process's own.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{ALL, Kind, Metric};

/// Values of histograms wait until they are sorted into buckets; this many, if nobody reads them.
const MOST_WAITING: u64 = 4096;

pub(super) struct Registry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    num_recorded: AtomicU64,
}

impl Registry {
    pub(super) fn new(model: &str) -> Self {
        let mut builder = PrometheusBuilder::new().add_global_label("model_name", model);
        for metric in ALL {
            if let Kind::Histogram(buckets) = metric.kind {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets).expect("no list of buckets is empty");
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle, num_recorded: AtomicU64::new(0) }
    }

    pub(super) fn counter(&self, metric: &Metric, labels: &[&'static str]) -> Counter {
        self.recorder.describe_counter(KeyName::from_const_str(metric.name), None, metric.help.into());
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    pub(super) fn gauge(&self, metric: &Metric, labels: &[&'static str]) -> Gauge {
        self.recorder.describe_gauge(KeyName::from_const_str(metric.name), None, metric.help.into());
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    pub(super) fn histogram(&self, metric: &Metric, labels: &[&'static str]) -> Histogram {
        self.recorder.describe_histogram(KeyName::from_const_str(metric.name), None, metric.help.into());
        self.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// Says that a few values have been recorded.
    pub(super) fn note(&self) {
        if self.num_recorded.fetch_add(1, Ordering::Relaxed) % MOST_WAITING == MOST_WAITING - 1 {
            self.handle.run_upkeep();
        }
    }

    pub(super) fn render(&self) -> String {
        self.handle.render()
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// # Panics
/// If there are not as many labels as the metric has.
fn key(metric: &Metric, labels: &[&'static str]) -> Key {
    assert_eq!(metric.labels.len(), labels.len(), "labels of {}", metric.name);
    let labels = metric.labels.iter().zip(labels).map(|(name, value)| Label::from_static_parts(name, value));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
