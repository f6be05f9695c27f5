//! Holds load on a server over the bundled model, in one process, and says what came of it.
//! `cargo run --release -p llama-remote --example load -- --seconds 60`

#[path = "../tests/support/load.rs"]
mod held;

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use held::Load;
use llama_runtime::{CandleEngine, EngineOptions};
use llama_server::{Server, ServerConfig};

/// Hold load on a server, and check every answer
#[derive(Parser)]
struct Args {
    /// For how long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Streams at the same time
    #[arg(long, default_value_t = 64)]
    streams: usize,
    /// Tokens that the cache holds: too few for all streams, unless asked otherwise
    #[arg(long, default_value_t = 2048)]
    cache_tokens: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    let options = EngineOptions { cache_tokens: Some(args.cache_tokens), ..EngineOptions::default() };
    let engine = CandleEngine::load(path, options).await?;
    let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
    let server = Server::bind(engine.clone(), config).await?;
    let url = format!("http://{}", server.local_addr());
    let serving = tokio::spawn(server.run(std::future::pending()));
    let load = Load { num_streams: args.streams, time: Duration::from_secs(args.seconds) };
    let report = held::hold(&engine, &url, load).await;
    println!("{report}\ncache: {:?}", engine.stats().await?);
    serving.abort();
    report.check();
    Ok(())
}
