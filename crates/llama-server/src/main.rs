//! The server as a program: `llama-server` starts with the default model on 127.0.0.1:8080.

mod settings;

#[cfg(feature = "otel")]
use std::time::Duration;

use anyhow::Context;
use llama_hub::{TerminalProgress, resolve};
use llama_runtime::CandleEngine;
#[cfg(feature = "otel")]
use llama_server::otel::Telemetry;
use llama_server::{Server, metrics::EngineEvents};
use settings::Settings;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::read(std::env::args_os(), settings::variable)?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    let events = EngineEvents::default();
    tracing_subscriber::registry().with(log).with(events.layer()).init();
    eprint!("{}", settings.shown());
    #[cfg(feature = "otel")]
    let telemetry = Telemetry::start(settings.otlp_endpoint()?.as_deref()).context("otlp_endpoint")?;
    let (model, options) = settings.model()?;
    let path = resolve(&model.to_string_lossy(), &TerminalProgress::new())?;
    let engine =
        CandleEngine::load(&path, options).await.with_context(|| format!("loading {}", path.display()))?;
    let config = settings.config()?;
    let address = config.address;
    let server = Server::bind(engine, config).await.with_context(|| format!("listening at {address}"))?;
    events.feed(server.metrics());
    #[cfg(feature = "otel")]
    telemetry.iter().for_each(|telemetry| server.metrics().export(telemetry));
    eprintln!("listening at http://{}", server.local_addr());
    server.run(stop_signal()).await;
    #[cfg(feature = "otel")]
    if let Some(telemetry) = telemetry {
        telemetry.shutdown(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// Until someone wants the program to stop.
async fn stop_signal() {
    let interrupt = async { tokio::signal::ctrl_c().await };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        _ = interrupt => {}
        _ = terminate => {}
    }
}
