//! The server as a program: `llama-server` starts with the default model on 127.0.0.1:8080.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use llama_hub::{DEFAULT_MODEL, TerminalProgress, resolve};
use llama_runtime::{CandleEngine, EngineOptions};
use llama_server::{Server, ServerConfig};

/// Serve a model over OpenAI's API
#[derive(Parser)]
struct Args {
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let path = resolve(&args.model, &TerminalProgress::new())?;
    let engine = CandleEngine::load(&path, EngineOptions::default())
        .await
        .with_context(|| format!("loading {}", path.display()))?;
    let config = ServerConfig { address: args.address, ..ServerConfig::default() };
    let server =
        Server::bind(engine, config).await.with_context(|| format!("listening at {}", args.address))?;
    eprintln!("listening at http://{}", server.local_addr());
    server.run(stop_signal()).await;
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
