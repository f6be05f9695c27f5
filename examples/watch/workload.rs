//! Something to watch: a server in this process, and sessions that ask it about one text without end.

use std::{future::pending, time::Duration};

use llama_remote::RemoteEngine;
use llama_rs::prelude::*;
use llama_server::{Server, ServerConfig, metrics::EngineEvents};
use reqwest::Url;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::common;

const TEXT: &str = "A lighthouse stands on a small island. Its keeper lights the lamp at dusk and puts it out at dawn. Every second \
    Sunday a boat brings flour, oil, letters and the news of the town. In winter the sea may be so rough that no boat lands for \
    weeks, and so the keeper has a cellar full of oil, and a shelf of books that have been read more than once.";
const QUESTIONS: [&str; 5] = [
    "What does the keeper do at dusk?",
    "What does the boat bring?",
    "Why may no boat come for weeks?",
    "What is in the cellar?",
    "Would you like to live there?",
];

/// Serves a model at a free port, and keeps it busy.
pub(crate) async fn serve(model: &str, num_sessions: usize) -> anyhow::Result<Url> {
    let events = EngineEvents::default();
    tracing_subscriber::registry().with(events.layer()).init();
    let engine = common::load(model, Device::auto()).await?;
    let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() };
    let server = Server::bind(engine, config).await?;
    events.feed(server.metrics());
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.run(pending()));
    let client = RemoteEngine::connect(&url).await?;
    // A model that cannot answer shows here, and not as a view without figures.
    ask(&client, 0).await?;
    for session in 0..num_sessions {
        tokio::spawn(ask_forever(client.clone(), session));
    }
    Ok(url.parse()?)
}

async fn ask_forever(client: RemoteEngine, session: usize) {
    for turn in session.. {
        if ask(&client, turn).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn ask(client: &RemoteEngine, turn: usize) -> Result<(), EngineError> {
    let prompt = format!("{TEXT}\n\nQuestion: {}\nAnswer:", QUESTIONS[turn % QUESTIONS.len()]);
    let sampling = Sampling { temperature: 0.8, ..Sampling::default() };
    let request = GenerateRequest::new(prompt).with_max_tokens(64).with_sampling(sampling);
    client.generate(request).await?.collect().await.map(drop)
}
