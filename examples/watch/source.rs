//! Where readings come from: a server's `/metrics`, again and again.

use std::{
    sync::mpsc::{Receiver, Sender},
    time::{Duration, Instant},
};

use anyhow::ensure;
use llama_server::metrics::Scrape;
use reqwest::{Client, StatusCode, Url};

/// The shortest time between two looks.
const BREATH: Duration = Duration::from_millis(20);

/// One look at a server, and when it was.
pub(crate) struct Poll {
    pub(crate) time: Instant,
    pub(crate) outcome: anyhow::Result<Scrape>,
}

/// Looks as they come.
pub(crate) type Polls = Receiver<Poll>;

/// A server that shows its metrics.
pub(crate) struct Source {
    client: Client,
    url: Url,
    key: Option<String>,
}

impl Source {
    pub(crate) fn new(server: &Url, key: Option<String>) -> anyhow::Result<Self> {
        ensure!(server.scheme() == "http", "`{server}` does not begin with http://");
        let client = Client::builder().timeout(Duration::from_secs(5)).build()?;
        let key = key.or_else(|| std::env::var("LLAMA_API_KEY").ok());
        Ok(Self { client, url: server.join("/metrics")?, key })
    }

    /// Looks until nobody wants to know.
    pub(crate) async fn poll(self, interval: Duration, polls: Sender<Poll>) {
        loop {
            let (time, outcome) = (Instant::now(), self.scrape().await);
            if polls.send(Poll { time, outcome }).is_err() {
                return;
            }
            tokio::time::sleep(interval.saturating_sub(time.elapsed()).max(BREATH)).await;
        }
    }

    async fn scrape(&self) -> anyhow::Result<Scrape> {
        let mut request = self.client.get(self.url.clone());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await?;
        ensure!(answer.status() != StatusCode::UNAUTHORIZED, "it wants a key, or another: see --api-key");
        Ok(answer.error_for_status()?.text().await?.parse()?)
    }
}
