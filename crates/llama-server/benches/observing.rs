//! What it costs to be watched: decoding of the smallest model, whose steps are the shortest there are, while nobody listens to the engine's
//! events and while they become metrics. What a step costs more in the second case is the price of its events.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use criterion::{Criterion, Throughput};
use llama_engine::{EndOfText, GenerateRequest, LlamaEngine};
use llama_runtime::{CandleEngine, EngineOptions};
use llama_server::metrics::{EngineEvents, Metrics};
use tokio::runtime::Runtime;
use tracing::subscriber::Interest;
use tracing_subscriber::{Layer as _, filter::DynFilterFn, layer::SubscriberExt as _};

const NUM_TOKENS: usize = 256;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // A process has one subscriber, so it is switched: as none, it refuses every event for good, until asked again.
    let is_on = Arc::new(AtomicBool::new(false));
    let (events, switch) = (EngineEvents::default(), is_on.clone());
    let filter = DynFilterFn::new(|_, _| true).with_callsite_filter(move |_| {
        if switch.load(Ordering::Relaxed) { Interest::always() } else { Interest::never() }
    });
    let subscriber = tracing_subscriber::registry().with(events.layer().with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).expect("this is the only one");
    events.feed(&Metrics::new("bard"));
    let runtime = Runtime::new().expect("threads");
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    let engine = runtime.block_on(CandleEngine::load(bard, EngineOptions::default())).expect("bard loads");
    let mut group = criterion.benchmark_group("observing, bard, one sequence");
    group.throughput(Throughput::Elements(NUM_TOKENS as u64));
    for (name, is_watched) in [("nobody listens", false), ("metrics", true)] {
        is_on.store(is_watched, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(answer(&engine))));
    }
    group.finish();
    criterion.final_summary();
}

async fn answer(engine: &CandleEngine) {
    let mut request = GenerateRequest::new("HAMLET.").with_max_tokens(NUM_TOKENS);
    request.end = EndOfText::Ignored;
    let answer = engine.generate(request).await.expect("a place").collect().await.expect("an answer");
    assert_eq!(answer.tokens.len(), NUM_TOKENS);
}
