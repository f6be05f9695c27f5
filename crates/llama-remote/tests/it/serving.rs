//! Our own server in this process, on a free port.

use std::{path::PathBuf, time::Duration};

use llama_engine::LlamaEngine;
use llama_runtime::{CandleEngine, EngineOptions, EngineStats};
use llama_server::{ApiKey, Limits, Server, ServerConfig};
use tokio::{sync::oneshot, task::JoinHandle};

/// The small model in the repository.
pub(crate) async fn bard(options: EngineOptions) -> CandleEngine {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    CandleEngine::load(path, options).await.expect("bard is in the repository")
}

/// A server that runs until it is stopped or dropped.
pub(crate) struct Serving {
    pub(crate) url: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Serving {
    pub(crate) async fn start<E: LlamaEngine + 'static>(engine: E) -> Self {
        Self::start_with(engine, ServerConfig::default()).await
    }

    /// As configured, but on a free port, and with limits that are the engine's alone.
    pub(crate) async fn start_with<E: LlamaEngine + 'static>(engine: E, mut config: ServerConfig) -> Self {
        config.address = ([127, 0, 0, 1], 0).into();
        config.limits = Limits { max_tokens: usize::MAX, max_body_bytes: 64 << 20, ..config.limits };
        let server = Server::bind(engine, config).await.expect("a free port");
        let url = format!("http://{}", server.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async {
            // Dropping the sender stops it, too.
            let _ = stopped.await;
        }));
        Self { url, stop: Some(stop), task }
    }

    /// Stops it as a signal would, and waits for the end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.expect("the server does not panic");
    }

    /// Waits until the engine behind it holds nothing: no block, no place in the queue, no pin.
    pub(crate) async fn is_idle(&self, engine: &CandleEngine) {
        let is_idle = |stats: &EngineStats| {
            let busy = stats.num_running + stats.num_waiting + stats.num_queued + stats.num_pins;
            let cache = &stats.cache;
            busy + cache.used_blocks + cache.pinned_blocks == 0
                && cache.free_blocks + cache.cached_blocks == cache.total_blocks
        };
        let mut last = None;
        for _ in 0..500 {
            let stats = engine.stats().await.expect("the worker lives");
            if is_idle(&stats) {
                return;
            }
            last = Some(stats);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still busy: {last:?}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A configuration that wants this key.
pub(crate) fn with_key(key: &str) -> ServerConfig {
    ServerConfig { keys: vec![ApiKey::new(key)], ..ServerConfig::default() }
}
