//! What a server does right now, in the terminal: first tokens, speed, power, cache. With `--url` any server that shows metrics under
//! vLLM's names is watched; without, this program serves a model itself, asks it one question after another, and watches that.

mod common;

#[path = "watch/mod.rs"]
mod parts;

use std::{io::IsTerminal, sync::mpsc, time::Duration};

use anyhow::ensure;
use clap::Parser;
use parts::{Recent, Source, screen, workload};
use reqwest::Url;

/// Watch a server in the terminal
#[derive(Parser)]
struct Args {
    /// The server, such as http://127.0.0.1:8080; without it a model is served and asked here
    #[arg(long)]
    url: Option<Url>,
    /// What the server asks for; the variable LLAMA_API_KEY if absent
    #[arg(long)]
    api_key: Option<String>,
    /// The model served here: a known name, a directory in Hugging Face form, or a .gguf file
    #[arg(long, default_value = "smollm2")]
    model: String,
    /// How many ask it at once
    #[arg(long, default_value_t = 4)]
    sessions: usize,
    /// Seconds from one look to the next; figures are of the last ten
    #[arg(long, default_value_t = 1.0)]
    interval: f64,
    /// Print one view as text, after ten looks
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    #[cfg(feature = "remote-tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_seen = args.once || std::io::stdout().is_terminal();
    ensure!(is_seen, "the output is no terminal; --once prints the view as text");
    let url = match args.url {
        Some(url) => url,
        None => workload::serve(&args.model, args.sessions).await?,
    };
    let (sender, polls) = mpsc::channel();
    let interval = Duration::try_from_secs_f64(args.interval)?;
    tokio::spawn(Source::new(&url, args.api_key)?.poll(interval, sender));
    let mut recent = Recent::new(&url);
    if args.once { screen::print(&mut recent, &polls) } else { screen::show(&mut recent, &polls) }
}
