//! Many streams at once, some of them left by their clients: every answer is the one it has alone, and nothing is left behind.

#[path = "../support/load.rs"]
mod held;

use std::time::Duration;

use held::Load;
use llama_runtime::EngineOptions;

use crate::serving::{Serving, bard};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_streams_with_random_disconnects_leave_nothing_behind() {
    // A cache that is too small for all of them at once.
    let options = EngineOptions { cache_tokens: Some(2048), ..EngineOptions::default() };
    let engine = bard(options).await;
    let server = Serving::start(engine.clone()).await;
    let load = Load { num_streams: 64, time: Duration::from_secs(6) };
    let report = held::hold(&engine, &server.url, load).await;
    println!("{report}");
    server.is_idle(&engine).await;
    report.check();
}
