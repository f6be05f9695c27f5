//! What sends: set up once, shut down at the end.

use std::{env, io, sync::Arc, thread, time::Duration};

use opentelemetry::{Key, KeyValue, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};

use super::{catalog_bridge, instruments::Instruments, watched::Watched};

const SCOPE: &str = "llama-server";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Sends traces and metrics to a collector, over HTTP in protobuf. Give it to [`Metrics::export`](crate::metrics::Metrics::export).
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

impl Telemetry {
    /// Starts to send to a collector: `endpoint`, to which `/v1/traces` and `/v1/metrics` are appended, or what the standard variables of the
    /// environment say (`OTEL_EXPORTER_OTLP_ENDPOINT`, and the same for one signal). All else is theirs too: service name, sampling, headers,
    /// intervals. `None` if no endpoint is given, or `OTEL_SDK_DISABLED` is true.
    ///
    /// # Errors
    /// If an endpoint is no URL, or is one with TLS, which this is built without: a collector nearby takes care of that.
    pub fn start(endpoint: Option<&str>) -> io::Result<Option<Self>> {
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let is_wanted = |name| endpoint.is_some() || variable(ENDPOINT).is_some() || variable(name).is_some();
        // Where something else in the program wants TLS of the HTTP client, no client can be made without a provider of it; one that is there stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resource = resource();
        let traces = is_wanted("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").then(|| traces(endpoint, &resource));
        let metrics = is_wanted("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").then(|| metrics(endpoint, &resource));
        let (traces, metrics) = (traces.transpose()?, metrics.transpose()?);
        Ok((traces.is_some() || metrics.is_some()).then_some(Self { traces, metrics }))
    }

    /// Sends what is left, for so long at most. Needs a tokio runtime with time.
    pub async fn shutdown(self, limit: Duration) {
        let (through, mut all_through) = tokio::sync::mpsc::channel::<()>(1);
        // They block, so they get threads; the end of the program does not wait for those.
        let traces_through = through.clone();
        thread::spawn(move || {
            let _through = traces_through;
            // What cannot be sent any more is lost; the exporter has said why.
            self.traces.map(|traces| traces.shutdown_with_timeout(limit))
        });
        thread::spawn(move || {
            let _through = through;
            self.metrics.map(|metrics| metrics.shutdown_with_timeout(limit))
        });
        let _ = tokio::time::timeout(limit, all_through.recv()).await;
    }

    /// What requests to a model are reported through. `render` shows counters and gauges as Prometheus reads them.
    pub(crate) fn signals(&self, model: &str, render: Render) -> Signals {
        let meter = self.metrics.as_ref().map(|metrics| metrics.meter(SCOPE));
        if let Some(meter) = &meter {
            catalog_bridge::register(meter, render);
        }
        Signals {
            model: model.to_owned(),
            tracer: self.traces.as_ref().map(|traces| traces.tracer(SCOPE)),
            instruments: meter.as_ref().map(Instruments::new),
        }
    }
}

/// Shows the catalog's metrics as text.
pub(crate) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// What requests are reported through.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(super) model: String,
    pub(super) tracer: Option<SdkTracer>,
    pub(super) instruments: Option<Instruments>,
}

fn traces(endpoint: Option<&str>, resource: &Resource) -> io::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_http();
    let exporter = aimed(exporter, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"), endpoint)?;
    let exporter = Watched::new("traces", exporter.build().map_err(invalid)?);
    // The default processor has a queue of fixed length and a thread of its own.
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.clone()).build())
}

fn metrics(endpoint: Option<&str>, resource: &Resource) -> io::Result<SdkMeterProvider> {
    let exporter = MetricExporter::builder().with_http();
    let exporter = aimed(exporter, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/v1/metrics"), endpoint)?;
    let exporter = Watched::new("metrics", exporter.build().map_err(invalid)?);
    Ok(SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource.clone()).build())
}

/// An exporter that sends to where its signal's variable, the common one or the endpoint that was given says.
fn aimed<E: WithExportConfig>(
    exporter: E,
    (variable, path): (&str, &str),
    given: Option<&str>,
) -> io::Result<E> {
    Ok(match endpoint_of(variable, given, path)? {
        Some(endpoint) => exporter.with_endpoint(endpoint),
        None => exporter,
    })
}

/// The endpoint of a signal if one was given; else the exporter reads the environment itself. Both are checked here.
fn endpoint_of(signal: &str, given: Option<&str>, path: &str) -> io::Result<Option<String>> {
    let url = given.map(str::to_owned).or_else(|| variable(signal)).or_else(|| variable(ENDPOINT));
    match url {
        Some(url) if !url.starts_with("http://") => {
            let reason = "expected http://…; a collector nearby takes care of TLS";
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {reason}")))
        }
        _ => Ok(given.map(|given| format!("{}{path}", given.trim_end_matches('/')))),
    }
}

fn invalid(error: ExporterBuildError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Who sends: what the environment says, and our name unless it has one.
fn resource() -> Resource {
    let name = Key::from_static_str("service.name");
    let detected = Resource::builder().build();
    let is_named = detected.get(&name).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_named { builder.build() } else { builder.with_service_name("llama-server").build() }
}

/// A variable of the environment; one that is empty counts as absent, as the specification asks.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_tls() {
        let of = |given| endpoint_of("UNSET", Some(given), "/v1/traces");
        assert_eq!(of("http://host:4318").unwrap().unwrap(), "http://host:4318/v1/traces");
        assert_eq!(of("http://host:4318/").unwrap().unwrap(), "http://host:4318/v1/traces");
        for refused in ["https://host:4318", "host:4318", ""] {
            assert_eq!(of(refused).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{refused}");
        }
        assert!(Telemetry::start(Some("http://no host")).is_err());
    }
}
