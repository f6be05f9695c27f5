//! A server and a client in one program: serves a model at a free port of this machine, asks it over HTTP, prints the answer as it streams.

mod common;

use std::io::Write;

use clap::Parser;
use futures::StreamExt;
use llama_rs::prelude::*;
use llama_server::{Server, ServerConfig};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Serve a model and ask it over HTTP
#[derive(Parser)]
struct Args {
    /// The question
    #[arg(default_value = "Why is the sky blue?")]
    question: String,
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    #[cfg(feature = "remote-tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let engine = common::load(&args.model, Device::auto()).await?;
    let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
    let server = Server::bind(engine, config).await?;
    let url = format!("http://{}/v1/chat/completions", server.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        // Sent or dropped: it is over.
        let _ = stopped.await;
    }));
    let messages = json!([{"role": "user", "content": args.question}]);
    let body =
        json!({"messages": messages, "temperature": 0.2, "seed": 1, "max_tokens": 200, "stream": true});
    let response = reqwest::Client::new().post(&url).json(&body).send().await?.error_for_status()?;
    let (mut bytes, mut text) = (response.bytes_stream(), Vec::new());
    while let Some(piece) = bytes.next().await {
        text.extend(piece?);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let data = event.strip_prefix(b"data: ").unwrap_or_default();
            if let Ok(chunk) = serde_json::from_slice::<Value>(data) {
                print!("{}", chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
                std::io::stdout().flush()?;
            }
        }
    }
    println!();
    drop(stop);
    Ok(serving.await?)
}
