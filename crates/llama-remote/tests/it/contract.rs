//! The contract of every engine, kept by a remote one on our own server.
//!
//! All clauses: there is none that the protocol cannot carry.

use std::time::Duration;

use llama_engine::{LlamaEngine, contract};
use llama_remote::{Dialect, RemoteEngine};
use llama_runtime::EngineOptions;

use crate::serving::{Serving, bard};

/// Checks the contract over HTTP.
async fn check(options: EngineOptions) {
    let engine = bard(options).await;
    let info = engine.info().clone();
    let server = Serving::start(engine.clone()).await;
    let remote = RemoteEngine::connect(&server.url).await.expect("it listens");
    assert_eq!((remote.dialect(), remote.info()), (Dialect::LlamaRs, &info));
    let kept = contract::check_all(&remote);
    tokio::time::timeout(Duration::from_secs(240), kept).await.expect("the contract takes seconds");
    server.is_idle(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_over_http() {
    check(EngineOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_over_http_in_small_steps() {
    check(EngineOptions {
        context_len: Some(256),
        cache_tokens: Some(512),
        block_len: 3,
        max_step_tokens: 7,
        max_running: 5,
        ..EngineOptions::default()
    })
    .await;
}
